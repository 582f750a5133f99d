"""A whole step: what the kernel does around a rule, and what it keeps beside a parameter."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _core
from .._hyperparameters import representable
from . import rules, storage
from .norms import clip_coefficient, norm

Array = NDArray[Any]


class Parameter:
    """A parameter and all that is kept with it, which `step` moves on.

    Parameters
    ----------
    p : ndarray
        The parameter, of any dtype that `pyadam.Optimizer` takes; copied.
    rule : str
        Name of one of the functions in `pyadam.reference.rules`.
    options : mapping
        Hyperparameters of a group, as numbers.
    initial_state : float, default 0.0
        What the rule's state starts at.
    seed : int, default 0
        Of random rounding.
    first : int, default 0
        Number of elements of the parameters before this one.

    Attributes
    ----------
    p : ndarray
    t : int
        Number of steps taken.
    kept : dict
        The state, ``"master"`` or ``"low_bits"``, and ``"ema"``, by name.
    """

    def __init__(
        self,
        p: Array,
        rule: str,
        options: Mapping[str, Any],
        *,
        initial_state: float = 0.0,
        seed: int = 0,
        first: int = 0,
    ) -> None:
        self.p = p.copy(order="K")
        self.t = 0
        self._rule = getattr(rules, rule)
        self._state_names = _core.RULES[rule][0]
        self._options = dict(options)
        self._seed = seed
        self._first = first
        self._is_low_precision = p.dtype.itemsize == 2
        if self._is_low_precision and options["bounds"] is not None:
            self._options["bounds"] = representable(options["bounds"], p.dtype)
        values = p.astype(np.float32) if self._is_low_precision else p
        self.kept: dict[str, Array] = {}
        for name in self._state_names:
            self.kept[name] = np.full_like(values, initial_state).astype(self._state_dtype(values.dtype))
        if self._is_low_precision and options["master"] == "float32":
            self.kept["master"] = values.copy(order="K")
        if self._is_low_precision and options["master"] == "split":
            self.kept["low_bits"] = np.zeros_like(values, np.int16)
        if options["ema_decay"] is not None:
            self.kept["ema"] = values.copy(order="K")

    def _state_dtype(self, compute: Any) -> Any:
        if self._options["state_dtype"] is None:
            return compute
        import ml_dtypes

        return ml_dtypes.bfloat16

    def step(self, g: Array, grad_factor: float = 1.0) -> None:
        """Take a step with the gradient `g` times `grad_factor`."""
        self.t += 1
        options = self._options
        p = self._loaded()
        state = [self.kept[name].astype(p.dtype) for name in self._state_names]
        p, *state = self._rule(p, g, *state, self.t, grad_factor=grad_factor, **self._rule_options())
        if "ema" in self.kept:
            warm = (1.0 + self.t) / (10.0 + self.t) if options["ema_warmup"] else 1.0
            rate = p.dtype.type(1.0 - min(options["ema_decay"], warm))
            with np.errstate(all="ignore"):
                self.kept["ema"] = self.kept["ema"] + rate * (p - self.kept["ema"])
        for i, (name, values) in enumerate(zip(self._state_names, state, strict=True)):
            self.kept[name] = self._stored_state(i, values)
        self._store(p)

    def _rule_options(self) -> dict[str, Any]:
        stages = {"weight_decay", "decoupled_weight_decay", "maximize", "clip_value", "l1", "bounds"}
        known = stages | inspect.signature(self._rule).parameters.keys()
        options = {key: value for key, value in self._options.items() if key in known}
        return options | ({"stored": self._rounded_state} if "stored" in known else {})

    def _loaded(self) -> Array:
        """Return the parameter's values in the type of the arithmetic."""
        if "low_bits" in self.kept:
            return _flat(storage.join, self.p, self.kept["low_bits"])
        if "master" in self.kept:
            with np.errstate(over="ignore"):
                image = self.kept["master"].astype(self.p.dtype)
            is_image = image.view(np.uint16) == self.p.view(np.uint16)
            return np.where(is_image, self.kept["master"], self.p.astype(np.float32))
        return self.p.astype(np.float32) if self._is_low_precision else self.p

    def _store(self, values: Array) -> None:
        master = self._options["master"] if self._is_low_precision else None
        dtype = self.p.dtype
        if master == "split":
            self.p, self.kept["low_bits"] = (
                _shaped_like(values, x) for x in storage.split(values.ravel(order="K"), dtype)
            )
        elif master == "stochastic":
            self.p = self._rounded_at_random(values, dtype, 0, 16)
        else:
            if master == "float32":
                self.kept["master"] = values
            with np.errstate(over="ignore"):
                self.p = values.astype(dtype)

    def _rounded_at_random(self, values: Array, dtype: Any, stream: int, shift: int) -> Array:
        random = storage.random_bits(self._seed, self.t, stream, self._first, values.size)
        random = random >> np.uint32(shift) & np.uint32(0xFFFF)
        return _shaped_like(values, storage.round_at_random(values.ravel(order="K"), dtype, random))

    def _stored_state(self, index: int, values: Array) -> Array:
        dtype = self._state_dtype(values.dtype)
        if dtype == values.dtype:
            return values
        return self._rounded_at_random(values, dtype, 1 + index // 2, 0 if index % 2 else 16)

    def _rounded_state(self, index: int, values: Array) -> Array:
        return self._stored_state(index, values).astype(values.dtype)


def _shaped_like(values: Array, flat: Array) -> Array:
    """Return elements in memory order in the shape and memory order of `values`."""
    return flat.reshape(values.shape, order="C" if values.flags.c_contiguous else "F")


def _flat(function: Any, *arrays: Array) -> Array:
    return _shaped_like(arrays[0], function(*(x.ravel(order="K") for x in arrays)))


def step(
    parameters: Sequence[Parameter],
    grads: Sequence[Array | None],
    *,
    grad_scale: float = 1.0,
    clip_norm: float | None = None,
    skip_nonfinite: bool = False,
) -> tuple[bool, float]:
    """Take a step of all parameters that have a gradient, as `pyadam.Optimizer.step` does.

    Returns
    -------
    has_stepped : bool
        False if a gradient was not finite and `skip_nonfinite` is set.
    grad_norm : float
        Norm of all gradients, divided by `grad_scale`, before clipping.
    """
    taken = [(parameter, g) for parameter, g in zip(parameters, grads, strict=True) if g is not None]
    grad_norm = norm(*(g for _, g in taken)) * (1.0 / grad_scale)
    if skip_nonfinite and not all(np.isfinite(g).all() for _, g in taken):
        return False, grad_norm
    factor = (1.0 / grad_scale) * clip_coefficient(grad_norm, clip_norm)
    for parameter, g in taken:
        parameter.step(g, factor)
    return True, grad_norm
