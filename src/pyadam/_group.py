"""What a parameter group is, for every front end: a rule, common options, schedules, the numbers of a step."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from copy import deepcopy
from types import FunctionType, MappingProxyType
from typing import Any, NamedTuple

from ._common_options import GROUP_FIELDS, OPTIMIZER_DEFAULTS
from ._hyperparameters import Field, is_same
from .rules import Rule

# Of the kernel's stages: sign and clip_value of the gradient, l2, l1, the parameter's decay, the rate of its average.
Stages = tuple[float, float, float, float, float, float]


class Keeping(NamedTuple):
    """What decides which arrays are kept beside a parameter, and what they begin with."""

    kernel: str
    master: str | None
    state_dtype: str | None
    has_ema: bool
    initial_state: float
    initial_carried: tuple[float, ...]


# The hyperparameters of a group as they were set: those of its rule, and those that every rule has.
Settings = tuple[Rule, Mapping[str, Any]]


def keeping_of(settings: Settings) -> Keeping:
    """Return what decides how state is kept; raise ValueError if hyperparameters do not go together."""
    rule, common = settings
    has_ema = common["ema_decay"] is not None
    return Keeping(
        rule.kernel(), common["master"], common["state_dtype"], has_ema, rule.initial_state(), rule.initial_carried
    )


def replaced(settings: Settings, values: Mapping[str, Any]) -> Settings:
    """Return settings with other values, checked one by one already."""
    rule, common = settings
    if common.keys().isdisjoint(values):
        return rule.replaced(values), common
    of_rule = {key: value for key, value in values.items() if key not in common}
    of_all = {key: value for key, value in values.items() if key in common}
    return rule.replaced(of_rule), {**common, **of_all}


def as_dict(settings: Settings) -> dict[str, Any]:
    """Return all hyperparameters by name."""
    rule, common = settings
    return {**vars(rule), **common}


def merged(defaults: Mapping[str, Any], own: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return hyperparameters of a group over `defaults`; raise TypeError, beginning with `name`, for unknown ones."""
    for key in own:
        if key not in defaults:
            if key in OPTIMIZER_DEFAULTS:
                raise TypeError(f"{name}: {key} is of the whole optimizer, not of a group")
            raise TypeError(f"{name} has no option {key!r}; it has {', '.join(defaults)}")
    return {**defaults, **own}


# A hyperparameter that is a function of the step: the function, the check of its value, what messages call it, the
# namespace that takes the value of each step, and the key there. A plain tuple, since named ones are unpacked slowly.
_Scheduled = tuple[Callable[[int], Any], Callable[[str, Any], Any], str, dict[str, Any], str]


def _bound(schedule: Any) -> Callable[[int], Any]:
    """Return what calls a schedule soonest: of an object, its method."""
    return schedule if isinstance(schedule, FunctionType) else schedule.__call__


