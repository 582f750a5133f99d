"""Buckets on their way between ranks: gradients are averaged into shards, parameters gathered from them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
from mpi4py import MPI
from numpy.typing import NDArray

from .._extras import require
from ._shards import Bucket, Whole


class Buffers:
    """Memory that is used again, by the number of its bytes."""

    def __init__(self) -> None:
        self._free: defaultdict[int, list[NDArray[Any]]] = defaultdict(list)

    def take(self, size: int, dtype: Any) -> NDArray[Any]:
        """Return a 1-D array, whose elements are arbitrary."""
        wanted = np.dtype(dtype)
        free = self._free[size * wanted.itemsize]
        return (free.pop() if free else np.empty(size * wanted.itemsize, np.uint8)).view(wanted)

    def give(self, array: NDArray[Any]) -> None:
        """Take back what `take` returned."""
        self._free[array.nbytes].append(array.view(np.uint8))


class Collectives:
    """The non-blocking collectives of one optimizer."""

    def __init__(
        self,
        comm: Any,
        wholes: Sequence[Whole],
        deterministic: bool,
        gradient_dtype: str | None,
        parameter_dtype: str | None,
    ) -> None:
        self.comm = comm
        self.wholes = wholes
        self.deterministic = deterministic
        self._bfloat16 = None
        if "bfloat16" in (gradient_dtype, parameter_dtype):
            self._bfloat16 = np.dtype(require("ml_dtypes", "bfloat16").bfloat16)
        self._rounds_gradients = gradient_dtype is not None
        self._rounds_parameters = parameter_dtype is not None
        self.buffers = Buffers()

    def gradient_dtype(self, bucket: Bucket) -> Any:
        """Return the dtype in which gradients are sent."""
        return self._bfloat16 if self._rounds_gradients else bucket.compute_dtype

    def parameter_dtype(self, bucket: Bucket) -> Any:
        """Return the dtype in which parameters are sent."""
        return self._bfloat16 if self._rounds_parameters else bucket.dtype

    def reduce(self, bucket: Bucket, flat_grads: Sequence[NDArray[Any] | None]) -> Reduction | OrderedReduction:
        """Begin to average the gradients of a bucket, of flat arrays, of which None stands for zeros."""
        if self.deterministic or self._rounds_gradients:
            return OrderedReduction(self, bucket, flat_grads)
        return Reduction(self, bucket, flat_grads)

    def gather(self, bucket: Bucket, sources: Sequence[NDArray[Any]], flat_params: Sequence[NDArray[Any]]) -> Gather:
        """Begin to send this rank's pieces of a bucket, `sources`, to the parameters of all ranks."""
        return Gather(self, bucket, sources, flat_params)

    def packed(self, bucket: Bucket, flat_grads: Sequence[NDArray[Any] | None]) -> NDArray[Any]:
        """Return a buffer with the bucket's gradients in the order of ranks."""
        buffer = self.buffers.take(bucket.size, self.gradient_dtype(bucket))
        for chunk, begin in zip(bucket.chunks, bucket.places, strict=True):
            for piece, place in chunk.placed():
                target = buffer[begin + place.start : begin + place.stop]
                grad = flat_grads[piece.parameter]
                if grad is None:
                    target[...] = 0
                else:
                    np.copyto(target, grad[piece.slice], casting="unsafe")
        return buffer


class Reduction:
    """The gradients of a bucket, summed by the MPI library in an order of its own."""

    def __init__(self, owner: Collectives, bucket: Bucket, flat_grads: Sequence[NDArray[Any] | None]) -> None:
        self._owner, self._bucket = owner, bucket
        self._sent = owner.packed(bucket, flat_grads)
        self._mean = owner.buffers.take(bucket.counts[owner.comm.rank], bucket.compute_dtype)
        self.request = owner.comm.Ireduce_scatter(self._sent, self._mean, bucket.counts)

    def finish(self) -> NDArray[Any]:
        """Return the mean of this rank's chunk, in a buffer to give back."""
        self.request.Wait()
        self._owner.buffers.give(self._sent)
        self._mean /= self._owner.comm.size
        return self._mean


