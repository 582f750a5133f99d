"""Schedules that go one way: constant, linear, polynomial, exponential, inverse, in steps."""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass

from ._checks import Boundaries, Count, Flag, NonNegative, Number, Numbers, OptionalNumber, Positive, Steps
from ._schedule import Schedule, between


@dataclass(frozen=True)
class Constant(Schedule):
    r"""The same value at every step.

    Follows ``optax.constant_schedule``. Its use is as a part of `Join` and its like.

    Parameters
    ----------
    value : float
        The value.

    Examples
    --------
    >>> from pyadam import schedules
    >>> schedules.Constant(0.1)(1000)
    0.1
    """

    value: Number

    def __call__(self, step: int) -> float:
        del step
        return self.value


@dataclass(frozen=True)
class Polynomial(Schedule):
    r"""A power of the part that is left, from `start` to `end`.

    .. math:: end + (start - end) \left(1 - \frac{t}{steps}\right)^{power}
        \quad \text{with } t = \min(\max(step - begin, 0), steps)

    Follows ``optax.polynomial_schedule``; with ``end=0``, PyTorch's ``PolynomialLR``.

    Parameters
    ----------
    start, end : float
        First and last value.
    power : float
        The exponent, > 0.
    steps : int
        Steps from `start` to `end`, >= 1.
    begin : int, default 0
        Step until which the value stays `start`.

    Examples
    --------
    >>> from pyadam import schedules
    >>> [schedules.Polynomial(1.0, 0.0, 2.0, 4)(step) for step in range(5)]
    [1.0, 0.5625, 0.25, 0.0625, 0.0]
    """

    start: Number
    end: Number
    power: Positive
    steps: Steps
    begin: Count = 0

    def __call__(self, step: int) -> float:
        left: float = 1 - min(max(step - self.begin, 0), self.steps) / self.steps
        return between(self.end, self.start, math.pow(left, self.power))


@dataclass(frozen=True)
class Linear(Schedule):
    r"""A straight line from `start` to `end`, which stays there.

    .. math:: start + (end - start) \frac{t}{steps} \quad \text{with } t = \min(\max(step - begin, 0), steps)

    Follows ``optax.linear_schedule``, and PyTorch's ``LinearLR`` with ``start_factor=start/lr``, ``end_factor=end/lr``.

    Parameters
    ----------
    start, end : float
        First and last value.
    steps : int
        Steps from `start` to `end`, >= 1.
    begin : int, default 0
        Step until which the value stays `start`.

    Examples
    --------
    >>> from pyadam import schedules
    >>> [schedules.Linear(1.0, 0.0, 4)(step) for step in range(6)]
    [1.0, 0.75, 0.5, 0.25, 0.0, 0.0]
    """

    start: Number
    end: Number
    steps: Steps
    begin: Count = 0

    def __call__(self, step: int) -> float:
        return between(self.start, self.end, min(max(step - self.begin, 0), self.steps) / self.steps)


@dataclass(frozen=True)
class Exponential(Schedule):
    r"""Multiplied by `rate` for every `steps` steps.

    .. math:: start \cdot rate^{t / steps} \quad \text{with } t = \max(step - begin, 0)

    Follows ``optax.exponential_decay``; with ``steps=1``, PyTorch's ``ExponentialLR``, where `rate` is ``gamma``.

    Parameters
    ----------
    start : float
        First value.
    rate : float
        The factor, > 0.
    steps : int, default 1
        Steps that it takes to multiply by `rate`, >= 1.
    begin : int, default 0
        Step until which the value stays `start`.
    staircase : bool, default False
        Multiply at once after `steps` steps, and at no others.
    end : float, optional
        The value goes no further than this.

    Examples
    --------
    >>> from pyadam import schedules
    >>> [schedules.Exponential(1.0, 0.25, 2)(step) for step in range(5)]
    [1.0, 0.5, 0.25, 0.125, 0.0625]
    """

    start: Number
    rate: Positive
    steps: Steps = 1
    begin: Count = 0
    staircase: Flag = False
    end: OptionalNumber = None

    def __call__(self, step: int) -> float:
        t = max(step - self.begin, 0)
        times = t // self.steps if self.staircase else t / self.steps
        try:
            value = self.start * math.pow(self.rate, times)
        except OverflowError:
            value = math.copysign(math.inf, self.start)
        if self.end is None:
            return value
        return max(value, self.end) if self.rate < 1 else min(value, self.end)


