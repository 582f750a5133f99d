"""The keyword arguments that every optimizer takes, and their defaults."""

from __future__ import annotations

from typing import Any, TypedDict


class CommonOptions(TypedDict, total=False):
    """The keyword arguments that every class takes."""

    maximize: bool
    l1: Any
    bounds: Any
    clip_value: Any
    ema_decay: Any
    ema_warmup: bool
    master: Any
    state_dtype: Any
    clip_norm: Any
    skip_nonfinite: bool
    flush_denormals: bool
    seed: int
    state_dir: Any


# Defaults of what every group has, and of what the optimizer has as a whole.
OF_GROUPS: CommonOptions = {
    "maximize": False,
    "l1": 0.0,
    "bounds": None,
    "clip_value": None,
    "ema_decay": None,
    "ema_warmup": False,
    "master": None,
    "state_dtype": None,
}
OF_OPTIMIZER: CommonOptions = {
    "clip_norm": None,
    "skip_nonfinite": False,
    "flush_denormals": False,
    "seed": 0,
    "state_dir": None,
}

# Of the latter, what a saved state has. Where state is kept is a matter of the machine.
SAVED_OF_OPTIMIZER = tuple(key for key in OF_OPTIMIZER if key != "state_dir")
