"""Update rules as values: hyperparameters with ranges, the kernel's numbers of a step, formula, sources, disagreements.

This is the one place of their mathematics in Python; `pyadam.reference` has the arithmetic in NumPy, and
``src/cpp/kernel/rules/`` the same in C++.
"""

from . import adagrad, adam, sgd
from ._rule import Rule
from .adagrad import *
from .adam import *
from .sgd import *

__all__ = ["Rule"]
__all__ += adagrad.__all__
__all__ += adam.__all__
__all__ += sgd.__all__
