"""The Adam family of optimizers for the CPU: one fused pass, in place, on NumPy arrays."""

import os as _os

from . import _core, _threads, reference
from ._config import show_config
from ._core import __version__, get_num_threads, set_num_threads
from .adadelta import Adadelta
from .adagrad import Adagrad
from .adam import Adam, AdamW
from .adamax import Adamax
from .lamb import LAMB
from .lion import Lion
from .nadam import NAdam
from .optimizer import Optimizer
from .radam import RAdam
from .rmsprop import RMSprop
from .sgd import SGD

__all__ = [
    "LAMB",
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Lion",
    "NAdam",
    "Optimizer",
    "RAdam",
    "RMSprop",
    "__version__",
    "get_num_threads",
    "reference",
    "set_num_threads",
    "show_config",
]

_core.set_num_threads(min(_threads.default_num_threads(_os.environ, _threads.usable_cpus()), _core.MAX_THREADS))
