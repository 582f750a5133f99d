"""A group of `torch.optim` as the rule's hyperparameters, read anew whenever one of them is another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from operator import is_
from typing import Any

import torch

from .. import _core
from .._common_options import GROUP_DEFAULTS, OPTIMIZER_DEFAULTS, Extras
from .._group import Group, Keeping, Settings, keeping_of, replaced
from .._hyperparameters import Bounds
from ..rules import Rule
from ._layout import DTYPE_NAMES, DTYPES

# Keys of a group that ask for what only some of PyTorch's own implementations can do.
_REFUSED = ("capturable", "differentiable")


# Of the options that every class has, those that torch.optim's groups and optimizers lack.
GROUP_EXTRAS: dict[str, Any] = {key: value for key, value in GROUP_DEFAULTS.items() if key in Extras.__annotations__}
OPTIMIZER_EXTRAS: dict[str, Any] = {
    key: value for key, value in OPTIMIZER_DEFAULTS.items() if key in Extras.__annotations__
}

# Types of values that are no tensors and hold none.
_PLAIN = frozenset({float, int, bool, str, type(None)})


def reject_unsupported_options(group: Mapping[str, Any], name: str) -> None:
    """Raise ValueError if the group asks for a way of computing that pyadam has not."""
    for key in _REFUSED:
        if group.get(key):
            raise ValueError(
                f"{name}: pyadam has no {key}=True, which is for torch.compile, CUDA graphs and higher-order gradients;"
                " use the class of torch.optim"
            )


# Stands for values that were not read yet.
_UNSEEN = object()


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


class GroupOptions(Group):
    """The hyperparameters of a group, checked again whenever they change.

    The group has those named by `keys`; others that the rule has keep their defaults.
    """

    keeping: Keeping

    def __init__(self, rule: type[Rule], keys: Iterable[str], index: int) -> None:
        super().__init__(rule, {**rule.defaults, **GROUP_DEFAULTS}, f"param_groups[{index}]")
        self._keys = tuple(key for key in keys if key in self.fields)
        self._seen: tuple[Any, ...] = (_UNSEEN,) * len(self._keys)
        #: Whether a value is an object that may change without being exchanged, as a tensor.
        self.may_change_inside = False
        self._kept: dict[Any, dict[str, torch.dtype]] = {}

    def read(self, group: Mapping[str, Any]) -> None:
        """Take the group's values; raise TypeError or ValueError."""
        seen = tuple(map(group.__getitem__, self._keys))
        if not self.may_change_inside and all(map(is_, seen, self._seen)):
            return
        may_change_inside = False
        changes = {}
        for key, value, before in zip(self._keys, seen, self._seen, strict=True):
            plain = _is_plain(value)
            may_change_inside |= not plain and _may_change_inside(value)
            if value is not before or not plain:
                changes[key] = self._checked_value(key, value)
        reject_unsupported_options(group, self.name)
        if not all(map(self._set_number, changes, changes.values())):
            settings = replaced(self._settings, changes)
            self.keeping = keeping_of(settings)
            self._describe(settings)
            self._use(settings)
        self.may_change_inside = may_change_inside
        self._seen = seen  # last, so that an interrupt before leaves it to be read again

    def _checked_value(self, key: str, value: Any) -> Any:
        name = self.name_of(key)
        if not _is_plain(value):
            value = _bounds(value) if key == "bounds" else _number(value, name)
        return self.fields[key].checked(name, value)

    def _describe(self, settings: Settings) -> None:
        rule, common = settings
        #: What a binding depends on.
        self.binding: tuple[Keeping, Bounds | None] = (self.keeping, common["bounds"])
        #: Whether the step count is part of the state: there, and where more than the first step differs.
        self.keeps_step = (
            rule.counts_steps_in_torch
            or common["ema_warmup"]
            or common["state_dtype"] is not None
            or common["master"] == "stochastic"
        )
        #: Names of the numbers in a state that begins: the step count and what the rule carries.
        self.numbers = ("step", *rule.carries) if self.keeps_step else ()

    def is_bound_by(self, binding: tuple[Keeping, Bounds | None]) -> bool:
        """Whether a binding that was made for `binding` is still right."""
        keeping, bounds = self.binding
        return keeping == binding[0] and (bounds is binding[1] or _are_same_numbers(bounds, binding[1]))

    def kept_dtypes(self, dtype: torch.dtype, name: str) -> dict[str, torch.dtype]:
        """Return names and dtypes of what is kept beside a parameter of `dtype`; raises ValueError if it cannot be."""
        known = self._kept.get((self.keeping, dtype))
        if known is None:
            kernel, master, state_dtype, has_ema, *_ = self.keeping
            kept = _core.kept_arrays(kernel, DTYPE_NAMES[dtype], master, state_dtype, has_ema, name)
            known = self._kept[self.keeping, dtype] = {key: DTYPES[kept_dtype] for key, kept_dtype in kept}
        return known
