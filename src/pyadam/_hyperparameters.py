"""What each hyperparameter may be. One place for the ranges and for the words of their messages."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, (bool, np.bool_))


def _to_float(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:  # an integer or fraction beyond the range of doubles
        return math.inf if value > 0 else -math.inf


def _number_in(low: float, high: float, what: str) -> Callable[[str, Any], float]:
    """Return the check of a finite number from `low` to `high`, a range that messages call `what`."""

    def check_number(name: str, value: Any) -> float:
        if not _is_number(value):
            raise TypeError(f"{name} must be a number {what}, found {value!r}")
        number = _to_float(value)
        if not (math.isfinite(number) and low <= number <= high):
            raise ValueError(f"{name} must be a finite number {what}, found {value!r}")
        return number

    return check_number


_non_negative = _number_in(0, math.inf, ">= 0")
_fraction = _number_in(0, 1, "in [0, 1]")
_decay_rate = _number_in(0, math.nextafter(1, 0), "in [0, 1)")


def _betas(name: str, value: Any) -> tuple[float, float]:
    if not (isinstance(value, (tuple, list)) and len(value) == 2):
        raise TypeError(f"{name} must be a pair of numbers in [0, 1), found {value!r}")
    return _decay_rate(f"{name}[0]", value[0]), _decay_rate(f"{name}[1]", value[1])


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be True or False, found {value!r}")
    return bool(value)


def _bound(name: str, value: Any, unbounded: float) -> float | NDArray[Any]:
    if value is None:
        return unbounded
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiu":
        if np.isnan(value).any():
            raise ValueError(f"{name} must not hold NaN")
        return value.copy()
    if not _is_number(value):
        raise TypeError(f"{name} must be a number, an array of the parameter's shape or None, found {value!r}")
    number = _to_float(value)
    if math.isnan(number):
        raise ValueError(f"{name} must not be NaN")
    return number


def _bounds(name: str, value: Any) -> Bounds | None:
    if value is None:
        return None
    if not (isinstance(value, (tuple, list)) and len(value) == 2):
        raise TypeError(f"{name} must be a pair (lo, hi) or None, found {value!r}")
    low, high = _bound(f"{name}[0]", value[0], -math.inf), _bound(f"{name}[1]", value[1], math.inf)
    if isinstance(low, np.ndarray) and isinstance(high, np.ndarray) and low.shape != high.shape:
        raise ValueError(f"{name} must be of one shape, found {low.shape} and {high.shape}")
    if np.any(low > high):
        raise ValueError(f"{name} must have lo <= hi, found {value!r}")
    return low, high


Bounds = tuple[float | NDArray[Any], float | NDArray[Any]]

_CHECKS: Mapping[str, Callable[[str, Any], Any]] = {
    "lr": _non_negative,
    "betas": _betas,
    "eps": _non_negative,
    "weight_decay": _non_negative,
    "momentum_decay": _non_negative,
    "lr_decay": _non_negative,
    "initial_accumulator_value": _non_negative,
    "rho": _fraction,
    "alpha": _fraction,
    "momentum": _non_negative,
    "dampening": _fraction,
    "l1": _non_negative,
    "bounds": _bounds,
    "amsgrad": _flag,
    "maximize": _flag,
    "decoupled_weight_decay": _flag,
    "epsilon_hat": _flag,
    "centered": _flag,
    "eps_inside_sqrt": _flag,
    "nesterov": _flag,
    "lr_in_momentum": _flag,
}

# Hyperparameters that decide what is computed, not how much: they are no functions of the step.
_CONSTANT = frozenset(key for key, check in _CHECKS.items() if check is _flag) | {"bounds", "initial_accumulator_value"}


def check(key: str, value: Any, name: str) -> Any:
    """Return the hyperparameter `key` in its one type, or raise TypeError or ValueError that calls it `name`."""
    return _CHECKS[key](name, value)


def is_schedule(key: str, value: Any) -> bool:
    """Whether `value` is a function of the 0-based step, in place of a number."""
    return callable(value) and key not in _CONSTANT


def check_setting(key: str, value: Any, name: str) -> Any:
    """As `check`, but a schedule passes as it is: its values are checked when they are used."""
    return value if is_schedule(key, value) else check(key, value, name)
