"""A parameter group over arrays: what `param_groups` of the NumPy and the MPI front end hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from copy import deepcopy
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import _core
from ._common_options import GROUP_DEFAULTS
from ._group import Group, Settings, as_dict
from ._hyperparameters import Bounds, is_same, nearest, representable
from .rules import Rule


class Part(NamedTuple):
    """Where an array of one axis lies in a parameter: the elements [begin, end) in the parameter's memory order."""

    path: str
    shape: tuple[int, ...]
    order: Literal["C", "F"]
    begin: int
    end: int


class ParamGroup(Group, MutableMapping[str, Any]):
    """A group's hyperparameters and, under ``"params"``, its arrays: what `Optimizer.param_groups` holds.

    Reads and writes like the dict of a PyTorch parameter group. A value is checked when it is set, so that the error
    comes from the line that set it. Keys cannot be added or removed, and what decides the layout of the state cannot be
    changed.
    """

    def __init__(
        self,
        rule: type[Rule],
        values: Mapping[str, Any],
        index: int,
        core: _core.ArrayParameters,
        arrays: list[NDArray[Any]],
        paths: list[str],
        parts: Sequence[Part] | None = None,
    ) -> None:
        super().__init__(rule, values, f"param_groups[{index}]")
        self._core = core
        #: The paths of the parameters, and their places among those of all groups.
        self.paths = paths
        start = core.size
        self.members = range(start, start + len(arrays))
        # Where parameters are parts of larger ones.
        self._parts = parts
        kernel, master, state_dtype, has_ema, initial_state, initial_carried = self.keeping
        states = len(_core.RULES[kernel][0])
        core.add_group(kernel, arrays, paths, [initial_state] * states, initial_carried, master, state_dtype, has_ema)
        if (bounds := self._settings[1]["bounds"]) is not None:
            self._keep_in(bounds)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in vars(self).get("fields", ()):
            raise AttributeError(f"a hyperparameter of a group is an item: {self.name}[{name!r}] = ...")
        if not name.startswith("_") and name not in ("name", "fields", "keeping", "paths", "members"):
            raise AttributeError(f"{self.name} has no attribute {name!r}{nearest(name, self.fields)}")
        object.__setattr__(self, name, value)

    def __getitem__(self, key: str) -> Any:
        if key == "params":
            return tuple(self._core.arrays[self.members.start : self.members.stop])
        rule, common = self._settings
        return common[key] if key in common else vars(rule)[key]

    def __setitem__(self, key: str, value: Any) -> None:
        field = self.fields.get(key)
        if field is None:
            raise KeyError(f"{self.name}[{key!r}] cannot be set; what can is {', '.join(self.fields)}")
        value = field.setting(self._names[key], value)
        if not self._set_number(key, value):
            changes = {key: value}
            self.use(self.checked(changes), changes)

    def __delitem__(self, key: str) -> None:
        raise TypeError(f"{self.name}[{key!r}] cannot be removed")

    def __iter__(self) -> Iterator[str]:
        yield "params"
        yield from self.fields

    def __len__(self) -> int:
        return 1 + len(self.fields)

    def __repr__(self) -> str:
        defaults = {**self.rule.defaults, **GROUP_DEFAULTS}
        shown = {key: value for key, value in self.options.items() if key == "lr" or not is_same(value, defaults[key])}
        arrays = f"{len(self.members)} array{'s' * (len(self.members) != 1)}"
        return f"ParamGroup({', '.join([arrays, *(f'{key}={value!r}' for key, value in shown.items())])})"

    def checked(self, changes: Mapping[str, Any]) -> Settings:
        """Return the settings with changes, checked one by one already; raise ValueError if they cannot be changed."""
        settings = super().checked(changes)
        if "bounds" in changes:
            self._boxes(changes["bounds"])
        return settings

    def use(self, settings: Settings, changes: Mapping[str, Any]) -> None:
        """Take settings that `checked` returned for these changes."""
        if "bounds" in changes:
            self._keep_in(changes["bounds"])
        self._use(settings)

    def _boxes(self, bounds: Bounds | None) -> list[tuple[Any, Any]]:
        """Return the bounds of each parameter as the kernel takes them: numbers, or arrays that lie as it does."""
        parts = self._parts or map(_part_of_all, self["params"], self.paths)
        return [self._box(bounds, array, part) for array, part in zip(self["params"], parts, strict=True)]

    def _keep_in(self, bounds: Bounds | None) -> None:
        boxes = self._boxes(bounds)
        for bound in bounds or ():
            if isinstance(bound, np.ndarray):
                bound.setflags(write=False)  # it is handed out, and what is written there would go unseen
        for i, (low, high) in zip(self.members, boxes, strict=True):
            self._core.set_bounds(i, low, high)

    def _box(self, bounds: Bounds | None, array: NDArray[Any], part: Part) -> tuple[Any, Any]:
        """Return the bounds of a parameter as the kernel takes them: numbers, or arrays that lie as it does."""
        if bounds is None:
            return None, None
        if array.dtype.itemsize == 2:
            try:
                bounds = representable(bounds, array.dtype)
            except ValueError as error:
                raise ValueError(f"{self.name_of('bounds')} of {part.path}: {error}") from None
        if not any(isinstance(bound, np.ndarray) for bound in bounds):
            return bounds
        for bound in bounds:
            if isinstance(bound, np.ndarray) and bound.shape != part.shape:
                raise ValueError(
                    f"{self.name_of('bounds')} must have the shape {part.shape} of {part.path}, found {bound.shape}"
                )
        dtype = np.float64 if array.dtype == np.float64 else np.float32
        with np.errstate(over="ignore"):  # a bound beyond the range of the dtype is no bound
            low, high = (np.array(np.broadcast_to(bound, part.shape), dtype, order=part.order) for bound in bounds)
        if self._parts is None:
            return low, high
        place = slice(part.begin, part.end)
        return low.reshape(-1, order=part.order)[place].copy(), high.reshape(-1, order=part.order)[place].copy()

    def last_values(self) -> dict[str, Any]:
        """Return the hyperparameters of the last step, or of the first one if none was taken."""
        return as_dict(self.last_settings(self._core.step_count))

    @property
    def current(self) -> Mapping[str, Any]:
        """The hyperparameters of the last step, with schedules as the values they had; before it, of the first step.

        They are a copy, which cannot be changed: to set a hyperparameter, set it in the group.
        """
        return MappingProxyType(deepcopy(self.last_values()))


def _part_of_all(array: NDArray[Any], path: str) -> Part:
    return Part(path, array.shape, "C" if array.flags.c_contiguous else "F", 0, array.size)
