"""The Adam family of optimizers for the CPU: one fused pass, in place, on NumPy arrays."""

import os as _os
from importlib import import_module as _import_module
from typing import TYPE_CHECKING as _TYPE_CHECKING

from . import _core, _threads, adagrad, adam, reference, sgd
from ._config import show_config
from ._core import __version__
from ._threads import get_num_threads, set_num_threads
from .adagrad import *
from .adam import *
from .loss_scaler import LossScaler
from .optimizer import Optimizer
from .sgd import *

if _TYPE_CHECKING:
    from . import lr_finder, schedules
    from .checkpoint import CheckpointError
    from .history import History
    from .loading import load

__all__ = [
    "CheckpointError",
    "History",
    "LossScaler",
    "Optimizer",
    "__version__",
    "get_num_threads",
    "load",
    "lr_finder",
    "reference",
    "schedules",
    "set_num_threads",
    "show_config",
]
__all__ += adagrad.__all__
__all__ += adam.__all__
__all__ += sgd.__all__

set_num_threads(min(_threads.default_num_threads(_os.environ, _threads.usable_cpus()), _core.MAX_THREADS))


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> object:
    """Import what not every program needs when it is first asked for, so that ``import pyadam`` stays quick."""
    if name in {"lr_finder", "schedules"}:
        return _import_module(f".{name}", __name__)
    homes = {"History": ".history", "CheckpointError": ".checkpoint", "load": ".loading"}
    if name in homes:
        return getattr(_import_module(homes[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
