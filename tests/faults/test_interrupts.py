"""Ctrl-C at any moment: what is there is that of before or of after."""

from __future__ import annotations

import copy
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
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

Interrupting = Callable[..., None]


@pytest.fixture
def interrupting(full: bool) -> Iterator[Interrupting]:
    """A function that does some work again and again, with Ctrl-C at random moments of it."""
    is_armed = False

    def interrupt(*_: Any) -> None:
        if is_armed:
            raise KeyboardInterrupt

    @contextmanager
    def interrupted_after(seconds: float) -> Iterator[None]:
        """Raise KeyboardInterrupt in the block, and never behind it."""
        nonlocal is_armed
        is_armed = True
        signal.setitimer(signal.ITIMER_REAL, seconds)
        try:
            yield
        finally:
            is_armed = False
            signal.setitimer(signal.ITIMER_REAL, 0)

    def repeat(
        work: Callable[[int], Any],
        check: Callable[[], Any],
        times: int,
        delays: tuple[float, float],
        prepare: Callable[[], Any] = lambda: None,
    ) -> None:
        """Prepare, work, and check what is there where the work was interrupted: `times`, a tenth in the short form."""
        moments = random.Random(times)
        interrupted = 0
        for i in range(times if full else times // 10):
            prepare()
            with suppress(KeyboardInterrupt), interrupted_after(moments.uniform(*delays)):
                work(i)
                continue
            interrupted += 1
            check()
        assert interrupted > 0

    # It stays until the test is over: Python has no use for a signal that comes while its handler is taken away.
    before = signal.signal(signal.SIGALRM, interrupt)
    yield repeat
    signal.signal(signal.SIGALRM, before)


needs_timer = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no interval timer")


def assert_one_of(opt: pyadam.Optimizer, snapshots: list[Any]) -> None:
    assert snapshot(opt) in snapshots


@needs_timer
def test_ctrl_c_while_saving_leaves_a_whole_file_and_no_other(tmp_path: Path, interrupting: Interrupting) -> None:
    path = tmp_path / "run.safetensors"
    opt, grads = killed.fresh()
    opt.save(path)

    def check() -> None:
        assert pyadam.load(path).step_count <= opt.step_count

    interrupting(lambda _: opt.save(path), check, 300, (1e-4, 1e-2), prepare=lambda: opt.step(grads))
    opt.save(path)
    assert os.listdir(tmp_path) == [path.name]


@needs_timer
def test_ctrl_c_while_loading_leaves_the_old_state_or_the_new_one(tmp_path: Path, interrupting: Interrupting) -> None:
    path = tmp_path / "run.safetensors"
    opt, grads = killed.fresh()
    opt.step(grads)
    opt.save(path)
    states = [snapshot(opt)]
    opt.step(grads)
    states.append(snapshot(opt))
    ahead, values = copy.deepcopy(opt.state_dict()), [array.copy() for array in arrays_of(opt)]

    def go_ahead() -> None:
        opt.load_state_dict(ahead)
        for array, value in zip(arrays_of(opt), values, strict=True):
            array[...] = value

    interrupting(lambda _: opt.load(path), lambda: assert_one_of(opt, states), 300, (1e-4, 2e-2), prepare=go_ahead)


@needs_timer
def test_interrupts_neither_hang_nor_tear_what_must_be_whole(interrupting: Interrupting) -> None:
    """They come wherever they can: before the work, in its middle, and one upon another."""
    begun = ended = 0

    def work() -> None:
        nonlocal begun, ended
        begun += 1
        time.sleep(1e-4)
        ended += 1

    def work_wholly(_: int) -> None:
        before = ended
        all_or_nothing(work)
        assert ended == before + 1

    def check() -> None:
        assert begun == ended

    interrupting(work_wholly, check, 50_000, (1e-5, 4e-4))


@needs_timer
def test_ctrl_c_while_a_state_is_taken_over_leaves_the_old_one_or_the_new_one(interrupting: Interrupting) -> None:
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
    interrupting(
        lambda i: opt.load_state_dict(states[i % 2]), lambda: assert_one_of(opt, snapshots), 2_000, (1e-5, 1e-3)
    )


@needs_timer
def test_ctrl_c_around_an_evaluation_of_the_averages_gives_the_parameters_back(interrupting: Interrupting) -> None:
    w = Maker(0).array(200_000)
    opt = pyadam.SGD(w, lr=0.1, ema_decay=0.5)
    opt.step(np.ones_like(w))
    before = snapshot(opt)

    def evaluate(_: int) -> None:
        with opt.swap_ema():
            pass

    interrupting(evaluate, lambda: assert_one_of(opt, [before]), 2_000, (1e-5, 2e-3))


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