class OrderedReduction:
    """The gradients of a bucket, exchanged and summed by their owner in the order of ranks."""

    def __init__(self, owner: Collectives, bucket: Bucket, flat_grads: Sequence[NDArray[Any] | None]) -> None:
        self._owner, self._bucket = owner, bucket
        rank, ranks = owner.comm.rank, owner.comm.size
        dtype = owner.gradient_dtype(bucket)
        self._count = bucket.counts[rank]
        self._received = owner.buffers.take(ranks * self._count, dtype)
        places = [r * self._count for r in range(ranks)]
        self._buffer = None
        only = bucket.only_array()
        grad = None if only is None else flat_grads[only[0]]
        if only is not None and grad is not None and grad.dtype == dtype and grad.flags.c_contiguous:
            self._sent, sent_places = grad, only[1]
        else:
            self._sent = self._buffer = owner.packed(bucket, flat_grads)
            sent_places = list(bucket.places)
        self.request = owner.comm.Ialltoallv(
            _message(self._sent, bucket.counts, sent_places),
            _message(self._received, [self._count] * ranks, places),
        )

    def finish(self) -> NDArray[Any]:
        """Return the mean of this rank's chunk, in a buffer to give back."""
        self.request.Wait()
        buffers = self._owner.buffers
        if self._buffer is not None:
            buffers.give(self._buffer)
        parts = self._received.reshape(-1, self._count) if self._count else self._received.reshape(0, 0)
        mean = buffers.take(self._count, self._bucket.compute_dtype)
        mean[...] = parts[0] if self._count else 0
        for part in parts[1:]:
            mean += part.astype(mean.dtype, copy=False)
        mean /= self._owner.comm.size
        buffers.give(self._received)
        return mean


class Gather:
    """The parameters of a bucket, sent by the ranks that own them."""

    def __init__(
        self,
        owner: Collectives,
        bucket: Bucket,
        sources: Sequence[NDArray[Any]],
        flat_params: Sequence[NDArray[Any]],
    ) -> None:
        self._owner, self._bucket, self._flat_params = owner, bucket, flat_params
        rank = owner.comm.rank
        dtype = owner.parameter_dtype(bucket)
        self._buffer = None
        only = bucket.only_array()
        if only is not None and dtype == bucket.dtype:
            target, places = flat_params[only[0]], only[1]
            for piece, source in zip(bucket.chunks[rank].pieces, sources, strict=True):
                if not np.may_share_memory(target[piece.slice], source):
                    target[piece.slice] = source
        else:
            target = self._buffer = owner.buffers.take(bucket.size, dtype)
            places = list(bucket.places)
            for (_, place), source in zip(bucket.chunks[rank].placed(), sources, strict=True):
                begin = bucket.places[rank]
                np.copyto(target[begin + place.start : begin + place.stop], source, casting="unsafe")
        self.request = owner.comm.Iallgatherv(MPI.IN_PLACE, _message(target, bucket.counts, places))

    def finish(self) -> None:
        """Wait until the parameters of all ranks have arrived, and put them in their places."""
        self.request.Wait()
        if self._buffer is None:
            return
        for chunk, begin in zip(self._bucket.chunks, self._bucket.places, strict=True):
            for piece, place in chunk.placed():
                self._flat_params[piece.parameter][piece.slice] = self._buffer[begin + place.start : begin + place.stop]
        self._owner.buffers.give(self._buffer)


def _message(array: NDArray[Any], counts: Sequence[int], places: Sequence[int]) -> list[Any]:
    """Return what mpi4py takes for parts of an array; a dtype that MPI does not know goes as its bits."""
    if array.dtype.itemsize == 2:
        array = array.view(np.uint16)
    return [array, counts, places, MPI.Datatype.fromcode(array.dtype.char)]
