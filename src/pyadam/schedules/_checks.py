"""What the arguments of schedules may be: each type names its check, which `Schedule` runs."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from numbers import Integral
from typing import Annotated, Any

from .._hyperparameters import flag, non_negative, number_in, optional

Check = Callable[[str, Any], Any]


def count_from(low: int) -> Check:
    """Return the check of a whole number from `low`."""

    def check_count(name: str, value: Any) -> int:
        if not isinstance(value, Integral) or isinstance(value, bool):
            raise TypeError(f"{name} must be a whole number >= {low}, found {value!r}")
        if value < low:
            raise ValueError(f"{name} must be a whole number >= {low}, found {value!r}")
        return int(value)

    return check_count


def one_of(*choices: str) -> Check:
    """Return the check of a word."""

    def check_choice(name: str, value: Any) -> str:
        if value not in choices:
            raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}, found {value!r}")
        return str(value)

    return check_choice


def increasing_steps(name: str, value: Any) -> tuple[int, ...]:
    """Check steps that each are beyond the one before."""
    if not isinstance(value, (tuple, list)):
        raise TypeError(f"{name} must be a list or tuple of steps, found {value!r}")
    steps = tuple(count_from(1)(f"{name}[{i}]", step) for i, step in enumerate(value))
    if any(later <= earlier for earlier, later in pairwise(steps)):
        raise ValueError(f"{name} must increase, found {value!r}")
    return steps


def numbers(name: str, value: Any) -> tuple[float, ...]:
    """Check a sequence of finite numbers."""
    if not isinstance(value, (tuple, list)):
        raise TypeError(f"{name} must be a list or tuple of numbers, found {value!r}")
    return tuple(number(f"{name}[{i}]", item) for i, item in enumerate(value))


number = number_in(-math.inf, math.inf, "of any sign")
positive = number_in(math.ulp(0.0), math.inf, "> 0")

Number = Annotated[float, number]
OptionalNumber = Annotated[float | None, optional(number)]
NonNegative = Annotated[float, non_negative]
Positive = Annotated[float, positive]
Fraction = Annotated[float, number_in(0, 1, "in [0, 1]")]
Flag = Annotated[bool, flag]
Steps = Annotated[int, count_from(1)]
OptionalSteps = Annotated[int | None, optional(count_from(1))]
FromStep = Annotated[int, count_from(0)]
Boundaries = Annotated[tuple[int, ...], increasing_steps]
Numbers = Annotated[tuple[float, ...], numbers]
