"""What the front ends for arrays share: groups, options of the whole optimizer, state as plain values."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from . import _core, _state_dict
from ._common_options import OPTIMIZER_FIELDS, SAVED_OPTIONS
from ._hyperparameters import is_same, nearest
from ._param_group import ParamGroup, Part
from ._request import Request
from ._structure import Node


class _Accumulated:
    def __repr__(self) -> str:
        return "<what was accumulated>"


# Stands for the gradients of a step that is given none; None is a gradient that is left out.
ACCUMULATED = _Accumulated()


class OfGroups:
    """A hyperparameter of groups as an attribute of the optimizer.

    A descriptor, not `__getattr__`, which would slow down every other attribute of a step.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self.__doc__ = f"`{name}` of all groups, which agree; to set it sets that of all."

    def __get__(self, optimizer: Any, owner: Any = None) -> Any:
        if optimizer is None:
            return self
        groups, name = self._groups(optimizer), self._name
        values = [group[name] for group in groups]
        if any(not is_same(value, values[0]) for value in values):
            raise ValueError(f"{name} differs between groups, found {values}: read param_groups[i][{name!r}]")
        return values[0]

    def __set__(self, optimizer: Any, value: Any) -> None:
        groups, name = self._groups(optimizer), self._name
        changes = [{name: group.fields[name].setting(group.name_of(name), value)} for group in groups]
        settings = [group.checked(change) for group, change in zip(groups, changes, strict=True)]
        for group, setting, change in zip(groups, settings, changes, strict=True):
            group.use(setting, change)

    def _groups(self, optimizer: Any) -> tuple[ParamGroup, ...]:
        groups: tuple[ParamGroup, ...] = optimizer.param_groups
        if self._name not in groups[0].fields:
            raise AttributeError(f"the rule of this optimizer has no {self._name}")
        return groups


def refuse_nothing(grads: Sequence[Any]) -> None:
    """Raise ValueError if every gradient is None."""
    if all(grad is None for grad in grads):
        raise ValueError("every gradient is None, so nothing would be trained: was a `return` forgotten?")


def expose(cls: type, names: Iterable[str]) -> None:
    """Make hyperparameters attributes of a class."""
    for name in names:
        if not hasattr(cls, name):
            setattr(cls, name, OfGroups(name))


