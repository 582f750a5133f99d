"""Times of functions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

Step = Callable[[], object]

# Arrays that fit the last-level cache are back in it from the third call on, and after 2 ms no thread of the contender
# before still spins. A step that takes long needs no more than one call.
SETTLING_CALLS, SETTLING_SECONDS, LONG_SECONDS = 3, 2e-3, 0.05


def time_batch(step: Step, calls: int) -> float:
    """Return the seconds that `calls` calls take."""
    start = perf_counter()
    for _ in range(calls):
        step()
    return perf_counter() - start


def batch_size(step: Step, seconds: float) -> int:
    """Return how many calls take about `seconds`, at least one."""
    calls = 1
    while (taken := time_batch(step, calls)) < seconds / 4:
        calls *= 4
    return max(1, round(calls * seconds / taken))


def settle(step: Step) -> None:
    """Call the function, untimed, until its arrays and its threads are where they are in a long run."""
    start = perf_counter()
    calls = 0
    while (taken := perf_counter() - start) < LONG_SECONDS and (calls < SETTLING_CALLS or taken < SETTLING_SECONDS):
        step()
        calls += 1


def alternate(steps: Sequence[Step], rounds: Iterable[Any], batch_seconds: float) -> NDArray[np.float64]:
    """Return the seconds per call, a row per round and a column per function.

    A round times a batch of calls of each function in turn, after a few untimed ones, so that a drift of the machine
    meets them all. There is no pause between functions, since waking a sleeping core costs more than sharing it with a
    worker of the function before that still spins.
    """
    sizes = [batch_size(step, batch_seconds) for step in steps]
    seconds = []
    for _ in rounds:
        row = []
        for step, calls in zip(steps, sizes, strict=True):
            settle(step)
            row.append(time_batch(step, calls) / calls)
        seconds.append(row)
    return np.array(seconds)
