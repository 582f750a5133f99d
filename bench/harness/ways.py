"""Ways to take a step: each is compared with the reference, then timed in turn with another."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

import pyadam
from pyadam import reference

from .cases import Array
from .program import Section
from .tables import table, time_text
from .timing import alternate

LARGE, QUICK = 2**25, 2**18


def numbers(size: int, dtype: Any, seed: int) -> Array:
    """Return normal numbers."""
    return np.random.default_rng(seed).standard_normal(size, dtype=np.float32).astype(dtype)


@dataclass(frozen=True)
class Way:
    """How to make an optimizer, the bytes per parameter that its step moves, and what the step is told."""

    name: str
    moved: int
    make: Callable[[Array], pyadam.Optimizer]
    param: Any = np.float32
    grad: Any = np.float32
    step: Mapping[str, Any] = field(default_factory=dict)

    def check(self) -> None:
        """Assert that a few steps are the reference's, to the last bit."""
        p = numbers(5000, self.param, 0)
        opt = self.make(p)
        group = opt.param_groups[0]
        expected = reference.Parameter(p, group.kernel, group.options)
        for seed in range(1, 4):
            g = numbers(5000, self.grad, seed)
            kept = g.copy()
            opt.step(g, **self.step)
            scale = self.step.get("grad_scale", 1.0)
            reference.step([expected], [kept], grad_scale=scale, clip_norm=opt.clip_norm)
        assert p.tobytes() == expected.p.tobytes(), self.name

    def seconds(self, baseline: Way, size: int, rounds: int) -> tuple[float, float]:
        """Return the median seconds of a step, and the median of its ratio to the other way's in the same round."""
        steps = []
        for way in (baseline, self):
            opt, g = way.make(numbers(size, way.param, 0)), numbers(size, way.grad, 1)
            steps.append(partial(opt.step, g, **way.step))
        taken = alternate(steps, rounds)
        return float(np.median(taken[:, 1])), float(np.median(taken[:, 1] / taken[:, 0]))


# What a column makes of a way, its ratio to the baseline on the largest array, and the rounds to take.
Columns = Mapping[str, Callable[[Way, float, int], float]]


def main(section: Section, doc: str | None, head: str, ways: Sequence[Way], baseline: Way, columns: Columns) -> None:
    """Check and measure each way; print the table, and write it if asked to."""
    args = section.parse(doc, rounds=15)
    rows = []
    for way in ways:
        way.check()
        seconds, ratio = way.seconds(baseline, QUICK if args.quick else LARGE, args.rounds)
        cells = (f"{cell(way, ratio, args.rounds):.2f}" for cell in columns.values())
        rows.append([way.name, str(way.moved), time_text(seconds), *cells])
        print(*rows[-1], sep="  ", flush=True)
    header = [head, "bytes per parameter", "32M elements", *columns]
    section.publish(args, [table(header, rows)], {"rows": rows})
