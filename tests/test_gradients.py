"""What happens to gradients on their way: clipping, scaling, skipping, zeroing and adding up."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from inside import TILE, steps_of
from makers import Maker
from oracle import assert_same_runs, reference_runs
from refusals import raises, refused, snapshot, stepped
from rule_rows import KERNEL_CASES, Case

import pyadam
from pyadam import reference

LENGTHS = [5, 20 * TILE + 3, 0, 1, TILE, 3 * TILE - 1]
INF, NAN = float("inf"), float("nan")

every_isa = pytest.mark.usefixtures("isa")
dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])
grad_dtypes = pytest.mark.parametrize("grad_dtype", ["float64", "float32", "float16", "bfloat16"])


def as_dtype(name: str) -> Any:
    return pytest.importorskip("ml_dtypes").bfloat16 if name == "bfloat16" else np.dtype(name)


def scattered(make: Maker, dtype: Any, scale: float = 1.0) -> list[np.ndarray]:
    """Return numbers of different sizes in arrays of each length."""
    return make.arrays(LENGTHS, dtype, powers=(-3, 2), scale=scale)


# Clipping and scaling.


@every_isa
@dtypes
@pytest.mark.parametrize("case", KERNEL_CASES, ids=str)
@pytest.mark.parametrize("threads", [1, 3])
def test_clipping_and_scaling_are_the_references(
    case: Case, dtype: Any, threads: int, use_threads: Callable[[int], None]
) -> None:
    use_threads(threads)
    make = Maker(0)
    options: dict[str, Any] = {**case.options, "clip_norm": 2.0, "clip_value": 0.03}
    opt = case.cls(scattered(make, dtype), **options)
    expected = reference_runs(opt)
    for grad_scale in (1.0, 1000.0, 3.0):
        grads = scattered(make, dtype, grad_scale)
        assert opt.step(grads, grad_scale=grad_scale)
        _, norm = reference.step(expected, grads, grad_scale=grad_scale, clip_norm=2.0)
        assert opt.grad_norm == norm
    assert_same_runs(opt, expected)


@every_isa
@grad_dtypes
@pytest.mark.parametrize("threads", [1, 2, 7])
def test_the_norm_has_the_same_bits_everywhere(
    grad_dtype: str, threads: int, use_threads: Callable[[int], None]
) -> None:
    use_threads(threads)
    make = Maker(1)
    grads = scattered(make, as_dtype(grad_dtype))
    opt = pyadam.SGD([np.zeros(n) for n in LENGTHS], clip_norm=1.0)
    opt.step(grads)
    assert opt.grad_norm == reference.norm(*grads)


def test_gradients_of_any_layout_have_the_same_norm() -> None:
    g = Maker(2).array((60, 70), np.float32)
    norms = set()
    for given in (g, np.asfortranarray(g), g.repeat(2, axis=1)[:, ::2], g.astype(">f4")):
        opt = pyadam.SGD(np.zeros((60, 70)), clip_norm=1.0)
        opt.step(given)
        norms.add(opt.grad_norm)
    assert norms == {reference.norm(g)}


def test_a_parameter_without_a_gradient_counts_for_nothing() -> None:
    opt = pyadam.SGD([np.zeros(2), np.zeros(2)], clip_norm=1.0)
    opt.step([np.array([3.0, 4.0]), None])
    assert opt.grad_norm == 5.0


def test_the_norm_is_of_the_last_step_and_known_only_if_it_was_needed() -> None:
    opt = pyadam.SGD(np.zeros(1))
    assert opt.grad_norm is None
    opt.step(np.ones(1))
    assert opt.grad_norm is None
    opt.clip_norm = 0.5
    opt.step(np.full(1, 4.0))
    assert opt.grad_norm == 4.0
    opt.clip_norm = None
    opt.skip_nonfinite = True
    opt.step(np.full(1, 3.0), grad_scale=2.0)
    assert opt.grad_norm == 1.5
    opt.skip_nonfinite = False
    opt.step(np.ones(1))
    assert opt.grad_norm is None


def test_the_norm_is_over_all_groups() -> None:
    p, q = np.zeros(1), np.zeros(1)
    opt = pyadam.SGD([{"params": p, "lr": 1.0}, {"params": q, "lr": 2.0}], clip_norm=1.0)
    opt.step([np.array([3.0]), np.array([4.0])])
    np.testing.assert_allclose([p[0], q[0]], [-0.6, -1.6], rtol=1e-6)


def test_gradients_are_not_written_to() -> None:
    make = Maker(3)
    grads = scattered(make, np.float32)
    before = [g.copy() for g in grads]
    for g in grads:
        g.setflags(write=False)
    opt = pyadam.Adam(scattered(make, np.float32), clip_norm=0.1, clip_value=0.1, skip_nonfinite=True)
    opt.step(grads, grad_scale=8.0)
    for g, kept in zip(grads, before, strict=True):
        np.testing.assert_array_equal(g, kept)


@pytest.mark.parametrize("clip_value", [None, 0.5])
@pytest.mark.parametrize("size", [0.01, 100.0])
def test_clipping_agrees_with_torch(clip_value: float | None, size: float) -> None:
    torch = pytest.importorskip("torch")
    make = Maker(4)
    params = make.arrays([100, 37])
    theirs = [torch.tensor(p, requires_grad=True) for p in params]
    ours = pyadam.AdamW(params, lr=0.01, clip_norm=1.0, clip_value=clip_value)
    optimizer = torch.optim.AdamW(theirs, lr=0.01)
    for _ in range(20):
        grads = make.like(params, powers=(-3, 2), scale=size)
        ours.step(grads, grad_scale=2.0)
        for p, g in zip(theirs, grads, strict=True):
            p.grad = torch.tensor(g / 2.0)
        norm = torch.nn.utils.clip_grad_norm_(theirs, 1.0)
        np.testing.assert_allclose(ours.grad_norm, norm, rtol=1e-12)
        if clip_value is not None:
            torch.nn.utils.clip_grad_value_(theirs, clip_value)
        optimizer.step()
    for p, q in zip(params, theirs, strict=True):
        np.testing.assert_allclose(p, q.detach().numpy(), rtol=1e-12, atol=1e-12)


def test_clip_norm_may_be_a_schedule() -> None:
    p = np.zeros(1)
    opt = pyadam.SGD(p, lr=1.0, clip_norm=lambda step: [None, 2.0, 1.0][step])
    moves = []
    for _ in range(3):
        before = p.copy()
        opt.step(np.full(1, 8.0))
        moves.append(float((before - p)[0]))
    np.testing.assert_allclose(moves, [8.0, 2.0, 1.0], rtol=1e-6)
    assert opt.state_dict()["options"]["clip_norm"] == 1.0

    opt.clip_norm = lambda _: -1.0
    with refused(opt, ValueError, "clip_norm(3)", "> 0", "-1.0"):
        opt.step(np.ones(1))


@pytest.mark.parametrize("value", [0, -1.0, NAN, INF])
def test_a_norm_out_of_range(value: float) -> None:
    with raises(ValueError, "clip_norm", "> 0"):
        pyadam.Adam(np.ones(2), clip_norm=value)
    opt = stepped([np.ones(2)], clip_norm=1.0)
    with refused(opt, ValueError, "clip_norm", "> 0"):
        opt.clip_norm = value
    with refused(opt, ValueError, "grad_scale", "> 0"):
        opt.step([np.ones(2)], grad_scale=value)


@pytest.mark.parametrize("key", ["clip_norm", "skip_nonfinite", "flush_denormals", "seed"])
def test_what_is_of_the_whole_optimizer_is_refused_in_a_group(key: str) -> None:
    with raises(TypeError, "params[1]", key, "whole optimizer"):
        pyadam.Adam([{"params": np.ones(2)}, {"params": np.ones(2), key: 1}])


# Skipping.


@every_isa
@grad_dtypes
@pytest.mark.parametrize("bad", [INF, -INF, NAN])
@pytest.mark.parametrize("place", [(0, 0), (1, 20 * TILE + 2), (5, TILE)])
def test_a_step_that_is_not_finite_changes_nothing(grad_dtype: str, bad: float, place: tuple[int, int]) -> None:
    make = Maker(5)
    opt = pyadam.Adam(scattered(make, np.float32), skip_nonfinite=True, ema_decay=0.9, lr=lambda step: 0.1 / (step + 1))
    grads = scattered(make, as_dtype(grad_dtype))
    assert opt.step(grads)
    before = snapshot(opt)
    grads[place[0]][place[1]] = bad
    assert not opt.step(grads)
    assert opt.skipped == 1
    assert not np.isfinite(opt.grad_norm)
    assert snapshot(opt) == {**before, "skipped": 1}
    assert opt.step(scattered(make, np.float32))
    assert (opt.skipped, opt.step_count) == (1, 2)


@pytest.mark.parametrize("cls", [pyadam.SGD, pyadam.LAMB])
def test_gradients_whose_squares_overflow_are_finite(cls: type[pyadam.Optimizer]) -> None:
    opt = cls(np.zeros(3), skip_nonfinite=True)
    assert opt.step(np.full(3, 1e300))
    assert opt.grad_norm == INF
    assert not opt.step(np.array([1e300, NAN, 1.0]))


def test_without_skipping_a_norm_that_is_not_finite_propagates_as_in_torch() -> None:
    torch = pytest.importorskip("torch")
    for bad in (INF, NAN):
        g = np.array([1.0, bad, -2.0])
        p, q = np.zeros(3), torch.zeros(3, dtype=torch.float64, requires_grad=True)
        assert pyadam.SGD(p, lr=1.0, clip_norm=1.0).step(g)
        q.grad = torch.tensor(g)
        torch.nn.utils.clip_grad_norm_([q], 1.0)
        torch.optim.SGD([q], lr=1.0).step()
        np.testing.assert_array_equal(p, q.detach().numpy())


# Zeroing.


@every_isa
@grad_dtypes
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("cls", [pyadam.Adam, pyadam.SGD, pyadam.LAMB])
def test_gradients_are_zeroed_once_they_are_used(
    grad_dtype: str, threads: int, cls: type[pyadam.Optimizer], use_threads: Callable[[int], None]
) -> None:
    use_threads(threads)
    make = Maker(6)
    params = scattered(make, np.float32)
    opt = cls(params, clip_norm=1.0)
    expected = reference_runs(opt)
    grads = scattered(make, as_dtype(grad_dtype))
    kept = [g.copy() for g in grads]
    assert opt.step(grads, zero_grad=True)
    reference.step(expected, kept, clip_norm=1.0)
    assert_same_runs(opt, expected)
    assert all(g.tobytes() == bytes(g.nbytes) for g in grads)


def test_gradients_that_had_to_be_copied_are_zeroed_too() -> None:
    strided, swapped, long = np.ones(8)[::2], np.ones(4, ">f8"), np.ones(4, np.longdouble)
    opt = pyadam.SGD([np.zeros(4) for _ in range(3)], lr=1.0)
    opt.step([strided, swapped, long], zero_grad=True)
    for p, g in zip(opt.params, (strided, swapped, long), strict=True):
        np.testing.assert_array_equal(p, -np.ones(4))
        np.testing.assert_array_equal(g, np.zeros(4))


class Stubborn(np.ndarray[Any, Any]):
    """An array whose own methods must not run once a step has begun to write."""

    def fill(self, value: Any) -> None:
        raise AssertionError(value)


def test_zeroing_runs_no_code_of_the_gradients() -> None:
    g = np.ones(8)[::2].view(Stubborn)
    opt = pyadam.SGD(np.zeros(4), lr=1.0)
    opt.step(g, zero_grad=True)
    np.testing.assert_array_equal(np.asarray(g), np.zeros(4))


def test_a_skipped_step_zeroes_gradients_or_every_later_one_would_be_skipped() -> None:
    opt = pyadam.SGD([np.zeros(2)], skip_nonfinite=True)
    g = np.array([NAN, 1.0])
    assert not opt.step([g], zero_grad=True)
    np.testing.assert_array_equal(g, [0.0, 0.0])


def test_sums_are_of_the_type_of_their_first_gradient_each_time() -> None:
    w = [np.zeros(1), np.zeros(2)]
    opt = pyadam.SGD(w, lr=1.0)
    opt.accumulate([np.zeros(1, np.float32), None])
    opt.step()
    opt.accumulate([np.full(1, 1 / 3), None])
    opt.step()
    assert w[0][0] == -1 / 3
    with pytest.raises(ValueError, match="shape"):
        opt.accumulate([np.zeros(1, np.float32), np.zeros(3)])
    opt.accumulate([np.full(1, 1 / 3), None])
    opt.step()
    assert w[0][0] == -1 / 3 - 1 / 3


def test_gradients_that_cannot_be_zeroed() -> None:
    opt = stepped([np.ones(2), np.ones(2), np.ones(())])
    read_only = np.ones(2)
    read_only.setflags(write=False)
    with refused(opt, ValueError, "gradient of params[1]", "writeable"):
        opt.step([np.ones(2), read_only, None], zero_grad=True)
    with refused(opt, ValueError, "gradient of params[2]", "writeable"):
        opt.step([None, None, 1.0], zero_grad=True)
    shared = np.ones(2)
    with refused(opt, ValueError, "params[0] and params[1]", "share memory"):
        opt.step([shared, shared, None], zero_grad=True)
    np.testing.assert_array_equal(shared, 1.0)


def test_the_norm_does_not_depend_on_the_byte_order() -> None:
    g = Maker(0).array(1000)
    norms, params = [], []
    for given in (g, g.astype(">f8"), g.astype(np.longdouble)):
        opt = pyadam.SGD(np.zeros(1000, np.float32), lr=1.0, clip_norm=1.0)
        opt.step(given)
        norms.append(opt.grad_norm)
        params.append(opt.params)
    assert norms == [reference.norm(g)] * 3
    for p in params[1:]:
        np.testing.assert_array_equal(p, params[0])


# Adding up.


@every_isa
@dtypes
@grad_dtypes
@pytest.mark.parametrize("threads", [1, 3])
def test_a_step_takes_the_mean_of_what_was_accumulated(
    dtype: Any, grad_dtype: str, threads: int, use_threads: Callable[[int], None]
) -> None:
    use_threads(threads)
    make = Maker(7)
    opt = pyadam.Adam(scattered(make, dtype), clip_norm=1.0)
    expected = reference_runs(opt)
    kind = as_dtype(grad_dtype)
    sum_dtype = np.float64 if grad_dtype == "float64" else np.float32
    for count in (1, 3):
        sums = [np.zeros(n, sum_dtype) for n in LENGTHS]
        for _ in range(count):
            grads = scattered(make, kind)
            opt.accumulate(grads)
            sums = [total + g.astype(sum_dtype) for total, g in zip(sums, grads, strict=True)]
        assert opt.accumulated == count
        assert opt.step(grad_scale=2.0)
        assert opt.accumulated == 0
        reference.step(expected, sums, grad_scale=2.0 * count, clip_norm=1.0)
    assert_same_runs(opt, expected)


def test_a_parameter_without_gradients_in_some_or_all_calls() -> None:
    p = [np.zeros(1) for _ in range(3)]
    opt = pyadam.SGD(p, lr=1.0)
    opt.accumulate([np.array([2.0]), None, None])
    opt.accumulate([np.array([4.0]), np.array([4.0]), None])
    opt.step()
    np.testing.assert_array_equal(p, [[-3.0], [-2.0], [0.0]])
    assert steps_of(opt) == [1, 1, 0]


def test_a_skipped_step_forgets_what_was_accumulated() -> None:
    opt = pyadam.SGD([np.zeros(1)], lr=1.0, skip_nonfinite=True)
    opt.accumulate([np.array([NAN])])
    assert not opt.step()
    opt.accumulate([np.array([1.0])])
    assert opt.step()
    assert opt.params[0] == -1.0


def test_what_was_accumulated_can_be_forgotten() -> None:
    opt = pyadam.SGD([np.zeros(1)], lr=1.0)
    opt.accumulate([np.array([5.0])])
    opt.zero_grad()
    opt.accumulate([np.array([1.0])])
    opt.step()
    assert opt.params[0] == -1.0


def test_a_step_is_given_gradients_in_one_way_only() -> None:
    opt = stepped([np.ones(1)])
    with refused(opt, ValueError, "accumulate()", "none"):
        opt.step()
    opt.accumulate([np.ones(1)])
    with refused(opt, ValueError, "1 are accumulated", "zero_grad()"):
        opt.step([np.ones(1)])


def test_a_refused_gradient_is_not_accumulated() -> None:
    opt = stepped([np.ones(2), np.ones(2)])
    opt.accumulate([np.ones(2), np.ones(2)])
    with refused(opt, ValueError, "gradient of params[1]", "(3,)"):
        opt.accumulate([np.ones(2), np.ones(3)])
    with refused(opt, TypeError, "gradient of params[1]", "int64"):
        opt.accumulate([np.ones(2), np.ones(2, int)])
    with refused(opt, ValueError, "gradient of params[1] shares memory with params[0]"):
        opt.accumulate([np.ones(2), opt.params[0]])
    expected = copy.deepcopy(opt)
    expected.step([np.ones(2), np.ones(2)])
    opt.step()
    np.testing.assert_array_equal(opt.params, expected.params)


# State.


def test_what_the_optimizer_has_as_a_whole_is_saved_and_loaded() -> None:
    opt = pyadam.Adam([np.ones(2)], clip_norm=3.0, skip_nonfinite=True, flush_denormals=True, seed=9)
    opt.step([np.array([NAN, 0.0])])
    saved = opt.state_dict()
    assert saved["options"] == {"clip_norm": 3.0, "skip_nonfinite": True, "flush_denormals": True, "seed": 9}
    assert saved["skipped"] == 1
    resumed = pyadam.Adam([np.ones(2)])
    resumed.load_state_dict(saved)
    for other in (resumed, copy.deepcopy(opt), pickle.loads(pickle.dumps(opt))):
        assert (other.clip_norm, other.skip_nonfinite, other.seed, other.skipped) == (3.0, True, 9, 1)
        assert other.flush_denormals


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"clip_norm": -1.0}, ValueError, ["'clip_norm'", "> 0"]),
        ({"seed": 1.5}, TypeError, ["'seed'", "1.5"]),
        ({"skip_nonfinite": None}, TypeError, ["'skip_nonfinite'"]),
        ({"momentum": 1}, ValueError, ["'momentum'"]),
        ([], TypeError, ["'options'", "list"]),
    ],
)
def test_wrong_options_are_refused(options: Any, error: type[Exception], words: list[str]) -> None:
    opt = stepped([np.ones(2)])
    with refused(opt, error, *words):
        opt.load_state_dict({**opt.state_dict(), "options": options})
    with refused(opt, ValueError, "skipped", "-1"):
        opt.load_state_dict({**opt.state_dict(), "skipped": -1})
