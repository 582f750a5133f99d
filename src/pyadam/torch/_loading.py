"""States on their way into an optimizer: checked, copied as the kernel needs them, and kept from PyTorch's casts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from . import _state
from ._binding import BindingOptimizer, is_left_alone
from ._layout import local, state_like
from ._options import GroupOptions


class Protected:
    """Holds a loaded state on its way through PyTorch, which would cast it to the parameter's dtype."""

    def __init__(self, state: dict[str, Any]) -> None:
        self.state = state


def protected(
    optimizer: BindingOptimizer, state_dict: dict[str, Any], fixed: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Return the state dict with missing hyperparameters filled in and its tensors prepared and protected."""
    saved = state_dict["param_groups"]
    if any(isinstance(state, Protected) for state in state_dict["state"].values()):
        return None  # a hook that an interrupted call has left was here
    lengths = [len(group["params"]) for group in optimizer.param_groups]
    if [len(group["params"]) for group in saved] != lengths:
        return None  # PyTorch says what is wrong
    groups = [
        {**{key: value for key, value in ours.items() if key in optimizer.defaults}, **theirs}
        for ours, theirs in zip(optimizer.param_groups, saved, strict=True)
    ]
    states = dict(state_dict["state"])
    for g, group in enumerate(groups):
        group.update(fixed)  # as PyTorch's AdamW takes a state of Adam
        options = optimizer._new_options(g, group)
        options.read(group)
        for key, p, name in zip(group["params"], optimizer.param_groups[g]["params"], optimizer._names(g), strict=True):
            if states.get(key):
                states[key] = Protected(_loaded(states[key], p, options, name))
    return {**state_dict, "state": states, "param_groups": groups}


@torch.no_grad()
def _loaded(state: Mapping[str, Any], p: Tensor, options: GroupOptions, name: str) -> dict[str, Any]:
    here = local(p)
    if here.device.type != "cpu":
        return _state.moved(state, p)
    if is_left_alone(p):
        return {key: value.clone() if isinstance(value, Tensor) else value for key, value in state.items()}
    kept = options.kept_dtypes(here.dtype, name)
    _state.check(state, p, kept, options, name)
    copied = {}
    for key, value in state.items():
        if key in kept and value is not None:
            copied[key] = state_like(p, kept[key], list(kept).index(key)).copy_(value)
        elif key in ("step", *options.rule.carries):
            copied[key] = _state.loaded_count(value)
        elif value is not None:
            copied[key] = value.clone() if isinstance(value, Tensor) else value
    return copied
