"""What is done around a step inside pyadam's one pass, as ratios of time to a plain step.

``python bench/one_pass.py`` measures one array of 32M elements per case, after asserting that a step does what
`pyadam.reference` does. It needs 3 GB of memory.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from harness.program import Section
from harness.ways import Columns, Way, main
from ml_dtypes import bfloat16

import pyadam

SECTION = Section("docs/one_pass.md", "one pass")


def adamw(name: str, moved: int, step: dict[str, Any] | None = None, bits: int = 32, **options: Any) -> Way:
    """Return AdamW with these options; parameters and gradients are of 32 or of 16 bits."""
    dtype = bfloat16 if bits == 16 else np.float32
    return Way(name, moved, partial(pyadam.AdamW, **options), dtype, dtype, step or {})


EXTRAS: dict[str, Any] = {"clip_norm": 1.0, "skip_nonfinite": True, "ema_decay": 0.999}
SMALL_STATE: dict[str, Any] = {"state_dtype": "bfloat16"}
PLAIN = adamw("float32", 28)
WAYS = [
    adamw("clip_norm", 32, clip_norm=1.0),
    adamw("skip_nonfinite", 32, skip_nonfinite=True),
    adamw("clip_value", 28, clip_value=0.5),
    adamw("ema_decay", 36, ema_decay=0.999),
    adamw("zero_grad", 32, {"zero_grad": True}),
    adamw("all of these", 44, {"grad_scale": 1024.0, "zero_grad": True}, clip_value=0.5, **EXTRAS),
    Way("bfloat16 gradients", 26, pyadam.AdamW, grad=bfloat16),
    adamw("bfloat16 parameters and gradients, master='float32'", 30, bits=16, master="float32"),
    adamw("the same, master='split'", 26, bits=16, master="split"),
    adamw("the same, master='stochastic'", 22, bits=16, master="stochastic"),
    adamw("float32, state_dtype='bfloat16'", 20, **SMALL_STATE),
    adamw("bfloat16 split, state_dtype='bfloat16'", 18, bits=16, master="split", **SMALL_STATE),
    adamw("bfloat16 stochastic, state_dtype='bfloat16'", 14, bits=16, master="stochastic", **SMALL_STATE),
]
COLUMNS: Columns = {
    "over plain float32's": lambda _, ratio, __: ratio,
    "bytes, over plain float32's": lambda way, *_: way.moved / PLAIN.moved,
}

if __name__ == "__main__":
    main(SECTION, __doc__, "AdamW with", WAYS, PLAIN, COLUMNS)
