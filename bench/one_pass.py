"""What is done around a step, inside pyadam's one pass and beside other libraries' steps, as ratios of time.

``python bench/one_pass.py`` measures one array of 32M elements per case, after asserting that a step does what
`pyadam.reference` does. It needs 3 GB of memory. PyTorch is compared with if it is installed.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from harness.machine import describe
from harness.program import Section
from harness.tables import table, time_text
from harness.timing import Step, alternate, medians
from harness.ways import LARGE, QUICK, Way, numbers
from ml_dtypes import bfloat16

import pyadam

SECTION = Section("docs/one_pass.md", "one pass")
SCALE, CLIP, DECAY = 1024.0, 1.0, 0.999


def adamw(name: str, moved: int, step: dict[str, Any] | None = None, bits: int = 32, **options: Any) -> Way:
    """Return AdamW with these options; parameters and gradients are of 32 or of 16 bits."""
    dtype = bfloat16 if bits == 16 else np.float32
    return Way(name, moved, partial(pyadam.AdamW, **options), dtype, dtype, step or {})


EXTRAS: dict[str, Any] = {"clip_norm": CLIP, "skip_nonfinite": True, "ema_decay": DECAY}
SMALL_STATE: dict[str, Any] = {"state_dtype": "bfloat16"}
PLAIN = adamw("float32", 28)
ONE_PASS = adamw("pyadam, one pass", 40, {"grad_scale": SCALE}, **EXTRAS)
WAYS = [
    adamw("clip_norm", 32, clip_norm=CLIP),
    adamw("skip_nonfinite", 32, skip_nonfinite=True),
    adamw("clip_value", 28, clip_value=0.5),
    adamw("ema_decay", 36, ema_decay=DECAY),
    adamw("zero_grad", 32, {"zero_grad": True}),
    adamw("all of these", 44, {"grad_scale": SCALE, "zero_grad": True}, clip_value=0.5, **EXTRAS),
    Way("bfloat16 gradients", 26, pyadam.AdamW, grad=bfloat16),
    adamw("bfloat16 parameters and gradients, master='float32'", 30, bits=16, master="float32"),
    adamw("the same, master='split'", 26, bits=16, master="split"),
    adamw("the same, master='stochastic'", 22, bits=16, master="stochastic"),
    adamw("float32, state_dtype='bfloat16'", 20, **SMALL_STATE),
    adamw("bfloat16 split, state_dtype='bfloat16'", 18, bits=16, master="split", **SMALL_STATE),
    adamw("bfloat16 stochastic, state_dtype='bfloat16'", 14, bits=16, master="stochastic", **SMALL_STATE),
]


def numpy_passes(size: int) -> Step:
    """Return the same in NumPy, without needless temporaries."""
    p, g = (numbers(size, np.float32, seed) for seed in range(2))
    m, v, average = np.zeros_like(p), np.zeros_like(p), p.copy()
    t = 0

    def step() -> None:
        nonlocal t, p
        unscaled = g * np.float32(1 / SCALE)
        if not np.isfinite(unscaled).all():
            return
        unscaled *= np.float32(min(1.0, CLIP / (float(np.linalg.norm(unscaled)) + 1e-6)))
        t += 1
        p *= np.float32(1 - 1e-3 * 1e-2)
        m[...] = np.float32(0.9) * m + np.float32(0.1) * unscaled
        v[...] = np.float32(0.999) * v + np.float32(0.001) * unscaled * unscaled
        p -= np.float32(1e-3 / (1 - 0.9**t)) * m / (np.sqrt(v) * np.float32((1 - 0.999**t) ** -0.5) + np.float32(1e-8))
        average[...] += np.float32(1 - DECAY) * (p - average)

    return step


def torch_passes(size: int) -> Step:
    """Return the same in PyTorch's own calls."""
    import torch

    torch.set_num_threads(pyadam.get_num_threads())
    p = torch.from_numpy(numbers(size, np.float32, 0)).requires_grad_()
    p.grad = torch.from_numpy(numbers(size, np.float32, 1))
    average = p.detach().clone()
    optimizer = torch.optim.AdamW([p], fused=True)
    inverse, found = torch.tensor(1.0), torch.tensor(0.0)

    def step() -> None:
        torch._amp_foreach_non_finite_check_and_unscale_([p.grad], found, inverse)
        if found.item():
            return
        torch.nn.utils.clip_grad_norm_([p], CLIP, foreach=True)
        optimizer.step()
        torch._foreach_lerp_([average], [p.detach()], 1 - DECAY)

    return step


def main() -> None:
    """Measure and print the tables."""
    args = SECTION.parse(SECTION.parser(__doc__, rounds=15))
    facts, size = describe(), QUICK if args.quick else LARGE
    rows = []
    for way in WAYS:
        way.check()
        seconds, ratio = way.beside(PLAIN, size, args.rounds)
        rows.append([way.name, str(way.moved), time_text(seconds), f"{ratio:.2f}", f"{way.moved / PLAIN.moved:.2f}"])
        print(*rows[-1], sep="  ", flush=True)
    ways = table(
        ["AdamW with", "bytes per parameter", "time", "over plain float32's", "bytes, over plain float32's"], rows
    )

    ONE_PASS.check()
    steps = {ONE_PASS.name: ONE_PASS.stepper(size), "NumPy": numpy_passes(size)}
    try:
        steps["torch: unscale and check, clip_grad_norm_, fused AdamW, _foreach_lerp_"] = torch_passes(size)
    except ImportError:
        print("torch is not installed: not compared with")
    columns = zip(steps, *medians(alternate(list(steps.values()), args.rounds)), strict=True)
    whole = [[name, time_text(s), f"{r:.2f}"] for name, s, r in columns]
    header = ["unscale, check, clip, AdamW, average", "time", "over pyadam's"]
    SECTION.publish(args, facts, [ways, table(header, whole)], rows + whole)


if __name__ == "__main__":
    main()
