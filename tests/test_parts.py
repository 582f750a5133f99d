"""Steps that are taken in parts, as where the rest of the parameters lies on other machines."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from inside import TILE, check_gradients, grad_squares, step_part, steps_of
from makers import Maker
from numpy.testing import assert_array_equal

import pyadam
from pyadam import _core, reference

SIZES = [3000, 1, 0, 1024, 5000]


def part_of(grads: list[Any], members: set[int]) -> tuple[list[int], list[Any]]:
    return sorted(members), [grads[i] for i in sorted(members)]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("clip_norm", [None, 1.0])
def test_parts_make_a_step(dtype: Any, clip_norm: float | None) -> None:
    make = Maker(0)
    ours = make.arrays(SIZES, dtype)
    theirs = [p.copy() for p in ours]
    parts, whole = (pyadam.Adam(params, clip_norm=clip_norm, state_dtype=None) for params in (ours, theirs))
    for step in range(3):
        grads = make.like(ours)
        tiles, is_nonfinite = grad_squares(parts, range(len(SIZES)), grads)
        squares = (_core.sum_of_tiles(tiles), is_nonfinite)
        for members, is_last in [({0, 3}, False), ({1}, False), ({2, 4}, True)]:
            assert parts.step_count == step
            assert step_part(parts, *part_of(grads, members), 2.0, squares, is_last)
        whole.step(grads, grad_scale=2.0)
        assert parts.step_count == step + 1
        assert parts.grad_norm == whole.grad_norm
        assert steps_of(parts) == steps_of(whole)
        for p, q in zip(ours, theirs, strict=True):
            assert_array_equal(p, q)


def test_the_squares_of_tiles_are_those_of_the_reference() -> None:
    make = Maker(1)
    params = make.arrays(SIZES, np.float32)
    opt, grads = pyadam.Adam(params), make.like(params)
    tiles, is_nonfinite = grad_squares(opt, range(len(SIZES)), grads)
    assert len(tiles) == sum(-(-size // TILE) for size in SIZES)
    assert not is_nonfinite
    assert np.sqrt(_core.sum_of_tiles(tiles)) == reference.norm(*grads)
    some = grad_squares(opt, *part_of(grads, {0, 4}))[0]
    assert_array_equal(some, [*tiles[:3], *tiles[5:]])
    # Where a parameter is cut at tile borders, the tiles of its parts are the same.
    cut = [piece for grad in grads for piece in np.split(grad, range(TILE, len(grad), TILE))]
    parts = pyadam.Adam([np.zeros_like(piece) for piece in cut])
    assert_array_equal(grad_squares(parts, range(len(cut)), cut)[0], tiles)


def test_squares_that_overflow_are_no_infinities() -> None:
    opt = pyadam.Adam(np.zeros(5))
    assert grad_squares(opt, [0], [np.full(5, 1e200)])[1] is False
    for value in (np.inf, np.nan):
        assert grad_squares(opt, [0], [np.array([0, 0, value, 0, 0])])[1] is True


def test_a_part_is_skipped_for_what_is_elsewhere() -> None:
    p = np.ones(3)
    opt = pyadam.Adam(p, skip_nonfinite=True)
    assert not step_part(opt, [0], [np.ones(3)], 1.0, (1.0, True), True)
    assert (opt.skipped, opt.step_count) == (1, 0)
    assert_array_equal(p, np.ones(3))


def test_gradients_are_checked_without_a_step() -> None:
    opt = pyadam.Adam({"w": np.ones(3)})
    check_gradients(opt, [np.ones(3)])
    check_gradients(opt, [None])
    with pytest.raises(ValueError, match=r"params\['w'\]"):
        check_gradients(opt, [np.ones(4)])
    with pytest.raises(TypeError, match=r"params\['w'\]"):
        check_gradients(opt, [np.ones(3, int)])
    assert opt.step_count == 0
