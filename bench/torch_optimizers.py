"""The speed of `pyadam.torch` beside torch.optim and DeepSpeed, as ratios.

``python bench/torch_optimizers.py`` runs every case in one process, all contenders in turn, and first asserts that they
agree. The case of GPT-2 needs 8 GB of memory. If DeepSpeed lives in another environment, run this with its interpreter;
pyadam must be there too.
"""

from __future__ import annotations

import argparse
import gc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from time import perf_counter
from typing import Any

import numpy as np
import torch
from cases import MODELS
from footprint import ROOT
from machine import describe, sentence
from markdown import rewrite, table, time_text
from missing import missing
from timing import alternate

import pyadam
import pyadam.torch

Shapes = Sequence[Sequence[int]]

NAME = "table of pyadam.torch"
CHECKED_STEPS = 3
OPTIONS: dict[str, Any] = {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8}


@dataclass(frozen=True)
class Case:
    """Steps over parameters of these shapes; slow contenders sit out where `is_long`."""

    name: str
    shapes: Shapes
    is_quick: bool = True
    is_long: bool = False


CASES = [
    Case("one of 32M", [(2**25,)], is_quick=False),
    Case("one of 100", [(100,)]),
    Case("1,000 of 100", [(100,)] * 1000),
    Case("160 of 10,000", [(10_000,)] * 160),
    Case("GPT-2 small", MODELS["GPT-2 small"]["shapes"], is_quick=False, is_long=True),
]


def deepspeed(params: Any) -> Any:
    """Return DeepSpeed's CPUAdam, which it compiles on first use."""
    from deepspeed.ops.adam import DeepSpeedCPUAdam

    return DeepSpeedCPUAdam(params, **OPTIONS, adamw_mode=False)


@dataclass(frozen=True)
class Contender:
    """How to build an optimizer of parameters, and the modules that must be there."""

    name: str
    build: Callable[[Any], Any]
    modules: tuple[str, ...] = ()
    is_slow: bool = False


CONTENDERS = [
    Contender("pyadam", lambda params: pyadam.torch.Adam(params, **OPTIONS), ("torch",)),
    Contender("torch fused", lambda params: torch.optim.Adam(params, **OPTIONS, fused=True)),
    Contender("DeepSpeed", deepspeed, ("deepspeed",)),
    Contender("torch foreach", lambda params: torch.optim.Adam(params, **OPTIONS, foreach=True), is_slow=True),
    Contender("torch default", lambda params: torch.optim.Adam(params, **OPTIONS), is_slow=True),
]


def new_params(case: Case) -> list[Any]:
    """Return parameters with gradients, the same ones every time."""
    generator = torch.Generator().manual_seed(0)
    params = [torch.nn.Parameter(torch.randn(shape, generator=generator)) for shape in case.shapes]
    for p in params:
        p.grad = torch.randn(p.shape, generator=generator)
    return params


def checked(case: Case, contenders: Sequence[Contender]) -> list[Any]:
    """Return optimizers that have taken a few steps and agree."""
    optimizers = []
    answer: list[Any] = []
    for contender in contenders:
        params = new_params(case)
        optimizer = contender.build(params)
        for _ in range(CHECKED_STEPS):
            optimizer.step()
        answer = answer or params
        for p, expected in zip(params, answer, strict=True):
            torch.testing.assert_close(p, expected, rtol=1e-6, atol=1e-6, msg=f"{contender.name}, {case.name}")
        optimizers.append(optimizer)
    return optimizers


def steps(case: Case, contenders: Sequence[Contender], rounds: int, batch_seconds: float) -> Any:
    """Return seconds per step, a row per round."""
    return alternate([optimizer.step for optimizer in checked(case, contenders)], range(rounds), batch_seconds)


def beginnings(case: Case, contenders: Sequence[Contender], rounds: int) -> Any:
    """Return seconds of construction and first step together, a row per round."""
    params = new_params(case)
    seconds = []
    for _ in range(rounds):
        row = []
        for contender in contenders:
            contender.build(params).step()  # leaves the heap as the next one will find it
            gc.collect()
            start = perf_counter()
            contender.build(params).step()
            row.append(perf_counter() - start)
        seconds.append(row)
    return np.array(seconds)


