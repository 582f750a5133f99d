"""Every step in plain NumPy: the specification of the kernel, and what tests compare it with, to the last bit.

The functions named after the rules are the mathematics; `step` and `Parameter` are what happens around it.
"""

from . import rules
from .norms import clip_coefficient, norm
from .parameter import Parameter, step
from .rules import *
from .storage import join, random_bits, round_at_random, split

__all__ = ["Parameter", "clip_coefficient", "join", "norm", "random_bits", "round_at_random", "split", "step"]
__all__ += rules.__all__