@dataclass(frozen=True)
class InverseTime(Schedule):
    r"""Divided by a line.

    .. math:: \frac{start}{1 + rate \cdot step / steps}

    Follows Keras' ``InverseTimeDecay``; the ``lr_decay`` of PyTorch's ``Adagrad`` is the same with ``steps=1``.

    Parameters
    ----------
    start : float
        First value.
    rate : float
        Slope of the divisor for every `steps` steps, >= 0.
    steps : int, default 1
        Steps in which the divisor grows by `rate`, >= 1.
    staircase : bool, default False
        Let the divisor grow at once after `steps` steps, and at no others.

    Examples
    --------
    >>> from pyadam import schedules
    >>> [schedules.InverseTime(1.0, 1.0)(step) for step in (0, 1, 3)]
    [1.0, 0.5, 0.25]
    """

    start: Number
    rate: NonNegative
    steps: Steps = 1
    staircase: Flag = False

    def __call__(self, step: int) -> float:
        return self.start / (1 + self.rate * (step // self.steps if self.staircase else step / self.steps))


@dataclass(frozen=True)
class InverseSqrt(Schedule):
    r"""Divided by the square root of a line.

    .. math:: \frac{start}{\sqrt{1 + step / timescale}}

    ``Warmup(InverseSqrt(peak, steps), steps)`` is that of Vaswani et al., `peak` at its top, and of most code that
    trains Transformers: ``peak * sqrt(steps / step)`` from step `steps` on.

    Parameters
    ----------
    start : float
        First value.
    timescale : int, default 1
        Steps that it takes to fall to ``start / sqrt(2)``, >= 1.

    References
    ----------
    Vaswani et al., "Attention Is All You Need", NeurIPS 2017, https://arxiv.org/abs/1706.03762.

    Examples
    --------
    >>> from pyadam import schedules
    >>> [schedules.InverseSqrt(1.0)(step) for step in (0, 3, 15)]
    [1.0, 0.5, 0.25]
    """

    start: Number
    timescale: Steps = 1

    def __call__(self, step: int) -> float:
        return self.start / math.sqrt(1 + step / self.timescale)


@dataclass(frozen=True)
class Step(Schedule):
    r"""Multiplied by `factor` after every `steps` steps.

    .. math:: start \cdot factor^{\lfloor step / steps \rfloor}

    Follows PyTorch's ``StepLR``, where `steps` is ``step_size`` and `factor` is ``gamma``.

    Parameters
    ----------
    start : float
        First value.
    steps : int
        Steps between two multiplications, >= 1.
    factor : float, default 0.1
        The factor, >= 0.

    Examples
    --------
    >>> from pyadam import schedules
    >>> [schedules.Step(1.0, 2, 0.5)(step) for step in range(5)]
    [1.0, 1.0, 0.5, 0.5, 0.25]
    """

    start: Number
    steps: Steps
    factor: NonNegative = 0.1

    def __call__(self, step: int) -> float:
        return self.start * math.pow(self.factor, step // self.steps)


@dataclass(frozen=True)
class PiecewiseConstant(Schedule):
    r"""One value until the first boundary, and another from each boundary on.

    Equal to ``optax.piecewise_constant_schedule`` and PyTorch's ``MultiStepLR``, which give factors in place of values.
    All change at the boundary; Keras' ``PiecewiseConstantDecay`` changes one step after it.

    Parameters
    ----------
    boundaries : sequence of int
        The steps from which the next value holds, >= 1, increasing.
    values : sequence of float
        The values, one more than boundaries.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong type or out of range, or their lengths do not go together.

    Examples
    --------
    >>> from pyadam import schedules
    >>> [schedules.PiecewiseConstant([2, 3], [1.0, 0.5, 0.1])(step) for step in range(5)]
    [1.0, 1.0, 0.5, 0.1, 0.1]
    """

    boundaries: Boundaries
    values: Numbers

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.values) != len(self.boundaries) + 1:
            wanted = len(self.boundaries) + 1
            raise ValueError(f"values of PiecewiseConstant must be {wanted}, found {len(self.values)}")

    def __call__(self, step: int) -> float:
        return self.values[bisect_right(self.boundaries, step)]
