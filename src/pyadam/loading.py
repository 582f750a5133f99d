"""Optimizers made of files."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from typing import Any

from . import _array_files, checkpoint
from ._common_options import GROUP_DEFAULTS, OPTIMIZER_FIELDS
from ._group import merged
from ._state_dict import NO_HYPERPARAMETERS
from .optimizer import Optimizer


def load(path: str | os.PathLike[str], **overrides: Any) -> Optimizer:
    """Make an optimizer and its parameters from a file that `Optimizer.save` wrote.

    Parameters
    ----------
    path : path-like
        The file.
    **overrides
        Hyperparameters in place of the saved ones, for every group; also what the optimizer has as a whole, such as
        `clip_norm` and `state_dir`. A file has of a schedule only the last value, so that schedules are given here, or
        set later.

    Returns
    -------
    Optimizer
        Of the class that was saved; its `params` are new arrays in the memory order of the saved ones. Their nesting
        is that of lists, tuples and dicts: a namedtuple becomes a tuple, any other mapping a dict.

    Raises
    ------
    CheckpointError
        If the file is no checkpoint, is truncated or altered, or was made by a later format or a class of your own. It
        is a ValueError.
    OSError
        If the file cannot be read.
    KeyError, TypeError, ValueError
        If an override is unknown, of the wrong type, out of range or fixed at construction.

    Warns
    -----
    UserWarning
        If a hyperparameter was a schedule and is not among `overrides`: it stays at its last value.

    Notes
    -----
    The file is read twice, in pieces: once for its SHA-256 checksum, before any memory is asked for, and once into the
    arrays. Nothing in a file is executed. The checksum tells damage, not forgery: whoever can write the file can also
    write its checksum.

    See Also
    --------
    Optimizer.save : writes the file.
    Optimizer.load : reads it into an optimizer that is there already.

    Examples
    --------
    >>> import os, tempfile, numpy as np, pyadam
    >>> opt = pyadam.Adam({"w": np.ones(3)}, lr=0.1)
    >>> _ = opt.step({"w": np.full(3, 2.0)})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "run.safetensors")
    ...     opt.save(path)
    ...     again = pyadam.load(path)
    >>> again.params
    {'w': array([0.9, 0.9, 0.9])}
    >>> again.step_count
    1
    """
    own = {
        key: OPTIMIZER_FIELDS[key].setting(key, value) for key, value in overrides.items() if key in OPTIMIZER_FIELDS
    }
    with checkpoint.opened(path) as file:
        optimizer = _rebuilt(file, own.get("state_dir"))
        _array_files.copy_in(optimizer, file)
        schedules, schedule_states = file.schedules(), file.schedule_states()
    optimizer._set_own(own)
    for key, value in overrides.items():
        if key not in own:
            for group in optimizer.param_groups:
                group[key] = value
    for group, states in zip(optimizer.param_groups, schedule_states, strict=True):
        group.check_schedule_state(states, "the state of schedules")
        group.load_schedule_state(states)
    for index, key in schedules:
        if key not in overrides:
            name = key if index == checkpoint.OPTIMIZER else f"param_groups[{index}][{key!r}]"
            message = f"{name} was a schedule and stays at its last value until it is set again"
            warnings.warn(message, stacklevel=2)
    return optimizer


def _rebuilt(file: checkpoint.Checkpoint, state_dir: str | None) -> Optimizer:
    """Return an optimizer with new parameters and the hyperparameters of the file, which has taken no step."""
    cls = _class(file.class_name)
    others, params, state_dict = file.others(), file.params(), file.without_steps
    defaults = {**cls._rule.defaults, **GROUP_DEFAULTS}
    options = [
        merged(defaults, {key: group[key] for key in group.keys() - NO_HYPERPARAMETERS}, cls.__name__)
        for group in state_dict["param_groups"]
    ]
    optimizer = cls.__new__(cls)
    others["own_options"] = {**others.get("own_options", {}), "state_dir": state_dir}
    trees = [group["params"] for group in params] if others["has_groups"] else [params]
    optimizer.__setstate__({**others, "trees": trees, "options": options, "state_dict": state_dict})
    return optimizer


def _class(name: str) -> type[Optimizer]:
    """Return pyadam's class of that name."""
    for cls in _subclasses(Optimizer):
        if cls.__name__ == name and cls.__module__.partition(".")[0] == __package__:
            return cls
    raise checkpoint.CheckpointError(
        f"the file is of the class {name!r:.100}, which is not pyadam's: make one and load into it"
    )


def _subclasses(cls: type[Optimizer]) -> Iterator[type[Optimizer]]:
    for subclass in cls.__subclasses__():
        yield subclass
        yield from _subclasses(subclass)