class ArrayOptimizer:
    """Base of the optimizers of NumPy arrays, of one process or of many.

    Hyperparameters of groups can be read and set as attributes, for all groups at once. Other names are refused, since
    to set them would do nothing; a subclass of the user's may have attributes of its own.
    """

    _structure: Node

    def __setattr__(self, name: str, value: Any) -> None:
        is_own = type(self).__module__.partition(".")[0] == __package__
        if is_own and not name.startswith("_") and not hasattr(type(self), name):
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}{nearest(name, self._names())}")
        object.__setattr__(self, name, value)

    def _names(self) -> list[str]:
        return [name for name in dir(type(self)) if not name.startswith("_")]

    @property
    def param_groups(self) -> tuple[ParamGroup, ...]:
        """The parameter groups, whose hyperparameters may be set between steps."""
        return self._groups

    def _bind(self, asked: Request, parts: Sequence[Sequence[Part]] | None = None) -> None:
        """Bind the arrays that are asked for; with `parts`, these say of what each array is a part."""
        self._is_swapped = False
        self._core = _core.ArrayParameters()
        self._core.state_dir = asked.own_options["state_dir"] or ""
        self._set_own(asked.own_options)
        groups = []
        for i, (arrays, paths, values) in enumerate(asked.groups):
            own_parts = None if parts is None else parts[i]
            groups.append(ParamGroup(asked.rule, values, i, self._core, arrays, paths, own_parts))
        self._groups = tuple(groups)
        self._plans = tuple(group.plan for group in groups)

    def _flat_gradients(self, grads: Any) -> Sequence[Any]:
        """Return the gradients in the order of the parameters; raise ValueError if there are none."""
        flat = self._structure.leaves(grads, "grads")
        refuse_nothing(flat)
        return flat

    # Schedules.

    def _forget_evaluated(self) -> None:
        """Forget the values of schedules at a step that was not taken."""
        for group in self.param_groups:
            group.forget_evaluated()

    # What the optimizer has as a whole.

    @property
    def clip_norm(self) -> Any:
        """Greatest norm of all gradients together, a function of the step, or None."""
        return self._clip_norm

    @clip_norm.setter
    def clip_norm(self, value: Any) -> None:
        checked = OPTIMIZER_FIELDS["clip_norm"].setting("clip_norm", value)
        is_scheduled = callable(checked)
        if not is_scheduled:
            self._core.clip_norm = math.inf if checked is None else checked
        # In one statement, with no call in it, so that Ctrl-C comes before or after.
        self._clip_norm, self._has_clip_schedule = checked, is_scheduled

    def _clip_norm_at(self, step: int) -> float:
        value = OPTIMIZER_FIELDS["clip_norm"].checked(f"clip_norm({step})", self._clip_norm(step))
        return math.inf if value is None else float(value)

    @property
    def skip_nonfinite(self) -> bool:
        """Whether a step with an infinite or NaN gradient is skipped."""
        return self._core.skip_nonfinite

    @skip_nonfinite.setter
    def skip_nonfinite(self, value: bool) -> None:
        self._core.skip_nonfinite = OPTIMIZER_FIELDS["skip_nonfinite"].checked("skip_nonfinite", value)

    @property
    def flush_denormals(self) -> bool:
        """Whether subnormal numbers count as zero in a step."""
        return self._core.flush_denormals

    @flush_denormals.setter
    def flush_denormals(self, value: bool) -> None:
        self._core.flush_denormals = OPTIMIZER_FIELDS["flush_denormals"].checked("flush_denormals", value)

    @property
    def seed(self) -> int:
        """Seed of random rounding."""
        return self._core.seed

    @property
    def step_count(self) -> int:
        """Number of steps taken; schedules are functions of it. A parameter's own count leaves out skipped steps."""
        return self._core.step_count

    @property
    def skipped(self) -> int:
        """Number of steps that were skipped for a gradient that was not finite."""
        return self._core.skipped

    @property
    def grad_norm(self) -> float | None:
        """L2 norm of all gradients of the last step, divided by the loss scale and before clipping.

        None unless that step had to compute it, for `clip_norm` or `skip_nonfinite`. The sum of squares is in double
        precision and in one fixed order: see `pyadam.reference.norm`.
        """
        return self._core.grad_norm if self._core.has_grad_norm else None

    def _own_options(self) -> dict[str, Any]:
        """Return what the optimizer has as a whole; `clip_norm` may be a schedule."""
        return {key: getattr(self, key) for key in SAVED_OPTIONS}

    def _set_own(self, options: Mapping[str, Any]) -> None:
        """Set those of the options that the optimizer has as a whole which are given, checked already."""
        for key in SAVED_OPTIONS:
            if key in options:
                setattr(self if key == "clip_norm" else self._core, key, options[key])

    # State.

    def _averages(self) -> list[NDArray[Any] | None]:
        averages = [self._core.state(i).get("ema") for i in range(len(self._core.steps))]
        if all(average is None for average in averages):
            raise ValueError("there is no average of the parameters: construct the optimizer with ema_decay")
        return averages

    def _check_usable(self, what: str) -> None:
        """Raise RuntimeError, which names `what` is refused, where the parameters are not to be touched."""
        if self._is_swapped:
            raise RuntimeError(f"{what}: the parameters hold their averages, inside swap_ema()")

    def _exported(self, copy: bool) -> dict[str, Any]:
        """Return the state as a dict, with copies of its arrays or the live ones."""
        clip_norm = self._clip_norm_at(max(self.step_count - 1, 0)) if self._has_clip_schedule else self._clip_norm
        options = {**self._own_options(), "clip_norm": clip_norm}
        exported = _state_dict.export(self._core, self.param_groups, copy)
        return {**exported, "skipped": self.skipped, "options": options}

    def _checked(self, state_dict: Mapping[str, Any]) -> Callable[[], None]:
        """Check `state_dict`, and return the function that copies it in; the caller keeps other threads away."""
        options, skipped = _state_dict.own_options(state_dict)
        copy_in = _state_dict.checked(self._core, self.param_groups, state_dict)

        def take_over() -> None:
            copy_in()
            self._core.skipped = skipped
            if self._has_clip_schedule:
                options.pop("clip_norm", None)
            self._set_own(options)

        return take_over
