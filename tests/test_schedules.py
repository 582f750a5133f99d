"""Schedules: equal to those of optax and PyTorch, frozen values, checked arguments, state where there is one."""

from __future__ import annotations

import copy
import dataclasses
import doctest
import importlib
import inspect
import math
import multiprocessing
import pickle
import re
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
from makers import Maker
from refusals import raises, refused

import pyadam
from pyadam import schedules
from pyadam.schedules import (
    Constant,
    Cosine,
    CosineRestarts,
    Exponential,
    InverseSqrt,
    InverseTime,
    Join,
    Linear,
    OneCycle,
    Pair,
    PiecewiseConstant,
    Polynomial,
    ReduceOnPlateau,
    Schedule,
    Step,
    Triangular,
    Warmup,
    WarmupStableDecay,
)

STEPS = 1000

# ours, the expression that makes optax's
OPTAX: list[tuple[Schedule, str]] = [
    (Constant(0.3), "constant_schedule(0.3)"),
    (Linear(0.3, 0.01, 700), "linear_schedule(0.3, 0.01, 700)"),
    (Linear(0.0, 0.1, 300, begin=50), "linear_schedule(0.0, 0.1, 300, 50)"),
    (Polynomial(0.3, 0.01, 2.5, 700, begin=30), "polynomial_schedule(0.3, 0.01, 2.5, 700, 30)"),
    (Exponential(0.3, 0.9, 40), "exponential_decay(0.3, 40, 0.9)"),
    (Exponential(0.3, 0.9, 40, 100, True), "exponential_decay(0.3, 40, 0.9, 100, True)"),
    (Exponential(0.3, 0.9, 10, end=0.05), "exponential_decay(0.3, 10, 0.9, end_value=0.05)"),
    (Exponential(1e-3, 1.1, 10, end=0.05), "exponential_decay(1e-3, 10, 1.1, end_value=0.05)"),
    (
        PiecewiseConstant([100, 400], [1.0, 0.5, 0.05]),
        "piecewise_constant_schedule(1.0, {100: 0.5, 400: 0.1})",
    ),
    (Cosine(0.3, 700), "cosine_decay_schedule(0.3, 700)"),
    (Cosine(0.3, 700, 0.03), "cosine_decay_schedule(0.3, 700, 0.1)"),
    (
        Warmup(Cosine(0.3, 600, 0.03), 100, 0.01),
        "warmup_cosine_decay_schedule(0.01, 0.3, 100, 700, 0.03)",
    ),
    (
        Warmup(Exponential(0.3, 0.9, 40), 100),
        "join_schedules([linear_schedule(0.0, 0.3, 100), exponential_decay(0.3, 40, 0.9)], [100])",
    ),
    (
        WarmupStableDecay(0.3, 100, 500, 200, 0.01, 0.02),
        "join_schedules([linear_schedule(0.01, 0.3, 100), constant_schedule(0.3), linear_schedule(0.3, 0.02, 200)],"
        " [100, 600])",
    ),
    (
        WarmupStableDecay(0.3, 100, 500, 200, shape="cosine"),
        "join_schedules([linear_schedule(0.0, 0.3, 100), constant_schedule(0.3), cosine_decay_schedule(0.3, 200)],"
        " [100, 600])",
    ),
    (
        Join([Linear(0.1, 0.5, 100), 0.2, Cosine(0.3, 500)], [150, 300]),
        "join_schedules([linear_schedule(0.1, 0.5, 100), constant_schedule(0.2), cosine_decay_schedule(0.3, 500)],"
        " [150, 300])",
    ),
    (
        Join([Cosine(0.3, 100), Cosine(0.3, 200), Cosine(0.3, 700)], [100, 300]),
        "sgdr_schedule([dict(init_value=0.3, peak_value=0.3, warmup_steps=0, decay_steps=n) for n in (100, 200, 700)])",
    ),
]

