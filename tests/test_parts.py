"""Steps that are taken in parts, as where the rest of the parameters lies on other machines."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import pyadam
from pyadam import _core, reference

SIZES = [3000, 1, 0, 1024, 5000]


def arrays(seed: int, dtype: Any) -> list[Any]:
    rng = np.random.default_rng(seed)
    return [rng.normal(size=size).astype(dtype) for size in SIZES]


def part_of(grads: list[Any], members: set[int]) -> tuple[list[int], list[Any]]:
    return sorted(members), [grads[i] for i in sorted(members)]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("clip_norm", [None, 1.0])
def test_parts_make_a_step(dtype: Any, clip_norm: float | None) -> None:
    ours, theirs = arrays(0, dtype), arrays(0, dtype)
    parts, whole = (pyadam.Adam(params, clip_norm=clip_norm, state_dtype=None) for params in (ours, theirs))
    core = parts._core
    for seed in range(1, 4):
        grads = arrays(seed, dtype)
        tiles, is_nonfinite = core.grad_squares(range(len(SIZES)), grads)
        squares = (_core.sum_of_tiles(tiles), is_nonfinite)
        for members, is_last in [({0, 3}, False), ({1}, False), ({2, 4}, True)]:
            assert core.step_count == seed - 1
            assert core.step_part(*part_of(grads, members), parts._plans, 2.0, squares, is_last)
        whole.step(grads, grad_scale=2.0)
        assert core.step_count == seed
        assert parts.grad_norm == whole.grad_norm
        assert core.steps == whole._core.steps
        for p, q in zip(ours, theirs, strict=True):
            assert_array_equal(p, q)


def test_the_squares_of_tiles_are_those_of_the_reference() -> None:
    params, grads = arrays(0, np.float32), arrays(1, np.float32)
    core = pyadam.Adam(params)._core
    tiles, is_nonfinite = core.grad_squares(range(len(SIZES)), grads)
    assert len(tiles) == sum(-(-size // _core.TILE) for size in SIZES)
    assert not is_nonfinite
    assert np.sqrt(_core.sum_of_tiles(tiles)) == reference.norm(*grads)
    some = core.grad_squares(*part_of(grads, {0, 4}))[0]
    assert_array_equal(some, [*tiles[:3], *tiles[5:]])
    # Where a parameter is cut at tile borders, the tiles of its parts are the same.
    cut = [piece for grad in grads for piece in np.split(grad, range(_core.TILE, len(grad), _core.TILE))]
    parts = pyadam.Adam([np.zeros_like(piece) for piece in cut])._core
    assert_array_equal(parts.grad_squares(range(len(cut)), cut)[0], tiles)


def test_squares_that_overflow_are_no_infinities() -> None:
    core = pyadam.Adam(np.zeros(5))._core
    assert core.grad_squares([0], [np.full(5, 1e200)])[1] is False
    for value in (np.inf, np.nan):
        assert core.grad_squares([0], [np.array([0, 0, value, 0, 0])])[1] is True


def test_a_part_is_skipped_for_what_is_elsewhere() -> None:
    p = np.ones(3)
    opt = pyadam.Adam(p, skip_nonfinite=True)
    assert not opt._core.step_part([0], [np.ones(3)], opt._plans, 1.0, (1.0, True), True)
    assert (opt.skipped, opt.step_count) == (1, 0)
    assert_array_equal(p, np.ones(3))


def test_gradients_are_checked_without_a_step() -> None:
    core = pyadam.Adam({"w": np.ones(3)})._core
    core.check_gradients([np.ones(3)])
    core.check_gradients([None])
    with pytest.raises(ValueError, match=r"params\['w'\]"):
        core.check_gradients([np.ones(4)])
    with pytest.raises(TypeError, match=r"params\['w'\]"):
        core.check_gradients([np.ones(3, int)])
    assert core.step_count == 0
