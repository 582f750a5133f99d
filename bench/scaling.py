"""How the time of a step grows with elements, arrays and threads.

``python bench/scaling.py`` measures Adam on float32 over six decades of elements, over numbers of arrays and over
threads up to what the machine has, all points taking turns; it needs 6 GB. A model is fitted to the short steps, and
shown unless it is off by more than 25%.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from harness.cases import CASES, Case, arrays
from harness.contenders import PYADAM
from harness.program import Section
from harness.tables import table, time_text
from harness.timing import BATCH, QUICK_BATCH, alternate
from harness.worker import build

import pyadam
from pyadam import _core

SECTION = Section("docs/scaling.md", "scaling")
BYTES_MOVED = 28  # per parameter and step of Adam in float32: p, g, m, v read, p, m, v written
MODELS = ("6-layer MLP", "ResNet-50", "GPT-2 small")
# Up to so many elements, in so many arrays, a step is short: its arrays stay in the cores' own caches.
SHORT, SHORT_ARRAYS = 10**5, 300
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
    steps = {case: build(PYADAM, case).step for case, _ in chosen}
    seconds = alternate(
        [steps[case] for case, _ in chosen], rounds, batch_seconds, lambda i: pyadam.set_num_threads(chosen[i][1])
    )
    return dict(zip(chosen, np.percentile(seconds, 25, axis=0).tolist(), strict=True))


def model_text(seconds: Seconds) -> str:
    """Return the terms of a short step, fitted with the least squared relative errors."""
    known = [(c, t) for c, t in seconds if c.elements <= SHORT and len(c.shapes) <= SHORT_ARRAYS]
    terms = []
    for case, threads in known:
        used = max(1, min(threads, case.elements // _core.get_min_share()))
        terms.append((1.0, len(case.shapes) - 1, case.elements / used, used > 1))
    parts = np.array(terms) / [[seconds[point]] for point in known]
    values = np.linalg.lstsq(parts, np.ones(len(known)), rcond=None)[0]
    error = np.abs(parts @ values - 1).max()
    if error > LARGEST_ERROR:
        return f"Short steps: no model, since it would be off by {error:.0%}."
    named = zip(("call", "array", "element", "wake"), values, strict=True)
    text = ", ".join(f"`{name}` {value * 1e9:.3g} ns" for name, value in named)
    return f"Short steps: {text}; off by {error:.0%} at most."


def table_of(seconds: Seconds) -> str:
    """Return the table of all points."""
    rows = []
    for (case, threads), taken in seconds.items():
        speed = f"{BYTES_MOVED * case.elements / taken / 1e9:.1f} GB/s"
        rows.append([case.name, str(threads), time_text(taken), speed])
    return table(["elements", "threads", "measured", "bytes moved"], rows)


def main() -> None:
    """Measure, and show or write the table and the model."""
    args = SECTION.parse(__doc__, rounds=15)
    decades, batch_seconds = (4, QUICK_BATCH) if args.quick else (6, BATCH)
    seconds = measure(points(decades, pyadam.get_num_threads()), args.rounds, batch_seconds)
    numbers = [[case.name, threads, taken] for (case, threads), taken in seconds.items()]
    SECTION.publish(args, [table_of(seconds), model_text(seconds)], {"seconds": numbers})


if __name__ == "__main__":
    main()
