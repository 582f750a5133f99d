"""Every step in plain NumPy: the specification of the kernel, and what tests compare it with, to the last bit.

The functions named after the rules are the mathematics; `step` and `Parameter` are what happens around it.
"""

from .norms import clip_coefficient, norm
from .parameter import Parameter, step
from .rules import (
    adadelta,
    adagrad,
    adam,
    adamax,
    amsgrad,
    lamb,
    lion,
    nadam,
    radam,
    rmsprop,
    rmsprop_centered,
    rmsprop_centered_momentum,
    rmsprop_momentum,
    sgd,
    sgd_momentum,
    sgd_nesterov,
)
from .storage import join, random_bits, round_at_random, split

__all__ = [
    "Parameter",
    "adadelta",
    "adagrad",
    "adam",
    "adamax",
    "amsgrad",
    "clip_coefficient",
    "join",
    "lamb",
    "lion",
    "nadam",
    "norm",
    "radam",
    "random_bits",
    "rmsprop",
    "rmsprop_centered",
    "rmsprop_centered_momentum",
    "rmsprop_momentum",
    "round_at_random",
    "sgd",
    "sgd_momentum",
    "sgd_nesterov",
    "split",
    "step",
]
