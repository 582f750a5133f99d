"""Schedules made of schedules."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Annotated, Any

from ._checks import Boundaries, Count, Number, Steps, check_keys, number, one_of, tuple_of
from ._decays import Constant
from ._schedule import Schedule, between, half_cosine

# A function of the step, or a number in place of `Constant`, which it becomes.
Part = Callable[[int], Any]


def _part(name: str, value: Any) -> Part:
    return value if callable(value) else Constant(number(name, value))


class _Composed(Schedule):
    """Hands on the state of the parts that have one."""

    def _stateful(self) -> Iterator[tuple[str, Any]]:
        for name, value in vars(self).items():
            parts = value if isinstance(value, tuple) else (value,)
            for i, part in enumerate(parts):
                if hasattr(part, "load_state_dict"):
                    yield f"{name}[{i}]" if isinstance(value, tuple) else name, part

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the parts that have one, by their names."""
        states = {name: part.state_dict() for name, part in self._stateful()}
        return {name: state for name, state in states.items() if state}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned.

        Raises
        ------
        TypeError, ValueError
            If the state is of other parts, or one of them refuses its own. Nothing has changed then.
        """
        parts = {name: part for name, part in self._stateful() if part.state_dict()}
        check_keys(type(self).__name__, state_dict, parts.keys())
        for name, part in deepcopy(parts).items():  # so that all are checked before one is changed
            part.load_state_dict(state_dict[name])
        for name, part in parts.items():
            part.load_state_dict(state_dict[name])


@dataclass(frozen=True)
class Join(_Composed):
    r"""One schedule after another, each from its own step 0.

    Follows ``optax.join_schedules``, and PyTorch's ``SequentialLR``, where `boundaries` is ``milestones``.

    Parameters
    ----------
    schedules : sequence of functions of the step, or floats
        The parts.
    boundaries : sequence of int
        The steps from which the next schedule holds, >= 1, increasing; one less than schedules.

    Raises
    ------
    TypeError, ValueError
        If a part is neither a function nor a finite number, or `boundaries` do not increase from 1 or are not one less
        than the schedules.

    Examples
    --------
    >>> from pyadam import schedules
    >>> schedule = schedules.Join([0.5, schedules.Linear(1.0, 0.0, 4)], [2])
    >>> [schedule(step) for step in range(5)]
    [0.5, 0.5, 1.0, 0.75, 0.5]
    """

    schedules: Annotated[tuple[Part, ...], tuple_of(_part, "schedules", 1)]
    boundaries: Boundaries

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.schedules) != len(self.boundaries) + 1:
            wanted = len(self.schedules) - 1
            raise ValueError(f"boundaries of Join must be {wanted}, found {len(self.boundaries)}")

    def __call__(self, step: int) -> Any:
        i = bisect_right(self.boundaries, step)
        return self.schedules[i](step - (self.boundaries[i - 1] if i else 0))


@dataclass(frozen=True)
class Warmup(_Composed):
    r"""A line from `start` up to a schedule, which then begins with its own step 0.

    .. math:: \begin{cases} start + (schedule(0) - start) \cdot step / steps & step < steps \\
        schedule(step - steps) & \text{otherwise} \end{cases}

    Follows ``optax.join_schedules`` of a ``linear_schedule`` and another, and PyTorch's ``SequentialLR`` of a
    ``LinearLR`` and another. The ``decay_steps`` of ``optax.warmup_cosine_decay_schedule`` count the warmup too: that
    is ``Warmup(Cosine(peak_value, decay_steps - warmup_steps, end_value), warmup_steps, init_value)``.

    Parameters
    ----------
    schedule : function of the step, or float
        What is warmed up to.
    steps : int
        Steps of the warmup, >= 1.
    start : float, default 0.0
        First value.

    Examples
    --------
    >>> from pyadam import schedules
    >>> schedule = schedules.Warmup(schedules.Linear(1.0, 0.0, 4), 2)
    >>> [schedule(step) for step in range(7)]
    [0.0, 0.5, 1.0, 0.75, 0.5, 0.25, 0.0]
    """

    schedule: Annotated[Part, _part]
    steps: Steps
    start: Number = 0.0

    def __call__(self, step: int) -> Any:
        if step >= self.steps:
            return self.schedule(step - self.steps)
        return between(self.start, self.schedule(0), step / self.steps)


@dataclass(frozen=True)
class WarmupStableDecay(Schedule):
    r"""Up a line, along a plateau, and down.

    With ``shape="linear"`` and ``"cosine"`` it is ``optax.join_schedules`` of a ``linear_schedule``, a
    ``constant_schedule`` and a ``linear_schedule`` or ``cosine_decay_schedule``; ``"sqrt"`` comes down along
    :math:`1 - \sqrt{t / decay}`, which Hägele et al. found best.

    Parameters
    ----------
    peak : float
        The value of the plateau.
    warmup, stable : int
        Steps up to `peak` and on it, >= 0.
    decay : int
        Steps from `peak` to `end`, >= 1.
    start, end : float, default 0.0
        First and last value.
    shape : {"linear", "cosine", "sqrt"}, default "linear"
        How it comes down.

    References
    ----------
    Hu et al., "MiniCPM", 2024, https://arxiv.org/abs/2404.06395.
    Hägele et al., "Scaling Laws and Compute-Optimal Training Beyond Fixed Training Durations", 2024,
    https://arxiv.org/abs/2405.18392.

    Examples
    --------
    >>> from pyadam import schedules
    >>> schedule = schedules.WarmupStableDecay(1.0, warmup=2, stable=2, decay=4)
    >>> [schedule(step) for step in range(9)]
    [0.0, 0.5, 1.0, 1.0, 1.0, 0.75, 0.5, 0.25, 0.0]
    """

    peak: Number
    warmup: Count
    stable: Count
    decay: Steps
    start: Number = 0.0
    end: Number = 0.0
    shape: Annotated[str, one_of("linear", "cosine", "sqrt")] = "linear"

    def __call__(self, step: int) -> float:
        if step < self.warmup:
            return between(self.start, self.peak, step / self.warmup)
        t = min(max(step - self.warmup - self.stable, 0) / self.decay, 1.0)
        if self.shape == "cosine":
            return half_cosine(self.peak, self.end, t)
        return between(self.peak, self.end, math.sqrt(t) if self.shape == "sqrt" else t)


@dataclass(frozen=True)
class Pair(_Composed):
    r"""A pair of schedules as a schedule of pairs: what ``betas`` takes.

    Parameters
    ----------
    first, second : function of the step, or float
        The parts.

    Raises
    ------
    TypeError, ValueError
        If a part is neither a function nor a finite number.

    Examples
    --------
    >>> import numpy as np, pyadam
    >>> from pyadam import schedules
    >>> schedule = schedules.Pair(schedules.Linear(0.85, 0.95, 100), 0.999)
    >>> schedule(0)
    (0.85, 0.999)
    >>> opt = pyadam.Adam(np.ones(3), betas=schedule)
    """

    first: Annotated[Part, _part]
    second: Annotated[Part, _part]

    def __call__(self, step: int) -> tuple[Any, Any]:
        return self.first(step), self.second(step)
