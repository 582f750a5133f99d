"""Files of an optimizer of arrays in one process: what `save` and `load` do to them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from . import _state_dict, checkpoint
from ._array_optimizer import ArrayOptimizer
from ._interrupts import all_or_nothing
from ._param_group import ParamGroup


def _paths(groups: Sequence[ParamGroup]) -> list[str]:
    return [path for group in groups for path in group.paths]


def save(optimizer: ArrayOptimizer, params: Any, has_groups: bool, path: str | os.PathLike[str]) -> None:
    """Write `optimizer`, whose parameters are the tree `params`, to a file."""
    optimizer._core.check_parameters()  # or no optimizer could load it
    groups = optimizer.param_groups
    schedules = [(i, key) for i, group in enumerate(groups) for key in group.fields if group.is_scheduled(key)]
    schedules += [(checkpoint.OPTIMIZER, "clip_norm")] * optimizer._has_clip_schedule
    state_dict = optimizer._exported(copy=False)
    others = {"own_options": state_dict["options"], "has_groups": has_groups}
    trees = [{"params": tree} for tree in params] if has_groups else params
    checkpoint.save(path, type(optimizer).__name__, trees, state_dict, _paths(groups), schedules, others)


def restore(optimizer: ArrayOptimizer, path: str | os.PathLike[str]) -> None:
    """Read a file into `optimizer`, which has its parameters."""
    with checkpoint.opened(path) as file:
        copy_in(optimizer, file)


def copy_in(optimizer: ArrayOptimizer, file: checkpoint.Checkpoint) -> None:
    """Check that all of a file fits the optimizer, then read it in."""
    core, groups = optimizer._core, optimizer.param_groups
    arrays, paths = core.arrays, _paths(groups)
    file.check_params(arrays, paths)
    state_dict = file.state_dict(arrays)
    take_over = optimizer._checked(state_dict)

    def commit() -> None:
        take_over()
        live = _state_dict.export(core, groups, copy=False)["state"]
        try:
            for path, array in zip(paths, arrays, strict=True):
                file.reader.read_into(path, array)
            if len(state_dict["state"]) < len(arrays):  # what begins anew may begin from the parameter
                take_over()
            file.read(state_dict, live)
            file.reader.check_unchanged()
        except Exception as error:
            raise RuntimeError(f"what was read in is in part the file's, so load another: {error}") from error

    all_or_nothing(commit)
