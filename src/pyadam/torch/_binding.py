"""Parameters of `torch.optim`'s groups and the kernel's view of them: bound, noticed when exchanged, bound again."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from operator import is_
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.parameter import is_lazy

from .. import _core
from .._common_options import OPTIMIZER_FIELDS
from ..rules import Rule
from . import _state
from ._bound import Bound, Member
from ._elsewhere import Elsewhere
from ._layout import check_parameter, is_distributed, local, read_in_place
from ._options import OPTIMIZER_EXTRAS, GroupOptions
from ._watch import are_plain

# Dtypes of parameters that need no `master`.
_FULL_PRECISION = (torch.float32, torch.float64)


class BindingOptimizer(torch.optim.Optimizer):
    """Base of `Optimizer`, which has what users see."""

    _rule: ClassVar[type[Rule]]
    _torch: ClassVar[type[torch.optim.Optimizer] | None]

    clip_norm: float | None
    skip_nonfinite: bool
    flush_denormals: bool
    seed: int

    def _settings(self) -> tuple[Any, ...]:
        """Return what the optimizer has as a whole, in the order of `OPTIMIZER_EXTRAS`."""
        return self.clip_norm, self.skip_nonfinite, self.flush_denormals, self.seed

    def _unbind(self) -> None:
        self._bound: Bound | None = None
        self._bound_state: Any = None
        self._bound_groups: Any = None
        self._bound_settings: tuple[Any, ...] = ()
        self._options: list[GroupOptions] = []
        self._seen_groups: _core.Snapshot | None = None
        self._waiting: list[Tensor] = []
        self._elsewhere: list[Elsewhere | None] = []
        self._ages: dict[Tensor, tuple[int, tuple[float, ...]]] = {}

    def _new_options(self, index: int, group: Mapping[str, Any]) -> GroupOptions:
        keys = tuple(key for key in self.defaults if key in group)
        return GroupOptions(self._rule, keys, index)

    def _names(self, group: int) -> list[str]:
        names = [f"parameter {name!r}" for name in self.param_groups[group].get("param_names", ())]
        count = len(self.param_groups[group]["params"])  # another than of names, where users have edited the list
        return [*names[:count], *(f"param_groups[{group}]['params'][{i}]" for i in range(len(names), count))]

    def _is_current(self, bound: Bound) -> bool:
        if (
            self.state is not self._bound_state
            or self.param_groups is not self._bound_groups
            or not all(map(is_, self._settings(), self._bound_settings))
            or not bound.is_current()
        ):
            return False
        if self._seen_groups is None or not self._seen_groups.holds():
            seen = self._read_options()
            if not all(map(GroupOptions.is_bound_by, self._options, bound.made_for)):
                return False
            self._seen_groups = seen
        return not self._waiting or all(p.grad is None for p in self._waiting)

    @torch.no_grad()
    def _bind(self) -> Bound:
        """Bind all parameters that have a gradient or state, which begins here."""
        self._let_go()
        seen = self._read_options()
        given = self._settings()
        settings = {
            key: value if value is OPTIMIZER_EXTRAS[key] else OPTIMIZER_FIELDS[key].checked(key, value)
            for key, value in zip(OPTIMIZER_EXTRAS, given, strict=True)
        }
        plain = are_plain([p for group in self.param_groups for p in group["params"]])
        members, waiting, elsewhere = [], [], []
        first_element = 0
        for g, group in enumerate(self.param_groups):
            others = []
            for p, name in zip(group["params"], self._names(g), strict=True):
                here = p if plain else local(p)
                if not plain and here.device.type != "cpu":
                    others.append(p)
                    continue
                state = self.state.get(p)
                if (p.grad is None and not state) or is_left_alone(p):
                    waiting.append(p)
                else:
                    if not plain:
                        check_parameter(here, name)
                        if p.grad is not None:
                            read_in_place(local(p.grad), here, name)
                    members.append(self._member(p, here, g, name, state or {}, first_element))
                if not is_lazy(p):
                    first_element += here.numel()
            where = f"param_groups[{g}]"
            elsewhere.append(Elsewhere(self._torch, others, group, settings, self.state, where) if others else None)
        self._refuse_parts(members, settings)
        self._begin_state(members)
        self._bound_state, self._bound_groups, self._bound_settings = self.state, self.param_groups, given
        lists = [self.state, self.param_groups, *(group["params"] for group in self.param_groups)]
        self._bound = Bound(members, self._options, lists, settings)
        self._waiting, self._elsewhere = waiting, elsewhere if any(elsewhere) else []
        self._ages = {}
        self._seen_groups = seen
        return self._bound

    def _let_go(self) -> None:
        """Forget the binding, but for its step counts until there is another: it would keep parameters alive."""
        if self._bound is not None:
            ages = zip(self._bound.counts, self._bound.carried, strict=True)
            self._ages = {member.p: age for member, age in zip(self._bound.members, ages, strict=True)}
        self._bound = None

    def _read_options(self) -> _core.Snapshot | None:
        """Read all groups; return what tells that they are as they were read, for `_seen_groups` once all is done."""
        self._seen_groups = None
        seen = _core.Snapshot(list(self.param_groups))
        del self._options[len(self.param_groups) :]
        for i, group in enumerate(self.param_groups):
            if i == len(self._options):
                self._options.append(self._new_options(i, group))
            self._options[i].read(group)
        # An object that may change inside, as a tensor does, must be read in each step.
        return None if any(options.may_change_inside for options in self._options) else seen

    @torch.no_grad()
    def _begin(self) -> None:
        """Begin the state of all parameters."""
        self._read_options()
        members = []
        for g, group in enumerate(self.param_groups):
            for p, name in zip(group["params"], self._names(g), strict=True):
                if local(p).device.type == "cpu" and (p.requires_grad or p.dtype in _FULL_PRECISION):
                    members.append(self._member(p, local(p), g, name, {}, 0))
        self._begin_state(members)

    def _member(self, p: Tensor, here: Tensor, g: int, name: str, state: Any, first_element: int) -> Member:
        options = self._options[g]
        kept = options.kept_dtypes(here.dtype, name)
        count, carried = 0, options.keeping.initial_carried
        if state:
            _state.check(state, p, kept, options, name)
            count = self._count(p, state, name)
            carried = _state.carried(state, self._ages.get(p, (0, ()))[1], count, options)
        return Member(p, here, g, name, state, kept, count, carried, first_element)

    def _count(self, p: Tensor, state: Mapping[str, Any], name: str) -> int:
        """Return a parameter's step count: of the last binding, where the state still says the same."""
        if "step" in state:
            return _state.whole_number(state["step"], self._ages.get(p, (0, ()))[0], name)
        # SGD has no count in PyTorch: a buffer tells that a first step was taken.
        return max(1, self._ages.get(p, (0, ()))[0]) if state.get("momentum_buffer") is not None else 0

    def _begin_state(self, members: Sequence[Member]) -> None:
        alike: dict[Any, list[Member]] = defaultdict(list)
        for member in members:
            keys = _state.lacking(member, self._options[member.group])
            if keys:
                alike[member.group, member.here.dtype, keys].append(member)
        begun: list[tuple[Member, dict[str, Tensor]]] = [
            (member, copies)
            for member in members
            if member.state and (copies := _state.laid_out(member, self._options[member.group]))
        ]
        for (group, _, keys), those in alike.items():
            columns = [_state.begin(key, those, self._options[group]) for key in keys]
            begun += zip(those, (dict(zip(keys, row, strict=True)) for row in zip(*columns, strict=True)), strict=True)
        for member, made in begun:  # a state is whole whenever it is seen
            member.state = self.state.setdefault(member.p, made)
            if member.state is not made:
                member.state.update(made)

    def _refuse_parts(self, members: list[Member], settings: Mapping[str, Any]) -> None:
        if settings["clip_norm"] is None and not settings["skip_nonfinite"]:
            return
        for member in members:
            if is_distributed(member.p):
                raise ValueError(
                    f"clip_norm and skip_nonfinite need all of a gradient, and {member.name} is a DTensor: use "
                    "torch.nn.utils.clip_grad_norm_"
                )


def is_left_alone(p: Tensor) -> bool:
    """Whether a parameter is frozen or has no shape yet: it may be anything until it has a gradient."""
    return p.grad is None and (not p.requires_grad or is_lazy(p))
