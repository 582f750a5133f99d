"""How parameters are cut: into a shard for each rank, and each shard into chunks, of which buckets are made.

All ranks compute the same layout. Cuts are at tile borders of a parameter or between two parameters, so that the tiles
of all shards together are those of one machine, and norms have the same bits.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .. import _core


class Whole(NamedTuple):
    """A parameter of which ranks hold parts."""

    path: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    order: Literal["C", "F"]
    weight: int  # bytes that are kept beside an element, or 1

    @property
    def size(self) -> int:
        """Number of elements."""
        return int(np.prod(self.shape, dtype=np.int64))

    def flat(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return the elements of an array of this shape in the parameter's memory order: a view where it lies so."""
        array = np.asarray(array)  # a matrix stays one
        return array.reshape(-1) if self.order == "C" else array.T.reshape(-1)

    def shaped(self, flat: NDArray[Any]) -> NDArray[Any]:
        """Undo `flat`."""
        return flat.reshape(self.shape, order=self.order)


class Piece(NamedTuple):
    """The elements [begin, end) of a parameter, in its memory order."""

    parameter: int
    begin: int
    end: int

    @property
    def size(self) -> int:
        """Number of elements."""
        return self.end - self.begin

    @property
    def slice(self) -> slice:
        """The place in the flat parameter."""
        return slice(self.begin, self.end)


class Chunk(NamedTuple):
    """What a rank has of a bucket: pieces of its shard."""

    pieces: tuple[Piece, ...]
    size: int

    def placed(self) -> Iterator[tuple[Piece, slice]]:
        """Yield each piece with its place in the chunk."""
        at = 0
        for piece in self.pieces:
            yield piece, slice(at, at + piece.size)
            at += piece.size


class Bucket(NamedTuple):
    """Elements of one dtype that are sent together: a chunk for each rank, by turns."""

    dtype: np.dtype[Any]
    chunks: tuple[Chunk, ...]
    counts: tuple[int, ...]
    places: tuple[int, ...]  # of the chunks in the bucket
    size: int

    @property
    def compute_dtype(self) -> np.dtype[Any]:
        """The dtype of the parameters' arithmetic, in which gradients are averaged."""
        return np.dtype(np.float64 if self.dtype == np.float64 else np.float32)

    @property
    def parameters(self) -> set[int]:
        """The parameters that have elements in it."""
        return {piece.parameter for chunk in self.chunks for piece in chunk.pieces}

    def only_array(self) -> tuple[int, list[int]] | None:
        """Return the one parameter that all elements are of, and where each chunk begins in it; None if there is none.

        Such a bucket can be sent from where it lies.
        """
        first = {chunk.pieces[0].parameter for chunk in self.chunks if chunk.pieces}
        if len(first) != 1 or any(len(chunk.pieces) > 1 for chunk in self.chunks):
            return None
        return first.pop(), [chunk.pieces[0].begin if chunk.pieces else 0 for chunk in self.chunks]


def shards(wholes: Sequence[Whole], ranks: int) -> list[list[Piece]]:
    """Cut all parameters, one after the other, into a run for each rank whose state takes equally many bytes.

    Cuts go to the nearest tile border of the parameter that they fall on.
    """
    ends = list(accumulate(whole.size * whole.weight for whole in wholes))
    cuts = [(0, 0), *(_cut(wholes, ends, ends[-1] * r // ranks) for r in range(1, ranks)), (len(wholes), 0)]
    result = []
    for (first, begin), (last, end) in pairwise(cuts):
        pieces = []
        for i in range(first, min(last + 1, len(wholes))):
            piece = Piece(i, begin if i == first else 0, end if i == last else wholes[i].size)
            if piece.size > 0:
                pieces.append(piece)
        result.append(pieces)
    return result


def _cut(wholes: Sequence[Whole], ends: Sequence[int], position: int) -> tuple[int, int]:
    """Return the parameter and its element where a cut at `position` bytes of all state goes."""
    i = bisect_right(ends, position)
    if i == len(wholes):
        return i, 0
    size = wholes[i].size
    element = (position - ends[i]) // wholes[i].weight + size
    before = element // _core.TILE * _core.TILE
    after = min(before + _core.TILE, size)
    border = before if element - before <= after - element else after
    return (i, border) if border < size else (i + 1, 0)


def buckets(wholes: Sequence[Whole], shards: Sequence[Sequence[Piece]], cap: int) -> list[Bucket]:
    """Make buckets of at most `cap` bytes of parameters each, but of a tile of each rank at least."""
    result = []
    for dtype in dict.fromkeys(whole.dtype for whole in wholes if whole.size):
        limit = max(cap // (len(shards) * dtype.itemsize), _core.TILE)
        runs = [list(_chunks([p for p in shard if wholes[p.parameter].dtype == dtype], limit)) for shard in shards]
        for k in range(max(map(len, runs))):
            chunks = tuple(run[k] if k < len(run) else Chunk((), 0) for run in runs)
            counts = tuple(chunk.size for chunk in chunks)
            *places, size = accumulate(counts, initial=0)
            result.append(Bucket(dtype, chunks, counts, tuple(places), size))
    return result


def _chunks(pieces: Sequence[Piece], limit: int) -> Iterator[Chunk]:
    """Cut a run of pieces into chunks of at most `limit` elements, but a tile at least."""
    taken: list[Piece] = []
    room = limit
    for piece in pieces:
        begin = piece.begin
        while begin < piece.end:
            end = piece.end if piece.end - begin <= room else begin + room // _core.TILE * _core.TILE
            if end > begin:
                taken.append(Piece(piece.parameter, begin, end))
                room -= end - begin
                begin = end
            if begin < piece.end:
                yield Chunk(tuple(taken), limit - room)
                taken, room = [], limit
    if taken:
        yield Chunk(tuple(taken), limit - room)
