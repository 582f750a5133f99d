"""A dynamic loss scale, for gradients of low precision."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral
from typing import Any

import numpy as np

from ._hyperparameters import positive

_GREATEST_SCALE = float(np.finfo(np.float32).max)


class LossScaler:
    """A loss scale that adapts, so that small gradients do not vanish in float16 and large ones do not overflow.

    The loss is multiplied by `scale` before its gradients are computed, `Optimizer.step` divides by it, and `update`
    learns whether the step was skipped: then the scale is multiplied by `backoff_factor`, and after `growth_interval`
    steps in a row that were not, by `growth_factor`. This is the policy of PyTorch's ``torch.amp.GradScaler``.

    Parameters
    ----------
    init_scale : float, default 65536.0
        The first scale, > 0.
    growth_factor : float, default 2.0
        At least 1.
    backoff_factor : float, default 0.5
        Between 0 and 1.
    growth_interval : int, default 2000
        Number of steps, at least 1.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong type or out of range.

    Examples
    --------
    >>> import numpy as np, pyadam
    >>> w = np.ones(2, np.float32)
    >>> opt = pyadam.Adam(w, skip_nonfinite=True)
    >>> scaler = pyadam.LossScaler(init_scale=2.0**15)
    >>> for g in ([0.1, 0.1], [3.0, 0.1], [0.1, 0.1]):  # 3 * 2**15 overflows float16
    ...     with np.errstate(over="ignore"):
    ...         scaled = (np.array(g) * scaler.scale).astype(np.float16)
    ...     scaler.update(opt.step(scaled, grad_scale=scaler.scale))
    >>> scaler.scale, opt.skipped, opt.step_count
    (16384.0, 1, 2)
    """

    def __init__(
        self,
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
    ) -> None:
        self._scale = 0.0
        self._growth_factor = 0.0
        self._backoff_factor = 0.0
        self._growth_interval = 0
        self._good_steps = 0
        self.load_state_dict(
            {
                "scale": init_scale,
                "growth_factor": growth_factor,
                "backoff_factor": backoff_factor,
                "growth_interval": growth_interval,
                "_growth_tracker": 0,
            }
        )

    @property
    def scale(self) -> float:
        """What the loss is multiplied by, and `grad_scale` of the step."""
        return self._scale

    def update(self, has_stepped: bool) -> None:
        """Adapt the scale to what `Optimizer.step` returned."""
        if not has_stepped:
            self._scale *= self._backoff_factor
            self._good_steps = 0
            return
        self._good_steps += 1
        if self._good_steps == self._growth_interval:
            grown = self._scale * self._growth_factor
            self._scale = grown if grown <= _GREATEST_SCALE else self._scale
            self._good_steps = 0

    def state_dict(self) -> dict[str, Any]:
        """Return the scale and the policy, with the keys of PyTorch's ``GradScaler``."""
        return {
            "scale": self._scale,
            "growth_factor": self._growth_factor,
            "backoff_factor": self._backoff_factor,
            "growth_interval": self._growth_interval,
            "_growth_tracker": self._good_steps,
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over what `state_dict`, or that of PyTorch's ``GradScaler``, returned.

        Parameters
        ----------
        state_dict : dict
            The scale and the policy.

        Raises
        ------
        KeyError
            If an entry is missing. Nothing has changed then.
        TypeError, ValueError
            If an entry is of the wrong type or out of range. Nothing has changed then.
        """
        scale = positive("scale", state_dict["scale"])
        growth, backoff = (positive(key, state_dict[key]) for key in ("growth_factor", "backoff_factor"))
        if growth < 1.0:
            raise ValueError(f"growth_factor must be at least 1, found {growth}")
        if backoff >= 1.0:
            raise ValueError(f"backoff_factor must be less than 1, found {backoff}")
        interval, good_steps = state_dict["growth_interval"], state_dict["_growth_tracker"]
        for name, value, least in (("growth_interval", interval, 1), ("_growth_tracker", good_steps, 0)):
            if not isinstance(value, Integral) or isinstance(value, bool):
                raise TypeError(f"{name} must be a whole number, found {value!r}")
            if value < least:
                raise ValueError(f"{name} must be at least {least}, found {value!r}")
        self._scale = scale
        self._growth_factor = growth
        self._backoff_factor = backoff
        self._growth_interval = int(interval)
        self._good_steps = int(good_steps)

    def __repr__(self) -> str:
        return (
            f"LossScaler(scale={self._scale}, growth_factor={self._growth_factor}, "
            f"backoff_factor={self._backoff_factor}, growth_interval={self._growth_interval})"
        )