def transformer_loop(optimizer_of: Callable[[Any], Any]) -> Callable[[], tuple[float, float]]:
    """Return a function that trains for one step and returns the seconds of the whole and of `optimizer.step()`."""
    torch.manual_seed(0)
    layer = torch.nn.TransformerEncoderLayer(256, 4, 1024, dropout=0.0, batch_first=True)
    model = torch.nn.TransformerEncoder(layer, 4, enable_nested_tensor=False)
    optimizer = optimizer_of(model.parameters())
    x = torch.randn(4, 64, 256)

    def step() -> tuple[float, float]:
        start = perf_counter()
        optimizer.zero_grad()
        model(x).square().mean().backward()
        middle = perf_counter()
        optimizer.step()
        end = perf_counter()
        return end - start, end - middle

    return step


def loops(contenders: Sequence[Contender], rounds: int) -> tuple[Any, Any]:
    """Return seconds of a training step and of its optimizer's step, right after the backward pass, a row per round."""
    runs = [transformer_loop(contender.build) for contender in contenders]
    for run in runs:
        run()
    seconds = np.array([[[run() for _ in range(3)][-1] for run in runs] for _ in range(rounds)])
    return seconds[:, :, 0], seconds[:, :, 1]


def row(name: str, seconds: Any, contenders: Sequence[Contender]) -> list[str]:
    """Return a table's row: the first contender's median time, and the median ratios of the others."""
    ratios = np.median(seconds / seconds[:, :1], axis=0)
    by_name = {c.name: f"{ratio:.3g}" for c, ratio in zip(contenders, ratios, strict=True)}
    return [
        name,
        time_text(float(np.median(seconds[:, 0]))),
        *(by_name.get(c.name, "-") for c in CONTENDERS[1:]),
    ]


def parse_arguments() -> argparse.Namespace:
    """Return the command line's options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small cases and few rounds, to check that all works")
    parser.add_argument("--case", action="append", choices=[case.name for case in CASES], help="only this case")
    parser.add_argument("--rounds", type=int, help="rounds per case (default: 21, or 3 with --quick)")
    parser.add_argument("--readme", action="store_true", help="rewrite the table of pyadam.torch in the README")
    return parser.parse_args()


def main() -> None:
    """Measure and print."""
    args = parse_arguments()
    torch.set_num_threads(pyadam.get_num_threads())
    rounds = args.rounds or (3 if args.quick else 21)
    reasons = {c.name: reason for c in CONTENDERS if (reason := missing(c.modules)) is not None}
    present = [c for c in CONTENDERS if c.name not in reasons]
    cases = [case for case in CASES if case.name in args.case] if args.case else CASES
    rows = []
    for case in cases:
        if args.quick and not case.is_quick:
            continue
        contenders = [c for c in present if not (case.is_long and c.is_slow)]
        print(f"{case.name}: {rounds} rounds", flush=True)
        rows.append(
            row(f"{case.name}: step", steps(case, contenders, rounds, 1e-3 if args.quick else 5e-3), contenders)
        )
        gc.collect()
        seconds = beginnings(case, contenders, max(3, rounds // 3))
        rows.append(row(f"{case.name}: construction and first step", seconds, contenders))
        gc.collect()
    if not args.case:
        whole, alone = loops(present, rounds)
        rows.append(row("small transformer: forward, backward, step", whole, present))
        rows.append(row("small transformer: step alone, after backward", alone, present))
    versions = {module: version(module) for c in present for module in c.modules}
    header = ["float32 elements", "pyadam.torch", *(c.name for c in CONTENDERS[1:])]
    print(
        "",
        "pyadam.torch: time. Others: their time over pyadam's, so 2 means that pyadam is twice as fast.",
        "",
        sep="\n",
    )
    text = f"{table(header, rows)}\n\n{sentence({**describe(pyadam.get_num_threads()), **versions})}"
    print(text)
    if args.readme:
        rewrite(ROOT / "README.md", NAME, text)
    for name, reason in reasons.items():
        print(f"Not measured: {name} ({reason}).")


if __name__ == "__main__":
    main()
