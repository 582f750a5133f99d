"""What all optimizers of `pyadam.torch` share."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch._compile import _disable_dynamo
from torch.optim.optimizer import _global_optimizer_post_hooks, _global_optimizer_pre_hooks

from .._common_options import OPTIMIZER_FIELDS
from .._swapping import swapped
from ._binding import BindingOptimizer, is_left_alone
from ._documentation import docstring_of
from ._layout import check_parameter, local
from ._loading import Protected, protected
from ._options import GROUP_EXTRAS, OPTIMIZER_EXTRAS, reject_unsupported_options
from ._watch import are_plain


class Optimizer(BindingOptimizer):
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
        Accepted, and of use to PyTorch's own classes: where they load the state, and on other devices. ``fused=True``
        also tells `torch.amp.GradScaler` that `step` unscales gradients itself.
    capturable, differentiable : bool, default False
        Must be False.
    {group_extras}
        Of groups, as for `pyadam.Optimizer`. `bounds` may be tensors; schedules are PyTorch's, not functions. `master`
        must be chosen for parameters of bfloat16 or float16. The average is ``state[p]["ema"]``: see `swap_ema`.
    {optimizer_extras}
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
    Gradients are never written to by `step`. `torch.amp.GradScaler` unscales them in place, as for PyTorch's default
    optimizers; with ``fused=True`` it leaves that to `step`, which does it on their way.

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

    #: Options of groups that no argument sets.
    _fixed: ClassVar[Mapping[str, Any]] = {}
    _hyperparameters: ClassVar[frozenset[str]] = frozenset()
    #: Whether all state begins at construction, not in a parameter's first step.
    _begins_at_once: ClassVar[bool] = False

    def __init_subclass__(cls) -> None:
        if "_rule" in vars(cls):
            cls._hyperparameters = frozenset({*cls._rule.fields, *GROUP_EXTRAS})
            if cls.__doc__ is not None:
                cls.__doc__ = docstring_of(cls, cls._rule)

    def _construct(self, params: Any, options: Mapping[str, Any], extras: Mapping[str, Any]) -> None:
        of_groups = dict(GROUP_EXTRAS)
        of_optimizer = dict(OPTIMIZER_EXTRAS)
        for key, value in extras.items():
            if key in of_groups:
                of_groups[key] = value
            elif key in of_optimizer:
                of_optimizer[key] = OPTIMIZER_FIELDS[key].checked(key, value)
            else:
                raise TypeError(f"{type(self).__name__} has no option {key!r}")
        self.__dict__.update(of_optimizer)
        if options.get("fused"):
            #: Tells `torch.amp.GradScaler` to set `grad_scale` and `found_inf`, as PyTorch's fused optimizers do.
            self._step_supports_amp_scaling = True
        #: Number of steps skipped for a gradient that was not finite.
        self.skipped = 0
        self._is_swapped = False
        self._unbind()
        super().__init__(params, {**options, **self._fixed, **of_groups})
        if self._begins_at_once:
            self._begin()

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self._hyperparameters:
            raise AttributeError(
                f"hyperparameters are those of groups: for group in optimizer.param_groups: group[{name!r}] = ..."
            )
        object.__setattr__(self, name, value)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group, as in `torch.optim`; its parameters and hyperparameters are checked.

        Raises
        ------
        TypeError, ValueError
            If a parameter cannot be updated in place, or a hyperparameter is out of range.
        """
        for key in param_group:
            if key in OPTIMIZER_EXTRAS:
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
            if here.device.type == "cpu" and not is_left_alone(p):
                check_parameter(here, name)

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
        if _is_watched(self):
            return self._watched_step() if closure is None else self._watched_step(closure)
        return self._step(closure)

    #: Tells PyTorch not to wrap `step` by what calls hooks and the profiler, which takes longer than a small step:
    #: where there are some, `_watched_step` does.
    step.hooked = True  # type: ignore[attr-defined]

    def _step(self, closure: Callable[[], Any] | None = None) -> Any:
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
        if self._elsewhere:
            for group, elsewhere in zip(self.param_groups, self._elsewhere, strict=True):
                if elsewhere is not None:
                    elsewhere.step(group, self.state, grad_scale)
        return loss

    _watched_step = torch.optim.Optimizer.profile_hook_step(_step)

    @_disable_dynamo
    def _step_uncompiled(self, closure: Callable[[], Any] | None) -> Any:
        return Optimizer.step(self, closure)

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

        def begin() -> tuple[list[Tensor], Callable[[], None]]:
            if self._is_swapped:
                raise RuntimeError("swap_ema: the parameters hold their averages already")
            averages = {p: state["ema"] for p, state in self.state.items() if "ema" in state}
            if not averages:
                raise ValueError("there is no average of the parameters: construct with ema_decay, and take a step")
            return list(averages), lambda: write_all(averages)

        def write_all(averages: dict[Tensor, Tensor]) -> None:
            for p, average in averages.items():
                write(p, average)

        @torch.no_grad()
        def write(p: Tensor, values: Tensor) -> None:
            p.copy_(values)

        with swapped(self, begin, torch.no_grad()(Tensor.clone), write):
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

    def __getstate__(self) -> dict[str, Any]:
        return {
            **super().__getstate__(),
            **dict(zip(OPTIMIZER_EXTRAS, self._settings(), strict=True)),
            "skipped": self.skipped,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._is_swapped = False
        self._unbind()
        if "state" in state:
            loaded = {k: v.state if isinstance(v, Protected) else v for k, v in state["state"].items()}
            state = {**state, "state": defaultdict(dict, loaded)}
        super().__setstate__(state)
        for i, group in enumerate(self.param_groups):
            reject_unsupported_options(group, f"param_groups[{i}]")


if Optimizer.__doc__ is not None:
    for _name, _extras in (("group_extras", GROUP_EXTRAS), ("optimizer_extras", OPTIMIZER_EXTRAS)):
        Optimizer.__doc__ = Optimizer.__doc__.replace(f"{{{_name}}}", ", ".join(_extras))


def _is_watched(optimizer: torch.optim.Optimizer) -> bool:
    """Whether somebody wants to know of a step: a hook of this optimizer, or of all, or a profiler."""
    return bool(
        optimizer._optimizer_step_pre_hooks
        or optimizer._optimizer_step_post_hooks
        or _global_optimizer_pre_hooks
        or _global_optimizer_post_hooks
        or torch.autograd._profiler_enabled()  # type: ignore[attr-defined]
    )


def _protect(optimizer: torch.optim.Optimizer, state_dict: dict[str, Any]) -> dict[str, Any] | None:
    assert isinstance(optimizer, Optimizer)
    return protected(optimizer, state_dict, optimizer._fixed)
