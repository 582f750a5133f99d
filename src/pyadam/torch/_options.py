"""What a group of `torch.optim` says, as the NumPy classes' hyperparameters."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from operator import is_
from typing import Any, TypedDict

import torch

import pyadam

from .. import _common_options, _core
from .._hyperparameters import NAMES, check
from .._plans import Planner
from ._layout import DTYPE_NAMES, DTYPES

# Keys of a group that ask for what only some of PyTorch's own implementations can do.
_REFUSED = ("capturable", "differentiable")


class Extras(TypedDict, total=False):
    """The keyword arguments that every class takes beside PyTorch's: see `pyadam.Optimizer`."""

    l1: float
    bounds: Any
    clip_value: float | None
    ema_decay: float | None
    ema_warmup: bool
    master: str | None
    state_dtype: str | None
    clip_norm: float | None
    skip_nonfinite: bool
    flush_denormals: bool
    seed: int


# Defaults of the extras that a group has, and of those that the optimizer has as a whole.
OF_GROUPS: dict[str, Any] = {
    key: value for key, value in _common_options.OF_GROUPS.items() if key in Extras.__annotations__
}
OF_OPTIMIZER: dict[str, Any] = {
    key: value for key, value in _common_options.OF_OPTIMIZER.items() if key in Extras.__annotations__
}

# Schedules such as LinearLR end this near to zero, on either side of it.
_ROUNDING = 1e-12

# Types of values that are no tensors and hold none.
_PLAIN = frozenset({float, int, bool, str, type(None)})

# Hyperparameters of the NumPy classes that torch.optim has not, or not in every class.
_NUMPY_ONLY = {
    "decoupled_weight_decay": False,
    "epsilon_hat": False,
    "eps_inside_sqrt": False,
    "lr_in_momentum": False,
    "maximize": False,
}


def refuse_how(group: Mapping[str, Any], name: str) -> None:
    """Raise ValueError if the group asks for a way of computing that pyadam has not."""
    for key in _REFUSED:
        if group.get(key):
            raise ValueError(
                f"{name}: pyadam has no {key}=True, which is for torch.compile, CUDA graphs and higher-order gradients;"
                " use the class of torch.optim"
            )


def _is_plain(value: Any) -> bool:
    kind = type(value)
    return kind in _PLAIN or (kind is tuple and _PLAIN.issuperset(map(type, value)))


def _may_change_inside(value: Any) -> bool:
    return isinstance(value, (torch.Tensor, list)) or (isinstance(value, tuple) and any(map(_may_change_inside, value)))


def _number(value: Any, name: str) -> Any:
    """Return tensors as the numbers they hold; raises ValueError, beginning with `name`, if one holds several."""
    if isinstance(value, (tuple, list)):
        return tuple(_number(item, f"{name}[{i}]") for i, item in enumerate(value))
    if not isinstance(value, torch.Tensor):
        return value
    if value.numel() != 1:
        raise ValueError(f"{name} must be a number or a Tensor of one element, found {tuple(value.shape)}")
    return value.item()


def _bounds(value: Any) -> Any:
    if not isinstance(value, (tuple, list)):
        return value
    return tuple(item.detach().cpu().double().numpy() if isinstance(item, torch.Tensor) else item for item in value)


def _are_same_numbers(bounds: Any, before: Any) -> bool:
    return all(isinstance(pair, tuple) and all(isinstance(x, float) for x in pair) for pair in (bounds, before)) and (
        bounds == before
    )


class GroupOptions:
    """The hyperparameters of a group, checked again whenever they change."""

    def __init__(self, rules: type[pyadam.Optimizer], keys: tuple[str, ...], index: int) -> None:
        self._rules = rules
        self._keys = tuple(filter(NAMES.__contains__, keys))
        self._index = index
        self._seen: tuple[Any, ...] = ()
        self._may_change_inside = False
        self._planner: Planner | None = None
        self._kept: dict[Any, dict[str, torch.dtype]] = {}
        self.values: dict[str, Any] = {}

    def read(self, group: Mapping[str, Any]) -> bool:
        """Take the group's values; raises TypeError or ValueError. Returns whether one of them is new."""
        seen = tuple(map(group.__getitem__, self._keys))
        if len(seen) == len(self._seen) and not self._may_change_inside and all(map(is_, seen, self._seen)):
            return False
        values = {**_NUMPY_ONLY, **OF_GROUPS}
        where = f"param_groups[{self._index}]"
        may_change_inside = False
        for key, value in zip(self._keys, seen, strict=True):
            if key in OF_GROUPS and value is OF_GROUPS[key]:
                continue  # known to be right
            name = f"{where}[{key!r}]"
            if not _is_plain(value):
                may_change_inside |= _may_change_inside(value)
                value = _bounds(value) if key == "bounds" else _number(value, name)
            if key == "lr" and isinstance(value, Real) and -_ROUNDING < float(value) < 0:
                value = 0.0
            values[key] = check(key, value, name)
        refuse_how(group, where)
        #: The name of the kernel's rule, and with it what decides which arrays are kept beside a parameter.
        self.rule = self._rules._rule(values)
        self.keeping = (self.rule, values["master"], values["state_dtype"], values["ema_decay"] is not None)
        #: What a binding depends on.
        self.binding = (self.keeping, values["bounds"])
        #: What the rule's state starts at.
        self.initial_state = self._rules._initial_state(values)
        #: Whether PyTorch's state of this rule has a step count.
        self.counts_in_torch = self._rules._counts_steps_in_torch
        #: Whether the step count is part of the state: there, and where more than the first step differs.
        self.keeps_step = (
            self.counts_in_torch
            or values["ema_warmup"]
            or values["state_dtype"] is not None
            or values["master"] == "stochastic"
        )
        #: Names of the numbers in a state that begins: the step count and what is derived from it.
        self.numbers = ("step", *self._rules._derived_state(values, 1)) if self.keeps_step else ()
        self.values = values
        if self._planner is None:
            self._planner = Planner(self._rules, values)
            #: The function that the kernel asks for the numbers of a step.
            self.plan = self._planner.plan
        else:
            self._planner.use(values)
        self._may_change_inside = may_change_inside
        self._seen = seen  # last, so that an interrupt before leaves it to be read again
        return True

    def is_bound_by(self, binding: tuple[Any, Any]) -> bool:
        """Whether a binding that was made for `binding` is still right."""
        keeping, bounds = self.binding
        return keeping == binding[0] and (bounds is binding[1] or _are_same_numbers(bounds, binding[1]))

    def kept_dtypes(self, dtype: torch.dtype, name: str) -> dict[str, torch.dtype]:
        """Return names and dtypes of what is kept beside a parameter of `dtype`; raises ValueError if it cannot be."""
        known = self._kept.get((self.keeping, dtype))
        if known is None:
            rule, master, state_dtype, has_ema = self.keeping
            kept = _core.kept_arrays(rule, DTYPE_NAMES[dtype], master, state_dtype, has_ema, name)
            known = self._kept[self.keeping, dtype] = {key: DTYPES[kept_dtype] for key, kept_dtype in kept}
        return known

    def derived_state(self, t: int) -> dict[str, float]:
        """Return the numbers that PyTorch keeps as state after `t` steps and pyadam derives from them."""
        return self._rules._derived_state(self.values, t)
