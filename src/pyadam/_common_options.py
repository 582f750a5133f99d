"""The keyword arguments that every class takes beside its rule's, with their ranges and defaults."""

from typing import Annotated, Any, TypedDict

from ._hyperparameters import (
    Field,
    bounds,
    decay_rate,
    directory,
    fields_of,
    flag,
    master,
    non_negative,
    optional,
    positive,
    seed,
    state_dtype,
)


class GroupExtras(TypedDict, total=False):
    """What every group has, in every front end."""

    l1: Annotated[Any, Field(non_negative)]
    bounds: Annotated[Any, Field(bounds, is_fixed=True)]
    clip_value: Annotated[Any, Field(optional(positive))]
    ema_decay: Annotated[Any, Field(optional(decay_rate))]
    ema_warmup: Annotated[bool, Field(flag, is_fixed=True)]
    master: Annotated[str | None, Field(optional(master), is_fixed=True)]
    state_dtype: Annotated[Any, Field(optional(state_dtype), is_fixed=True)]


class OptimizerExtras(TypedDict, total=False):
    """What the optimizer has as a whole, in every front end."""

    clip_norm: Annotated[Any, Field(optional(positive))]
    skip_nonfinite: Annotated[bool, Field(flag, is_fixed=True)]
    flush_denormals: Annotated[bool, Field(flag, is_fixed=True)]
    seed: Annotated[int, Field(seed, is_fixed=True)]


class Extras(GroupExtras, OptimizerExtras):
    """What every class of every front end takes."""


class CommonOptions(Extras, total=False):
    """What the classes for NumPy arrays take; PyTorch's have `maximize` of their own."""

    maximize: Annotated[bool, Field(flag, is_fixed=True)]
    state_dir: Annotated[Any, Field(optional(directory), is_fixed=True)]


GROUP_DEFAULTS: CommonOptions = {
    "maximize": False,
    "l1": 0.0,
    "bounds": None,
    "clip_value": None,
    "ema_decay": None,
    "ema_warmup": False,
    "master": None,
    "state_dtype": None,
}
OPTIMIZER_DEFAULTS: CommonOptions = {
    "clip_norm": None,
    "skip_nonfinite": False,
    "flush_denormals": False,
    "seed": 0,
    "state_dir": None,
}

_FIELDS = fields_of(CommonOptions)
GROUP_FIELDS = {key: _FIELDS[key] for key in GROUP_DEFAULTS}
OPTIMIZER_FIELDS = {key: _FIELDS[key] for key in OPTIMIZER_DEFAULTS}

#: Of the whole optimizer's options, those that a saved state has. Where state is kept is a matter of the machine.
SAVED_OPTIONS = tuple(key for key in OPTIMIZER_DEFAULTS if key != "state_dir")