class Group:
    """The hyperparameters of a parameter group, and the kernel's numbers that they make.

    `values` are of all fields; they are checked here. `name` is what messages call the group.
    """

    _scheduled: list[_Scheduled]
    _evaluated_at: int | None
    _stages: Stages | None
    _of_stages: set[str]

    def __init__(self, rule: type[Rule], values: Mapping[str, Any], name: str) -> None:
        self.name = name
        #: What each hyperparameter may be.
        self.fields: dict[str, Field] = {**rule.fields, **GROUP_FIELDS}
        self._names = {key: f"{name}[{key!r}]" for key in self.fields}
        # What can be set without a look at how state is kept.
        self._free = frozenset(rule.fields) - rule.deciding
        checked = {key: field.setting(self._names[key], values[key]) for key, field in self.fields.items()}
        own = rule(**{key: checked[key] for key in rule.fields})
        settings = own, {key: checked[key] for key in GROUP_FIELDS}
        #: How state is kept, and with it the kernel's name of the rule.
        self.keeping = keeping_of(settings)
        self._use(settings)

    def name_of(self, key: str) -> str:
        """Return what messages call a hyperparameter."""
        return self._names[key]

    def _set_number(self, key: str, value: Any) -> bool:
        """Set a number of the rule on which nothing else depends; return False if there is more to do.

        Some programs set `lr` before each step, so no new rule is made: that of the group is its own, see `rule`.
        """
        if key not in self._free or self._scheduled or callable(value):
            return False
        vars(self._rule)[key] = value
        if key in self._of_stages:
            self.__dict__["_stages"] = None
        return True

    def _use(self, settings: Settings) -> None:
        """Take settings of the same keeping."""
        rule, common = settings
        scheduled: list[_Scheduled] = []
        if any(map(callable, vars(rule).values())) or any(map(callable, common.values())):
            # The group's own, into which a step puts the values that schedules have then.
            rule, common = rule.replaced({}), dict(common)
            for key, field in self.fields.items():
                values = common if key in common else vars(rule)
                if field.is_schedule(values[key]):
                    scheduled.append((_bound(values[key]), field.check, self._names[key], values, key))
        # Hyperparameters of which the stages' numbers are made, `lr` among them where weights decay by themselves.
        of_stages = {"weight_decay", "l1", "clip_value", "ema_decay"}
        if vars(rule).get("decoupled_weight_decay"):
            of_stages.add("lr")
        is_fixed = not common["ema_warmup"] and of_stages.isdisjoint(key for *_, key in scheduled)
        # In one statement, with no call in it, so that Ctrl-C comes before or after.
        (
            self._settings,
            self._rule,
            self._common,
            self._scheduled,
            self._evaluated_at,
            self._stages,
            self._of_stages,
            self._has_fixed_stages,
            self._scalars,
        ) = settings, rule, common, scheduled, None, None, of_stages, is_fixed, rule.scalars

    @property
    def rule(self) -> Rule:
        """The rule as it was set, with schedules as functions."""
        return self._settings[0].replaced({})

    @property
    def kernel(self) -> str:
        """The kernel's name of the rule."""
        return self.keeping.kernel

    @property
    def options(self) -> Mapping[str, Any]:
        """The hyperparameters as they were set, schedules as functions; to set one, set it in the group."""
        return MappingProxyType(as_dict(self._settings))

    def checked(self, changes: Mapping[str, Any]) -> Settings:
        """Return the settings with changes, checked one by one already; raise ValueError if they cannot be changed."""
        settings = replaced(self._settings, changes)
        if self._free.issuperset(changes):
            return settings
        try:
            keeping = keeping_of(settings)
        except ValueError as error:
            raise ValueError(f"{self._named(changes)}: {error}") from None
        if keeping != self.keeping:
            if keeping.kernel != self.keeping.kernel:
                what = "rule"
            elif keeping.initial_state != self.keeping.initial_state:
                what = "initial state"
            else:
                what = "way the parameters and their state are kept"
            raise ValueError(f"{self._named(changes)} would change the {what}, which is fixed at construction")
        return settings

    def _named(self, changes: Mapping[str, Any]) -> str:
        before = self.options
        return ", ".join(self.name_of(key) for key in changes if not is_same(changes[key], before[key]))

    def is_scheduled(self, key: str) -> bool:
        """Whether the hyperparameter is a function of the step."""
        return any(scheduled == key for *_, scheduled in self._scheduled)

    # What a step needs.

    def plan(self, t: int, step: int, carried: tuple[float, ...] | None = None) -> tuple[Any, ...]:
        """Return the kernel's numbers for the step `t` (from 1) of the group's parameters: stages, then the rule's.

        Of a rule that carries numbers, the kernel gives those that it has, and gets those to carry on as well.

        Schedules have their values at the 0-based `step` of the optimizer, which may have begun before its parameters.
        Each is checked for its field alone.
        """
        if self._evaluated_at != step and self._scheduled:
            self.evaluate(step)
        stages = self._stages
        if stages is None or not self._has_fixed_stages:
            stages = self.__dict__["_stages"] = self._stages_at(t)
        if carried is None:
            return stages, self._scalars(t)
        carried = self._rule.carry(t, carried)
        return stages, self._scalars(t, carried), carried

    def evaluate(self, step: int) -> None:
        """Use the values that schedules have at the 0-based `step`."""
        # Past the `__setattr__` of a subclass, which is for users and would take as long again.
        state = self.__dict__
        state["_evaluated_at"] = None
        for schedule, check, name, values, key in self._scheduled:
            value = schedule(step)
            try:
                values[key] = check(name, value)
            except (TypeError, ValueError):
                check(f"{name}({step})", value)  # says more
                raise
        state["_evaluated_at"] = step

    def forget_evaluated(self) -> None:
        """Forget the values of a step that was not taken: the last step's are found anew when they are asked for."""
        self._evaluated_at = None

    def _stages_at(self, t: int) -> Stages:
        common = self._common
        l2, decay = self._rule.decay()
        sign = -1.0 if common["maximize"] else 1.0
        clip_value = math.inf if common["clip_value"] is None else common["clip_value"]
        return sign, clip_value, l2, common["l1"], decay, self._ema_rate(t)

    def _ema_rate(self, t: int) -> float:
        decay = self._common["ema_decay"]
        if decay is None:
            return 0.0
        return 1.0 - (min(decay, (1.0 + t) / (10.0 + t)) if self._common["ema_warmup"] else float(decay))

    # What was used, and what schedules keep.

    def last_settings(self, step_count: int) -> Settings:
        """Return the settings with the values of the last step of `step_count`, or of the first one before it."""
        if not self._scheduled:
            return self._settings
        step = max(step_count - 1, 0)
        if self._evaluated_at == step:
            return self._rule, self._common
        return self.at_step(self._settings, step)

    def at_step(self, settings: Settings, step: int) -> Settings:
        """Return settings of this group with the values that its schedules have at the 0-based `step`."""
        values = {key: check(f"{name}({step})", schedule(step)) for schedule, check, name, _, key in self._scheduled}
        return replaced(settings, values)

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
            if key not in self.fields:
                raise ValueError(f"{where} has an unknown hyperparameter {key!r}")
            if not isinstance(states[key], Mapping):
                raise TypeError(f"{where}[{key!r}] must be a dict, found {type(states[key]).__name__}")
        for key, value in deepcopy(self._stateful_schedules()).items():
            if key in states:
                value.load_state_dict(states[key])

    def _stateful_schedules(self) -> dict[str, Any]:
        schedules = {key: self.options[key] for *_, key in self._scheduled}
        return {
            key: value for key, value in schedules.items() if hasattr(value, "load_state_dict") and value.state_dict()
        }
