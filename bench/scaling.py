"""How the time of a step grows with elements, arrays and threads.

``python bench/scaling.py`` measures Adam on float32 over six decades of elements, over numbers of arrays and over
threads up to what the machine has, all points taking turns; it needs 6 GB. A model is fitted to the short steps and to
the long ones, and shown with its errors, but not where one of them is larger than 25%.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from harness.cases import CASES, Case, arrays
from harness.contenders import PYADAM
from harness.machine import describe
from harness.program import Section
from harness.tables import table, time_text
from harness.timing import BATCH, QUICK_BATCH, alternate
from harness.worker import build

import pyadam
from pyadam import _core

SECTION = Section("docs/scaling.md", "scaling")
BYTES_MOVED = 28  # per parameter and step of Adam in float32: p, g, m, v read, p, m, v written
MODELS = ("6-layer MLP", "ResNet-50", "GPT-2 small")
# Up to so many elements, in so many arrays, a step is short: its arrays stay in the cores' own caches. A long one goes
# through memory. What lies between depends on the last-level cache; a model with its size and bandwidth did not fit.
SHORT, SHORT_ARRAYS, LONG = 10**5, 300, 10**7
LARGEST_ERROR = 0.25

Point = tuple[Case, int]  # and its threads
Seconds = Mapping[Point, float]


def points(decades: int, threads: int) -> list[Point]:
    """Return all that is measured."""
    largest = 10 ** (2 + decades)
    sizes = [*(size for k in range(2, 2 + decades) for size in (10**k, 3 * 10**k)), largest]
    counts = [count for count in (3, 10, 30, 100, 300, 1000, 3000, 10_000) if 100 * count <= largest]
    models = [case for case in CASES if case.name in MODELS and case.elements <= 1.3 * largest]
    found = [(arrays(1, size), t) for t in {threads: 0, 1: 0} for size in sizes]
    found += [(arrays(count, 100), threads) for count in counts]
    found += [(arrays(1, size), t) for size in (10**6, 3 * 10**7) if size <= largest for t in range(2, threads)]
    return found + [(case, threads) for case in models]


def measure(chosen: Sequence[Point], rounds: int, batch_seconds: float) -> dict[Point, float]:
    """Return the lower quartile of every point's seconds: what else runs disturbs it less than the median."""
    steps = {case: build(PYADAM, case)[0].step for case, _ in chosen}
    seconds = alternate(
        [steps[case] for case, _ in chosen], rounds, batch_seconds, lambda i: pyadam.set_num_threads(chosen[i][1])
    )
    return dict(zip(chosen, np.percentile(seconds, 25, axis=0).tolist(), strict=True))


def short_model(seconds: Seconds) -> tuple[str, dict[Point, float]]:
    """Return the terms of a short step, fitted with the least squared relative errors, and what they say."""
    known = [(c, t) for c, t in seconds if c.elements <= SHORT and len(c.shapes) <= SHORT_ARRAYS]
    used = [max(1, min(t, c.elements // _core.get_min_share())) for c, t in known]
    terms = np.array(
        [(1, len(c.shapes) - 1, c.elements / t, t > 1) for (c, _), t in zip(known, used, strict=True)], float
    )
    taken = np.array([seconds[point] for point in known])
    values = np.linalg.lstsq(terms / taken[:, None], np.ones(len(known)), rcond=None)[0]
    named = zip(("call", "array", "element", "wake"), values, strict=True)
    text = ", ".join(f"`{name}` {value * 1e9:.3g} ns" for name, value in named)
    return text, dict(zip(known, (terms @ values).tolist(), strict=True))


def long_model(seconds: Seconds) -> tuple[str, dict[Point, float]]:
    """Return the bandwidths of long steps, the median for each number of threads, and what they say."""
    speeds: dict[int, list[float]] = {}
    for (case, threads), taken in seconds.items():
        if case.elements >= LONG:
            speeds.setdefault(threads, []).append(BYTES_MOVED * case.elements / taken)
    bandwidth = {threads: float(np.median(found)) for threads, found in speeds.items()}
    text = ", ".join(f"`bandwidth` {speed / 1e9:.1f} GB/s with `T` = {t}" for t, speed in bandwidth.items())
    known = [(c, t) for c, t in seconds if c.elements >= LONG]
    return text, {(c, t): BYTES_MOVED * c.elements / bandwidth[t] for c, t in known}


def parts(seconds: Seconds) -> list[str]:
    """Return the table of all points, and the models that fit."""
    predicted: dict[Point, float] = {}
    lines = []
    for name, (text, said) in {"Short": short_model(seconds), "Long": long_model(seconds)}.items():
        error = max((abs(value / seconds[point] - 1) for point, value in said.items()), default=np.inf)
        if error <= LARGEST_ERROR:
            predicted |= said
            lines.append(f"{name} steps: {text}; off by {error:.0%} at most.")
        elif said:
            lines.append(f"{name} steps: no model, since it would be off by {error:.0%}.")
    rows = []
    for (case, threads), taken in seconds.items():
        speed = f"{BYTES_MOVED * case.elements / taken / 1e9:.1f} GB/s"
        model = predicted.get((case, threads))
        ending = (time_text(model), f"{model / taken - 1:+.0%}") if model else ("-", "-")
        rows.append([case.name, str(threads), time_text(taken), speed, *ending])
    header = ["elements", "threads", "measured", "bytes moved", "model", "model's error"]
    return [table(header, rows), "\n".join(lines)]


def main() -> None:
    """Measure, and show or write the tables."""
    parser = SECTION.parser(__doc__, rounds=15, quick_rounds=2)
    parser.add_argument("--threads", type=int, default=pyadam.get_num_threads(), help="at most; default: %(default)s")
    args = SECTION.parse(parser)
    facts = describe(args.threads)
    decades, batch_seconds = (4, QUICK_BATCH) if args.quick else (6, BATCH)
    seconds = measure(points(decades, args.threads), args.rounds, batch_seconds)
    numbers: list[Any] = [[case.name, threads, taken] for (case, threads), taken in seconds.items()]
    SECTION.publish(args, facts, parts(seconds), numbers)


if __name__ == "__main__":
    main()
