"""What each hyperparameter may be. One place for the ranges and for the words of their messages."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from numbers import Integral, Real
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


def number_in(low: float, high: float, what: str) -> Callable[[str, Any], float]:
    """Return the check of a finite number from `low` to `high`, a range that messages call `what`."""

    def check_number(name: str, value: Any) -> float:
        if not _is_number(value):
            raise TypeError(f"{name} must be a number {what}, found {value!r}")
        number = _to_float(value)
        if not (math.isfinite(number) and low <= number <= high):
            raise ValueError(f"{name} must be a finite number {what}, found {value!r}")
        return number

    return check_number


non_negative = number_in(0, math.inf, ">= 0")
_fraction = number_in(0, 1, "in [0, 1]")
decay_rate = number_in(0, math.nextafter(1, 0), "in [0, 1)")
_positive = number_in(math.nextafter(0, 1), math.inf, "> 0")


def _betas(name: str, value: Any) -> tuple[float, float]:
    if not (isinstance(value, (tuple, list)) and len(value) == 2):
        raise TypeError(f"{name} must be a pair of numbers in [0, 1), found {value!r}")
    return decay_rate(f"{name}[0]", value[0]), decay_rate(f"{name}[1]", value[1])


def flag(name: str, value: Any) -> bool:
    """Check a bool, or one of NumPy's."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be True or False, found {value!r}")
    return bool(value)


def optional(check: Callable[[str, Any], Any]) -> Callable[[str, Any], Any]:
    """Return a check that lets None pass: what it stands for is off."""
    return lambda name, value: None if value is None else check(name, value)


def _one_of(*names: str) -> Callable[[str, Any], str]:
    def check_name(name: str, value: Any) -> str:
        if value not in names:
            raise ValueError(f"{name} must be None, {', '.join(map(repr, names))}, found {value!r}")
        return str(value)

    return check_name


def _state_dtype(name: str, value: Any) -> str:
    is_bfloat16 = value == "bfloat16" or (isinstance(value, (type, np.dtype)) and np.dtype(value).name == "bfloat16")
    if not is_bfloat16:
        raise ValueError(f"{name} must be None (that of the arithmetic) or 'bfloat16', found {value!r}")
    return "bfloat16"


def _directory(name: str, value: Any) -> str:
    if not isinstance(value, (str, os.PathLike)):
        raise TypeError(f"{name} must be the path of a directory or None, found {value!r}")
    path = os.fspath(value)
    if not isinstance(path, str) or not os.path.isdir(path):
        raise ValueError(f"{name} must be the path of a directory, found {value!r}")
    return path


def _seed(name: str, value: Any) -> int:
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise TypeError(f"{name} must be a whole number from 0 to 2**64 - 1, found {value!r}")
    seed = int(value)
    if not 0 <= seed < 2**64:
        raise ValueError(f"{name} must be a whole number from 0 to 2**64 - 1, found {value!r}")
    return seed


def _bound(name: str, value: Any, unbounded: float) -> float | NDArray[Any]:
    if value is None:
        return unbounded
    if isinstance(value, np.ndarray) and not isinstance(value, np.ma.MaskedArray) and value.dtype.kind in "fiu":
        # Of a dtype that a checkpoint can hold.
        dtype = value.dtype.newbyteorder("=") if value.dtype.itemsize <= 8 else np.float64
        with np.errstate(over="ignore"):
            bound = np.array(value, dtype)
        if np.isnan(bound).any():
            raise ValueError(f"{name} must not hold NaN")
        return bound
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
    with np.errstate(over="ignore"):  # where one is a long double beyond the range
        is_empty = np.any(np.asarray(low, np.float64) > np.asarray(high, np.float64))  # float16 would make 1e5 infinite
    if is_empty:
        raise ValueError(f"{name} must have lo <= hi, found {value!r}")
    return low, high


Bounds = tuple[float | NDArray[Any], float | NDArray[Any]]


def representable(bounds: Bounds, dtype: Any) -> Bounds:
    """Return the box as float32, rounded inwards to numbers of a 16-bit dtype, so that rounding cannot leave it."""

    def inwards(bound: float | NDArray[Any], towards: float) -> NDArray[np.float32]:
        exact = np.asarray(bound, np.float64)
        with np.errstate(over="ignore", invalid="ignore"):
            rounded = exact.astype(dtype)
            is_outside = rounded.astype(np.float64) < exact if towards > 0 else rounded.astype(np.float64) > exact
            moved = np.nextafter(rounded, np.asarray(towards, dtype))
        return np.where(is_outside, moved, rounded).astype(np.float32)

    low, high = inwards(bounds[0], math.inf), inwards(bounds[1], -math.inf)
    if np.any(low > high):
        raise ValueError(f"there is no number of {np.dtype(dtype).name} within {bounds!r}")
    return low if low.ndim else float(low), high if high.ndim else float(high)


_CHECKS: Mapping[str, Callable[[str, Any], Any]] = {
    "lr": non_negative,
    "betas": _betas,
    "eps": non_negative,
    "weight_decay": non_negative,
    "momentum_decay": non_negative,
    "lr_decay": non_negative,
    "initial_accumulator_value": non_negative,
    "rho": _fraction,
    "alpha": _fraction,
    "momentum": non_negative,
    "dampening": _fraction,
    "l1": non_negative,
    "bounds": _bounds,
    "clip_value": optional(_positive),
    "clip_norm": optional(_positive),
    "grad_scale": _positive,
    "skip_nonfinite": flag,
    "flush_denormals": flag,
    "ema_decay": optional(decay_rate),
    "ema_warmup": flag,
    "master": optional(_one_of("float32", "split", "stochastic", "nearest")),
    "state_dtype": optional(_state_dtype),
    "seed": _seed,
    "state_dir": optional(_directory),
    "amsgrad": flag,
    "maximize": flag,
    "decoupled_weight_decay": flag,
    "epsilon_hat": flag,
    "centered": flag,
    "eps_inside_sqrt": flag,
    "nesterov": flag,
    "lr_in_momentum": flag,
}

#: The names of all hyperparameters.
NAMES = frozenset(_CHECKS)

# Hyperparameters that decide what is computed, not how much: they are no functions of the step.
_CONSTANT = frozenset(key for key, check in _CHECKS.items() if check is flag) | {
    "bounds",
    "initial_accumulator_value",
    "master",
    "state_dtype",
    "seed",
    "state_dir",
}


def check(key: str, value: Any, name: str) -> Any:
    """Return the hyperparameter `key` in its one type, or raise TypeError or ValueError that calls it `name`."""
    try:
        return _CHECKS[key](name, value)
    except RecursionError:  # from the repr of what was found
        raise ValueError(f"{name} is nested too deeply to be a hyperparameter") from None


def is_schedule(key: str, value: Any) -> bool:
    """Whether `value` is a function of the 0-based step, in place of a number."""
    return callable(value) and key not in _CONSTANT


def check_setting(key: str, value: Any, name: str) -> Any:
    """As `check`, but a schedule passes as it is: its values are checked when they are used."""
    return value if is_schedule(key, value) else check(key, value, name)
