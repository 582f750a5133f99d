"""Numbers below the least normal one: kept as NumPy keeps them, or counted as zero."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from inside import TILE, state_of
from makers import Maker

import pyadam
from pyadam import _core


def decayed(dtype: Any, **options: Any) -> pyadam.Adam:
    """Return an optimizer whose moments have decayed for many steps of zero gradients."""
    n = 3 * TILE + 5
    opt = pyadam.Adam(np.ones(n, dtype), betas=(0.5, 0.5), **options)
    opt.step(np.full(n, 1e-3, dtype))
    for _ in range(1200):
        opt.step(np.zeros(n, dtype))
    return opt


@pytest.mark.parametrize("threads", [1, 3])
def test_a_mode_that_others_have_set_does_not_count(threads: int, use_threads: Callable[[int], None]) -> None:
    torch = pytest.importorskip("torch")
    use_threads(threads)
    w, g = (np.full(100_000, value, np.float32) for value in (1e-39, -2e-39))
    opt = pyadam.SGD(w, lr=1.0)
    if not torch.set_flush_denormal(True):
        pytest.skip("this processor has no such mode")
    try:
        opt.step(g)
        assert (np.ones(1, np.float32) * np.float32(1e-39))[0] == 0  # the caller's mode is still its own
    finally:
        torch.set_flush_denormal(False)
    np.testing.assert_array_equal(w, np.float32(1e-39) - np.float32(-2e-39))


@pytest.mark.parametrize("threads", [1, 3])
def test_the_mode_is_that_of_the_step_alone(threads: int, use_threads: Callable[[int], None]) -> None:
    use_threads(threads)
    least = np.finfo(np.float64).tiny
    decayed(np.float64, flush_denormals=True)
    assert least / 4 * 2 == least / 2 > 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_moments_become_zero_and_not_subnormal(dtype: Any) -> None:
    kept, flushed = decayed(dtype), decayed(dtype, flush_denormals=True)
    tiny = np.finfo(dtype).tiny
    for name, moment in state_of(flushed).items():
        assert not np.any((np.abs(moment) < tiny) & (moment != 0)), name
    np.testing.assert_array_equal(state_of(flushed)["exp_avg"], 0)
    np.testing.assert_allclose(kept.params, flushed.params, rtol=1e-6)


@pytest.mark.skipif("sse2" not in _core.available_isas(), reason="compares the instruction sets of x86")
def test_the_same_bits_on_all_x86(use_threads: Callable[[int], None]) -> None:
    use_threads(2)
    before, results = _core.isa(), []
    make = Maker(0)
    start = make.array(3 * TILE + 5, np.float32, scale=1e-38)
    grads = [make.like(start, powers=(-45, -15)) for _ in range(5)]
    for isa in _core.available_isas():
        _core.select_isa(isa)
        p = start.copy()
        opt = pyadam.Adam(p, lr=1e-38, flush_denormals=True)
        for g in grads:
            opt.step(g)
        results.append((p.tobytes(), *(kept.tobytes() for kept in state_of(opt).values())))
    _core.select_isa(before)
    assert all(result == results[0] for result in results)
