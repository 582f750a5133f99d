"""Update rules as values: hyperparameters with ranges, the kernel's numbers of a step, formula, sources, disagreements.

This is the one place of their mathematics in Python; `pyadam.reference` has the arithmetic in NumPy, and
``src/cpp/kernel/rules/`` the same in C++.
"""

from ._rule import Rule
from .adadelta import Adadelta
from .adagrad import Adagrad
from .adam import Adam, AdamW
from .adamax import Adamax
from .lamb import LAMB
from .lion import Lion
from .nadam import NAdam
from .radam import RAdam
from .rmsprop import RMSprop
from .sgd import SGD

__all__ = ["LAMB", "SGD", "Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "Lion", "NAdam", "RAdam", "RMSprop", "Rule"]
