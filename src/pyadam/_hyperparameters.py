"""What each hyperparameter may be. One place for the ranges and for the words of their messages."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from numbers import Real
from typing import Any

import numpy as np


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, (bool, np.bool_))


def _non_negative(name: str, value: Any) -> float:
    if not _is_number(value):
        raise TypeError(f"{name} must be a number >= 0 or a function of the step, found {value!r}")
    number = float(value)
    if not (math.isfinite(number) and number >= 0):
        raise ValueError(f"{name} must be finite and >= 0, found {value!r}")
    return number


def _betas(name: str, value: Any) -> tuple[float, float]:
    if not (isinstance(value, (tuple, list)) and len(value) == 2 and all(map(_is_number, value))):
        raise TypeError(f"{name} must be a pair of numbers in [0, 1) or a function of the step, found {value!r}")
    for i, beta in enumerate(value):
        if not 0 <= beta < 1:
            raise ValueError(f"{name}[{i}] must be in [0, 1), found {beta!r}")
    return float(value[0]), float(value[1])


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be True or False, found {value!r}")
    return bool(value)


_CHECKS: Mapping[str, Callable[[str, Any], Any]] = {
    "lr": _non_negative,
    "betas": _betas,
    "eps": _non_negative,
    "weight_decay": _non_negative,
    "amsgrad": _flag,
    "maximize": _flag,
    "decoupled_weight_decay": _flag,
    "epsilon_hat": _flag,
}


def check(key: str, value: Any, name: str) -> Any:
    """Return the hyperparameter `key` in its one type, or raise TypeError or ValueError that calls it `name`."""
    return _CHECKS[key](name, value)


def is_schedule(key: str, value: Any) -> bool:
    """Whether `value` is a function of the 0-based step, which flags may not be."""
    return callable(value) and _CHECKS[key] is not _flag


def check_setting(key: str, value: Any, name: str) -> Any:
    """As `check`, but a schedule passes as it is: its values are checked when they are used."""
    return value if is_schedule(key, value) else check(key, value, name)
