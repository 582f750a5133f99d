"""The base of all schedules: a frozen value that checks its arguments and can be called with a step."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, fields
from inspect import cleandoc
from typing import Any, get_type_hints

from .._hyperparameters import Check

_RAISES = """\
Raises
------
TypeError, ValueError
    If an argument is of another type, not finite or out of range.

"""
_AFTER_RAISES = re.compile(r"^(Notes|References|Examples)\n---", flags=re.MULTILINE)


@dataclass(frozen=True)
class Schedule:
    """Base of all schedules: a function of the 0-based step that can be compared, printed, pickled and copied.

    A subclass is a frozen dataclass, annotated with the types of `_checks`, which has `__call__`. A docstring without
    a section Raises gets the one that holds for all.
    """

    def __init_subclass__(cls) -> None:
        if cls.__doc__ and "\nRaises\n" not in (docstring := cleandoc(cls.__doc__)):
            cls.__doc__ = _AFTER_RAISES.sub(_RAISES + r"\g<0>", docstring, count=1)

    def __call__(self, step: int) -> Any:
        """Return the value at the 0-based `step`."""
        raise NotImplementedError

    def __post_init__(self) -> None:
        check_fields(self)


def check_fields(schedule: Any) -> None:
    """Check the arguments of a dataclass as their types say, and keep each in its one type."""
    types = get_type_hints(type(schedule), include_extras=True)
    for argument in (field for field in fields(schedule) if field.init):
        check: Check = types[argument.name].__metadata__[0]
        value = check(f"{argument.name} of {type(schedule).__name__}", getattr(schedule, argument.name))
        object.__setattr__(schedule, argument.name, value)  # most are frozen


def between(start: float, end: float, fraction: float) -> float:
    """Return the value after a `fraction` of a line, exact at both ends."""
    return start * (1.0 - fraction) + end * fraction


def half_cosine(start: float, end: float, fraction: float) -> float:
    """Return the value after a `fraction` of half a cosine, exact at both ends."""
    return between(end, start, (1.0 + math.cos(math.pi * fraction)) / 2.0)
