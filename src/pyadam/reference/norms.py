"""Norms in the kernel's order of summation, and clipping by them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def norm(*arrays: Array) -> float:
    """Return the L2 norm of all elements, in memory order, added in the kernel's order in double precision.

    Tiles of 1024 elements of an array are cut into 64 rows of 16 lanes; rows are added one after the other, then the
    lanes by halves, and the sums of all tiles of all arrays as a binary tree of neighbours.
    """
    with np.errstate(all="ignore"):
        tiles = np.concatenate([_tile_sums(x) for x in arrays]) if arrays else np.zeros(0)
        while len(tiles) > 1:
            odd = tiles[len(tiles) // 2 * 2 :]
            tiles = np.concatenate([tiles[:-1:2] + tiles[1::2], odd])
    return math.sqrt(tiles[0]) if len(tiles) else 0.0


def _tile_sums(x: Array) -> NDArray[np.float64]:
    flat = x.ravel(order="K").astype(np.float64)
    squares = np.zeros(-(-flat.size // 1024) * 1024)
    squares[: flat.size] = flat * flat
    rows = squares.reshape(-1, 64, 16)
    sums = np.zeros((len(rows), 16))
    for i in range(64):
        sums = sums + rows[:, i]
    while sums.shape[1] > 1:
        half = sums.shape[1] // 2
        sums = sums[:, :half] + sums[:, half:]
    return sums[:, 0]


def clip_coefficient(grad_norm: float, clip_norm: float | None) -> float:
    """Return what gradients are multiplied by so that their norm is `clip_norm` at most, as PyTorch has it."""
    if clip_norm is None:
        return 1.0
    coefficient = clip_norm / (grad_norm + 1e-6)
    return 1.0 if coefficient > 1.0 else coefficient
