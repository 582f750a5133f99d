"""The state of an optimizer as a dict, in PyTorch's form, and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from numbers import Real
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from . import _core
from ._common_options import OPTIMIZER_FIELDS, SAVED_OPTIONS
from ._group import Settings
from ._hyperparameters import number
from ._param_group import ParamGroup

# Keys of PyTorch's groups that say how PyTorch shall compute, or are its scheduler's own.
_IGNORED = frozenset({"foreach", "fused", "capturable", "differentiable", "initial_lr"})
# Keys of a group that are no hyperparameters.
NO_HYPERPARAMETERS = frozenset({"params", "param_names", "schedule_state"})

# What is kept beside the state that other libraries keep too.
_OWN_STATE = frozenset({"master", "low_bits", "ema"})


def export(core: _core.ArrayParameters, groups: Sequence[ParamGroup], copy: bool = True) -> dict[str, Any]:
    """Return all that `checked` needs: copies, or with ``copy=False`` the live arrays, which the next step changes."""
    state: dict[int, dict[str, Any]] = {}
    param_groups = []
    steps = core.steps
    for group in groups:
        for i in group.members:
            if steps[i] > 0:
                arrays = core.state(i)
                buffers = {name: array.copy(order="K") for name, array in arrays.items()} if copy else arrays
                state[i] = {"step": steps[i], **buffers}
                state[i].update(zip(group.rule.carries, core.carried(i), strict=True))
        values = dict(group.current) if copy else group.last_values()
        param_groups.append({**values, "params": list(group.members), "param_names": list(group.paths)})
        if schedule_state := group.schedule_state():
            param_groups[-1]["schedule_state"] = schedule_state
    rules = [group.kernel for group in groups]
    return {"state": state, "param_groups": param_groups, "step_count": core.step_count, "rules": rules}


def own_options(state_dict: Mapping[str, Any]) -> tuple[dict[str, Any], int]:
    """Return, checked, what the optimizer has as a whole, and its number of skipped steps."""
    if not isinstance(state_dict, Mapping):
        return {}, 0  # `checked` says what is wrong
    given = state_dict.get("options", {})
    if not isinstance(given, Mapping):
        raise TypeError(f"state_dict['options'] must be a dict, found {type(given).__name__}")
    for key in given:
        if key not in SAVED_OPTIONS:
            raise ValueError(f"state_dict['options'] has an unknown entry {key!r}")
    options = {
        key: OPTIMIZER_FIELDS[key].checked(f"state_dict['options'][{key!r}]", value) for key, value in given.items()
    }
    return options, _step(state_dict.get("skipped", 0), "state_dict['skipped']")


def checked(
    core: _core.ArrayParameters, groups: Sequence[ParamGroup], state_dict: Mapping[str, Any]
) -> Callable[[], None]:
    """Check the whole of `state_dict`, and return the function that copies it in."""
    given_groups = _entry(state_dict, "param_groups", (list, tuple), "state_dict")
    given_state = _entry(state_dict, "state", Mapping, "state_dict")
    rules = [group.kernel for group in groups]
    is_own = "rules" in state_dict
    if is_own:
        _same("state_dict['rules']", list(state_dict["rules"]), rules)
    _same("number of param_groups", len(given_groups), len(groups))

    core.check_parameters()
    arrays = core.arrays
    options = []
    steps = [0] * len(arrays)
    carried: list[tuple[float, ...]] = [()] * len(arrays)
    buffers: list[dict[str, NDArray[Any]] | None] = [None] * len(arrays)
    indices: set[Any] = set()
    for g, (group, given) in enumerate(zip(groups, given_groups, strict=True)):
        where = f"state_dict['param_groups'][{g}]"
        members = _entry(given, "params", (list, tuple), where)
        _same(f"number of parameters of {where}", len(members), len(group.members))
        if is_own:  # PyTorch's names, where it has any, are not paths
            _same(f"{where}['param_names']", list(given.get("param_names", group.paths)), group.paths)
        if len(set(members) | indices) != len(members) + len(indices):
            raise ValueError(f"{where}['params'] names a parameter twice, found {members}")
        options.append(_options(group, given, where))
        group.check_schedule_state(given.get("schedule_state", {}), f"{where}['schedule_state']")
        for i, path, member in zip(group.members, group.paths, members, strict=True):
            indices.add(member)
            if member in given_state:
                steps[i], carried[i], buffers[i] = _state(
                    given_state[member], core.state(i), group, options[-1][0], path, is_own
                )
    unknown = set(given_state) - indices
    if unknown:
        raise ValueError(f"state_dict['state'] has entries of no parameter: {sorted(map(str, unknown))}")
    step_count = _step(state_dict.get("step_count", max(steps)), "state_dict['step_count']")
    if step_count < max(steps):
        raise ValueError(f"state_dict['step_count'] must be at least every step, found {step_count} and {max(steps)}")

    def copy_in() -> None:
        core.restore(step_count, steps, carried, buffers)
        for group, given, new in zip(groups, given_groups, options, strict=True):
            group.use(*new)
            group.load_schedule_state(given.get("schedule_state", {}))

    return copy_in


def _options(group: ParamGroup, given: Mapping[str, Any], where: str) -> tuple[Settings, dict[str, Any]]:
    """Return the group's settings with those of `given`, checked, and which these are. Schedules stay."""
    changes = {}
    for key in given:
        if key in NO_HYPERPARAMETERS or key in _IGNORED:
            continue
        if key not in group.fields:
            raise ValueError(f"{where} has an unknown hyperparameter {key!r}")
        value = group.fields[key].checked(f"{where}[{key!r}]", given[key])
        if not group.is_scheduled(key):
            changes[key] = value
    return group.checked(changes), changes


