"""Times of functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

Step = Callable[[], object]

# Seconds of a batch: calls of short steps are timed together.
BATCH, QUICK_BATCH = 5e-3, 1e-3

# Arrays that fit the last-level cache are back in it from the third call on, and after 2 ms no thread of the contender
# before still spins. A step that takes long needs no more than one call.
SETTLING_CALLS, SETTLING_SECONDS, LONG_SECONDS = 3, 2e-3, 0.05


def time_batch(step: Step, calls: int = 1) -> float:
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


def alternate(
    steps: Sequence[Step], rounds: int, batch_seconds: float = BATCH, prepare: Callable[[int], object] = lambda _: None
) -> NDArray[np.float64]:
    """Return the seconds per call, a row per round and a column per function; `prepare` gets the column before it.

    A round times a batch of calls of each function in turn, after a few untimed ones, so that a drift of the machine
    meets them all. There is no pause between functions, since waking a sleeping core costs more than sharing it with a
    worker of the function before that still spins.
    """
    sizes: dict[int, int] = {}
    seconds = np.empty((rounds, len(steps)))
    for row in seconds:
        for i, step in enumerate(steps):
            prepare(i)
            settle(step)
            if i not in sizes:
                sizes[i] = batch_size(step, batch_seconds)
            row[i] = time_batch(step, sizes[i]) / sizes[i]
    return seconds
