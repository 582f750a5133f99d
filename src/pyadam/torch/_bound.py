"""Parameters on the CPU, bound to the kernel by their addresses."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .. import _core
from ._layout import DTYPE_NAMES, copy_like, is_distributed, local, read_in_place
from ._options import GroupOptions
from ._watch import PlainWatch, given_gradients, watch_params, watch_state

_COMPUTE = {dtype: torch.float64 if dtype == torch.float64 else torch.float32 for dtype in DTYPE_NAMES}


@dataclass(slots=True)
class Member:
    """A parameter that takes part: its group, its name, what is kept beside it, its age and what its rule carries.

    `here` is the part of it that this process has, `first_element` counts the elements of all parameters before it.
    """

    p: Tensor
    here: Tensor
    group: int
    name: str
    state: dict[str, Any]
    kept: Mapping[str, torch.dtype]
    count: int
    carried: tuple[float, ...]
    first_element: int


class Bound:
    """The kernel's view of an optimizer's parameters on the CPU, good until one of their tensors is exchanged."""

    def __init__(
        self,
        members: Sequence[Member],
        options: Sequence[GroupOptions],
        containers: list[Any],
        settings: Mapping[str, Any],
    ) -> None:
        self.members = members
        self._params = [member.p for member in members]
        self._has_parts = any(map(is_distributed, self._params))
        self._locals = [member.here for member in members]
        self._snapshot = _core.Snapshot([*containers, *(member.state for member in members)])
        self._core = _core.TensorParameters()
        self._core.clip_norm = math.inf if settings["clip_norm"] is None else settings["clip_norm"]
        self._core.skip_nonfinite = settings["skip_nonfinite"]
        self._core.flush_denormals = settings["flush_denormals"]
        self._core.seed = settings["seed"]
        self._plans = tuple(group.plan for group in options)
        self._carries = any(group.keeping.initial_carried for group in options)
        #: Of each group, what the binding depends on.
        self.made_for = [group.binding for group in options]
        # Other tensors whose memory the kernel knows.
        self._beside: list[Tensor] = []
        self._steps: list[Tensor] = []
        self._keep_alive: list[Tensor] = []
        for group in options:
            kernel, master, state_dtype, has_ema, _, initial_carried = group.keeping
            self._core.add_group(kernel, master, state_dtype, has_ema, initial_carried)
        for index, member in enumerate(members):
            self._add(index, member, options[member.group])
        self._watch = watch_params(self._locals)
        self._watch_beside = watch_state(self._beside, self._steps)
        # Whether a step looks again at all tensors when the last Python code has run.
        self._looks = False
        if not isinstance(self._watch, PlainWatch) and not isinstance(self._watch_beside, PlainWatch):
            self._core.watch(self._watch, self._watch_beside)
            self._looks = True

    def _add(self, index: int, member: Member, group: GroupOptions) -> None:
        p, state = member.here, member.state
        kept = [*map(state.__getitem__, member.kept)]
        if self._has_parts:
            kept = [*map(local, kept)]
        self._beside += kept
        numbers = [state[key] for key in group.numbers]
        self._steps += numbers
        places = [(number.data_ptr(), DTYPE_NAMES[number.dtype]) for number in numbers]
        self._core.add(
            member.name,
            member.group,
            p.data_ptr(),
            p.numel(),
            DTYPE_NAMES[p.dtype],
            [*map(Tensor.data_ptr, kept)],
            member.count,
            places[0] if places else (0, "float32"),
            member.carried,
            places[1:],
            member.first_element,
        )
        if group.binding[1] is not None:
            self._set_bounds(index, member, group.binding[1])

    def _set_bounds(self, index: int, member: Member, bounds: Any) -> None:
        if not any(isinstance(bound, np.ndarray) for bound in bounds):
            self._core.set_bounds(index, *bounds)
            return
        p = member.here
        for bound in bounds:
            if isinstance(bound, np.ndarray) and bound.shape != tuple(p.shape):
                raise ValueError(f"bounds of {member.name} must have its shape {tuple(p.shape)}, found {bound.shape}")
        low, high = (copy_like(p, torch.as_tensor(bound, device="cpu"), _COMPUTE[p.dtype]) for bound in bounds)
        self._keep_alive += [low, high]
        self._core.set_bound_arrays(index, low.data_ptr(), high.data_ptr())

    def is_current(self) -> bool:
        """Whether all tensors are still those that were bound. Where they lie, `step` looks at, if it can."""
        if not self._snapshot.holds():
            return False
        # The part of a DTensor that is here may be another object than before.
        has_moved = self._has_parts and any(
            local(p) is not here for p, here in zip(self._params, self._locals, strict=True)
        )
        return not has_moved and (self._looks or self._holds())

    def _holds(self) -> bool:
        return self._watch.hold() and self._watch_beside.hold()

    @property
    def counts(self) -> list[int]:
        """Step counts of the members, exact where a floating dtype no longer is."""
        return self._core.steps

    @property
    def carried(self) -> list[tuple[float, ...]]:
        """What the members' rules carry, in double precision."""
        members = range(len(self.members))
        return [tuple(self._core.carried(i)) for i in members] if self._carries else [()] * len(members)

    @property
    def grad_norm(self) -> float | None:
        """The norm of all gradients of the last step, where it was needed."""
        return self._core.grad_norm if self._core.has_grad_norm else None

    def step(self, grad_scale: float) -> bool | None:
        """Take a step with the parameters' gradients; False if it was skipped. What is checked comes before.

        None, if a tensor has moved: nothing has changed then, and all must be bound anew.
        """
        has_stepped = self._core.step_of(self._params, self._plans, grad_scale) if self._looks else None
        if has_stepped is None:
            if not self._holds():
                return None
            with torch.no_grad():
                grads = self._readable()  # copies stay alive until the step is taken
                gradients = given_gradients(grads)
            watch = watch_params([g for g in grads if g is not None])
            watched = None if isinstance(watch, PlainWatch) else watch
            has_stepped = self._core.step(gradients, self._plans, grad_scale, watched)
        if has_stepped:
            places = self._core.stepped
            stepped = self._params if places is None else [self._params[i] for i in places]
            torch.autograd.graph.increment_version(stepped)  # a backward pass that saved them must notice
        return has_stepped

    def _readable(self) -> list[Tensor | None]:
        """Return gradients that lie as their parameters do, copies where they must be; raises if one does not fit."""
        return [
            None if p.grad is None else read_in_place(local(p.grad), here, member.name)
            for p, here, member in zip(self._params, self._locals, self.members, strict=True)
        ]
