"""What hyperparameters may be: ranges, the words of their messages, and the types of the fields of rules."""

import math
import os
import sys
from collections.abc import Callable, Iterable
from numbers import Integral, Real
from typing import Annotated, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, (bool, np.bool_))


def _to_float(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:  # an integer or fraction beyond the range of doubles
        return math.inf if value > 0 else -math.inf


Check = Callable[[str, Any], Any]
#: A box: its lower and its upper side.
Bounds = tuple[float | NDArray[Any], float | NDArray[Any]]


def number_in(low: float, high: float, what: str) -> Callable[[str, Any], float]:
    """Return the check of a finite number from `low` to `high`, a range that messages call `what`."""
    least, most = max(low, -sys.float_info.max), min(high, sys.float_info.max)

    def check_number(name: str, value: Any) -> float:
        if type(value) is float and least <= value <= most:  # as almost always, and in every step of a schedule
            return value
        if not _is_number(value):
            raise TypeError(f"{name} must be a number {what}, found {value!r}")
        number = _to_float(value)
        if not (math.isfinite(number) and low <= number <= high):
            raise ValueError(f"{name} must be a finite number {what}, found {value!r}")
        return number

    return check_number


number = number_in(-math.inf, math.inf, "of any sign")
non_negative = number_in(0, math.inf, ">= 0")
fraction = number_in(0, 1, "in [0, 1]")
decay_rate = number_in(0, math.nextafter(1, 0), "in [0, 1)")
positive = number_in(math.nextafter(0, 1), math.inf, "> 0")


def step_size(name: str, value: Any) -> float:
    """Check a number >= 0; what is below by rounding, as at the end of a schedule, is 0."""
    is_rounded = _is_number(value) and -1e-12 < _to_float(value) < 0
    return 0.0 if is_rounded else non_negative(name, value)


def betas(name: str, value: Any) -> tuple[float, float]:
    """Check a pair of decay rates."""
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


_MASTERS = ("float32", "split", "stochastic", "nearest")


def master(name: str, value: Any) -> str:
    """Check what keeps the precision of 16-bit parameters."""
    if value not in _MASTERS:
        raise ValueError(f"{name} must be None, {', '.join(map(repr, _MASTERS))}, found {value!r}")
    return str(value)


def state_dtype(name: str, value: Any) -> str:
    """Check a dtype of state."""
    is_bfloat16 = value == "bfloat16" or (isinstance(value, (type, np.dtype)) and np.dtype(value).name == "bfloat16")
    if not is_bfloat16:
        raise ValueError(f"{name} must be None (that of the arithmetic) or 'bfloat16', found {value!r}")
    return "bfloat16"


def directory(name: str, value: Any) -> str:
    """Check the path of a directory that is there."""
    if not isinstance(value, (str, os.PathLike)):
        raise TypeError(f"{name} must be the path of a directory or None, found {value!r}")
    path = os.fspath(value)
    if not isinstance(path, str) or not os.path.isdir(path):
        raise ValueError(f"{name} must be the path of a directory, found {value!r}")
    return path


def seed(name: str, value: Any) -> int:
    """Check a seed of random rounding."""
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise TypeError(f"{name} must be a whole number from 0 to 2**64 - 1, found {value!r}")
    number = int(value)
    if not 0 <= number < 2**64:
        raise ValueError(f"{name} must be a whole number from 0 to 2**64 - 1, found {value!r}")
    return number


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


def bounds(name: str, value: Any) -> Bounds | None:
    """Check a box, and return it with infinities where a side is open."""
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


class Field(NamedTuple):
    """What one hyperparameter may be."""

    check: Check
    #: Whether it decides what is computed, not how much: then it is no function of the step.
    is_fixed: bool = False

    def checked(self, name: str, value: Any) -> Any:
        """Return a value in its one type, or raise TypeError or ValueError that calls it `name`."""
        try:
            return self.check(name, value)
        except RecursionError:  # from the repr of what was found
            raise ValueError(f"{name} is nested too deeply to be a hyperparameter") from None

    def is_schedule(self, value: Any) -> bool:
        """Whether `value` is a function of the 0-based step, in place of a number."""
        return callable(value) and not self.is_fixed

    def setting(self, name: str, value: Any) -> Any:
        """As `checked`, but a schedule passes as it is: its values are checked when they are used."""
        if isinstance(value, type) and not self.is_fixed:
            raise TypeError(f"{name} must be a number or a function of the step, found the class {value.__name__}")
        return value if self.is_schedule(value) else self.checked(name, value)


def is_same(a: Any, b: Any) -> bool:
    """Whether two hyperparameters are the same or equal; boxes may be of arrays."""
    if isinstance(a, tuple) and isinstance(b, tuple):
        return a is b or (len(a) == len(b) and all(np.array_equal(x, y) for x, y in zip(a, b, strict=True)))
    return a is b or bool(a == b)


# What other libraries call hyperparameters.
_OTHER_NAMES = {"learning_rate": "lr", "step_size": "lr", "beta1": "betas", "beta2": "betas", "epsilon": "eps"}


def nearest(name: str, names: Iterable[str]) -> str:
    """Return the end of a message about an unknown name: the one that may have been meant, or nothing."""
    from difflib import get_close_matches

    names = list(names)
    known = [_OTHER_NAMES[name]] if _OTHER_NAMES.get(name) in names else get_close_matches(name, names, 1)
    return f"; did you mean {known[0]!r}?" if known else ""


def fields_of(owner: type) -> dict[str, Field]:
    """Return the hyperparameters among a class's own annotations, which are `Annotated` with a `Field`."""
    annotations = vars(owner).get("__annotations__") or getattr(owner, "__annotations__", {})
    found = {name: getattr(kind, "__metadata__", (None,))[0] for name, kind in annotations.items()}
    return {name: field for name, field in found.items() if isinstance(field, Field)}


#: The types of the fields of rules. A field may hold a schedule until a step evaluates it, where it is not fixed.
NonNegative = Annotated[float, Field(non_negative)]
StepSize = Annotated[float, Field(step_size)]
FixedNonNegative = Annotated[float, Field(non_negative, is_fixed=True)]
Fraction = Annotated[float, Field(fraction)]
Betas = Annotated[tuple[float, float], Field(betas)]
Flag = Annotated[bool, Field(flag, is_fixed=True)]
