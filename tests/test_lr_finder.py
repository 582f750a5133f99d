"""The range test: what it records, when it stops, what it suggests, and that it leaves everything as it was."""

from __future__ import annotations

import copy
import doctest
import math
import os
import signal
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from makers import Maker
from refusals import raises, refused, snapshot, stepped, unchanged

import pyadam
from pyadam import lr_finder
from pyadam.lr_finder import RangeTest, range_test


def problem(seed: int = 0) -> tuple[dict[str, np.ndarray], Callable[[Any, Any], Any], list[np.ndarray]]:
    """Return the parameters of a least-squares problem, its loss and gradients, and batches."""
    make = Maker(seed)
    params = {"w": make.array(4), "b": np.zeros(())}
    batches = make.arrays([(16, 4)] * 7)

    def loss_and_grads(params: Any, batch: np.ndarray) -> Any:
        residual = batch @ params["w"] + params["b"] - batch @ [1.0, -2.0, 3.0, -4.0] - 5.0
        grads = {"w": 2 * batch.T @ residual / len(batch), "b": np.asarray(2 * residual.mean())}
        return np.mean(residual**2), grads

    return params, loss_and_grads, batches


class StopError(Exception):
    """What a user's function may raise."""


def test_a_sweep_is_training_with_that_schedule() -> None:
    params, loss_and_grads, batches = problem()
    opt = stepped(params)
    twin = copy.deepcopy(opt)
    found = range_test(opt, loss_and_grads, batches, end_lr=0.1, num_steps=30, progress=False)
    assert (len(found.lrs), found.stopped) == (30, "")
    np.testing.assert_allclose(found.lrs, np.geomspace(1e-7, 0.1, 30), rtol=1e-12)
    for step in range(30):
        loss, grads = loss_and_grads(twin.params, batches[step % 7])
        assert found.losses[step] == loss
        twin.param_groups[0]["lr"] = float(found.lrs[step])
        twin.step(grads)


def test_smoothing_is_the_corrected_exponential_average() -> None:
    found = sweep_of([4.0, 2.0, 1.0, 3.0], smoothing=0.9)
    weights = [[0.9 ** (i - j) for j in range(i + 1)] for i in range(4)]
    expected = [np.average(found.losses[: i + 1], weights=weights[i]) for i in range(4)]
    np.testing.assert_allclose(found.smoothed, expected, rtol=1e-14)
    np.testing.assert_array_equal(sweep_of([4.0, 2.0, 1.0], smoothing=0.0).smoothed, [4.0, 2.0, 1.0])


def sweep_of(losses: list[float], **options: Any) -> RangeTest:
    """Return a range test that sees these losses, one for a batch."""
    opt = pyadam.SGD(np.ones(1))
    options = {"num_steps": len(losses), "progress": False, **options}
    return range_test(opt, lambda _, loss: (loss, np.zeros(1)), losses, **options)


@pytest.mark.parametrize(
    ("losses", "stopped", "kept"),
    [
        ([1.0, 0.5, 1.9, 2.1, 9.0], "diverged", 4),
        ([1.0, 0.5, 2.0, 1.0], "", 4),
        ([1.0, 0.5, math.nan, 1.0], "non-finite loss", 2),
        ([1.0, math.inf], "non-finite loss", 1),
        ([-1.0, -2.0, 3.9, 4.1, 0.0], "diverged", 4),
    ],
)
def test_it_stops_when_the_loss_diverges(losses: list[float], stopped: str, kept: int) -> None:
    found = sweep_of(losses, smoothing=0.0)
    assert found.stopped == stopped
    np.testing.assert_array_equal(found.losses, losses[:kept])
    assert len(found.lrs) == len(found.smoothed) == kept


def test_a_linear_sweep_grows_by_a_constant() -> None:
    found = sweep_of([1.0] * 5, mode="linear", start_lr=0.1, end_lr=0.5)
    np.testing.assert_allclose(found.lrs, [0.1, 0.2, 0.3, 0.4, 0.5], rtol=1e-15)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("cls", [pyadam.Adam, pyadam.NAdam, pyadam.SGD])
def test_it_leaves_everything_as_it_was(cls: type[pyadam.Optimizer], dtype: str) -> None:
    params, loss_and_grads, batches = problem()
    params = {name: p.astype(dtype) for name, p in params.items()}
    opt = stepped(params, cls)
    state, twin = opt.state_dict(), copy.deepcopy(opt)
    with unchanged(opt):
        found = range_test(opt, loss_and_grads, batches, start_lr=1e-4, end_lr=1e4, progress=False)
    assert found.stopped == "diverged"
    assert str(opt.state_dict()) == str(state)
    for optimizer in (opt, twin):
        optimizer.step(loss_and_grads(optimizer.params, batches[0])[1])
    assert [p.tobytes() for p in opt.params.values()] == [p.tobytes() for p in twin.params.values()]


def test_it_changes_the_arrays_that_a_closure_may_hold() -> None:
    params, loss_and_grads, batches = problem()
    opt = pyadam.Adam(params)
    found = range_test(opt, lambda _, batch: loss_and_grads(params, batch), batches, start_lr=0.1, progress=False)
    assert found.losses[10] < found.losses[0]


