"""Schedules of cosines and cycles."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from math import cos, pi
from typing import Annotated

from ._checks import Flag, Fraction, Number, OptionalSteps, Positive, Steps, one_of
from ._schedule import Schedule, between, half_cosine


@dataclass(frozen=True)
class Cosine(Schedule):
    r"""Half a cosine from `start` to `end`, which stays there.

    .. math:: end + \frac{start - end}{2} \left(1 + \cos \frac{π \min(step, steps)}{steps}\right)

    Follows ``optax.cosine_decay_schedule``, where `end` is ``alpha * init_value``. PyTorch's ``CosineAnnealingLR`` is
    the same up to `steps`, its ``T_max``, and climbs again after it.

    Parameters
    ----------
    start : float
        First value.
    steps : int
        Steps from `start` to `end`, >= 1.
    end : float, default 0.0
        Last value.

    References
    ----------
    Loshchilov & Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", ICLR 2017,
    https://arxiv.org/abs/1608.03983.

    Examples
    --------
    >>> from pyadam import schedules
    >>> [round(schedules.Cosine(1.0, 4)(step), 3) for step in range(6)]
    [1.0, 0.854, 0.5, 0.146, 0.0, 0.0]
    """

    start: Number
    steps: Steps
    end: Number = 0.0

    def __call__(self, step: int) -> float:
        # As `half_cosine`, without its calls: this is the schedule that most programs evaluate in each step.
        height = (1.0 + cos(pi * (step / self.steps))) / 2.0 if step < self.steps else 0.0
        return self.end * (1.0 - height) + self.start * height


@dataclass(frozen=True)
class CosineRestarts(Schedule):
    r"""`Cosine` again and again, each time `factor` times as long.

    Follows PyTorch's ``CosineAnnealingWarmRestarts``, where `steps` is ``T_0``, `factor` ``T_mult`` and `end`
    ``eta_min``. ``optax.sgdr_schedule`` takes a dict for every cycle.

    Parameters
    ----------
    start : float
        First value of every cycle.
    steps : int
        Length of the first cycle, >= 1.
    factor : int, default 1
        Length of a cycle over that of the one before it, >= 1.
    end : float, default 0.0
        The value that every cycle falls towards; the step that would have it starts the next cycle.

    References
    ----------
    Loshchilov & Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", ICLR 2017,
    https://arxiv.org/abs/1608.03983.

    Examples
    --------
    >>> from pyadam import schedules
    >>> [round(schedules.CosineRestarts(1.0, 2, 2)(step), 3) for step in range(7)]
    [1.0, 0.5, 1.0, 0.854, 0.5, 0.146, 1.0]
    """

    start: Number
    steps: Steps
    factor: Steps = 1
    end: Number = 0.0

    def __call__(self, step: int) -> float:
        length = self.steps
        if self.factor == 1:
            step %= length
        while step >= length:
            step -= length
            length *= self.factor
        return half_cosine(self.start, self.end, step / length)


@dataclass(frozen=True)
class OneCycle(Schedule):
    r"""Up from ``peak / div_factor`` to `peak`, and down to ``peak / div_factor / final_div_factor``.

    Follows PyTorch's ``OneCycleLR``, whose names these are: `peak` is reached at step ``pct_start * steps - 1``, the
    end at ``steps - 1``, and it stays there, where PyTorch raises.

    Parameters
    ----------
    peak : float
        Largest value.
    steps : int
        Length of the whole, >= 2.
    pct_start : float, default 0.3
        The fraction of the steps that goes up, in [0, 1].
    anneal_strategy : {"cos", "linear"}, default "cos"
        Whether it goes along half a cosine or a line.
    div_factor : float, default 25.0
        `peak` over the first value, > 0.
    final_div_factor : float, default 1e4
        First over last value, > 0.
    three_phase : bool, default False
        Come down to the first value in as many steps as it took to go up, and from there to the last.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong type or out of range; if `steps` is less than 2; if `pct_start` is more than
        0.5 with `three_phase`.

    Notes
    -----
    A momentum or beta that goes from `a` to `b` and back, as PyTorch's ``cycle_momentum`` lets it, is
    ``OneCycle(b, steps, div_factor=b / a, final_div_factor=1)``. ``optax.cosine_onecycle_schedule`` has its peak at
    step ``int(pct_start * steps)`` and ends at `steps`.

    References
    ----------
    Smith & Topin, "Super-Convergence", 2018, https://arxiv.org/abs/1708.07120.

    Examples
    --------
    >>> from pyadam import schedules
    >>> schedule = schedules.OneCycle(1.0, 10, 0.4, "linear", div_factor=4.0, final_div_factor=1.0)
    >>> [schedule(step) for step in (0, 1, 2, 3, 6, 9)]
    [0.25, 0.5, 0.75, 1.0, 0.625, 0.25]
    """

    peak: Number
    steps: Steps
    pct_start: Fraction = 0.3
    anneal_strategy: Annotated[str, one_of("cos", "linear")] = "cos"
    div_factor: Positive = 25.0
    final_div_factor: Positive = 1e4
    three_phase: Flag = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.steps < 2:
            raise ValueError(f"steps of OneCycle must be a whole number >= 2, found {self.steps}")
        if self.three_phase and self.pct_start > 0.5:
            raise ValueError(f"pct_start of OneCycle must be <= 0.5 with three_phase, found {self.pct_start}")

    def __call__(self, step: int) -> float:
        first = self.peak / self.div_factor
        corners = [(0.0, first), (self.pct_start * self.steps - 1, self.peak)]
        if self.three_phase:
            corners.append((2 * self.pct_start * self.steps - 2, first))
        corners.append((self.steps - 1.0, first / self.final_div_factor))
        anneal = half_cosine if self.anneal_strategy == "cos" else between
        for (left, start), (right, end) in pairwise(corners):
            if left < right and step <= right:
                return anneal(start, end, (step - left) / (right - left))
        return corners[-1][1]


@dataclass(frozen=True)
class Triangular(Schedule):
    r"""Up a line from `low` to `high` and down again, over and over.

    Follows PyTorch's ``CyclicLR``, where `low` is ``base_lr``, `high` ``max_lr`` and `steps_up` ``step_size_up``.

    Parameters
    ----------
    low, high : float
        First and largest value.
    steps_up : int
        Steps from `low` to `high`, >= 1.
    steps_down : int, optional
        Steps from `high` to `low`; as many as up by default.
    mode : {"triangular", "triangular2", "exp_range"}, default "triangular"
        ``"triangular2"`` halves the height ``high - low`` after every cycle; ``"exp_range"`` multiplies it by `gamma`
        at every step.
    gamma : float, default 1.0
        The factor of ``"exp_range"``, > 0.

    References
    ----------
    Smith, "Cyclical Learning Rates for Training Neural Networks", WACV 2017, https://arxiv.org/abs/1506.01186.

    Examples
    --------
    >>> from pyadam import schedules
    >>> [schedules.Triangular(0.0, 1.0, 2, mode="triangular2")(step) for step in range(8)]
    [0.0, 0.5, 1.0, 0.5, 0.0, 0.25, 0.5, 0.25]
    """

    low: Number
    high: Number
    steps_up: Steps
    steps_down: OptionalSteps = None
    mode: Annotated[str, one_of("triangular", "triangular2", "exp_range")] = "triangular"
    gamma: Positive = 1.0

    def __call__(self, step: int) -> float:
        down = self.steps_down or self.steps_up
        cycle, t = divmod(step, self.steps_up + down)
        height = t / self.steps_up if t <= self.steps_up else (self.steps_up + down - t) / down
        if self.mode == "triangular2":
            height *= math.pow(0.5, cycle)
        elif self.mode == "exp_range":
            height *= math.pow(self.gamma, step)
        return between(self.low, self.high, height)
