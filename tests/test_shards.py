"""How `pyadam.distributed` cuts parameters, which needs no ranks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from inside import TILE

pytest.importorskip("mpi4py", reason="pyadam.distributed needs mpi4py and an MPI library: pip install 'pyadam[mpi]'")
_shards = pytest.importorskip("pyadam.distributed._shards")

SIZES = st.lists(st.one_of(st.integers(0, 5), st.integers(0, 20_000)), min_size=1, max_size=8)
WEIGHTS = st.sampled_from([(np.float32, 8), (np.float64, 16), (np.float32, 1)])


def wholes_of(sizes: list[int], kinds: list[Any]) -> list[Any]:
    return [
        _shards.Whole(f"params[{i}]", (size,), np.dtype(dtype), "C", weight)
        for i, (size, (dtype, weight)) in enumerate(zip(sizes, kinds, strict=True))
    ]


@given(SIZES, st.data(), st.integers(1, 9), st.sampled_from([1, 10_000, 100_000, 10**8]))
def test_every_element_is_in_one_shard_and_one_bucket(sizes: list[int], data: Any, ranks: int, cap: int) -> None:
    kinds = data.draw(st.lists(WEIGHTS, min_size=len(sizes), max_size=len(sizes)))
    wholes = wholes_of(sizes, kinds)
    shards = _shards.shards(wholes, ranks)
    assert len(shards) == ranks
    at = (0, 0)
    for piece in (piece for shard in shards for piece in shard):
        assert piece.begin % TILE == 0
        assert piece.end % TILE == 0 or piece.end == sizes[piece.parameter]
        assert (piece.parameter, piece.begin) >= at
        at = (piece.parameter, piece.end)
    assert [sum(p.size for shard in shards for p in shard if p.parameter == i) for i in range(len(sizes))] == sizes

    total = sum(whole.size * whole.weight for whole in wholes)
    for shard in shards:
        kept = sum(piece.size * wholes[piece.parameter].weight for piece in shard)
        assert abs(kept - total / ranks) <= TILE * 16 + 1

    found = []
    for bucket in _shards.buckets(wholes, shards, cap):
        assert bucket.counts == tuple(sum(piece.size for piece in chunk.pieces) for chunk in bucket.chunks)
        assert bucket.size == sum(bucket.counts) > 0
        assert max(bucket.counts) <= max(cap // (ranks * bucket.dtype.itemsize), TILE)
        for rank, chunk in enumerate(bucket.chunks):
            for piece, place in chunk.placed():
                assert wholes[piece.parameter].dtype == bucket.dtype
                assert place.stop - place.start == piece.size
                assert piece.begin % TILE == 0
                found.append((rank, piece))
    for rank, shard in enumerate(shards):
        mine = sorted(piece for owner, piece in found if owner == rank)
        joined: list[Any] = []
        for piece in mine:
            if joined and (joined[-1].parameter, joined[-1].end) == (piece.parameter, piece.begin):
                joined[-1] = joined[-1]._replace(end=piece.end)
            else:
                joined.append(piece)
        assert joined == shard


def test_an_array_alone_is_sent_from_where_it_lies() -> None:
    wholes = wholes_of([100_000], [(np.float32, 8)])
    for bucket in _shards.buckets(wholes, _shards.shards(wholes, 3), 100_000):
        only, places = bucket.only_array()
        assert only == 0
        assert places == [chunk.pieces[0].begin if chunk.pieces else 0 for chunk in bucket.chunks]
    two = wholes_of([3000, 3000], [(np.float32, 8)] * 2)
    (bucket,) = _shards.buckets(two, _shards.shards(two, 2), 10**6)
    assert bucket.only_array() is None