@pytest.mark.parametrize("error", [StopError, KeyboardInterrupt])
def test_it_leaves_everything_as_it_was_after_an_exception(error: type[BaseException]) -> None:
    params, loss_and_grads, batches = problem()
    opt = stepped(params)
    before = snapshot(opt)
    calls = 0

    def failing(params: Any, batch: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 20:
            assert snapshot(opt)["arrays"] != before["arrays"]
            raise error
        return loss_and_grads(params, batch)

    with pytest.raises(error):
        range_test(opt, failing, batches, start_lr=1e-2, progress=False)
    assert snapshot(opt) == before


@pytest.fixture
def ctrl_c() -> Iterator[Callable[[], None]]:
    """A function that does what Ctrl-C does; a process started in the background would ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield lambda: os.kill(os.getpid(), signal.SIGINT)
    signal.signal(signal.SIGINT, before)


def test_it_leaves_everything_as_it_was_after_ctrl_c(ctrl_c: Callable[[], None]) -> None:
    params, loss_and_grads, batches = problem()
    opt = stepped(params)

    def interrupted() -> Iterator[Any]:
        yield from batches
        ctrl_c()
        yield from batches

    with unchanged(opt), pytest.raises(KeyboardInterrupt):
        range_test(opt, loss_and_grads, interrupted(), start_lr=1e-2, progress=False)


def test_a_wrong_gradient_is_refused_and_everything_restored() -> None:
    params, loss_and_grads, batches = problem()
    opt = stepped(params)
    wrong = iter([None] * 5)

    def failing(params: Any, batch: Any) -> Any:
        loss, grads = loss_and_grads(params, batch)
        return loss, grads if next(wrong, 1) is None else {"w": grads["w"]}

    with refused(opt, ValueError, "missing 'b'"):
        range_test(opt, failing, batches, start_lr=1e-2, progress=False)


def test_a_schedule_stays_one() -> None:
    params, loss_and_grads, batches = problem()
    lr = pyadam.schedules.ReduceOnPlateau(1e-3)
    weight_decay = pyadam.schedules.Linear(0.1, 0.0, 100)
    opt = stepped(params, lr=lr, weight_decay=weight_decay)
    state = opt.state_dict()
    with unchanged(opt):
        found = range_test(opt, loss_and_grads, batches, progress=False)
    np.testing.assert_allclose(found.lrs[:2], [1e-7, 1e-7 * 1e8 ** (1 / 99)], rtol=1e-12)
    assert str(opt.state_dict()) == str(state)
    assert opt.param_groups[0]["lr"] is lr


def test_groups_keep_the_ratio_of_their_rates() -> None:
    seen = []

    def loss_and_grads(params: Any, batch: Any) -> Any:
        del batch
        seen.append([float(p[0]) for p in params])
        return 1.0, [np.ones(1), np.ones(1), np.ones(1)]

    groups = [
        {"params": np.zeros(1), "lr": pyadam.schedules.Constant(0.02)},
        {"params": np.zeros(1), "lr": 0.1},
        {"params": np.zeros(1), "lr": 0.0},
    ]
    found = range_test(pyadam.SGD(groups), loss_and_grads, [None], num_steps=10, progress=False)
    moved = -np.diff(seen, axis=0)
    np.testing.assert_allclose(moved[:, 1], found.lrs[:-1], rtol=1e-12)
    np.testing.assert_allclose(moved[:, 0], 0.2 * found.lrs[:-1], rtol=1e-7)
    np.testing.assert_array_equal(moved[:, 2], 0)


def test_a_rate_of_zero_is_swept_too_where_it_is_the_only_one() -> None:
    params, loss_and_grads, batches = problem()
    opt = pyadam.Adam(params, lr=pyadam.schedules.Warmup(0.1, 10))
    found = range_test(opt, loss_and_grads, batches, start_lr=0.1, progress=False)
    assert found.losses[10] < found.losses[0]
    opt = pyadam.Adam([{"params": [p]} for p in params.values()], lr=0.0)
    with raises(ValueError, "lr is 0 in all groups"):
        range_test(opt, loss_and_grads, batches, progress=False)


def test_batches_are_read_again_if_they_can_be() -> None:
    read = []

    def loss_and_grads(params: Any, batch: int) -> Any:
        read.append(batch)
        return 1.0, np.zeros_like(params)

    opt = pyadam.SGD(np.ones(1))
    range_test(opt, loss_and_grads, range(3), num_steps=8, progress=False)
    assert read == [0, 1, 2, 0, 1, 2, 0, 1]
    range_test(opt, loss_and_grads, iter(range(8)), num_steps=8, progress=False)
    with raises(ValueError, "batches ended after 3 of 8 steps", "cannot be read again"):
        range_test(opt, loss_and_grads, iter(range(3)), num_steps=8, progress=False)
    with raises(ValueError, "batches are empty"):
        range_test(opt, loss_and_grads, [], num_steps=8, progress=False)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"num_steps": 1}, ValueError, ["num_steps", ">= 2, found 1"]),
        ({"start_lr": 0.0}, ValueError, ["start_lr", "> 0"]),
        ({"start_lr": 1.0, "end_lr": 0.1}, ValueError, ["start_lr must be less than end_lr, found 1.0 and 0.1"]),
        ({"mode": "log"}, ValueError, ["mode must be one of 'exp', 'linear', found 'log'"]),
        ({"smoothing": 1.0}, ValueError, ["smoothing must be a finite number in [0, 1), found 1.0"]),
        ({"diverge_factor": 1.0}, ValueError, ["diverge_factor must be > 1, found 1.0"]),
        ({"progress": 1}, TypeError, ["progress must be True or False"]),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], error: type[Exception], words: list[str]) -> None:
    params, loss_and_grads, batches = problem()
    with raises(error, *words):
        range_test(pyadam.Adam(params), loss_and_grads, batches, **options)


def test_what_is_no_optimizer_or_no_loss_is_refused() -> None:
    with raises(TypeError, "optimizer must be an Optimizer, found list"):
        range_test([], lambda p, _: (0.0, p), [None])  # type: ignore[arg-type]
    with raises(TypeError, "with a number as the loss, found 'low'"):
        sweep_of(["low"] * 5)  # type: ignore[list-item]
    with raises(ValueError, "the first loss must be finite, found nan"):
        sweep_of([math.nan] * 5)


def test_divergence_warns_of_nothing() -> None:
    opt = pyadam.SGD(np.full(3, 1e60))
    found = range_test(opt, lambda p, _: (np.sum(p**4), 4 * p**3), [None], start_lr=1e-5, progress=False)
    assert found.stopped == "non-finite loss"


def curve(lrs: np.ndarray) -> RangeTest:
    """Return a curve that falls most at 1e-3, is lowest at 1e-2, and rises then."""
    x = np.log10(lrs)
    smoothed = 1 / (1 + np.exp(4 * (x + 3))) + np.exp(6 * (x + 1)) + 0.5
    return RangeTest(lrs, smoothed, smoothed, "", len(lrs))


def test_the_suggestions_of_a_known_curve() -> None:
    found = curve(np.geomspace(1e-7, 0.1, 100))
    lrs, smoothed = found.lrs[10:-5], found.smoothed[10:-5]
    assert found.steepest == lrs[np.gradient(smoothed).argmin()]
    assert abs(math.log10(found.steepest) + 3) < 0.1
    bottom = int(smoothed.argmin())
    assert found.suggestion == found.valley
    assert found.valley == lrs[int((bottom + 1) / 3) + int((bottom + 1) / 6) - 1]


def fastai_valley(losses: np.ndarray) -> int:
    """Return the index of fastai's valley, found by trying all subsequences that end at each loss."""
    lengths = [1] * len(losses)
    for i in range(len(losses)):
        for j in range(i):
            if losses[i] < losses[j]:
                lengths[i] = max(lengths[i], lengths[j] + 1)
    longest = max(lengths)
    start = lengths.index(longest) - longest if longest > 1 else 0
    return max(start + int(longest / 3) + int(longest / 6), 0)


@pytest.mark.parametrize("seed", range(20))
def test_the_valley_of_any_curve(seed: int) -> None:
    steps, slope = Maker(seed).arrays([60, ()])
    losses = np.cumsum(steps) - 0.1 * slope * np.arange(60)
    found = RangeTest(np.geomspace(1e-6, 1, 60), losses, losses, "", 60)
    assert found.valley == found.lrs[6:-5][fastai_valley(losses[6:-5])]


def test_too_few_steps_suggest_nothing() -> None:
    found = sweep_of([1.0, 0.5, 9.0, 1.0], smoothing=0.0, num_steps=100)
    with raises(ValueError, "valley needs at least 17 steps, found 3"):
        found.suggestion  # noqa: B018
    with raises(ValueError, "steepest needs at least 17 steps, found 3"):
        found.steepest  # noqa: B018


def test_the_picture_shows_losses_and_suggestions() -> None:
    plt = pytest.importorskip("matplotlib.pyplot")
    found = curve(np.geomspace(1e-7, 0.1, 100))
    axes = found.plot()
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["loss", "smoothed", f"valley: {found.valley:.2g}", f"steepest: {found.steepest:.2g}"]
    assert len(sweep_of([1.0, 0.5, 0.4]).plot().get_legend().get_texts()) == 2, "too few for suggestions"
    plt.close("all")


def test_a_progress_bar_is_shown_if_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("tqdm")
    sweep_of([1.0] * 5, progress=True)
    assert "lr range test" in capsys.readouterr().err
    sweep_of([1.0] * 5, progress=False)
    assert capsys.readouterr().err == ""


def test_without_tqdm_there_is_no_bar(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(lr_finder, "find_spec", lambda _: None)
    assert len(sweep_of([1.0] * 5, progress=True).lrs) == 5
    assert capsys.readouterr().err == ""


def test_the_examples_in_the_docstrings_are_right() -> None:
    assert doctest.testmod(lr_finder).failed == 0
