"""The one schedule that has state: it goes by the loss that it is told, not by the step."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Real
from typing import Annotated, Any

from .._hyperparameters import non_negative
from ._checks import Count, DecayRate, NonNegative, check_keys, count, one_of
from ._schedule import check_fields


@dataclass
class ReduceOnPlateau:
    r"""Multiplied by `factor` when the metric that it is told has not improved for `patience` reports.

    Follows PyTorch's ``ReduceLROnPlateau``, names and all. Set it as a hyperparameter and call `step` with the metric,
    as a rule once for every epoch. Its state is part of the optimizer's `state_dict`, under ``"schedule_state"`` of the
    group, and `load_state_dict` restores it.

    Parameters
    ----------
    start : float
        First value, >= 0.
    mode : {"min", "max"}, default "min"
        Whether a metric improves by falling or by growing.
    factor : float, default 0.1
        The factor, in [0, 1).
    patience : int, default 10
        Reports without improvement that are let pass, >= 0; the next one reduces the value.
    threshold : float, default 1e-4
        By how much a metric must improve on the best one to count, >= 0.
    threshold_mode : {"rel", "abs"}, default "rel"
        Whether `threshold` is a fraction of the best metric, or in its units.
    cooldown : int, default 0
        Reports after a reduction that are not counted, >= 0.
    min_lr : float, default 0.0
        The value never goes below it, >= 0.
    eps : float, default 1e-8
        A reduction by no more than this is not made, >= 0.

    Raises
    ------
    TypeError, ValueError
        If an argument is of another type or out of range.

    Notes
    -----
    Unlike other schedules it has an identity: groups that share one object reduce together. Two are equal if their
    arguments and their states are. As a part of `Warmup`, `Join` or `Pair` its state is saved too. A metric that is NaN
    is no improvement.

    Examples
    --------
    >>> import numpy as np, pyadam
    >>> lr = pyadam.schedules.ReduceOnPlateau(0.1, factor=0.5, patience=1)
    >>> opt = pyadam.Adam(np.ones(3), lr=lr)
    >>> [lr.step(loss) for loss in (1.0, 0.9, 0.9, 0.9)]
    [False, False, False, True]
    >>> opt.param_groups[0].current["lr"]
    0.05
    """

    start: NonNegative
    mode: Annotated[str, one_of("min", "max")] = "min"
    factor: DecayRate = 0.1
    patience: Count = 10
    threshold: NonNegative = 1e-4
    threshold_mode: Annotated[str, one_of("rel", "abs")] = "rel"
    cooldown: Count = 0
    min_lr: NonNegative = 0.0
    eps: NonNegative = 1e-8
    _value: float = field(init=False, repr=False)
    _best: float | None = field(init=False, repr=False, default=None)
    _num_bad_epochs: int = field(init=False, repr=False, default=0)
    _cooldown_counter: int = field(init=False, repr=False, default=0)

    def __post_init__(self) -> None:
        check_fields(self)
        self._value = self.start

    def __call__(self, step: int) -> float:
        """Return the value, whatever the step."""
        del step
        return self._value

    @property
    def value(self) -> float:
        """The value that the next step uses."""
        return self._value

    def step(self, metrics: float) -> bool:
        """Take notice of a metric, such as the loss after an epoch.

        Parameters
        ----------
        metrics : float
            The metric; anything that `float` takes.

        Returns
        -------
        bool
            Whether the value was reduced.
        """
        metric = float(metrics)
        if self._is_better(metric):
            self._best = metric
            self._num_bad_epochs = 0
        else:
            self._num_bad_epochs += 1
        if self._cooldown_counter > 0:
            self._cooldown_counter -= 1
            self._num_bad_epochs = 0
        if self._num_bad_epochs <= self.patience:
            return False
        self._cooldown_counter = self.cooldown
        self._num_bad_epochs = 0
        before, reduced = self._value, max(self._value * self.factor, self.min_lr)
        if before - reduced > self.eps:
            self._value = reduced
        return self._value < before

    def _is_better(self, metric: float) -> bool:
        worst = math.inf if self.mode == "min" else -math.inf
        best = worst if self._best is None else self._best
        sign = -1.0 if self.mode == "min" else 1.0
        if self.threshold_mode == "rel":
            return sign * metric > sign * best * (1.0 + sign * self.threshold)
        return sign * metric > sign * best + self.threshold

    def state_dict(self) -> dict[str, Any]:
        """Return the value and the counters, in names of PyTorch's; ``best`` is None before the first report."""
        return {
            "value": self._value,
            "best": self._best,
            "num_bad_epochs": self._num_bad_epochs,
            "cooldown_counter": self._cooldown_counter,
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned; the arguments stay what they are.

        Raises
        ------
        TypeError, ValueError
            If an entry is missing, unknown or out of range. Nothing has changed then.
        """
        check_keys("ReduceOnPlateau", state_dict, self.state_dict().keys())
        where = "of the state of ReduceOnPlateau"
        value = non_negative(f"value {where}", state_dict["value"])
        best: Any = state_dict["best"]
        if best is not None:
            if isinstance(best, bool) or not isinstance(best, Real) or math.isnan(best):
                raise ValueError(f"best {where} must be a number or None, found {best!r}")
            best = float(best)
        bad = count(f"num_bad_epochs {where}", state_dict["num_bad_epochs"])
        cooldown = count(f"cooldown_counter {where}", state_dict["cooldown_counter"])
        self._value, self._best, self._num_bad_epochs, self._cooldown_counter = value, best, bad, cooldown