def _state(
    given: Mapping[str, Any],
    live: Mapping[str, NDArray[Any]],
    group: ParamGroup,
    settings: Settings,
    path: str,
    is_own: bool,
) -> tuple[int, tuple[float, ...], dict[str, NDArray[Any]]]:
    if not isinstance(given, Mapping):
        raise TypeError(f"state of {path} must be a dict, found {type(given).__name__}")
    entries = {key: value for key, value in given.items() if value is not None}
    if not group.rule.counts_steps_in_torch:
        entries.setdefault("step", 1)
    # What only pyadam keeps begins anew, from the parameter, where another library's state is taken over.
    wanted = [name for name in live if is_own or name in entries or name not in _OWN_STATE]
    found, needed = entries.keys() - set(group.rule.carries), {"step", *wanted}
    if found != needed:
        missing, others = sorted(needed - found), sorted(map(str, found - needed))
        raise ValueError(
            f"state of {path} must have {['step', *wanted]} for the rule {group.kernel!r}, found {list(given)}: "
            f"{f'without a value for {missing}' if missing else f'{others} are not of this rule'}"
        )
    buffers = {}
    for name in wanted:
        if isinstance(entries[name], np.ma.MaskedArray):
            raise TypeError(f"{name} of {path} must be a plain array, found a masked one")
        buffer = np.asarray(entries[name])
        found_kind, kind = (buffer.shape, buffer.dtype), (live[name].shape, live[name].dtype)
        _same(f"{name} of {path}: shape and dtype", found_kind, kind)
        order: Literal["C", "F"] = "C" if live[name].flags.c_contiguous else "F"
        buffers[name] = np.require(buffer, requirements=[order, "A"])
    step = _step(entries["step"], f"step of {path}")
    return step, _carried(entries, group, settings, step, path), buffers


def _carried(
    entries: Mapping[str, Any], group: ParamGroup, settings: Settings, step: int, path: str
) -> tuple[float, ...]:
    """Return what the rule carries: as the state has it, or as the settings of its last step make it."""
    names = settings[0].carries
    if not all(name in entries for name in names):
        rule, _ = group.at_step(settings, max(step - 1, 0))
        return rule.carried_after(step)
    return tuple(number(f"{name} of {path}", np.asarray(entries[name])[()]) for name in names)


def _step(value: Any, name: str) -> int:
    number = value if isinstance(value, int) else np.asarray(value)[()]  # PyTorch keeps a tensor
    if isinstance(number, np.generic):
        number = number.item()  # small types overflow where they are compared with large numbers
    if isinstance(number, (bool, np.bool_)) or not isinstance(number, Real):
        raise TypeError(f"{name} must be a whole number, found {value!r}")
    if not (
        0 <= number <= _core.MAX_STEP and number == int(number)
    ):  # so that the next ones, too, are numbers of C++ and doubles
        raise ValueError(f"{name} must be a whole number from 0 to 2**53 - 1, found {value!r}")
    return int(number)


def _entry(mapping: Any, key: str, kind: Any, where: str) -> Any:
    if not isinstance(mapping, Mapping):
        raise TypeError(f"{where} must be a dict, found {type(mapping).__name__}")
    if key not in mapping:
        raise ValueError(f"{where} has no {key!r}")
    if not isinstance(mapping[key], kind):
        raise TypeError(f"{where}[{key!r}] is of type {type(mapping[key]).__name__}")
    return mapping[key]


def _same(what: str, found: Any, expected: Any) -> None:
    try:
        if found != expected:
            raise ValueError(f"{what} must be {expected}, found {found}")
    except RecursionError:
        raise ValueError(f"{what} must be {expected}, found something nested too deeply") from None
