"""What is done around a step, inside pyadam's one pass and beside other libraries' steps, as ratios of time.

``python bench/one_pass.py`` measures one array of 32M elements per case, after asserting that a step does what
`pyadam.reference` does. It needs 3 GB of memory. PyTorch is compared with if it is installed.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np
from footprint import ROOT
from machine import describe, sentence
from markdown import rewrite, table, time_text
from numpy.typing import NDArray
from timing import alternate

import pyadam
from pyadam import reference

Array = NDArray[Any]
Step = Callable[[], object]
LARGE, QUICK = 2**25, 2**18
SCALE, CLIP, DECAY = 1024.0, 1.0, 0.999


@dataclass(frozen=True)
class Way:
    """Options of the optimizer and of its step, and the bytes per parameter that the step moves."""

    name: str
    moved: int
    options: dict[str, Any]
    param: Any = np.float32
    grad: Any = np.float32
    grad_scale: float = 1.0
    zero_grad: bool = False


NAME = "one pass"
PLAIN = Way("float32", 28, {})
WAYS = [
    Way("clip_norm", 32, {"clip_norm": CLIP}),
    Way("skip_nonfinite", 32, {"skip_nonfinite": True}),
    Way("clip_value", 28, {"clip_value": 0.5}),
    Way("ema_decay", 36, {"ema_decay": DECAY}),
    Way("zero_grad", 32, {}, zero_grad=True),
    Way(
        "all of these",
        44,
        {"clip_norm": CLIP, "skip_nonfinite": True, "clip_value": 0.5, "ema_decay": DECAY},
        grad_scale=SCALE,
        zero_grad=True,
    ),
    Way("bfloat16 gradients", 26, {}, grad=ml_dtypes.bfloat16),
    Way(
        "bfloat16 parameters and gradients, master='float32'",
        30,
        {"master": "float32"},
        ml_dtypes.bfloat16,
        ml_dtypes.bfloat16,
    ),
    Way("the same, master='split'", 26, {"master": "split"}, ml_dtypes.bfloat16, ml_dtypes.bfloat16),
    Way("the same, master='stochastic'", 22, {"master": "stochastic"}, ml_dtypes.bfloat16, ml_dtypes.bfloat16),
    Way("float32, state_dtype='bfloat16'", 20, {"state_dtype": "bfloat16"}),
    Way(
        "bfloat16 split, state_dtype='bfloat16'",
        18,
        {"master": "split", "state_dtype": "bfloat16"},
        ml_dtypes.bfloat16,
        ml_dtypes.bfloat16,
    ),
    Way(
        "bfloat16 stochastic, state_dtype='bfloat16'",
        14,
        {"master": "stochastic", "state_dtype": "bfloat16"},
        ml_dtypes.bfloat16,
        ml_dtypes.bfloat16,
    ),
]


def numbers(size: int, dtype: Any, seed: int) -> Array:
    """Return normal numbers."""
    return np.random.default_rng(seed).standard_normal(size, dtype=np.float32).astype(dtype)


def check(way: Way) -> None:
    """Assert that a few steps are the reference's, to the last bit."""
    p = numbers(5000, way.param, 0)
    opt = pyadam.AdamW(p, **way.options)
    group = opt.param_groups[0]
    expected = reference.Parameter(p, group.rule, group.options)
    for seed in range(1, 4):
        g = numbers(5000, way.grad, seed)
        kept = g.copy()
        opt.step(g, grad_scale=way.grad_scale, zero_grad=way.zero_grad)
        clip_norm = way.options.get("clip_norm")
        reference.step([expected], [kept], grad_scale=way.grad_scale, clip_norm=clip_norm)
    assert p.tobytes() == expected.p.tobytes(), way.name


def stepper(way: Way, size: int) -> Step:
    """Return a function that takes a step on arrays of its own."""
    opt = pyadam.AdamW(numbers(size, way.param, 0), **way.options)
    g = numbers(size, way.grad, 1)
    if way.grad_scale == 1.0 and not way.zero_grad:
        return lambda: opt.step(g)
    return lambda: opt.step(g, grad_scale=way.grad_scale, zero_grad=way.zero_grad)


def one_pass(size: int) -> Step:
    """Return pyadam's step with unscaling, skipping, clipping and averaging."""
    opt = pyadam.AdamW(numbers(size, np.float32, 0), clip_norm=CLIP, skip_nonfinite=True, ema_decay=DECAY)
    g = numbers(size, np.float32, 1)
    return lambda: opt.step(g, grad_scale=SCALE)


def numpy_passes(size: int) -> Step:
    """Return the same in NumPy, without needless temporaries."""
    p, g = numbers(size, np.float32, 0), numbers(size, np.float32, 1)
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


def ratios(steps: list[Step], rounds: int) -> tuple[Array, Array]:
    """Return the median seconds of each step, and the median ratio of each to the first in the same round."""
    seconds = alternate(steps, range(rounds), 5e-3)
    return np.median(seconds, axis=0), np.median(seconds / seconds[:, :1], axis=0)


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small arrays and few rounds, to check that all works")
    parser.add_argument("--rounds", type=int, help="rounds per case (default: 15, or 3 with --quick)")
    parser.add_argument("--write", action="store_true", help="rewrite the tables in docs/one_pass.md")
    args = parser.parse_args()
    size = QUICK if args.quick else LARGE
    rounds = args.rounds or (3 if args.quick else 15)

    rows = []
    plain = stepper(PLAIN, size)
    for way in WAYS:
        check(way)
        (_, seconds), (_, ratio) = ratios([plain, stepper(way, size)], rounds)
        rows.append([way.name, str(way.moved), time_text(seconds), f"{ratio:.2f}", f"{way.moved / 28:.2f}"])
        print(*rows[-1], sep="  ", flush=True)
    header = ["AdamW with", "bytes per parameter", "time", "over plain float32's", "bytes, over plain float32's"]
    ways = table(header, rows)

    names, steps = ["pyadam, one pass", "NumPy"], [one_pass(size), numpy_passes(size)]
    try:
        steps.append(torch_passes(size))
        names.append("torch: unscale and check, clip_grad_norm_, fused AdamW, _foreach_lerp_")
    except ImportError:
        print("torch is not installed: not compared with")
    seconds, ratio = ratios(steps, rounds)
    rows = [[name, time_text(s), f"{r:.2f}"] for name, s, r in zip(names, seconds, ratio, strict=True)]
    whole = table(["unscale, check, clip, AdamW, average", "time", "over pyadam's"], rows)
    text = f"{ways}\n\n{whole}\n\n{sentence(describe(pyadam.get_num_threads()))}"
    print("", text, sep="\n")
    if args.write:
        rewrite(ROOT / "docs/one_pass.md", NAME, text)


if __name__ == "__main__":
    main()
