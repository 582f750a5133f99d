"""The history: what a row holds, which steps are kept, CSV and back with the same bits, pictures."""

from __future__ import annotations

import doctest
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from makers import Maker
from refusals import raises

import pyadam
from pyadam import History, history, schedules


def trained(steps: int, **options: Any) -> History:
    """Return the history of some steps, with the loss and the epoch."""
    w = np.array([3.0, -2.0])
    opt = pyadam.Adam(w, lr=schedules.Linear(0.5, 0.0, 10))
    kept = History(opt, **options)
    for step in range(steps):
        loss = w @ w
        opt.step(2 * w)
        kept.record(loss=loss, epoch=step // 4)
    return kept


def test_a_row_holds_the_step_the_numbers_given_and_the_hyperparameters() -> None:
    kept = trained(3)
    assert kept.columns == ["step", "loss", "epoch", "lr", "betas[0]", "betas[1]", "eps", "weight_decay", "l1"]
    assert kept.rows[2] == {
        "step": 3,
        "loss": kept["loss"][2],
        "epoch": 0,
        "lr": schedules.Linear(0.5, 0.0, 10)(2),
        "betas[0]": 0.9,
        "betas[1]": 0.999,
        "eps": 1e-8,
        "weight_decay": 0.0,
        "l1": 0.0,
    }
    np.testing.assert_array_equal(kept["lr"], [0.5, 0.45, 0.4])
    assert len(kept) == 3
    assert repr(kept).startswith("History(3 rows of step, loss, epoch, lr")


def test_groups_have_columns_of_their_own() -> None:
    opt = pyadam.SGD([{"params": np.ones(2), "lr": 0.1}, {"params": np.ones(2), "lr": schedules.Step(0.2, 1)}])
    kept = History(opt)
    for _ in range(2):
        opt.step([np.ones(2), np.ones(2)])
        kept.record()
    np.testing.assert_array_equal(kept["group0/lr"], [0.1, 0.1])
    np.testing.assert_array_equal(kept["group1/lr"], [0.2, schedules.Step(0.2, 1)(1)])


def test_every_so_many_steps_are_kept() -> None:
    kept, whole = trained(10, every=3), trained(10)
    np.testing.assert_array_equal(kept["step"], [3, 6, 9])
    np.testing.assert_array_equal(kept["loss"], whole["loss"][[2, 5, 8]])


def test_without_an_optimizer_calls_are_counted() -> None:
    kept = History(every=2)
    for loss in (4.0, 3.0, 2.0, 1.0):
        kept.record(loss=loss)
    assert kept.rows == [{"step": 2, "loss": 3.0}, {"step": 4, "loss": 1.0}]


def test_the_norm_of_the_gradients_is_kept_where_the_optimizer_knows_it() -> None:
    class Measuring(pyadam.SGD):
        grad_norm: float | None = None

    opt = Measuring(np.ones(2))
    kept = History(opt)
    for norm in (None, 2.5):
        opt.step(np.ones(2))
        opt.grad_norm = norm
        kept.record()
    np.testing.assert_array_equal(kept["grad_norm"], [math.nan, 2.5])
    assert "grad_norm" not in kept.rows[0]


@pytest.mark.parametrize("every", [1, 3])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_the_ratio_of_update_to_weights(every: int, dtype: str) -> None:
    make = Maker(0)
    params = make.arrays([(3, 4), ()], dtype)
    opt = pyadam.Adam(params, lr=0.01)
    kept = History(opt, every=every, update_ratio=True)
    expected = []
    for _ in range(9):
        old = np.concatenate([p.ravel() for p in params]).astype(float)
        opt.step(make.like(params, float))
        new = np.concatenate([p.ravel() for p in params]).astype(float)
        expected.append(np.linalg.norm(new - old) / np.linalg.norm(old))
        kept.record()
    np.testing.assert_allclose(kept["update_ratio"], expected[every - 1 :: every], rtol=1e-12)


def test_the_ratio_is_left_out_where_the_step_before_was_not_seen() -> None:
    w = np.ones(2)
    opt = pyadam.SGD(w, lr=0.5)
    kept = History(opt, update_ratio=True)
    opt.step(w * 0.5)
    opt.step(w * 0.5)
    kept.record()
    opt.step(w * 0.5)
    kept.record()
    np.testing.assert_array_equal(kept["update_ratio"], [math.nan, 0.25])


def test_the_ratio_of_weights_that_are_zero() -> None:
    w = np.zeros(2)
    opt = pyadam.SGD(w, lr=0.5)
    kept = History(opt, update_ratio=True)
    for gradient in (np.zeros(2), np.ones(2)):
        opt.step(gradient)
        kept.record()
    np.testing.assert_array_equal(kept["update_ratio"], [0.0, math.inf])


def test_numbers_are_python_or_numpy_numbers() -> None:
    kept = History()
    kept.record(a=np.float32(0.1), b=np.array(2.0), c=7, d=None, e=np.int64(3))
    assert kept.rows == [{"step": 1, "a": float(np.float32(0.1)), "b": 2.0, "c": 7, "e": 3}]
    assert [type(value) for value in kept.rows[0].values()] == [int, float, float, int, int]


def test_what_cannot_be_recorded_is_refused_and_nothing_kept() -> None:
    opt = pyadam.Adam(np.ones(2))
    opt.step(np.ones(2))
    kept = History(opt)
    with raises(TypeError, "loss must be a number or None, found 'low'"):
        kept.record(loss="low")
    with raises(ValueError, "lr, step cannot be given"):
        kept.record(lr=0.1, step=3, loss=1.0)
    assert kept.rows == []
    with raises(ValueError, "lr cannot be given"):
        History(opt, every=2).record(lr=0.1)  # of a step that would not be kept, too


@pytest.mark.parametrize(
    ("make", "error", "word"),
    [
        (lambda: History([]), TypeError, "found list"),  # type: ignore[arg-type]
        (lambda: History(every=0), ValueError, "every must be a whole number >= 1, found 0"),
        (lambda: History(update_ratio=1), TypeError, "update_ratio must be True or False"),  # type: ignore[arg-type]
        (lambda: History(update_ratio=True), ValueError, "update_ratio needs an optimizer"),
        (lambda: trained(2)["los"], KeyError, "'los' was not recorded; what was is step, loss"),
        (lambda: History()["loss"], KeyError, "what was is nothing"),
    ],
)
def test_wrong_arguments_are_refused(make: Any, error: type[Exception], word: str) -> None:
    with raises(error, word):
        make()


def test_csv_and_back_has_the_same_bits(tmp_path: Path) -> None:
    kept = History()
    for i, loss in enumerate([*Maker(0).array(50), math.inf, -math.inf, 5e-324, 1e300, -0.0]):
        kept.record(loss=loss, count=-i, **({'odd, or "quoted"': 1.5} if i % 2 else {}))
    path = tmp_path / "history.csv"
    kept.to_csv(path)
    back = History.from_csv(path)
    assert back.rows == kept.rows
    assert [type(value) for row in back.rows for value in row.values()] == [
        type(value) for row in kept.rows for value in row.values()
    ]
    assert str(back.rows[-1]["loss"]) == "-0.0"
    back.to_csv(tmp_path / "again.csv")
    assert (tmp_path / "again.csv").read_bytes() == path.read_bytes()
    back.record(loss=1.0)
    assert back.rows[-1]["step"] == kept.rows[-1]["step"] + 1  # type: ignore[operator]


def test_nan_is_a_value_and_an_empty_history_a_file(tmp_path: Path) -> None:
    kept = History()
    kept.to_csv(tmp_path / "empty.csv")
    assert History.from_csv(tmp_path / "empty.csv").rows == []
    kept.record(loss=math.nan)
    kept.to_csv(tmp_path / "nan.csv")
    assert math.isnan(History.from_csv(tmp_path / "nan.csv").rows[0]["loss"] or 0.0)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["must begin with a line of names with 'step'"]),
        ("a,b\n1,2\n", ["'step'", "['a', 'b']"]),
        ("step,loss\n1,0.5\n2,low\n", ["line 3", "loss must be a number, found 'low'"]),
        ("step,loss\n1," + "5" * 200_000 + "\n", ["line 2", "field larger than"]),
        ("step,loss\n1,0.5,7\n", ["line 2", "more values than names", "['7']"]),
    ],
)
def test_a_wrong_file_is_refused(text: str, words: list[str], tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    path.write_text(text)
    with raises(ValueError, "history.csv", *words):
        History.from_csv(path)


def test_the_picture_shows_what_changes() -> None:
    plt = pytest.importorskip("matplotlib.pyplot")
    kept = trained(9)
    assert [axes.get_ylabel() for axes in kept.plot().axes] == ["loss", "epoch", "lr"]
    assert [axes.get_ylabel() for axes in kept.plot("eps", "loss").axes] == ["eps", "loss"]
    with raises(KeyError, "'los' was not recorded"):
        kept.plot("los")
    with raises(ValueError, "nothing to draw: no rows"):
        History().plot()
    with raises(ValueError, "nothing to draw: no column changes"):
        trained(1).plot()
    plt.close("all")


def test_the_examples_in_the_docstrings_are_right() -> None:
    assert doctest.testmod(history).failed == 0
