"""What all optimizers share: parameters, groups, the step and its state."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, TypedDict

import numpy as np

from . import _core, _state_dict
from ._hyperparameters import check_setting
from ._param_group import ParamGroup
from ._structure import GroupListNode, is_group_list, structure_of


class CommonOptions(TypedDict, total=False):
    """The keyword arguments that every class takes."""

    maximize: bool
    l1: Any
    bounds: Any


_COMMON: CommonOptions = {"maximize": False, "l1": 0.0, "bounds": None}


class Optimizer:
    """Base of all optimizers: holds parameters, updates them in place and keeps their state.

    Every class takes `params`, its own hyperparameters, and those named here.

    Parameters
    ----------
    params : ndarray, or list, tuple or dict of params, or list of group dicts
        Arrays of float32 or float64, contiguous in C or Fortran order, writeable, sharing no memory. A group is a
        dict with its arrays under ``"params"`` and any hyperparameters beside it.
    maximize : bool, default False
        Climb along the gradient.
    l1 : float or function, default 0.0
        Coefficient of ``sign(p)`` added to the gradient, >= 0; ``sign(0)`` is 0.
    bounds : (lo, hi) or None, default None
        Box that `p` is kept in: after the update it is clamped. Each of the two is a number, an array of the
        parameter's shape, or None; they are rounded to the parameter's dtype. NaN stays NaN.

    Notes
    -----
    `weight_decay` is added to the gradient, times `p` (L2), or with ``decoupled_weight_decay=True`` shrinks `p` by
    ``1 - lr * weight_decay`` before the update. A number may be a schedule: a function of the 0-based step.
    """

    _counts_steps_in_torch: ClassVar[bool] = True

    def __init__(self, params: Any, options: Mapping[str, Any], common: CommonOptions) -> None:
        defaults = self._merged({**options, **_COMMON}, common, type(self).__name__)
        defaults = {key: check_setting(key, value, key) for key, value in defaults.items()}
        params = _materialised(params)
        has_groups = is_group_list(params)
        trees, group_options = [], []
        for i, group in enumerate(params if has_groups else [{"params": params}]):
            trees.append(_materialised(group["params"]))
            own = {key: group[key] for key in group if key != "params"}
            group_options.append(self._merged(defaults, own, f"params[{i}]: {type(self).__name__}"))
        self._bind(trees, group_options, has_groups)

    @staticmethod
    def _merged(defaults: Mapping[str, Any], own: Mapping[str, Any], name: str) -> dict[str, Any]:
        for key in own:
            if key not in defaults:
                raise TypeError(f"{name} has no option {key!r}; it has {', '.join(defaults)}")
        return {**defaults, **own}

    def _bind(self, trees: list[Any], group_options: list[dict[str, Any]], has_groups: bool) -> None:
        self._lock = threading.RLock()
        _alive.add(self)
        self._is_advancing = False
        self._core = _core.BoundParameters()
        self._has_groups = has_groups
        structures = [structure_of(tree, f"[{i}]['params']" if has_groups else "") for i, tree in enumerate(trees)]
        self._structure = GroupListNode(structures) if has_groups else structures[0]
        self.param_groups: list[ParamGroup] = []
        for i, (structure, tree, options) in enumerate(zip(structures, trees, group_options, strict=True)):
            paths = [f"params{path}" for path in structure.paths()]
            if not paths:
                raise ValueError(f"params{f'[{i}]' if has_groups else ''} holds no arrays")
            arrays = list(structure.leaves(tree, "params"))
            self.param_groups.append(ParamGroup(type(self), options, i, self._core, arrays, paths))
        self._plans = tuple(group.plan for group in self.param_groups)

    # What a subclass says of its rule; `options` are a group's hyperparameters.

    @staticmethod
    def _rule(options: Mapping[str, Any]) -> str:
        """Return the name of the kernel's rule, or raise ValueError if options do not go together."""
        raise NotImplementedError

    @staticmethod
    def _scalars(options: Mapping[str, Any], t: int) -> tuple[float, ...]:
        """Return the rule's scalars, in the order of its C++ header, for the step `t` (from 1)."""
        raise NotImplementedError

    @staticmethod
    def _initial_state(options: Mapping[str, Any]) -> float:
        """Return what the rule's state arrays hold before the first step."""
        del options
        return 0.0

    @staticmethod
    def _weight_decay(options: Mapping[str, Any]) -> tuple[float, float]:
        """Return the coefficient of p in the gradient, and the factor of p before the update."""
        if options["decoupled_weight_decay"]:
            return 0.0, 1.0 - options["lr"] * options["weight_decay"]
        return options["weight_decay"], 1.0

    @staticmethod
    def _derived_state(options: Mapping[str, Any], t: int) -> dict[str, float]:
        """Return what PyTorch keeps as state after `t` steps, and pyadam derives from them."""
        del options, t
        return {}

    def step(self, grads: Any, *, params: Any = None) -> None:
        """Update the parameters in place.

        Everything is checked before anything is written: a step that raises has changed nothing.

        Parameters
        ----------
        grads : same structure as params
            Gradients of the parameters' shapes, of any floating dtype and memory layout; they are not written to. A
            None in place of an array skips that parameter, whose step count and state stay as they are. With
            parameter groups, a list with an entry per group.
        params : same structure as params, optional
            Arrays of the same shapes, dtypes and memory order, which replace the parameters from this step on.

        Raises
        ------
        TypeError
            If a gradient is not an array of a floating dtype.
        ValueError
            If a structure, shape or dtype does not fit, if a gradient shares memory with a parameter, or if a schedule
            returns a value out of range.
        """
        with self._lock:
            flat_grads = self._structure.leaves(grads, "grads")
            new_arrays = None if params is None else self._structure.leaves(params, "params")
            for group in self.param_groups:
                if group.has_schedules:
                    self._advance(group)
            self._core.step(flat_grads, self._plans, new_arrays)

    def _advance(self, group: ParamGroup) -> None:
        """Evaluate the group's schedules, which may not take a step themselves."""
        if self._is_advancing:
            raise RuntimeError("a step of this optimizer is already running: a schedule called step()")
        self._is_advancing = True
        try:
            group.advance(self._core.step_count)
        finally:
            self._is_advancing = False

    @property
    def params(self) -> Any:
        """The parameters in the structure they were given in; with groups, a list with an entry per group."""
        return self._structure.unflatten(iter(self._core.arrays))

    @property
    def step_count(self) -> int:
        """Number of steps taken; schedules are functions of it. A parameter's own count leaves out skipped steps."""
        return self._core.step_count

    def state_dict(self) -> dict[str, Any]:
        """Return a copy of the state, in the form of PyTorch's.

        Returns
        -------
        dict
            ``"state"`` maps the index of a parameter that has taken a step to its ``"step"`` and its arrays
            (``"exp_avg"``, ...). ``"param_groups"`` has the hyperparameters, with schedules as their values at the
            last step, the indices under ``"params"`` and their paths under ``"param_names"``. ``"step_count"`` and
            ``"rules"`` are pyadam's own.

        Notes
        -----
        PyTorch returns its live tensors, which the next step changes. These arrays are copies.
        """
        with self._lock:
            return _state_dict.export(self._core, self.param_groups)

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over a state that `state_dict`, or PyTorch's optimizer of the same name, returned.

        A hyperparameter that is a schedule here stays one. All is checked first: if this raises, nothing has changed.

        Raises
        ------
        TypeError
            If an entry is of the wrong type.
        ValueError
            If groups, parameters, shapes, dtypes, rules or state names differ, or a hyperparameter is out of range.
        """
        with self._lock:
            _state_dict.restore(self._core, self.param_groups, state_dict)

    def __getstate__(self) -> dict[str, Any]:
        with self._lock:
            trees = self.params if self._has_groups else [self.params]
            return {
                "trees": trees,
                "options": [group.options for group in self.param_groups],
                "has_groups": self._has_groups,
                "state_dict": self.state_dict(),
            }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._bind(state["trees"], state["options"], state["has_groups"])
        self.load_state_dict(state["state_dict"])

    def __repr__(self) -> str:
        groups = "".join(f"\n  {i}: {group!r}" for i, group in enumerate(self.param_groups))
        return f"{type(self).__name__}({groups}\n)"


_alive: weakref.WeakSet[Optimizer] = weakref.WeakSet()


def _renew_locks() -> None:
    """Give a forked child new locks: a thread that held one when the parent forked is not there to release it."""
    for optimizer in _alive:
        optimizer._lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_locks)


def _materialised(params: Any) -> Any:
    """Turn an iterator into a list; containers and arrays stay what they are."""
    if isinstance(params, Iterable) and not isinstance(params, (np.ndarray, list, tuple, Mapping)):
        return list(params)
    return params
