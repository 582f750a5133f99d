"""A parameter group: its parameters and hyperparameters, checked when they are set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from copy import deepcopy
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import _core
from ._hyperparameters import Bounds, check, check_setting, is_schedule, representable
from ._plans import Planner

if TYPE_CHECKING:
    from .optimizer import Optimizer

Options = Mapping[str, Any]


class Part(NamedTuple):
    """Where an array of one axis lies in a parameter: the elements [begin, end) in the parameter's memory order."""

    path: str
    shape: tuple[int, ...]
    order: Literal["C", "F"]
    begin: int
    end: int


class ParamGroup(MutableMapping[str, Any]):
    """A group's hyperparameters and, under ``"params"``, its arrays: what `Optimizer.param_groups` holds.

    Reads and writes like the dict of a PyTorch parameter group. A value is checked when it is set, so that the error
    comes from the line that set it. Keys cannot be added or removed, and what decides the layout of the state cannot be
    changed.
    """

    def __init__(
        self,
        cls: type[Optimizer],
        options: Options,
        index: int,
        core: _core.BoundParameters,
        arrays: list[NDArray[Any]],
        paths: list[str],
        parts: Sequence[Part] | None = None,
    ) -> None:
        self._cls = cls
        self._index = index
        self._core = core
        # Where parameters are parts of larger ones.
        self._parts = parts
        self._options = {key: check_setting(key, value, self._name(key)) for key, value in options.items()}
        #: The name of the kernel's rule.
        self.rule = cls._rule(self._options)
        # Has the hyperparameters of the step in hand or of the last one; those of no step yet may be schedules.
        self._planner = Planner(cls, self._options)
        #: The function that the kernel asks for the numbers of a step.
        self.plan = self._planner.plan
        #: The paths of the parameters, and their places among those of all groups.
        self.paths = paths
        start = len(core.steps)
        self.members = range(start, start + len(arrays))
        initial = cls._initial_state(self._options)
        core.add_group(
            self.rule,
            arrays,
            paths,
            [initial] * len(_core.RULES[self.rule][0]),
            self._options["master"],
            self._options["state_dtype"],
            self._options["ema_decay"] is not None,
        )
        self.set_options(self._options)

    def __getitem__(self, key: str) -> Any:
        if key == "params":
            return self._core.arrays[self.members.start : self.members.stop]
        return self._options[key]

    def __setitem__(self, key: str, value: Any) -> None:
        if key not in self._options:
            raise KeyError(f"{self._name(key)} cannot be set; what can is {', '.join(self._options)}")
        self.set_options({**self._options, key: check_setting(key, value, self._name(key))})

    def __delitem__(self, key: str) -> None:
        raise TypeError(f"{self._name(key)} cannot be removed")

    def __iter__(self) -> Iterator[str]:
        yield "params"
        yield from self._options

    def __len__(self) -> int:
        return 1 + len(self._options)

    def __repr__(self) -> str:
        shown = ", ".join(f"{key}={value!r}" for key, value in self._options.items())
        return f"ParamGroup({len(self.members)} arrays, {shown})"

    def _name(self, key: str) -> str:
        return f"param_groups[{self._index}][{key!r}]"

    @property
    def options(self) -> dict[str, Any]:
        """The hyperparameters as they were set, schedules as functions."""
        return dict(self._options)

    def check_options(self, options: Options) -> list[tuple[Any, Any]]:
        """Check what single hyperparameters cannot tell, and return the box of each parameter."""
        changed = ", ".join(self._name(key) for key in options if options[key] is not self._options[key])
        for what, of in (
            ("rule", self._cls._rule),
            ("initial state", self._cls._initial_state),
            ("way the parameters and their state are kept", _keeping),
        ):
            try:
                is_same = of(options) == of(self._options)
            except ValueError as error:
                raise ValueError(f"{changed}: {error}") from None
            if not is_same:
                raise ValueError(f"{changed} would change the {what}, which is fixed at construction")
        parts = self._parts or map(_whole, self["params"], self.paths)
        return [self._box(options["bounds"], array, part) for array, part in zip(self["params"], parts, strict=True)]

    def set_options(self, options: Options) -> None:
        """Take hyperparameters that are checked one by one."""
        boxes = self.check_options(options)
        for bound in options["bounds"] or ():
            if isinstance(bound, np.ndarray):
                bound.setflags(write=False)  # it is handed out, and what is written there would go unseen
        for i, (low, high) in zip(self.members, boxes, strict=True):
            self._core.set_bounds(i, low, high)
        self._options = dict(options)
        self._planner.use(self._options)
        #: Whether a hyperparameter is a function of the step; kept, since every step asks.
        self.has_schedules = any(map(self.is_scheduled, self._options))

    def _box(self, bounds: Bounds | None, array: NDArray[Any], part: Part) -> tuple[Any, Any]:
        """Return the bounds of a parameter as the kernel takes them: numbers, or arrays that lie as it does."""
        if bounds is None:
            return None, None
        if array.dtype.itemsize == 2:
            try:
                bounds = representable(bounds, array.dtype)
            except ValueError as error:
                raise ValueError(f"{self._name('bounds')} of {part.path}: {error}") from None
        if not any(isinstance(bound, np.ndarray) for bound in bounds):
            return bounds
        for bound in bounds:
            if isinstance(bound, np.ndarray) and bound.shape != part.shape:
                raise ValueError(
                    f"{self._name('bounds')} must have the shape {part.shape} of {part.path}, found {bound.shape}"
                )
        dtype = np.float64 if array.dtype == np.float64 else np.float32
        with np.errstate(over="ignore"):  # a bound beyond the range of the dtype is no bound
            low, high = (np.array(np.broadcast_to(bound, part.shape), dtype, order=part.order) for bound in bounds)
        if self._parts is None:
            return low, high
        place = slice(part.begin, part.end)
        return low.reshape(-1, order=part.order)[place].copy(), high.reshape(-1, order=part.order)[place].copy()

    def is_scheduled(self, key: str) -> bool:
        """Whether the hyperparameter is a function of the step."""
        return is_schedule(key, self._options[key])

    def evaluated(self, step: int) -> dict[str, Any]:
        """Return the hyperparameters with schedules evaluated at the 0-based `step`, and checked."""
        return {
            key: check(key, value(step), f"{self._name(key)}({step})") if is_schedule(key, value) else value
            for key, value in self._options.items()
        }

    def advance(self, step: int) -> None:
        """Use the hyperparameters of the 0-based `step`."""
        self._planner.use(self.evaluated(step))

    def forget_evaluated(self) -> None:
        """Forget the values of a step that was not taken: the last step's are found anew when they are asked for."""
        if self.has_schedules:
            self._planner.use(self._options)

    @property
    def counts_steps_in_torch(self) -> bool:
        """Whether PyTorch's state of this rule has a step count."""
        return self._cls._counts_steps_in_torch

    def last_values(self) -> Options:
        """Return the hyperparameters of the last step, or of the first one if none was taken."""
        values = self._planner.values
        is_raw = self.has_schedules and values is self._options
        return self.evaluated(max(self._core.step_count - 1, 0)) if is_raw else values

    @property
    def current(self) -> dict[str, Any]:
        """The hyperparameters of the last step, with schedules as the values they had; before it, of the first step."""
        return deepcopy(dict(self.last_values()))

    def schedule_state(self) -> dict[str, Any]:
        """Return the state of the schedules that have one, by hyperparameter."""
        return {key: value.state_dict() for key, value in self._stateful_schedules().items()}

    def load_schedule_state(self, states: Mapping[str, Any]) -> None:
        """Take over what `schedule_state` returned; a hyperparameter that has no state here is left as it is."""
        for key, value in self._stateful_schedules().items():
            if key in states:
                value.load_state_dict(states[key])

    def check_schedule_state(self, states: Any, where: str) -> None:
        """Check by loading it into copies that `load_schedule_state` can load it."""
        if not isinstance(states, Mapping):
            raise TypeError(f"{where} must be a dict, found {type(states).__name__}")
        for key in states:
            if key not in self._options:
                raise ValueError(f"{where} has an unknown hyperparameter {key!r}")
            if not isinstance(states[key], Mapping):
                raise TypeError(f"{where}[{key!r}] must be a dict, found {type(states[key]).__name__}")
        for key, value in deepcopy(self._stateful_schedules()).items():
            if key in states:
                value.load_state_dict(states[key])

    def _stateful_schedules(self) -> dict[str, Any]:
        return {
            key: value
            for key, value in self._options.items()
            if is_schedule(key, value) and hasattr(value, "load_state_dict") and value.state_dict()
        }

    def derived_state(self, t: int) -> dict[str, float]:
        """Return what PyTorch keeps as state after `t` steps, and pyadam derives from them."""
        return self._cls._derived_state(self.last_values(), t)


def _whole(array: NDArray[Any], path: str) -> Part:
    return Part(path, array.shape, "C" if array.flags.c_contiguous else "F", 0, array.size)


def _keeping(options: Options) -> tuple[Any, Any, bool]:
    return options["master"], options["state_dtype"], options["ema_decay"] is not None
