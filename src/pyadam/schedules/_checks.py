"""What the arguments of schedules may be: each type names its check, which `Schedule` runs."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from itertools import pairwise
from numbers import Integral
from typing import Annotated, Any

from .._hyperparameters import Check, decay_rate, flag, fraction, non_negative, number_in, optional, positive


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


def tuple_of(check: Check, what: str, least: int = 0) -> Check:
    """Return the check of a list or tuple that has `least` items or more, all of which pass `check`."""

    def check_items(name: str, value: Any) -> tuple[Any, ...]:
        if not isinstance(value, (tuple, list)) or len(value) < least:
            raise TypeError(f"{name} must be a list or tuple of {what}, found {value!r}")
        return tuple(check(f"{name}[{i}]", item) for i, item in enumerate(value))

    return check_items


def increasing_steps(name: str, value: Any) -> tuple[int, ...]:
    """Check steps that each are beyond the one before."""
    steps: tuple[int, ...] = tuple_of(count_from(1), "steps")(name, value)
    if any(later <= earlier for earlier, later in pairwise(steps)):
        raise ValueError(f"{name} must increase, found {value!r}")
    return steps


def check_keys(owner: str, state_dict: Mapping[str, Any], wanted: Collection[str]) -> None:
    """Raise ValueError if the state of a schedule has other entries than it must have."""
    if state_dict.keys() != wanted:
        raise ValueError(f"state of {owner} must have {sorted(wanted)}, found {sorted(map(str, state_dict))}")


number = number_in(-math.inf, math.inf, "of any sign")
count = count_from(0)

Number = Annotated[float, number]
OptionalNumber = Annotated[float | None, optional(number)]
NonNegative = Annotated[float, non_negative]
Positive = Annotated[float, positive]
Fraction = Annotated[float, fraction]
DecayRate = Annotated[float, decay_rate]
Flag = Annotated[bool, flag]
Steps = Annotated[int, count_from(1)]
OptionalSteps = Annotated[int | None, optional(count_from(1))]
Count = Annotated[int, count]
Boundaries = Annotated[tuple[int, ...], increasing_steps]
Numbers = Annotated[tuple[float, ...], tuple_of(number, "numbers")]
