"""Parameters and state in 16 bits: the same bits as the reference, right casts, and nothing that stops learning."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from inside import TILE, count_elements_from, state_of
from makers import Maker
from oracle import assert_same_bits, check_steps, reference_run, step_together
from refusals import raises, refused
from rule_rows import CASES, KERNEL_CASES, Case

import pyadam
from pyadam import reference

ml_dtypes = pytest.importorskip("ml_dtypes")

BFLOAT16, FLOAT16 = np.dtype(ml_dtypes.bfloat16), np.dtype(np.float16)
LENGTHS = [0, 1, 2, 15, 16, 17, 31, 33, TILE - 1, TILE, TILE + 1, 3 * TILE + 77]

every_isa = pytest.mark.usefixtures("isa")
kernel_cases = pytest.mark.parametrize("case", KERNEL_CASES, ids=str)

# Every way to keep a parameter and its state, with each dtype that it is for.
WAYS: list[tuple[np.dtype[Any], dict[str, Any]]] = [
    (BFLOAT16, {"master": "float32"}),
    (BFLOAT16, {"master": "split"}),
    (BFLOAT16, {"master": "stochastic", "seed": 5}),
    (BFLOAT16, {"master": "nearest"}),
    (FLOAT16, {"master": "float32", "state_dtype": "bfloat16"}),
    (FLOAT16, {"master": "stochastic"}),
    (FLOAT16, {"master": "nearest", "ema_decay": 0.9}),
    (BFLOAT16, {"master": "split", "state_dtype": "bfloat16", "ema_decay": 0.9, "ema_warmup": True}),
    (BFLOAT16, {"master": "stochastic", "state_dtype": "bfloat16", "seed": 2**64 - 1}),
    (np.dtype(np.float32), {"state_dtype": "bfloat16", "seed": 7}),
]
ways = pytest.mark.parametrize(("dtype", "way"), WAYS, ids=str)


SPREAD = (-4, 3)  # powers of ten by which numbers differ


def check(case: Case, dtype: Any, way: dict[str, Any], lengths: list[int], steps: int) -> None:
    make = Maker(0)
    params = make.arrays(lengths, dtype, powers=SPREAD)
    opt = case.cls(params, **{**case.options, **way})
    check_steps(opt, [make.like(params, powers=SPREAD) for _ in range(steps)])


@every_isa
@ways
@kernel_cases
def test_every_rule(case: Case, dtype: Any, way: dict[str, Any]) -> None:
    check(case, dtype, way, LENGTHS, 3)


@ways
@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_option(case: Case, dtype: Any, way: dict[str, Any]) -> None:
    check(case, dtype, way, [33, 300], 10)


@every_isa
@ways
@pytest.mark.parametrize("threads", [1, 2, 7])
def test_every_number_of_threads(
    dtype: Any, way: dict[str, Any], threads: int, use_threads: Callable[[int], None]
) -> None:
    use_threads(threads)
    check(KERNEL_CASES[2], dtype, way, [5, 20 * TILE + 3, 0, TILE], 3)


@pytest.mark.parametrize("grad_dtype", [np.float64, np.float32, BFLOAT16, FLOAT16], ids=str)
@pytest.mark.parametrize("dtype", [np.float64, np.float32, BFLOAT16, FLOAT16], ids=str)
def test_every_mix_of_parameter_and_gradient(dtype: Any, grad_dtype: Any) -> None:
    make = Maker(1)
    p = make.array(2 * TILE + 9, dtype, powers=SPREAD)
    opt = pyadam.Adam(p, lr=0.1, master="stochastic", l1=0.01)
    check_steps(opt, [make.like(p, grad_dtype, powers=SPREAD) for _ in range(3)])


@ways
def test_memory_order_and_shape(dtype: Any, way: dict[str, Any]) -> None:
    make = Maker(2)
    p = make.array((33, 40), dtype, "F", powers=SPREAD)
    opt = pyadam.Adam(p, bounds=(np.full(p.shape, -0.5), 100.0), **way)
    check_steps(opt, [make.like(p, order=order, powers=SPREAD) for order in "CF"])
    assert all(kept.flags.f_contiguous and kept.shape == p.shape for kept in state_of(opt).values())


@ways
def test_the_split_over_tensors_does_not_matter(dtype: Any, way: dict[str, Any]) -> None:
    start, *grads = Maker(3).arrays([3 * TILE + 50] * 4, dtype, powers=SPREAD)
    results = []
    for cuts in ([], [1], [7, TILE, TILE + 1, 2000]):
        p = start.copy()
        opt = pyadam.AdamW(np.split(p, cuts), **way)
        for g in grads:
            opt.step(np.split(g, cuts))
        results.append(p.tobytes())
    assert results[0] == results[1] == results[2]


@ways
def test_a_run_goes_on_from_its_state(dtype: Any, way: dict[str, Any]) -> None:
    p, *grads = Maker(4).arrays([500] * 7, dtype, powers=SPREAD)
    opt = pyadam.Adam(p, **way)
    for g in grads[:3]:
        opt.step(g)
    copied = copy.deepcopy(opt)
    resumed = pyadam.Adam(p.copy(), **{**way, "seed": 1})
    resumed.load_state_dict(opt.state_dict())
    for g in grads[3:]:
        for each in (opt, copied, resumed):
            each.step(g)
    for other in (copied, resumed):
        assert other.params.tobytes() == p.tobytes()
        for name, kept in state_of(opt).items():
            assert state_of(other)[name].tobytes() == kept.tobytes()


# Casts. SGD with a step size of 1 from 0 leaves the negative of the gradient, cast to the parameter's dtype.


def cast(x: np.ndarray, dtype: Any) -> np.ndarray:
    p = np.zeros(x.shape, dtype)
    pyadam.SGD(p, lr=1.0, master="nearest").step(-x)
    return p.astype(np.float32)


def assert_cast_like_numpy(x: np.ndarray, dtype: Any) -> None:
    with np.errstate(over="ignore", invalid="ignore"):
        wanted = x.astype(dtype).astype(np.float32)
    np.testing.assert_array_equal(cast(x, dtype), wanted)


low_precision = pytest.mark.parametrize("dtype", [BFLOAT16, FLOAT16], ids=str)


@every_isa
@low_precision
def test_every_pattern_survives_a_cast(dtype: Any) -> None:
    every_pattern = np.arange(2**16, dtype=np.uint16).view(dtype)
    assert_cast_like_numpy(every_pattern.astype(np.float32), dtype)


@every_isa
@low_precision
def test_casts_between_neighbours(dtype: Any) -> None:
    every_pattern = np.arange(2**16, dtype=np.uint16).view(dtype).astype(np.float32)
    finite = every_pattern[np.isfinite(every_pattern)]
    bits = finite.view(np.int32)
    for offset in (-4097, -4096, -1, 1, 4095, 4096, 4097, 32767, 32768, 32769):
        assert_cast_like_numpy((bits + offset).astype(np.int32).view(np.float32), dtype)


@low_precision
@settings(deadline=None)
@given(x=npst.arrays(np.float32, 40, elements=st.floats(width=32)))
def test_any_float_is_cast_as_numpy_casts_it(dtype: Any, x: np.ndarray) -> None:
    assert_cast_like_numpy(x, dtype)


@given(x=npst.arrays(np.float32, 40, elements=st.floats(width=32)))
def test_what_is_split_is_joined_again(x: np.ndarray) -> None:
    upper, missing = reference.split(x, BFLOAT16)
    np.testing.assert_array_equal(reference.join(upper, missing), x)
    with np.errstate(over="ignore", invalid="ignore"):
        error = np.abs(upper.astype(np.float64) - x)
        nearest = np.abs(x.astype(BFLOAT16).astype(np.float64) - x)
    np.testing.assert_array_equal(error, nearest)


# What keeps the precision.


def test_a_split_parameter_is_exactly_a_float32_one() -> None:
    make = Maker(5)
    p = make.array(2000, BFLOAT16, powers=SPREAD)
    exact = p.astype(np.float32)
    split, plain = pyadam.AdamW(p, master="split"), pyadam.AdamW(exact)
    for _ in range(1000):
        g = make.like(exact)
        split.step(g)
        plain.step(g)
    joined = reference.join(p, state_of(split)["low_bits"])
    np.testing.assert_array_equal(joined, exact)
    for name in ("exp_avg", "exp_avg_sq"):
        np.testing.assert_array_equal(state_of(split)[name], state_of(plain)[name])


@low_precision
def test_a_master_copy_is_exactly_a_float32_parameter(dtype: Any) -> None:
    make = Maker(6)
    p = make.array(2000, dtype, powers=SPREAD)
    exact = p.astype(np.float32)
    kept, plain = pyadam.Adam(p, master="float32"), pyadam.Adam(exact)
    for _ in range(100):
        g = make.like(exact)
        kept.step(g)
        plain.step(g)
    np.testing.assert_array_equal(state_of(kept)["master"], exact)
    np.testing.assert_array_equal(p, exact.astype(dtype))


def test_what_the_user_writes_to_a_parameter_is_taken_over_by_its_master() -> None:
    p = np.ones(4, BFLOAT16)
    opt = pyadam.SGD(p, lr=2.0**-12, master="float32")
    opt.step(np.ones(4))
    p[1] = 5.0
    opt.step(np.ones(4))
    np.testing.assert_array_equal(state_of(opt)["master"], np.float32([1, 5, 1, 1]) - np.float32([2, 1, 2, 2]) / 4096)


@every_isa
@pytest.mark.parametrize("value", [0.0, -0.0, np.inf, -np.inf, 5.0, -5.0])
def test_what_the_user_writes_to_a_split_parameter_counts_to_half_a_unit(value: float) -> None:
    p, g = Maker(8).arrays([2 * TILE + 3] * 2, BFLOAT16, powers=SPREAD)
    opt = pyadam.SGD(p, lr=0.1, master="split")
    opt.step(g)
    low_bits = state_of(opt)["low_bits"]
    assert (low_bits < 0).any()
    assert (low_bits > 0).any()
    p[...] = value
    expected = reference.join(p, low_bits)
    opt.step(np.zeros(p.size))
    np.testing.assert_array_equal(reference.join(p, state_of(opt)["low_bits"]), expected)
    if np.isfinite(value):
        np.testing.assert_array_equal(p.astype(np.float32), np.float32(value))
        assert np.abs(expected - np.float32(value)).max() <= max(np.abs(value) * 2.0**-8, 2.0**-134)
    else:
        assert not np.isnan(expected).any()


def test_rounding_to_nearest_loses_small_updates_and_the_others_do_not() -> None:
    moved = {}
    for master in ("float32", "split", "stochastic", "nearest"):
        p = np.ones(4000, BFLOAT16)
        opt = pyadam.SGD(p, lr=1e-4, master=master)
        for _ in range(1000):
            opt.step(np.ones(4000, BFLOAT16))
        moved[master] = float(p.astype(np.float64).mean())
    assert moved["nearest"] == 1.0
    assert moved["float32"] == moved["split"] == pytest.approx(0.9, abs=0.002)
    # The mean of 4,000 walks whose steps have a variance of at most 2**-8 * 1e-4: six deviations are 0.002.
    assert moved["stochastic"] == pytest.approx(0.9, abs=0.002)


def test_a_second_moment_rounded_to_nearest_would_never_decay() -> None:
    v = np.ones(1, BFLOAT16)
    for _ in range(1000):
        v = (v.astype(np.float32) * np.float32(0.999)).astype(BFLOAT16)
    assert v == 1.0


def test_a_second_moment_in_bfloat16_decays() -> None:
    n = 4096
    p = np.zeros(n, np.float32)
    opt = pyadam.Adam(p, state_dtype="bfloat16")
    opt.step(np.full(n, np.sqrt(1000.0), np.float32))
    for _ in range(1000):
        opt.step(np.zeros(n, np.float32))
    exact = 0.999**1000
    v = state_of(opt)["exp_avg_sq"].astype(np.float64)
    # A step of rounding has a variance of at most (2**-8 v)**2 / 4: after 1,000 of them, that of one element is below
    # 1000 * (2**-9)**2, a deviation of 0.062; of the mean of 4,096 it is 0.001.
    assert v.mean() == pytest.approx(exact, abs=0.006)
    assert v.std() < 0.065


@low_precision
@pytest.mark.parametrize("value", [1.0 + 2.0**-10 * 0.3, 3.14159, 1e-3, 5e-8, 6.1e-5])
def test_stochastic_rounding_is_unbiased(dtype: Any, value: float) -> None:
    n = 2**20
    p = np.zeros(n, dtype)
    opt = pyadam.SGD(p, lr=1.0, master="stochastic", seed=11)
    opt.step(np.full(n, -value, np.float32))
    found = p.astype(np.float64)
    below, above = found.min(), found.max()
    assert below < np.float32(value) < above
    assert set(np.unique(found)) == {below, above}
    assert np.nextafter(p.min(), dtype.type(np.inf)) == p.max()
    # Five deviations of the mean of n coins: one test in a million would fail for another seed; and float16's cut of
    # subnormals 13 bits below the last one.
    chance = (float(np.float32(value)) - below) / (above - below)
    bound = 5 * np.sqrt(chance * (1 - chance) / n) + 2.0**-13
    assert abs((found == above).mean() - chance) < bound


def test_random_bits_are_independent_of_place_step_stream_and_seed() -> None:
    n = 2**18
    draws = {
        "one": reference.random_bits(0, 1, 0, 0, n),
        "next element": reference.random_bits(0, 1, 0, 1, n),
        "step": reference.random_bits(0, 2, 0, 0, n),
        "stream": reference.random_bits(0, 1, 1, 0, n),
        "seed": reference.random_bits(1, 1, 0, 0, n),
        "beyond 32 bits": reference.random_bits(0, 1, 0, 2**32, n),
    }
    units = {name: x / 2.0**32 - 0.5 for name, x in draws.items()}
    deviation = 1 / np.sqrt(12 * n)
    for name, unit in units.items():
        assert abs(unit.mean()) < 5 * deviation, name
        assert abs(unit.var() * 12 - 1) < 0.02, name
        for shift in range(32):
            assert abs(((draws[name] >> np.uint32(shift)) & 1).mean() - 0.5) < 5 * 0.5 / np.sqrt(n), (name, shift)
        if name != "one":
            assert abs((units["one"] * unit).mean() * 12) < 5 / np.sqrt(n), name
        upper, lower = (draws[name] >> np.uint32(16)) / 2.0**16 - 0.5, (draws[name] & np.uint32(0xFFFF)) / 2.0**16 - 0.5
        assert abs((upper * lower).mean() * 12) < 5 / np.sqrt(n), name


@every_isa
def test_elements_are_counted_beyond_32_bits() -> None:
    numbers = reference.random_bits(3, 4, 2, 2**32 - 5, 10)
    np.testing.assert_array_equal(numbers[:5], reference.random_bits(3, 4, 2, 2**32 - 5, 5))
    np.testing.assert_array_equal(numbers[5:], reference.random_bits(3, 4, 2, 2**32, 5))

    make = Maker(7)
    for first in (2**32 - TILE - 3, 2**32 - 5, 2**33 + 1):
        p = make.array(2 * TILE, BFLOAT16, powers=SPREAD)
        opt = pyadam.Adam(p, master="stochastic", state_dtype="bfloat16")
        count_elements_from(opt, first)
        expected = reference_run(opt, p, first)
        step_together(opt, [expected], make.like(p, powers=SPREAD))
        assert_same_bits(opt, 0, expected)


@pytest.mark.parametrize("master", ["float32", "split", "stochastic", "nearest"])
def test_rounding_does_not_leave_the_box(master: str) -> None:
    low = np.array([-0.999, 0.1, 1.0])
    for bounds, start in (((None, 0.999), 0.5), ((low, None), 2.0)):
        p = np.full(3, start, BFLOAT16)
        opt = pyadam.SGD(p, lr=1.0, master=master, bounds=bounds)
        for _ in range(5):
            opt.step(np.full(3, 0.7 if bounds[1] is None else -0.7))
            assert np.all(p.astype(np.float64) <= 0.999) if bounds[1] else np.all(p.astype(np.float64) >= low)


def test_a_box_without_a_number_is_refused() -> None:
    with raises(ValueError, "param_groups[0]['bounds']", "params[0]", "no number of bfloat16", "1.001"):
        pyadam.SGD([np.ones(3, BFLOAT16)], master="split", bounds=(1.001, 1.002))


# What is refused.


@pytest.mark.parametrize(
    ("dtype", "choices"), [(BFLOAT16, "'float32', 'split' or"), (FLOAT16, "'float32' or")], ids=str
)
def test_low_precision_without_a_choice(dtype: Any, choices: str) -> None:
    with raises(ValueError, "params[0] is of", dtype.name, f"master={choices} 'stochastic'", "'nearest'"):
        pyadam.Adam([np.ones(3, dtype)])


def test_choices_that_do_not_fit() -> None:
    with raises(ValueError, "params[0] is of float16", "'split' is for bfloat16"):
        pyadam.Adam([np.ones(3, FLOAT16)], master="split")
    with raises(ValueError, "master", "'float32', 'split', 'stochastic', 'nearest'", "'float64'"):
        pyadam.Adam([np.ones(3, FLOAT16)], master="float64")
    with raises(ValueError, "state_dtype", "'float16'"):
        pyadam.Adam([np.ones(3)], state_dtype="float16")
    with raises(ValueError, "params[0] is of float64", "state_dtype"):
        pyadam.Adam([np.ones(3)], state_dtype="bfloat16")
    with raises(ValueError, "seed", "-1"):
        pyadam.Adam([np.ones(3)], seed=-1)
    with raises(TypeError, "seed", "1.5"):
        pyadam.Adam([np.ones(3)], seed=1.5)  # type: ignore[arg-type]


def test_what_is_kept_cannot_be_changed_later() -> None:
    opt = pyadam.Adam([np.ones(3, BFLOAT16)], master="split")
    for key, value in {"master": "float32", "state_dtype": "bfloat16", "ema_decay": 0.5}.items():
        with refused(opt, ValueError, f"param_groups[0][{key!r}]", "fixed at construction"):
            opt.param_groups[0][key] = value


def test_state_of_another_way_to_keep_it_is_refused() -> None:
    def made(**way: Any) -> pyadam.Optimizer:
        opt = pyadam.Adam([np.ones(3, BFLOAT16)], **way)
        opt.step([np.ones(3)])
        return opt

    for saved, into in [
        ({"master": "split"}, {"master": "float32"}),
        ({"master": "stochastic"}, {"master": "stochastic", "state_dtype": "bfloat16"}),
        ({"master": "split", "ema_decay": 0.5}, {"master": "split"}),
    ]:
        opt = made(**into)
        with refused(opt, ValueError):
            opt.load_state_dict(made(**saved).state_dict())


def test_groups_keep_theirs_in_their_own_way() -> None:
    plain, low = np.ones(3, np.float32), np.ones(3, BFLOAT16)
    opt = pyadam.Adam([{"params": [plain]}, {"params": [low], "master": "split"}], lr=0.5)
    opt.step([[np.ones(3)], [np.ones(3)]])
    assert list(opt.state_dict()["state"][0]) == ["step", "exp_avg", "exp_avg_sq"]
    assert list(opt.state_dict()["state"][1]) == ["step", "exp_avg", "exp_avg_sq", "low_bits"]
    np.testing.assert_array_equal(plain, low)
