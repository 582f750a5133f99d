"""A rank's shard: a plain optimizer over the pieces of parameters that the rank owns."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from operator import itemgetter
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .. import _core
from .._hyperparameters import check_setting
from .._param_group import Part
from .._structure import Node, arrays_of_group, structure_of_groups
from ..optimizer import Optimizer
from ._shards import Bucket, Piece, Whole

_BYTES = {"float64": 8, "float32": 4, "float16": 2, "bfloat16": 2, "int16": 2}


class Request(NamedTuple):
    """What a user asks for, checked as the plain optimizer checks it, before anything is bound."""

    cls: type[Optimizer]
    structure: Node
    has_groups: bool
    groups: list[tuple[list[NDArray[Any]], list[str]]]
    group_options: list[dict[str, Any]]
    own_options: dict[str, Any]

    @property
    def arrays(self) -> list[NDArray[Any]]:
        """All parameters."""
        return [array for arrays, _ in self.groups for array in arrays]

    @property
    def paths(self) -> list[str]:
        """Their paths."""
        return [path for _, paths in self.groups for path in paths]

    def wholes(self) -> list[Whole]:
        """Return what must be known of each parameter to cut it; raise if it cannot be kept as is asked."""
        result = []
        for (arrays, paths), options in zip(self.groups, self.group_options, strict=True):
            keeping = (options["master"], options["state_dtype"], options["ema_decay"] is not None)
            for array, path in zip(arrays, paths, strict=True):
                kept = _core.kept_arrays(self.cls._rule(options), array.dtype.name, *keeping, path)
                weight = sum(_BYTES[dtype] for _, dtype in kept) or 1
                order: Literal["C", "F"] = "C" if array.flags.c_contiguous else "F"
                result.append(Whole(path, array.shape, array.dtype, order, weight))
        return result


def request(params: Any, cls: Any, options: dict[str, Any]) -> Request:
    """Return what is asked for, or raise as ``cls(params, **options)`` would."""
    if not (isinstance(cls, type) and issubclass(cls, Optimizer) and cls is not Optimizer):
        raise TypeError(f"optimizer_class must be a class of pyadam, such as pyadam.Adam, found {cls!r}")
    if cls._needs_whole_parameters:
        raise ValueError(f"{cls.__name__} takes norms of whole parameters, which are cut between ranks here")
    taken: list[Any] = []

    class Asked(cls):  # type: ignore[misc]
        def _bind(self, *arguments: Any) -> None:
            taken.extend(arguments)

    Asked.__name__ = cls.__name__
    Asked(params, **options)
    trees, group_options, has_groups, own_options = taken
    structure, structures = structure_of_groups(trees, has_groups)
    groups = [
        arrays_of_group(node, tree, f"params{f'[{i}]' if has_groups else ''}")
        for i, (node, tree) in enumerate(zip(structures, trees, strict=True))
    ]
    checked = [
        {key: check_setting(key, value, f"param_groups[{i}][{key!r}]") for key, value in group.items()}
        for i, group in enumerate(group_options)
    ]
    return Request(cls, structure, has_groups, groups, checked, own_options)


class Shard:
    """The pieces of a rank, in the order of the parameters, and the plain optimizer that updates them.

    A parameter of which the rank has nothing is there as an empty piece, so that each rank has all groups and knows how
    many steps each parameter has taken.
    """

    def __init__(
        self,
        asked: Request,
        wholes: Sequence[Whole],
        buckets: Sequence[Bucket],
        rank: int,
        first_element: int,
        has_masters: bool,
    ) -> None:
        owned: defaultdict[int, list[Piece]] = defaultdict(list)
        for bucket in buckets:
            for piece in bucket.chunks[rank].pieces:
                owned[piece.parameter].append(piece)
        #: The pieces, and the array of each: a view of the parameter, or a master copy.
        self.pieces: list[Piece] = []
        self.arrays: list[NDArray[Any]] = []
        parts: list[list[Part]] = []
        trees: list[list[NDArray[Any]]] = []
        arrays = iter(enumerate(asked.arrays))
        for group, _ in asked.groups:
            parts.append([])
            trees.append([])
            for i, array in (next(arrays) for _ in group):
                whole = wholes[i]
                flat = whole.flat(array)
                for piece in sorted(owned[i]) or [Piece(i, 0, 0)]:
                    values = flat[piece.slice]
                    if has_masters and whole.dtype == np.float32:
                        values = values.copy()
                    self.pieces.append(piece)
                    self.arrays.append(values)
                    parts[-1].append(Part(whole.path, whole.shape, whole.order, piece.begin, piece.end))
                    trees[-1].append(values)
        self._slots = {piece: slot for slot, piece in enumerate(self.pieces)}
        first = {piece.parameter: slot for slot, piece in reversed(list(enumerate(self.pieces)))}
        self._first_slots = [first[i] for i in range(len(wholes))]
        self.optimizer: Optimizer = asked.cls.__new__(asked.cls)
        self.optimizer._bind(trees, asked.group_options, True, asked.own_options, parts)
        self.core = self.optimizer._core
        self.core.first_element = first_element
        self.master_bytes = sum(array.nbytes for array in self.arrays) if has_masters else 0

    def sources(self, bucket: Bucket, rank: int) -> list[NDArray[Any]]:
        """Return the arrays of the pieces that the rank has in a bucket."""
        return [self.arrays[self._slots[piece]] for piece in bucket.chunks[rank].pieces]

    def averages(self, bucket: Bucket, rank: int) -> list[NDArray[Any]]:
        """Return, for the same pieces, their averages, or their values where there is none."""
        slots = [self._slots[piece] for piece in bucket.chunks[rank].pieces]
        return [self.core.state(slot).get("ema", self.arrays[slot]) for slot in slots]

    def by_slot(self, grads: Iterable[tuple[Piece, Any]]) -> tuple[list[int], list[Any]]:
        """Return the gradients of pieces, in the order of the plain optimizer's parameters, and their numbers there."""
        found = sorted(((self._slots[piece], grad) for piece, grad in grads), key=itemgetter(0))
        return [slot for slot, _ in found], [grad for _, grad in found]

    def empty_pieces(self) -> Iterator[tuple[Piece, Any]]:
        """Yield the parameters of which the rank has nothing, with a gradient of nothing."""
        for piece in self.pieces:
            if piece.size == 0:
                yield piece, np.empty(0, np.float32)

    def items(self) -> Iterator[tuple[Piece, NDArray[Any]]]:
        """Yield all pieces with their arrays, in the order of the plain optimizer's parameters."""
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