# ours, PyTorch's on an SGD with lr=0.3
TORCH: list[tuple[Callable[[int], float], Callable[[Any, Any], Any]]] = [
    (Linear(0.03, 0.15, 300), lambda lr, opt: lr.LinearLR(opt, 0.1, 0.5, 300)),
    (Constant(0.3), lambda lr, opt: lr.ConstantLR(opt, 1.0)),
    (PiecewiseConstant([5], [0.1, 0.3]), lambda lr, opt: lr.ConstantLR(opt, 1 / 3)),
    (Polynomial(0.3, 0.0, 2.0, 700), lambda lr, opt: lr.PolynomialLR(opt, 700, 2.0)),
    (Exponential(0.3, 0.995), lambda lr, opt: lr.ExponentialLR(opt, 0.995)),
    (InverseTime(0.3, 0.01), lambda lr, opt: lr.LambdaLR(opt, lambda t: 1 / (1 + 0.01 * t))),
    (InverseTime(0.3, 0.5, 100, True), lambda lr, opt: lr.LambdaLR(opt, lambda t: 1 / (1 + 0.5 * (t // 100)))),
    (
        Warmup(InverseSqrt(0.3, 100), 100),
        lambda lr, opt: lr.LambdaLR(opt, lambda t: min(t / 100, math.sqrt(100 / max(t, 1)))),
    ),
    (Step(0.3, 150, 0.5), lambda lr, opt: lr.StepLR(opt, 150, 0.5)),
    (PiecewiseConstant([100, 400], [0.3, 0.03, 0.003]), lambda lr, opt: lr.MultiStepLR(opt, [100, 400])),
    (Cosine(0.3, 999, 0.01), lambda lr, opt: lr.CosineAnnealingLR(opt, 999, 0.01)),
    (CosineRestarts(0.3, 130, 1, 0.01), lambda lr, opt: lr.CosineAnnealingWarmRestarts(opt, 130, 1, 0.01)),
    (CosineRestarts(0.3, 50, 2), lambda lr, opt: lr.CosineAnnealingWarmRestarts(opt, 50, 2)),
    (CosineRestarts(0.3, 1, 3), lambda lr, opt: lr.CosineAnnealingWarmRestarts(opt, 1, 3)),
    (OneCycle(0.3, STEPS), lambda lr, opt: lr.OneCycleLR(opt, 0.3, STEPS)),
    (
        OneCycle(0.3, STEPS, 0.237, "linear", 10.0, 50.0),
        lambda lr, opt: lr.OneCycleLR(
            opt, 0.3, STEPS, pct_start=0.237, anneal_strategy="linear", div_factor=10.0, final_div_factor=50.0
        ),
    ),
    (
        OneCycle(0.3, STEPS, 0.4, three_phase=True),
        lambda lr, opt: lr.OneCycleLR(opt, 0.3, STEPS, pct_start=0.4, three_phase=True),
    ),
    (OneCycle(0.3, STEPS, 0.0), lambda lr, opt: lr.OneCycleLR(opt, 0.3, STEPS, pct_start=0.0)),
    (
        OneCycle(0.3, STEPS, 0.4, "linear", three_phase=True),
        lambda lr, opt: lr.OneCycleLR(opt, 0.3, STEPS, pct_start=0.4, anneal_strategy="linear", three_phase=True),
    ),
    (Triangular(0.01, 0.3, 70, 110), lambda lr, opt: lr.CyclicLR(opt, 0.01, 0.3, 70, 110)),
    (Triangular(0.01, 0.3, 64), lambda lr, opt: lr.CyclicLR(opt, 0.01, 0.3, 64)),
    (
        Triangular(0.01, 0.3, 70, 110, "triangular2"),
        lambda lr, opt: lr.CyclicLR(opt, 0.01, 0.3, 70, 110, mode="triangular2"),
    ),
    (
        Triangular(0.01, 0.3, 70, 110, "exp_range", 0.995),
        lambda lr, opt: lr.CyclicLR(opt, 0.01, 0.3, 70, 110, mode="exp_range", gamma=0.995),
    ),
    (
        Warmup(Cosine(0.3, 900), 100, 0.03),
        lambda lr, opt: lr.SequentialLR(
            opt, [lr.LinearLR(opt, 0.1, total_iters=100), lr.CosineAnnealingLR(opt, 900)], [100]
        ),
    ),
    (
        Join([Step(0.3, 40), Exponential(0.3, 0.99)], [200]),
        lambda lr, opt: lr.SequentialLR(opt, [lr.StepLR(opt, 40), lr.ExponentialLR(opt, 0.99)], [200]),
    ),
]

EXAMPLES: list[Schedule] = [
    *dict.fromkeys([*(ours for ours, _ in OPTAX), *(ours for ours, _ in TORCH if isinstance(ours, Schedule))]),
    WarmupStableDecay(0.3, 0, 0, 10, shape="sqrt"),
    Pair(Linear(0.85, 0.95, 100), 0.999),
]

every_example = pytest.mark.parametrize("schedule", EXAMPLES, ids=repr)


def values(schedule: Callable[[int], float], steps: int = STEPS) -> np.ndarray:
    return np.array([schedule(step) for step in range(steps)])


def optax_values(expression: str) -> np.ndarray:
    import jax

    jax.config.update("jax_enable_x64", True)
    import optax

    return np.asarray(jax.vmap(eval(expression, vars(optax)))(jax.numpy.arange(STEPS)))


@pytest.fixture(scope="module")
def apart() -> Iterator[Executor]:
    """Run JAX in a process of its own: its threads would make the forks of other tests unsafe."""
    if find_spec("optax") is None:
        pytest.skip("optax is not installed")
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as executor:
        yield executor


@pytest.mark.parametrize(("ours", "theirs"), OPTAX, ids=[repr(ours) for ours, _ in OPTAX])
def test_the_same_as_optax_at_every_step(ours: Schedule, theirs: str, apart: Executor) -> None:
    expected = apart.submit(optax_values, theirs).result()
    np.testing.assert_allclose(values(ours), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.filterwarnings("ignore:.*epoch parameter in `scheduler.step:UserWarning")
@pytest.mark.parametrize(("ours", "theirs"), TORCH, ids=[repr(ours) for ours, _ in TORCH])
def test_the_same_as_torch_at_every_step(ours: Callable[[int], float], theirs: Any) -> None:
    torch = pytest.importorskip("torch")
    opt = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.3, momentum=0.9)
    scheduler = theirs(torch.optim.lr_scheduler, opt)
    expected = []
    for _ in range(STEPS):
        expected.append(opt.param_groups[0]["lr"])
        opt.step()
        scheduler.step()
    np.testing.assert_allclose(values(ours), expected, rtol=1e-12, atol=1e-12)


def test_one_cycle_of_betas_is_the_momentum_cycle_of_torch() -> None:
    torch = pytest.importorskip("torch")
    opt = torch.optim.Adam([torch.zeros(1, requires_grad=True)])
    scheduler = torch.optim.lr_scheduler.OneCycleLR(opt, 0.3, STEPS)
    ours = Pair(OneCycle(0.85, STEPS, div_factor=0.85 / 0.95, final_div_factor=1), 0.999)
    for step in range(STEPS):
        np.testing.assert_allclose(ours(step), opt.param_groups[0]["betas"], rtol=1e-12)
        opt.step()
        scheduler.step()


def test_the_inverse_time_is_the_lr_decay_of_adagrad() -> None:
    decayed, scheduled = np.ones(5), np.ones(5)
    one = pyadam.Adagrad(decayed, 0.1, lr_decay=0.03)
    other = pyadam.Adagrad(scheduled, InverseTime(0.1, 0.03))
    for g in Maker(0).arrays([5] * 50):
        one.step(g)
        other.step(g)
    np.testing.assert_array_equal(decayed, scheduled)


def test_sqrt_decay_comes_down_by_the_root_of_the_time() -> None:
    schedule = WarmupStableDecay(1.0, 2, 3, 4, shape="sqrt")
    expected = [0.0, 0.5, 1.0, 1.0, 1.0, *(1 - math.sqrt(t / 4) for t in range(5)), 0.0]
    np.testing.assert_allclose(values(schedule, 11), expected, rtol=1e-15)


def test_what_ends_stays_there() -> None:
    for schedule, end in [
        (Linear(1.0, 0.1, 10), 0.1),
        (Polynomial(1.0, 0.1, 3, 10), 0.1),
        (Cosine(1.0, 10, 0.1), 0.1),
        (OneCycle(1.0, 10), 1 / 25 / 1e4),
        (WarmupStableDecay(1.0, 2, 2, 2, end=0.1), 0.1),
        (Exponential(1e-3, 10.0, end=0.1), 0.1),
    ]:
        assert schedule(10**6) == end


@every_example
def test_a_schedule_is_a_frozen_value(schedule: Schedule) -> None:
    copies = [copy.deepcopy(schedule), pickle.loads(pickle.dumps(schedule)), eval(repr(schedule), vars(schedules))]
    for other in copies:
        assert other == schedule
        assert hash(other) == hash(schedule)
        assert [other(step) for step in range(10)] == [schedule(step) for step in range(10)]
    with pytest.raises(dataclasses.FrozenInstanceError):
        schedule.start = 1.0  # type: ignore[attr-defined]


def test_schedules_of_other_arguments_or_kinds_are_not_equal() -> None:
    assert len(set(EXAMPLES)) == len(EXAMPLES)
    assert Linear(1, 0, 10) == Linear(1.0, 0.0, 10)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: Constant("1"), TypeError, ["value of Constant must be a number", "'1'"]),
        (lambda: Constant(math.nan), ValueError, ["value of Constant must be a finite number", "nan"]),
        (lambda: Linear(1, math.inf, 10), ValueError, ["end of Linear", "inf"]),
        (lambda: Linear(1, 0, 0), ValueError, ["steps of Linear must be a whole number >= 1, found 0"]),
        (lambda: Linear(1, 0, 10.0), TypeError, ["steps of Linear must be a whole number >= 1, found 10.0"]),
        (lambda: Linear(1, 0, True), TypeError, ["steps of Linear", "True"]),
        (lambda: Linear(1, 0, 10, -1), ValueError, ["begin of Linear must be a whole number >= 0, found -1"]),
        (lambda: Polynomial(1, 0, 0, 10), ValueError, ["power of Polynomial must be a finite number > 0, found 0"]),
        (lambda: Exponential(1, 0.0), ValueError, ["rate of Exponential", "> 0"]),
        (lambda: Exponential(1, 0.5, staircase=1), TypeError, ["staircase of Exponential must be True or False"]),
        (lambda: InverseTime(1, -0.5), ValueError, ["rate of InverseTime", ">= 0, found -0.5"]),
        (lambda: Step(1, 5, -1), ValueError, ["factor of Step", ">= 0"]),
        (lambda: PiecewiseConstant([5, 5], [1, 2, 3]), ValueError, ["boundaries of PiecewiseConstant must increase"]),
        (lambda: PiecewiseConstant([5], [1]), ValueError, ["values of PiecewiseConstant must be 2, found 1"]),
        (lambda: PiecewiseConstant(5, [1]), TypeError, ["boundaries of PiecewiseConstant must be a list or tuple"]),
        (lambda: PiecewiseConstant([5], [1, "2"]), TypeError, ["values of PiecewiseConstant[1]", "'2'"]),
        (lambda: CosineRestarts(1, 5, 0), ValueError, ["factor of CosineRestarts", ">= 1, found 0"]),
        (lambda: OneCycle(1, 1), ValueError, ["steps of OneCycle", ">= 2, found 1"]),
        (lambda: OneCycle(1, 10, 1.5), ValueError, ["pct_start of OneCycle", "[0, 1]", "1.5"]),
        (lambda: OneCycle(1, 10, 0.6, three_phase=True), ValueError, ["pct_start of OneCycle", "<= 0.5", "0.6"]),
        (lambda: OneCycle(1, 10, 0.3, "cosine"), ValueError, ["anneal_strategy", "'cos', 'linear'", "'cosine'"]),
        (lambda: OneCycle(1, 10, div_factor=0), ValueError, ["div_factor of OneCycle", "> 0"]),
        (lambda: Triangular(0, 1, 5, mode="saw"), ValueError, ["mode of Triangular", "'exp_range'", "'saw'"]),
        (lambda: Warmup("cosine", 5), TypeError, ["schedule of Warmup must be a number", "'cosine'"]),
        (lambda: Join([], []), TypeError, ["schedules of Join must be a list or tuple of schedules"]),
        (lambda: Join([1, 2], [5, 6]), ValueError, ["boundaries of Join must be 1, found 2"]),
        (lambda: Join([1, "2"], [5]), TypeError, ["schedules of Join[1]", "'2'"]),
        (lambda: WarmupStableDecay(1, 2, 2, 0), ValueError, ["decay of WarmupStableDecay", ">= 1, found 0"]),
        (lambda: ReduceOnPlateau(-1), ValueError, ["start of ReduceOnPlateau", ">= 0"]),
        (lambda: ReduceOnPlateau(1, factor=1.0), ValueError, ["factor of ReduceOnPlateau", "[0, 1)"]),
        (lambda: ReduceOnPlateau(1, mode="least"), ValueError, ["mode of ReduceOnPlateau", "'min', 'max'"]),
        (lambda: ReduceOnPlateau(1, patience=0.5), TypeError, ["patience of ReduceOnPlateau"]),
        (lambda: schedules.plot(Constant(1.0), 0), ValueError, ["steps must be a whole number >= 1, found 0"]),
    ],
)
def test_wrong_arguments_are_refused(make: Callable[[], Any], error: type[Exception], words: list[str]) -> None:
    with raises(error, *words):
        make()


def test_any_function_can_be_a_part() -> None:
    assert Warmup(lambda step: 1.0 / (1 + step), 2)(4) == 1 / 3
    assert repr(Warmup(0.5, 2)) == "Warmup(schedule=Constant(value=0.5), steps=2, start=0.0)"


def test_an_optimizer_goes_by_its_schedules_and_tells_their_values() -> None:
    lr, betas = Warmup(Cosine(0.1, 8), 3), Pair(OneCycle(0.85, 10, div_factor=0.85 / 0.95, final_div_factor=1), 0.99)
    opt = pyadam.Adam([{"params": np.ones(3), "lr": lr}, {"params": np.ones(2), "betas": betas}], lr=0.5)
    assert opt.param_groups[0].current["lr"] == 0.0
    for step in range(10):
        opt.step([np.ones(3), np.ones(2)])
        first, second = (group.current for group in opt.param_groups)
        assert (first["lr"], first["betas"]) == (lr(step), (0.9, 0.999))
        assert (second["lr"], second["betas"]) == (0.5, betas(step))
    assert opt.param_groups[0]["lr"] is lr


def test_the_values_of_the_last_step_survive_refused_steps_copies_and_changes() -> None:
    rates = [0.1, 0.2, 0.3]
    opt = pyadam.SGD(np.ones(2), lr=rates.__getitem__, weight_decay=schedules.Linear(1.0, 0.0, 10))
    assert opt.param_groups[0].current["lr"] == 0.1
    for step in range(3):
        with pytest.raises(ValueError, match="shape"):
            opt.step(np.ones(3))
        assert opt.param_groups[0].current["lr"] == rates[max(step - 1, 0)]
        opt.step(np.ones(2))
        assert opt.param_groups[0].current["lr"] == rates[step]
    saved = opt.state_dict()
    assert saved["param_groups"][0]["weight_decay"] == 0.8
    opt.load_state_dict(saved)
    opt.param_groups[0]["l1"] = 0.5
    for same in (opt, copy.deepcopy(opt)):
        found = same.state_dict()["param_groups"][0]
        assert (found["lr"], found["weight_decay"], found["l1"]) == (0.3, 0.8, 0.5)


def test_what_current_hands_out_changes_nothing() -> None:
    opt = pyadam.Adam(np.ones(2), bounds=(np.zeros(2), None))
    current = opt.param_groups[0].current
    current["bounds"][0][:] = 5.0
    with pytest.raises(TypeError):
        current["lr"] = 7.0
    assert opt.param_groups[0]["lr"] == 1e-3
    np.testing.assert_array_equal(opt.param_groups[0]["bounds"][0], np.zeros(2))


PLATEAUS: list[dict[str, Any]] = [
    {},
    {"patience": 0, "factor": 0.5},
    {"patience": 2, "cooldown": 3, "min_lr": 0.02, "factor": 0.7},
    {"mode": "max", "patience": 1, "threshold": 0.05, "factor": 0.8},
    {"threshold_mode": "abs", "threshold": 0.2, "patience": 3, "factor": 0.9},
    {"mode": "max", "threshold_mode": "abs", "threshold": 0.1, "patience": 1, "factor": 0.9, "eps": 0.01},
]


@pytest.mark.parametrize("options", PLATEAUS, ids=str)
def test_reduce_on_plateau_is_that_of_torch(options: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch")
    opt = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.3)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(opt, **options)
    ours = ReduceOnPlateau(0.3, **options)
    sign = -1.0 if options.get("mode") == "max" else 1.0
    metrics = sign * (np.exp(-np.arange(STEPS) / 100) + 0.3 * Maker(0).array(STEPS))
    metrics[::97] = math.nan
    for metric in metrics:
        before = ours.value
        assert ours.step(metric) == (ours.value < before)
        theirs.step(metric)
        assert ours(0) == ours.value == opt.param_groups[0]["lr"]
    assert ours.value < 0.3


def plateau(*metrics: float) -> ReduceOnPlateau:
    schedule = ReduceOnPlateau(0.1, factor=0.5, patience=1, cooldown=1)
    for metric in metrics:
        schedule.step(metric)
    return schedule


def test_the_state_of_a_schedule_is_in_the_state_of_the_optimizer() -> None:
    opt = pyadam.Adam(
        [
            {"params": np.ones(3), "lr": Warmup(plateau(1.0, 2.0, 2.0), 5), "weight_decay": plateau(3.0)},
            {"params": np.ones(2)},
        ]
    )
    opt.step([np.ones(3), np.ones(2)])
    saved = opt.state_dict()
    assert saved["param_groups"][0]["schedule_state"] == {
        "lr": {"schedule": {"value": 0.05, "best": 1.0, "num_bad_epochs": 0, "cooldown_counter": 1}},
        "weight_decay": {"value": 0.1, "best": 3.0, "num_bad_epochs": 0, "cooldown_counter": 0},
    }
    assert "schedule_state" not in saved["param_groups"][1]
    fresh = pyadam.Adam(
        [{"params": np.ones(3), "lr": Warmup(plateau(), 5), "weight_decay": plateau()}, {"params": np.ones(2)}]
    )
    fresh.load_state_dict(saved)
    assert fresh.state_dict()["param_groups"][0]["schedule_state"] == saved["param_groups"][0]["schedule_state"]
    assert fresh.param_groups[0]["lr"] == opt.param_groups[0]["lr"]


def test_no_schedule_without_state_adds_a_key() -> None:
    opt = pyadam.Adam(np.ones(3), lr=Warmup(Cosine(0.1, 8), 3), betas=Pair(0.9, Join([0.9, 0.99], [5])))
    assert "schedule_state" not in opt.state_dict()["param_groups"][0]


def test_a_run_with_a_plateau_resumes_with_the_same_bits() -> None:
    gradients, losses = Maker(0).arrays([(40, 5), 40])

    def go_on(opt: pyadam.Optimizer, first: int, last: int) -> None:
        for step in range(first, last):
            opt.step(gradients[step])
            opt.param_groups[0]["lr"].step(losses[step])

    whole = pyadam.Adam(np.ones(5), lr=plateau())
    go_on(whole, 0, 40)
    half = pyadam.Adam(np.ones(5), lr=plateau())
    go_on(half, 0, 17)
    resumed = pyadam.Adam(half.params.copy(), lr=plateau())
    resumed.load_state_dict(half.state_dict())
    duplicates = [resumed, copy.deepcopy(half), pickle.loads(pickle.dumps(half))]
    for opt in duplicates:
        go_on(opt, 17, 40)
        np.testing.assert_array_equal(opt.params, whole.params)
        assert opt.param_groups[0]["lr"] == whole.param_groups[0]["lr"]
    assert whole.param_groups[0]["lr"].value < 0.1


def test_a_state_with_a_plateau_loads_where_there_is_none_and_the_other_way_round() -> None:
    opt = pyadam.Adam(np.ones(3), lr=plateau(1.0, 2.0, 2.0))
    opt.step(np.ones(3))
    plain = pyadam.Adam(np.ones(3))
    plain.load_state_dict(opt.state_dict())
    assert plain.param_groups[0]["lr"] == 0.05
    before = copy.deepcopy(opt.param_groups[0]["lr"])
    opt.load_state_dict(plain.state_dict())
    assert opt.param_groups[0]["lr"] == before


@pytest.mark.parametrize(
    ("state", "error", "words"),
    [
        ([], TypeError, ["schedule_state", "must be a dict, found list"]),
        ({"rate": {}}, ValueError, ["schedule_state", "unknown hyperparameter 'rate'"]),
        ({"lr": 1.0}, TypeError, ["['lr'] must be a dict, found float"]),
        ({"lr": {"value": 1.0}}, ValueError, ["state of ReduceOnPlateau must have", "'best'"]),
        ({"lr": {**plateau().state_dict(), "value": -1.0}}, ValueError, ["value of the state", ">= 0"]),
        ({"lr": {**plateau().state_dict(), "best": math.nan}}, ValueError, ["best of the state", "nan"]),
        ({"lr": {**plateau().state_dict(), "num_bad_epochs": 0.5}}, TypeError, ["num_bad_epochs of the state"]),
    ],
)
def test_a_wrong_state_of_a_schedule_is_refused(state: Any, error: type[Exception], words: list[str]) -> None:
    opt = pyadam.Adam(np.ones(3), lr=plateau(1.0, 2.0))
    opt.step(np.ones(3))
    saved = opt.state_dict()
    saved["param_groups"][0]["schedule_state"] = state
    saved["step_count"] = 7
    before = copy.deepcopy(opt.param_groups[0]["lr"])
    with refused(opt, error, *words):
        opt.load_state_dict(saved)
    assert opt.param_groups[0]["lr"] == before


def test_a_composed_schedule_refuses_the_state_of_other_parts() -> None:
    schedule = Join([plateau(1.0), plateau(2.0)], [5])
    state = schedule.state_dict()
    assert set(state) == {"schedules[0]", "schedules[1]"}
    with raises(ValueError, "state of Join must have ['schedules[0]', 'schedules[1]'], found ['schedules[1]']"):
        schedule.load_state_dict({"schedules[1]": state["schedules[1]"]})
    other = Join([plateau(3.0), plateau()], [5]).state_dict()
    other["schedules[1]"]["value"] = -1.0
    with raises(ValueError, "value of the state of ReduceOnPlateau"):
        schedule.load_state_dict(other)
    assert schedule.state_dict() == state


def test_a_plateau_is_a_value_with_a_state() -> None:
    assert plateau(1.0, 2.0) == plateau(1.0, 2.0) != plateau(1.0)
    assert plateau() != ReduceOnPlateau(0.1)
    assert eval(repr(plateau()), vars(schedules)) == plateau()
    unbounded = plateau(-math.inf)
    fresh = plateau()
    fresh.load_state_dict(unbounded.state_dict())
    assert fresh == unbounded


@pytest.mark.parametrize("name", sorted(set(schedules.__all__) - {"plot", "Schedule"}))
def test_the_documentation_is_whole_and_its_examples_are_right(name: str) -> None:
    cls = getattr(schedules, name)
    document = inspect.getdoc(cls) or ""
    for parameter in inspect.signature(cls).parameters:
        assert re.search(rf"^(\w+, )*{parameter}(, \w+)* : ", document, flags=re.MULTILINE), parameter
    assert "\nRaises\n------\n" in document
    examples = [test for test in doctest.DocTestFinder().find(cls, name) if test.examples]
    assert examples
    for test in examples:
        assert doctest.DocTestRunner().run(test).failed == 0


def test_a_picture_has_a_line_for_every_schedule() -> None:
    plt = pytest.importorskip("matplotlib.pyplot")
    axes = schedules.plot({"linear": Linear(1, 0, 10), "cosine": Cosine(1, 10)}, 20)
    assert [len(line.get_xdata()) for line in axes.lines] == [20, 20]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["linear", "cosine"]
    assert schedules.plot(Constant(1.0), 5, axes=axes) is axes
    plt.close(axes.figure)


def test_what_is_missing_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name.partition(".")[0])

    monkeypatch.setattr(importlib.import_module("pyadam._extras"), "import_module", missing)
    with raises(ModuleNotFoundError, "matplotlib is missing: pip install 'pyadam[plot]'"):
        schedules.plot(Constant(1.0), 5)
