"""Times of several functions, measured in turn so that a drift of the machine meets them all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

Step = Callable[[], object]

SETTLING_CALLS = 3


def batch_size(step: Step, seconds: float) -> int:
    """Return how many calls take about `seconds`, at least one."""
    calls = 1
    while (taken := time_batch(step, calls)) < seconds / 4:
        calls *= 4
    return max(1, round(calls * seconds / taken))


def time_batch(step: Step, calls: int) -> float:
    """Return the seconds that `calls` calls take."""
    start = perf_counter()
    for _ in range(calls):
        step()
    return perf_counter() - start


def alternate(steps: Sequence[Step], rounds: Iterable[Any], batch_seconds: float) -> NDArray[np.float64]:
    """Return the seconds per call, a row per round and a column per function.

    A round times a batch of calls of each function in turn, after a few untimed ones: arrays that fit the last-level
    cache are back in it from the third call on. There is no pause between functions, since waking a sleeping core costs
    more than any worker thread of the one before that still spins.
    """
    sizes = [batch_size(step, batch_seconds) for step in steps]
    seconds = []
    for _ in rounds:
        row = []
        for step, calls in zip(steps, sizes, strict=True):
            time_batch(step, min(calls, SETTLING_CALLS))
            row.append(time_batch(step, calls) / calls)
        seconds.append(row)
    return np.array(seconds)
