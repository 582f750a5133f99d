"""A step over shards: gradients are averaged bucket by bucket, shards updated, and gathered as parameters."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .. import _core
from ._collectives import Collectives, Gather, OrderedReduction, Reduction
from ._shard import Shard
from ._shards import Bucket, Piece

# Buckets whose gradients, and whose parameters, are on their way at one time.
_AHEAD = 2


@dataclass
class StepTimes:
    """Seconds that steps took since the optimizer was made, or since they were set back to 0."""

    communication: float = 0.0  # starting collectives and waiting for them, with the copies into and out of buckets
    update: float = 0.0  # the kernel, norms included


class _Mean(NamedTuple):
    """A rank's averaged gradients of a bucket, by piece, and the buffer that they lie in, if any."""

    bucket: Bucket
    grads: list[tuple[Piece, NDArray[Any]]]
    buffer: NDArray[Any] | None


class ShardedStep:
    """The steps of one rank. All its methods are collective."""

    def __init__(
        self,
        collectives: Collectives,
        shard: Shard,
        shards: Sequence[Sequence[Piece]],
        buckets: Sequence[Bucket],
        flat_params: Sequence[NDArray[Any]],
        plans: tuple[Any, ...],
        has_masters: bool,
    ) -> None:
        self._collectives, self._comm = collectives, collectives.comm
        self._shard, self._core = shard, shard.core
        self._shards, self._buckets = shards, buckets
        self._flat_params = flat_params
        self._plans = plans
        self._has_masters = has_masters
        #: Where the time of steps went.
        self.times = StepTimes()

    def take(self, flat_grads: Sequence[Any], scale: float, needs_norm: bool) -> bool:
        """Take a step with this rank's gradients, flat, of which None has no part; return whether it was taken."""
        # The same on all ranks, as which gradients are None is.
        taken = [bucket for bucket in self._buckets if any(flat_grads[i] is not None for i in bucket.parameters)]
        means: Iterable[_Mean] = self._means(taken, flat_grads)
        squares = None
        if needs_norm:
            means = list(means)
            squares = self._grad_squares(means, flat_grads)
            if self._core.skip_nonfinite and squares[1]:
                for mean in means:
                    self._give_back(mean)
                return self._update([], scale, squares, True)
        gathers: deque[Gather] = deque()
        for mean in means:
            self._update(mean.grads, scale, squares, False)
            self._give_back(mean)
            with self._timed("communication"):
                sources = self._shard.sources(mean.bucket, self._comm.rank)
                self._gather(mean.bucket, sources, gathers)
        empty = [(piece, grad) for piece, grad in self._shard.empty_pieces() if flat_grads[piece.parameter] is not None]
        self._update(empty, scale, squares, True)
        with self._timed("communication"):
            _finish(gathers)
        return True

    def _means(self, taken: Sequence[Bucket], flat_grads: Sequence[Any]) -> Iterator[_Mean]:
        """Average bucket after bucket, while the next ones are on their way."""
        chunks = [(bucket, bucket.chunks[self._comm.rank]) for bucket in taken]
        if self._comm.size == 1:
            for bucket, chunk in chunks:
                grads = [(piece, flat_grads[piece.parameter]) for piece in chunk.pieces]
                yield _Mean(bucket, [(p, grad[p.slice]) for p, grad in grads if grad is not None], None)
            return
        begun: deque[Reduction | OrderedReduction] = deque()
        next_ones = iter(taken)
        for bucket, chunk in chunks:
            with self._timed("communication"):
                for following in islice(next_ones, _AHEAD - len(begun)):
                    begun.append(self._collectives.reduce(following, flat_grads))
                buffer = begun.popleft().finish()
            grads = [(piece, buffer[place]) for piece, place in chunk.placed()]
            yield _Mean(bucket, [(p, grad) for p, grad in grads if flat_grads[p.parameter] is not None], buffer)

    def _give_back(self, mean: _Mean) -> None:
        if mean.buffer is not None:
            self._collectives.buffers.give(mean.buffer)

    def _update(self, grads: Iterable[Any], scale: float, squares: tuple[float, bool] | None, is_last: bool) -> bool:
        with self._timed("update"):
            return self._core.step_part(*self._shard.by_slot(grads), self._plans, scale, squares, is_last)

    def _grad_squares(self, means: Sequence[_Mean], flat_grads: Sequence[Any]) -> tuple[float, bool]:
        """Return the sum of the squares of all gradients, and whether one is not finite: what one machine would find.

        Ranks exchange the sums of tiles, which each adds up in the one order.
        """
        with self._timed("update"):
            grads = chain.from_iterable(mean.grads for mean in means)
            squares, is_nonfinite = self._core.grad_squares(*self._shard.by_slot(grads))
        if self._comm.size == 1:
            return _core.sum_of_tiles(squares), is_nonfinite
        with self._timed("communication"):
            counts = [
                1 + sum(-(-p.size // _core.TILE) for p in shard if flat_grads[p.parameter] is not None)
                for shard in self._shards
            ]
            received = np.empty(sum(counts))
            self._comm.Allgatherv(np.append(squares, float(is_nonfinite)), [received, counts])
            flags = np.cumsum(counts) - 1
            return _core.sum_of_tiles(np.delete(received, flags)), bool(received[flags].any())

    def _gather(self, bucket: Bucket, sources: Sequence[NDArray[Any]], gathers: deque[Gather]) -> None:
        """Begin to gather a bucket, and finish an earlier one if there are enough on their way."""
        if self._comm.size == 1 and not self._has_masters:
            return
        gathers.append(self._collectives.gather(bucket, sources, self._flat_params))
        if len(gathers) > _AHEAD:
            gathers.popleft().finish()

    @contextmanager
    def _timed(self, what: str) -> Iterator[None]:
        begin = perf_counter()
        try:
            yield
        finally:
            setattr(self.times, what, getattr(self.times, what) + perf_counter() - begin)

    def gather_all(self, sources_of: Callable[[Bucket, int], list[NDArray[Any]]]) -> None:
        """Put what each rank has of its shard into the parameters of all."""
        gathers: deque[Gather] = deque()
        for bucket in self._buckets:
            sources = sources_of(bucket, self._comm.rank)
            for piece, source in zip(bucket.chunks[self._comm.rank].pieces, sources, strict=True):
                self._flat_params[piece.parameter][piece.slice] = source
            self._gather(bucket, sources, gathers)
        _finish(gathers)


def _finish(gathers: deque[Gather]) -> None:
    while gathers:
        gathers.popleft().finish()
