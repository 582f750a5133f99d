"""Ctrl-C at any moment: what is there is that of before or of after."""

from __future__ import annotations

import copy
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

import killed
import numpy as np
import pytest
from inside import arrays_of
from makers import Maker
from refusals import snapshot

import pyadam
from pyadam._interrupts import all_or_nothing, restoring

InterruptAfter = Callable[[float], AbstractContextManager[None]]


@pytest.fixture
def interrupt_after() -> Iterator[InterruptAfter]:
    """A context that raises KeyboardInterrupt in the block, after so many seconds, and never behind it."""
    is_armed = False

    def interrupt(*_: Any) -> None:
        if is_armed:
            raise KeyboardInterrupt

    @contextmanager
    def armed(seconds: float) -> Iterator[None]:
        nonlocal is_armed
        is_armed = True
        signal.setitimer(signal.ITIMER_REAL, seconds)
        try:
            yield
        finally:
            is_armed = False
            signal.setitimer(signal.ITIMER_REAL, 0)

    # It stays until the test is over: Python has no use for a signal that comes while its handler is taken away.
    before = signal.signal(signal.SIGALRM, interrupt)
    yield armed
    signal.signal(signal.SIGALRM, before)


needs_timer = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no interval timer")


@needs_timer
def test_ctrl_c_while_saving_leaves_a_whole_file_and_no_other(
    tmp_path: Path, interrupt_after: InterruptAfter, full: bool
) -> None:
    path = tmp_path / "run.safetensors"
    opt, grads = killed.fresh()
    opt.save(path)
    delays = random.Random(1)
    interrupted = 0
    for _ in range(300 if full else 30):
        opt.step(grads)
        with suppress(KeyboardInterrupt), interrupt_after(delays.uniform(1e-4, 1e-2)):
            opt.save(path)
            continue
        interrupted += 1
        assert pyadam.load(path).step_count <= opt.step_count
    assert interrupted > 0
    opt.save(path)
    assert os.listdir(tmp_path) == [path.name]


@needs_timer
def test_ctrl_c_while_loading_leaves_the_old_state_or_the_new_one(
    tmp_path: Path, interrupt_after: InterruptAfter, full: bool
) -> None:
    path = tmp_path / "run.safetensors"
    opt, grads = killed.fresh()
    opt.step(grads)
    opt.save(path)
    states = [snapshot(opt)]
    opt.step(grads)
    states.append(snapshot(opt))
    ahead = copy.deepcopy(opt.state_dict()), [array.copy() for array in arrays_of(opt)]
    delays = random.Random(2)
    interrupted = 0
    for _ in range(300 if full else 30):
        opt.load_state_dict(ahead[0])
        for array, value in zip(arrays_of(opt), ahead[1], strict=True):
            array[...] = value
        with suppress(KeyboardInterrupt), interrupt_after(delays.uniform(1e-4, 2e-2)):
            opt.load(path)
            continue
        interrupted += 1
        assert snapshot(opt) in states
    assert interrupted > 0


@needs_timer
def test_interrupts_neither_hang_nor_tear_what_must_be_whole(interrupt_after: InterruptAfter, full: bool) -> None:
    """They come wherever they can: before the work, in its middle, and one upon another."""
    delays = random.Random(3)
    begun = ended = interrupted = 0

    def work() -> None:
        nonlocal begun, ended
        begun += 1
        time.sleep(1e-4)
        ended += 1

    for _ in range(50_000 if full else 5_000):
        before = ended
        with suppress(KeyboardInterrupt), interrupt_after(delays.uniform(1e-5, 4e-4)):
            all_or_nothing(work)
            assert ended == before + 1
            continue
        interrupted += 1
        assert begun == ended
    assert interrupted > 0


@needs_timer
def test_ctrl_c_while_a_state_is_taken_over_leaves_the_old_one_or_the_new_one(
    interrupt_after: InterruptAfter, full: bool
) -> None:
    opt, grads = killed.fresh()
    states = []
    for lr in (0.1, 0.2):
        opt.param_groups[0]["lr"] = lr
        opt.step(grads)
        states.append(opt.state_dict())
    snapshots = []
    for state in states:
        opt.load_state_dict(state)
        snapshots.append(snapshot(opt))
    delays = random.Random(4)
    interrupted = 0
    for i in range(2_000 if full else 200):
        with suppress(KeyboardInterrupt), interrupt_after(delays.uniform(1e-5, 1e-3)):
            opt.load_state_dict(states[i % 2])
            continue
        interrupted += 1
        assert snapshot(opt) in snapshots
    assert interrupted > 0


@needs_timer
def test_ctrl_c_around_an_evaluation_of_the_averages_gives_the_parameters_back(
    interrupt_after: InterruptAfter, full: bool
) -> None:
    w = Maker(0).array(200_000)
    opt = pyadam.SGD(w, lr=0.1, ema_decay=0.5)
    opt.step(np.ones_like(w))
    before = snapshot(opt)
    delays = random.Random(5)
    interrupted = 0
    for _ in range(2_000 if full else 200):
        with suppress(KeyboardInterrupt), interrupt_after(delays.uniform(1e-5, 2e-3)):
            with opt.swap_ema():
                pass
            continue
        interrupted += 1
        assert snapshot(opt) == before
    assert interrupted > 0


def test_what_must_be_done_is_begun_again() -> None:
    class Impatient(np.ndarray):
        """Interrupts the first who writes to it."""

        presses = 1

        def __setitem__(self, key: Any, value: Any) -> None:
            if self.presses > 0:
                self.presses -= 1
                raise KeyboardInterrupt
            super().__setitem__(key, value)

    arrays = [np.zeros(3), np.zeros(3).view(Impatient), np.zeros(3)]

    def work() -> None:
        for array in arrays:
            array[...] = 1.0

    with pytest.raises(KeyboardInterrupt), restoring(work):
        pass
    np.testing.assert_array_equal(arrays, np.ones((3, 3)))
