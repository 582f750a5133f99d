"""A rank's shard: the pieces of parameters that the rank owns, and where they are among what the engine has bound."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import count
from operator import itemgetter
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .. import _core
from .._group import Group
from .._param_group import Part
from .._request import GroupRequest, Request
from ._shards import Bucket, Piece, Whole


def wholes(asked: Request) -> list[Whole]:
    """Return what must be known of each parameter to cut it; raise if it cannot be kept as is asked."""
    result = []
    for i, (arrays, paths, values) in enumerate(asked.groups):
        kernel, master, state_dtype, has_ema, _ = Group(asked.rule, values, f"param_groups[{i}]").keeping
        for array, path in zip(arrays, paths, strict=True):
            kept = _core.kept_arrays(kernel, array.dtype.name, master, state_dtype, has_ema, path)
            weight = sum(_core.DTYPES[dtype][0] for _, dtype in kept) or 1
            order: Literal["C", "F"] = "C" if array.flags.c_contiguous else "F"
            result.append(Whole(path, array.shape, array.dtype, order, weight))
    return result


class Shard:
    """The pieces of a rank, in the order of the parameters.

    A parameter of which the rank has nothing is there as an empty piece, so that each rank has all groups and knows how
    many steps each parameter has taken.
    """

    def __init__(
        self,
        asked: Request,
        wholes: Sequence[Whole],
        buckets: Sequence[Bucket],
        rank: int,
        has_masters: bool,
    ) -> None:
        owned: defaultdict[int, list[Piece]] = defaultdict(list)
        for bucket in buckets:
            for piece in bucket.chunks[rank].pieces:
                owned[piece.parameter].append(piece)
        #: The pieces, and the array of each: a view of the parameter, or a master copy.
        self.pieces: list[Piece] = []
        self.arrays: list[NDArray[Any]] = []
        #: Of each group, of what parameters the pieces are parts.
        self.parts: list[list[Part]] = []
        groups = []
        numbers = count()
        for group in asked.groups:
            parts: list[Part] = []
            for array, i in zip(group.arrays, numbers, strict=False):
                whole = wholes[i]
                flat = whole.flat(array)
                for piece in sorted(owned[i]) or [Piece(i, 0, 0)]:
                    values = flat[piece.slice]
                    if has_masters and whole.dtype == np.float32:
                        values = values.copy()
                    self.pieces.append(piece)
                    self.arrays.append(values)
                    parts.append(Part(whole.path, whole.shape, whole.order, piece.begin, piece.end))
            self.parts.append(parts)
            first = len(self.arrays) - len(parts)
            groups.append(GroupRequest(self.arrays[first:], [part.path for part in parts], group.values))
        #: What is asked for, of the pieces.
        self.asked = asked._replace(groups=groups)
        self._slots = {piece: slot for slot, piece in enumerate(self.pieces)}
        firsts = {piece.parameter: slot for slot, piece in reversed(list(enumerate(self.pieces)))}
        self._first_slots = [firsts[i] for i in range(len(wholes))]
        #: What the engine has of the pieces, once they are bound.
        self.core: _core.ArrayParameters
        self.master_bytes = sum(array.nbytes for array in self.arrays) if has_masters else 0

    def sources(self, bucket: Bucket, rank: int) -> list[NDArray[Any]]:
        """Return the arrays of the pieces that the rank has in a bucket."""
        return [self.arrays[self._slots[piece]] for piece in bucket.chunks[rank].pieces]

    def averages(self, bucket: Bucket, rank: int) -> list[NDArray[Any]]:
        """Return, for the same pieces, their averages, or their values where there is none."""
        slots = [self._slots[piece] for piece in bucket.chunks[rank].pieces]
        return [self.core.state(slot).get("ema", self.arrays[slot]) for slot in slots]

    def by_slot(self, grads: Iterable[tuple[Piece, Any]]) -> tuple[list[int], list[Any]]:
        """Return the gradients of pieces, in the order of the engine's parameters, and their numbers there."""
        found = sorted(((self._slots[piece], grad) for piece, grad in grads), key=itemgetter(0))
        return [slot for slot, _ in found], [grad for _, grad in found]

    def empty_pieces(self) -> Iterator[tuple[Piece, Any]]:
        """Yield the parameters of which the rank has nothing, with a gradient of nothing."""
        for piece in self.pieces:
            if piece.size == 0:
                yield piece, np.empty(0, np.float32)

    def items(self) -> Iterator[tuple[Piece, NDArray[Any]]]:
        """Yield all pieces with their arrays, in the order of the engine's parameters."""
        return zip(self.pieces, self.arrays, strict=True)

    def array_of(self, piece: Piece) -> NDArray[Any]:
        """Return the array of a piece."""
        return self.arrays[self._slots[piece]]

    def state_of(self, piece: Piece) -> dict[str, NDArray[Any]]:
        """Return what is kept beside a piece, live."""
        return self.core.state(self._slots[piece])

    def state_of_parameter(self, parameter: int) -> dict[str, NDArray[Any]]:
        """Return what is kept beside the first piece of a parameter: names and dtypes are those of all."""
        return self.core.state(self._first_slots[parameter])

    def steps(self) -> list[int]:
        """Return how many steps each parameter has taken."""
        steps = self.core.steps
        return [steps[slot] for slot in self._first_slots]

    @property
    def state_bytes(self) -> int:
        """Bytes that are kept beside the parameters."""
        kept = (array.nbytes for slot in range(len(self.pieces)) for array in self.core.state(slot).values())
        return self.master_bytes + sum(kept)
