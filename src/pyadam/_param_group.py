"""A parameter group: its parameters and hyperparameters, checked when they are set."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any

from numpy.typing import NDArray

from . import _core
from ._hyperparameters import check, check_setting, is_schedule

Scalars = Callable[[Mapping[str, Any], int], tuple[float, ...]]


class ParamGroup(MutableMapping[str, Any]):
    """A group's hyperparameters and, under ``"params"``, its arrays: what `Optimizer.param_groups` holds.

    Reads and writes like the dict of a PyTorch parameter group. A value is checked when it is set, so that the error
    comes from the line that set it. Keys cannot be added or removed, and those that decide the layout of the state
    cannot be changed.
    """

    def __init__(
        self,
        options: Mapping[str, Any],
        *,
        fixed: frozenset[str],
        scalars: Scalars,
        index: int,
        core: _core.BoundParameters,
        members: slice,
    ) -> None:
        self._index = index
        self._fixed = fixed
        self._scalars = scalars
        self._core = core
        self.members = members
        self._options = {key: check_setting(key, value, self._name(key)) for key, value in options.items()}
        self._forget()

    def __getitem__(self, key: str) -> Any:
        if key == "params":
            return self._core.arrays[self.members]
        return self._options[key]

    def __setitem__(self, key: str, value: Any) -> None:
        if key not in self._options:
            raise KeyError(f"{self._name(key)} cannot be set; what can is {', '.join(self._options)}")
        checked = check_setting(key, value, self._name(key))
        if key in self._fixed and checked != self._options[key]:
            raise ValueError(f"{self._name(key)} is fixed at construction as {self._options[key]!r}, found {value!r}")
        self._options[key] = checked
        self._forget()

    def __delitem__(self, key: str) -> None:
        raise TypeError(f"{self._name(key)} cannot be removed")

    def __iter__(self) -> Iterator[str]:
        yield "params"
        yield from self._options

    def __len__(self) -> int:
        return 1 + len(self._options)

    def __repr__(self) -> str:
        arrays: list[NDArray[Any]] = self["params"]
        shown = ", ".join(f"{key}={value!r}" for key, value in self._options.items())
        return f"ParamGroup({len(arrays)} arrays, {shown})"

    def _name(self, key: str) -> str:
        return f"param_groups[{self._index}][{key!r}]"

    def _forget(self) -> None:
        """Drop what was derived from the options; every step reads it, so it is not derived anew each time."""
        self._values: Mapping[str, Any] = self._options
        self._stages: tuple[float, float, float] | None = None
        #: Whether a hyperparameter is a function of the step.
        self.has_schedules = any(map(self.is_scheduled, self._options))

    def is_fixed(self, key: str) -> bool:
        """Whether the hyperparameter decides the layout of the state."""
        return key in self._fixed

    def is_scheduled(self, key: str) -> bool:
        """Whether the hyperparameter is a function of the step."""
        return is_schedule(key, self._options[key])

    @property
    def options(self) -> dict[str, Any]:
        """The hyperparameters as they were set, schedules as functions."""
        return dict(self._options)

    def replace_options(self, options: Mapping[str, Any]) -> None:
        """Take hyperparameters that are checked already."""
        self._options = dict(options)
        self._forget()

    def evaluated(self, step: int) -> dict[str, Any]:
        """Return the hyperparameters with schedules evaluated at the 0-based `step`, and checked."""
        return {
            key: check(key, value(step), f"{self._name(key)}({step})") if is_schedule(key, value) else value
            for key, value in self._options.items()
        }

    def advance(self, step: int) -> None:
        """Use the hyperparameters of the 0-based `step`."""
        self._values = self.evaluated(step)
        self._stages = None

    def plan(self, t: int) -> tuple[tuple[float, float, float], tuple[float, ...]]:
        """Return the kernel's numbers for the step `t` (from 1) of the group's parameters: stages, then the rule's."""
        values = self._values
        if self._stages is None:
            weight_decay = values["weight_decay"]
            sign = -1.0 if values["maximize"] else 1.0
            if values["decoupled_weight_decay"]:
                self._stages = (sign, 0.0, 1.0 - values["lr"] * weight_decay)
            else:
                self._stages = (sign, weight_decay, 1.0)
        return self._stages, self._scalars(values, t)
