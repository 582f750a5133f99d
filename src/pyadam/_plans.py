"""The kernel's numbers of a step, from hyperparameters."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .optimizer import Optimizer

# Of the kernel's stages: sign and clip_value of the gradient, l2, l1, the parameter's decay, the rate of its average.
Stages = tuple[float, float, float, float, float, float]


class Planner:
    """Makes the numbers of a group's steps. `values` are its hyperparameters, without schedules."""

    def __init__(self, cls: type[Optimizer], values: Mapping[str, Any]) -> None:
        self._cls = cls
        self.use(values)

    def use(self, values: Mapping[str, Any]) -> None:
        """Take other hyperparameters."""
        self.values = values
        self._stages: Stages | None = None

    def plan(self, t: int) -> tuple[Stages, tuple[float, ...]]:
        """Return the kernel's numbers for the step `t` (from 1) of the group's parameters: stages, then the rule's."""
        values = self.values
        if self._stages is None:
            l2, decay = self._cls._weight_decay(values)
            sign = -1.0 if values["maximize"] else 1.0
            clip_value = math.inf if values["clip_value"] is None else values["clip_value"]
            self._stages = (sign, clip_value, l2, values["l1"], decay, self._ema_rate(t))
        elif values["ema_warmup"]:
            self._stages = (*self._stages[:-1], self._ema_rate(t))
        return self._stages, self._cls._scalars(values, t)

    def _ema_rate(self, t: int) -> float:
        decay = self.values["ema_decay"]
        if decay is None:
            return 0.0
        return 1.0 - (min(decay, (1.0 + t) / (10.0 + t)) if self.values["ema_warmup"] else float(decay))
