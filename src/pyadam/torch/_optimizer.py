"""What all optimizers of `pyadam.torch` share."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from operator import is_
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch._compile import _disable_dynamo
from torch.nn.parameter import is_lazy

import pyadam

from .._hyperparameters import check as check_hyperparameter
from .._interrupts import restoring
from . import _state
from ._bound import Bound, Member
from ._elsewhere import Elsewhere
from ._layout import check_parameter, is_distributed, local, read_in_place, state_like
from ._options import OF_GROUPS, OF_OPTIMIZER, GroupOptions, refuse_how
from ._watch import are_plain

# Dtypes of parameters that need no `master`.
_FULL_PRECISION = (torch.float32, torch.float64)


class _Protected:
    """Holds a loaded state on its way through PyTorch, which would cast it to the parameter's dtype."""

    def __init__(self, state: dict[str, Any]) -> None:
        self.state = state


class Optimizer(torch.optim.Optimizer):
    """Base of the optimizers for PyTorch: parameter groups, hooks and state are those of `torch.optim`.

    Parameters on the CPU are updated by pyadam's kernel, in place, with any number of tensors as one piece of work.
    Those on other devices are stepped by PyTorch's own class of the same name. Every class takes `params`, its own
    hyperparameters, and what is named here, but for ways of computing that PyTorch's class has not.

    Parameters
    ----------
    params : iterable of Tensors, of (name, Tensor) pairs or of group dicts
        As for `torch.optim`. On the CPU: of float32, float64, bfloat16 or float16, each filling its memory without
        gaps or overlaps, in any order of its dimensions (``channels_last``, transposed). DTensors too.
    foreach, fused : bool or None, default None
        Accepted, and of use only to PyTorch's own classes: where they load the state, and on other devices.
    capturable, differentiable : bool, default False
        Must be False.
    l1, bounds, clip_value, ema_decay, ema_warmup, master, state_dtype
        Of groups, as for `pyadam.Optimizer`. `bounds` may be tensors; schedules are PyTorch's, not functions. `master`
        must be chosen for parameters of bfloat16 or float16. The average is ``state[p]["ema"]``: see `swap_ema`.
    clip_norm, skip_nonfinite, flush_denormals, seed
        Of the optimizer as a whole, as for `pyadam.Optimizer`, and no part of `state_dict`. `clip_norm` is a number or
        None. The norm is that of the gradients that this optimizer has: DTensors, of which it has a part, are refused.

    Attributes
    ----------
    param_groups : list of dict
        The groups: parameters under ``"params"``, and hyperparameters, which may be set between steps.
    state : dict of dict
        What is kept beside each parameter, by PyTorch's names: see the Notes of each class. Options that need them add
        ``"master"``, ``"low_bits"`` and ``"ema"``.
    defaults : dict
        Hyperparameters of groups that do not say otherwise.
    skipped : int
        Number of steps skipped for a gradient that was not finite.
    grad_norm : float or None
        L2 norm of all gradients of the last step, before clipping; None unless the step had to compute it, as for
        `clip_norm` and `skip_nonfinite`.
    clip_norm : float or None
    skip_nonfinite, flush_denormals : bool
    seed : int
        As given. All four may be set between steps.

    Raises
    ------
    TypeError
        If a parameter is not a dense Tensor of these dtypes, or an argument is unknown or of the wrong type.
    ValueError
        If there are no parameters; if one is not a leaf, does not fill its memory, or is in two groups; if a
        hyperparameter is out of range or does not go with another; for ``capturable=True`` or ``differentiable=True``.
        That parameters of 16 bits have a `master`, that none share memory and that `bounds` fit is for `step` to check.

    Notes
    -----
    State is of the arithmetic's type, float32 where parameters are of bfloat16, or as `state_dtype` says; PyTorch's is
    of the parameter's. `load_state_dict` takes both, and PyTorch's takes this one, each with copies of its own.
    Gradients are never written to, not even by `torch.amp.GradScaler`: they are unscaled on their way.

    On the CPU the bits are those of the NumPy class, for any number of threads; PyTorch's differ by rounding.
    A gradient may lie in memory otherwise than its parameter; ``fused=True`` of PyTorch 2.13 reads such a one wrongly.

    `lr` and the like may be Tensors of one element, which every step reads anew.

    Not available here: `state_dir`, `zero_grad` in the step, `accumulate` (PyTorch adds gradients up by itself),
    `epsilon_hat`, `eps_inside_sqrt`, `lr_in_momentum`, `decoupled_weight_decay` where `torch.optim` has none, and
    hyperparameters, `clip_norm` too, that are functions of the step.

    Examples
    --------
    >>> import torch, pyadam.torch
    >>> w = torch.zeros(2, requires_grad=True)
    >>> optimizer = pyadam.torch.SGD([w], lr=1.0, clip_norm=1.0, ema_decay=0.5)
    >>> w.grad = torch.tensor([3.0, 4.0])
    >>> optimizer.step()
    >>> optimizer.grad_norm, w.detach()
    (5.0, tensor([-0.6000, -0.8000]))
    >>> with optimizer.swap_ema():
    ...     print(w.detach())
    tensor([-0.3000, -0.4000])
    """

    _rules: ClassVar[type[pyadam.Optimizer]]
    _torch: ClassVar[type[torch.optim.Optimizer] | None]

    #: Tells `torch.amp.GradScaler` to set `grad_scale` and `found_inf`, as for PyTorch's fused optimizers.
    _step_supports_amp_scaling = True

    #: Options of groups that no argument sets.
    _fixed: ClassVar[Mapping[str, Any]] = {}
    #: Whether all state begins at construction, not in a parameter's first step.
    _begins_at_once: ClassVar[bool] = False

    def __init__(self, params: Any, options: Mapping[str, Any], extras: Mapping[str, Any]) -> None:
        of_groups = dict(OF_GROUPS)
        of_optimizer = dict(OF_OPTIMIZER)
        for key, value in extras.items():
            if key in of_groups:
                of_groups[key] = value
            elif key in of_optimizer:
                of_optimizer[key] = check_hyperparameter(key, value, key)
            else:
                raise TypeError(f"{type(self).__name__} has no option {key!r}")
        self.__dict__.update(of_optimizer)
        #: Number of steps skipped for a gradient that was not finite.
        self.skipped = 0
        self._unbind()
        super().__init__(params, {**options, **self._fixed, **of_groups})
        if self._begins_at_once:
            self._begin()

    clip_norm: float | None
    skip_nonfinite: bool
    flush_denormals: bool
    seed: int

    def _settings(self) -> dict[str, Any]:
        return {key: getattr(self, key) for key in OF_OPTIMIZER}

    def _unbind(self) -> None:
        self._bound: Bound | None = None
        self._bound_settings: list[Any] = []
        self._options: list[GroupOptions] = []
        self._waiting: list[Tensor] = []
        self._elsewhere: list[Elsewhere | None] = []
        self._lists: list[Any] = []
        self._counts: dict[Tensor, int] = {}
        self._is_swapped = False

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group, as in `torch.optim`; its parameters and hyperparameters are checked.

        Raises
        ------
        TypeError, ValueError
            If a parameter cannot be updated in place, or a hyperparameter is out of range.
        """
        for key in param_group:
            if key in OF_OPTIMIZER:
                raise TypeError(f"{key} is of the whole optimizer, not of a group")
        self._let_go()
        before = len(self.param_groups)
        super().add_param_group(param_group)
        try:
            self._read_options()
            if not are_plain(self.param_groups[-1]["params"]):
                self._check(before)
        except BaseException:
            del self.param_groups[before:], self._options[before:]
            raise

    @torch.no_grad()
    def _check(self, group: int) -> None:
        for p, name in zip(self.param_groups[group]["params"], self._names(group), strict=True):
            here = local(p)
            if here.device.type == "cpu" and not _is_left_alone(p):
                check_parameter(here, name)

    def _new_options(self, index: int, group: Mapping[str, Any]) -> GroupOptions:
        keys = tuple(key for key in self.defaults if key in group)
        return GroupOptions(self._rules, keys, index)

    def _names(self, group: int) -> list[str]:
        names = [f"parameter {name!r}" for name in self.param_groups[group].get("param_names", ())]
        count = len(self.param_groups[group]["params"])  # another than of names, where users have edited the list
        return [*names[:count], *(f"param_groups[{group}]['params'][{i}]" for i in range(len(names), count))]

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update the parameters that have a gradient.

        Everything is checked before anything is written: a step that raises has changed nothing, unless PyTorch's own
        class raises, which steps parameters on other devices last.

        Parameters
        ----------
        closure : function, optional
            Evaluates the model again and returns the loss.

        Returns
        -------
        object
            What `closure` returned, or None. `skipped` counts the steps that `skip_nonfinite` left out.

        Raises
        ------
        RuntimeError
            If a gradient is sparse, or within `swap_ema`.
        TypeError, ValueError
            If a gradient does not fit its parameter, tensors share memory, or a hyperparameter is out of range.
        """
        if torch.compiler.is_compiling():
            return self._step_uncompiled(closure)
        if self._is_swapped:
            raise RuntimeError("step: the parameters hold their averages, inside swap_ema()")
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        found_inf = getattr(self, "found_inf", None)
        if found_inf is not None and float(found_inf) != 0:
            return loss
        grad_scale = getattr(self, "grad_scale", None)
        bound = self._bound
        if bound is None or not self._is_current(bound):
            bound = self._bind()
        scale = 1.0 if grad_scale is None else float(grad_scale)
        has_stepped = bound.step(scale)
        if has_stepped is None:
            has_stepped = self._bind().step(scale)
        if has_stepped is None:
            raise RuntimeError("tensors of the optimizer are moved while a step looks at them")
        if not has_stepped:
            self.skipped += 1
        for group, elsewhere in zip(self.param_groups, self._elsewhere, strict=True):
            if elsewhere is not None:
                elsewhere.step(group, self.state, grad_scale)
        return loss

    @_disable_dynamo
    def _step_uncompiled(self, closure: Callable[[], Any] | None) -> Any:
        return Optimizer.step(self, closure)

    def _is_current(self, bound: Bound) -> bool:
        if self._lists[0] is not self.state or not all(map(is_, self._settings().values(), self._bound_settings)):
            return False
        if len(self.param_groups) != len(self._options):
            return False
        for options, group, params, made_for in zip(
            self._options, self.param_groups, self._lists[2:], bound.made_for, strict=True
        ):
            if group["params"] is not params:
                return False
            options.read(group)
            if options.binding is not made_for and not options.is_bound_by(made_for):
                return False
        return bound.is_current() and all(p.grad is None for p in self._waiting)

    @torch.no_grad()
    def _bind(self) -> Bound:
        """Bind all parameters that have a gradient or state, which begins here."""
        self._let_go()
        self._read_options()
        given = self._settings()
        settings = {
            key: value if value is OF_OPTIMIZER[key] else check_hyperparameter(key, value, key)
            for key, value in given.items()
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
                if (p.grad is None and not state) or _is_left_alone(p):
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
        self._lists = [self.state, self.param_groups, *(group["params"] for group in self.param_groups)]
        self._bound = Bound(members, self._options, self._lists, settings)
        self._bound_settings, self._waiting, self._elsewhere = [*given.values()], waiting, elsewhere
        self._counts = {}
        return self._bound

    def _let_go(self) -> None:
        """Forget the binding, but for its step counts until there is another: it would keep parameters alive."""
        if self._bound is not None:
            self._counts = {m.p: count for m, count in zip(self._bound.members, self._bound.counts, strict=True)}
        self._bound = None

    def _read_options(self) -> None:
        del self._options[len(self.param_groups) :]
        for i, group in enumerate(self.param_groups):
            if i == len(self._options):
                self._options.append(self._new_options(i, group))
            self._options[i].read(group)

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
        count = 0
        if state:
            _state.check(state, p, kept, options, name)
            count = self._count(p, state, name)
        return Member(p, here, g, name, state, kept, count, first_element)

    def _count(self, p: Tensor, state: Mapping[str, Any], name: str) -> int:
        """Return a parameter's step count: of the last binding, where the state still says the same."""
        if "step" in state:
            return _state.whole_number(state["step"], self._counts.get(p, 0), name)
        # SGD has no count in PyTorch: a buffer tells that a first step was taken.
        return max(1, self._counts.get(p, 0)) if state.get("momentum_buffer") is not None else 0

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

    @property
    def grad_norm(self) -> float | None:
        """L2 norm of all gradients of the last step, before clipping; None unless the step had to compute it."""
        return None if self._bound is None else self._bound.grad_norm

    @contextmanager
    def swap_ema(self) -> Iterator[None]:
        """Put the averages in the place of the parameters for as long as the `with` block lasts, as for evaluation.

        The parameters are set back to the last bit at the end, whatever happens.

        Raises
        ------
        RuntimeError
            If called inside another `swap_ema`.
        ValueError
            If no parameter has an average yet.

        Notes
        -----
        Inside the block `step` raises RuntimeError.
        """
        if self._is_swapped:
            raise RuntimeError("swap_ema: the parameters hold their averages already")
        averages = [(p, state["ema"]) for p, state in self.state.items() if "ema" in state]
        if not averages:
            raise ValueError("there is no average of the parameters: construct with ema_decay, and take a step")
        kept: list[Tensor] = []

        @torch.no_grad()
        def swap_back() -> None:
            if kept:
                for (p, _), values in zip(averages, kept, strict=True):
                    p.copy_(values)
                self._is_swapped = False

        with restoring(swap_back):
            with torch.no_grad():
                kept.extend([p.clone() for p, _ in averages])
                self._is_swapped = True
                for p, average in averages:
                    p.copy_(average)
            yield

    def load_state_dict(self, state_dict: Any) -> None:
        """Take over copies of a state that `state_dict`, or that of PyTorch's class of the same name, returned.

        Hyperparameters are those that were saved, as in `torch.optim`; extras that PyTorch's state has not keep their
        values. What only pyadam keeps (``"master"``, ``"low_bits"``, ``"ema"``) begins anew where it is missing.

        Raises
        ------
        ValueError
            If groups, names or shapes differ; nothing has changed then.
        """
        if self._is_swapped:
            raise RuntimeError("load_state_dict: the parameters hold their averages, inside swap_ema()")
        handle = self.register_load_state_dict_pre_hook(_protect)  # after those of the user
        try:
            super().load_state_dict(state_dict)
        finally:
            handle.remove()

    def _protected(self, state_dict: dict[str, Any]) -> dict[str, Any] | None:
        """Return the state dict with missing hyperparameters filled in and its tensors prepared and protected."""
        saved = state_dict["param_groups"]
        if any(isinstance(state, _Protected) for state in state_dict["state"].values()):
            return None  # a hook that an interrupted call has left was here
        lengths = [len(group["params"]) for group in self.param_groups]
        if [len(group["params"]) for group in saved] != lengths:
            return None  # PyTorch says what is wrong
        groups = [
            {**{key: value for key, value in ours.items() if key in self.defaults}, **theirs}
            for ours, theirs in zip(self.param_groups, saved, strict=True)
        ]
        states = dict(state_dict["state"])
        for g, group in enumerate(groups):
            group.update(self._fixed)  # as PyTorch's AdamW takes a state of Adam
            options = self._new_options(g, group)
            options.read(group)
            for key, p, name in zip(group["params"], self.param_groups[g]["params"], self._names(g), strict=True):
                if states.get(key):
                    states[key] = _Protected(self._loaded(states[key], p, options, name))
        return {**state_dict, "state": states, "param_groups": groups}

    @torch.no_grad()
    def _loaded(self, state: Mapping[str, Any], p: Tensor, options: GroupOptions, name: str) -> dict[str, Any]:
        here = local(p)
        if here.device.type != "cpu":
            return _state.moved(state, p)
        if _is_left_alone(p):
            return {key: value.clone() if isinstance(value, Tensor) else value for key, value in state.items()}
        kept = options.kept_dtypes(here.dtype, name)
        _state.check(state, p, kept, options, name)
        copied = {}
        for key, value in state.items():
            if key in kept and value is not None:
                copied[key] = state_like(p, kept[key], list(kept).index(key)).copy_(value)
            elif key == "step" or key in options.derived_state(1):
                copied[key] = _state.loaded_count(value)
            elif value is not None:
                copied[key] = value.clone() if isinstance(value, Tensor) else value
        return copied

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), **self._settings(), "skipped": self.skipped}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._unbind()
        if "state" in state:
            loaded = {k: v.state if isinstance(v, _Protected) else v for k, v in state["state"].items()}
            state = {**state, "state": defaultdict(dict, loaded)}
        super().__setstate__(state)
        for i, group in enumerate(self.param_groups):
            refuse_how(group, f"param_groups[{i}]")


def _is_left_alone(p: Tensor) -> bool:
    """Whether a parameter is frozen or has no shape yet: it may be anything until it has a gradient."""
    return p.grad is None and (not p.requires_grad or is_lazy(p))


def _protect(optimizer: torch.optim.Optimizer, state_dict: dict[str, Any]) -> dict[str, Any] | None:
    assert isinstance(optimizer, Optimizer)
    return optimizer._protected(state_dict)
