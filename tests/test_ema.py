"""The average of the parameters that the step keeps."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from inside import TILE
from makers import Maker
from oracle import assert_same_runs, reference_runs, step_together
from refusals import raises, refused, unchanged
from rule_rows import KERNEL_CASES, Case

import pyadam

LENGTHS = [5, 20 * TILE + 3, 0, TILE]


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", KERNEL_CASES, ids=str)
@pytest.mark.parametrize(("threads", "warmup"), [(1, False), (3, True)])
def test_the_average_is_the_references(
    case: Case, dtype: Any, threads: int, warmup: bool, use_threads: Callable[[int], None]
) -> None:
    use_threads(threads)
    make = Maker(0)
    params = make.arrays(LENGTHS, dtype)
    opt = case.cls(params, **case.options, ema_decay=0.99, ema_warmup=warmup)
    expected = reference_runs(opt)
    for _ in range(4):
        step_together(opt, expected, make.like(params))
    assert_same_runs(opt, expected)
    for i, run in enumerate(expected):
        np.testing.assert_array_equal(opt.ema[i], run.kept["ema"])


def test_the_average_does_not_change_the_parameters() -> None:
    p, *grads = Maker(1).arrays([3 * TILE + 7] * 6, np.float32)
    q = p.copy()
    with_average, without = pyadam.Adam(p, ema_decay=0.9), pyadam.Adam(q)
    for g in grads:
        with_average.step(g)
        without.step(g)
    np.testing.assert_array_equal(p, q)


@pytest.mark.parametrize(("warmup", "decay"), [(False, 0.9), (True, 0.9), (False, 0.0)])
def test_the_average_agrees_with_torch(warmup: bool, decay: float) -> None:
    torch = pytest.importorskip("torch")
    make = Maker(2)
    p = make.array(50)
    theirs = torch.tensor(p)
    opt = pyadam.SGD(p, lr=0.1, ema_decay=decay, ema_warmup=warmup)
    for t in range(1, 101):
        opt.step(make.like(p))
        rate = 1 - (min(decay, (1 + t) / (10 + t)) if warmup else decay)
        torch._foreach_lerp_([theirs], [torch.tensor(p)], rate)
    np.testing.assert_allclose(opt.ema, theirs.numpy(), rtol=1e-12, atol=1e-12)


def test_the_structure_is_that_of_the_parameters() -> None:
    opt = pyadam.SGD({"a": [np.ones((2, 3)), np.asfortranarray(np.ones((3, 2)))], "b": np.ones(())}, ema_decay=0.5)
    assert opt.ema["a"][0].shape == (2, 3)
    assert opt.ema["a"][1].flags.f_contiguous
    assert opt.ema["b"].shape == ()
    np.testing.assert_array_equal(opt.ema["a"][0], 1.0)


def test_a_group_may_have_none() -> None:
    opt = pyadam.SGD([{"params": np.ones(2), "ema_decay": 0.5}, {"params": np.ones(3)}], lr=1.0)
    opt.step([np.ones(2), np.ones(3)])
    assert opt.ema[1] is None
    with opt.swap_ema() as params:
        np.testing.assert_array_equal(params[0], [0.5, 0.5])
        np.testing.assert_array_equal(params[1], [0.0, 0.0, 0.0])
    np.testing.assert_array_equal(opt.params[0], [0.0, 0.0])


def test_a_parameter_that_is_skipped_keeps_its_average() -> None:
    opt = pyadam.SGD([np.ones(1), np.ones(1)], lr=1.0, ema_decay=0.5)
    opt.step([np.ones(1), None])
    np.testing.assert_array_equal(opt.ema, [[0.5], [1.0]])


def test_the_decay_may_be_a_schedule() -> None:
    opt = pyadam.SGD(np.ones(1), lr=1.0, ema_decay=lambda step: 0.0 if step == 0 else 0.5)
    opt.step(np.ones(1))
    assert opt.ema == 0.0
    opt.step(np.ones(1))
    assert opt.ema == -0.5


def test_no_average_no_swap() -> None:
    opt = pyadam.SGD(np.ones(1))
    with raises(ValueError, "ema_decay"):
        _ = opt.ema
    with raises(ValueError, "ema_decay"), opt.swap_ema():
        pass


class Interrupted(BaseException):
    """As KeyboardInterrupt is."""


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_a_swap_is_undone_to_the_last_bit(dtype: str) -> None:
    params = {"w": Maker(3).array((3, 4), dtype), "nan": np.array([np.nan, -0.0]).astype(dtype)}
    opt = pyadam.Adam(params, lr=0.1, ema_decay=0.9, master="float32")
    opt.step({"w": np.ones((3, 4)), "nan": np.ones(2)})
    averages = copy.deepcopy(opt.ema)

    def evaluate() -> None:
        with opt.swap_ema():
            np.testing.assert_array_equal(params["w"], averages["w"].astype(dtype))
            raise Interrupted

    with unchanged(opt), pytest.raises(Interrupted):
        evaluate()
    opt.step({"w": np.ones((3, 4)), "nan": np.ones(2)})


def test_what_is_refused_within_a_swap() -> None:
    opt = pyadam.SGD([np.ones(1)], ema_decay=0.5)
    opt.step([np.ones(1)])
    saved = opt.state_dict()
    with opt.swap_ema():
        for name, call in {
            "step": lambda: opt.step([np.ones(1)]),
            "accumulate": lambda: opt.accumulate([np.ones(1)]),
            "load_state_dict": lambda: opt.load_state_dict(saved),
            "pickle": lambda: copy.deepcopy(opt),
            "swap_ema": lambda: opt.swap_ema().__enter__(),
        }.items():
            with refused(opt, RuntimeError, name, "swap_ema()"):
                call()
    opt.step([np.ones(1)])


def test_the_average_goes_on_from_a_saved_state_and_begins_anew_from_another_library() -> None:
    p = np.ones(3)
    opt = pyadam.SGD([p], lr=0.1, momentum=0.9, ema_decay=0.5)
    for _ in range(3):
        opt.step([np.ones(3)])
    saved = opt.state_dict()
    assert list(saved["state"][0]) == ["step", "momentum_buffer", "ema"]
    resumed = pyadam.SGD([p.copy()], momentum=0.9, ema_decay=0.5)
    resumed.load_state_dict(saved)
    np.testing.assert_array_equal(resumed.ema[0], opt.ema[0])

    foreign = {
        "state": {0: {"momentum_buffer": np.ones(3)}},
        "param_groups": [{"lr": 0.1, "momentum": 0.9, "params": [0]}],
    }
    resumed.load_state_dict(foreign)
    np.testing.assert_array_equal(resumed.ema[0], p)
