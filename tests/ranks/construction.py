"""Construction on several ranks: shares of the state, first values, and what ranks must have in common."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from rank_programs import together
from ranks.common import BFLOAT16, COMM, IS_LAST, LAST, RANK, RANKS, new_params, raises_everywhere

import pyadam
from pyadam import _core, reference
from pyadam.distributed import ZeroRedundancyOptimizer


@together
def shards_are_equal() -> None:
    """Each rank keeps its share of the state, whatever the arrays."""
    for shapes in ([(1_000_000,)], [(999, 7)] * 50, [(1000,)] * 400, [(3,), (2_000_000,), (5,)]):
        params = new_params(shapes=shapes)
        sharded = ZeroRedundancyOptimizer(params, optimizer_class=pyadam.AdamW)
        total = 2 * sum(p.nbytes for p in params)
        sizes = COMM.allgather(sharded.state_bytes)
        assert sum(sizes) == total
        assert max(abs(size / (total / RANKS) - 1) for size in sizes) < 0.02
    few = ZeroRedundancyOptimizer([np.ones(2), np.ones(2)])  # for more ranks than parameters
    few.step([np.ones(2), np.ones(2)])
    np.testing.assert_allclose(few.params, 0.999)


@together
def first_values() -> None:
    """All ranks start with the values of rank 0."""
    w = np.full((30, 100), float(RANK))
    ZeroRedundancyOptimizer(w)
    assert (w == 0).all()


@together
def own_communicator() -> None:
    """Half of the ranks train by themselves."""
    w = np.ones(3)
    half = COMM.Split(RANK % 2)
    ZeroRedundancyOptimizer(w, pyadam.SGD, half, lr=1.0).step(np.full(3, float(RANK % 2)))
    assert_array_equal(w, np.full(3, 1.0 - RANK % 2))
    with pytest.raises(TypeError, match="comm must be an intracommunicator"):
        ZeroRedundancyOptimizer(w, comm=3)


@together
def differences_at_construction() -> None:
    """What ranks do not have in common is named when they meet."""

    def refused(match: str, params: Any, cls: Any = pyadam.Adam, **options: Any) -> None:
        with pytest.raises(ValueError, match=match):
            ZeroRedundancyOptimizer(params, cls, **options)

    if RANKS > 1:
        refused(r"params\['w'\] must be the same .*\(4,\).* rank 0 and .*\(5,\)", {"w": np.ones(4 + IS_LAST)})
        refused("'float32'.* on rank 0 and .*'float64'", np.ones(3, "f8" if IS_LAST else "f4"))
        refused("'C order'.* on rank 0 and .*'F order'", np.ones((3, 2), order="F" if IS_LAST else "C"))
        refused(f"'lr': 0.1,.* on rank 0 and .*'lr': 0.2,.* on rank {LAST}", np.ones(3), lr=0.2 if IS_LAST else 0.1)
        refused("clip_norm must be the same", np.ones(3), clip_norm=2.0 if IS_LAST else None)
        refused("'bounds': .*array of .* on rank 0", np.ones(3), bounds=(np.ones(3) * -RANK, None))
        refused("bucket_cap_mb must be the same", np.ones(3), bucket_cap_mb=1 + IS_LAST)
        refused("deterministic must be the same", np.ones(3), deterministic=IS_LAST)
        refused("optimizer_class must be the same", np.ones(3), pyadam.AdamW if IS_LAST else pyadam.Adam)
        refused("the number of parameters must be the same", [np.ones(3)] * 1 + [np.ones(2)] * IS_LAST)
        kept = _core.__version__
        _core.__version__ = "9.9" if IS_LAST else kept
        refused(rf"the version of pyadam must be .* '{kept}' on rank 0 and '9.9' on rank {LAST}", np.ones(3))
        _core.__version__ = kept
    with raises_everywhere(ValueError, "lr must be a finite number >= 0, found -1", LAST):
        ZeroRedundancyOptimizer(np.ones(3), lr=-1.0 if IS_LAST else 0.1)
    with raises_everywhere(TypeError, "Adam has no option 'momentum'", LAST):
        ZeroRedundancyOptimizer(np.ones(3), **({"momentum": 0.9} if IS_LAST else {}))
    with raises_everywhere(ValueError, "contiguous", 0):
        ZeroRedundancyOptimizer(np.ones(6)[::2] if RANK == 0 else np.ones(3))
    for params, match in [(np.ones(3, BFLOAT16), "choose master="), ([], "holds no arrays")]:
        refused(match, params)
    refused("must have the shape", np.ones(3), bounds=(np.zeros(2), None))
    refused("LAMB takes norms of whole parameters", np.ones(3), pyadam.LAMB)
    refused("bucket_cap_mb must be a finite number > 0, found 0", np.ones(3), bucket_cap_mb=0)
    with pytest.raises(TypeError, match="optimizer_class must be a class of pyadam"):
        ZeroRedundancyOptimizer(np.ones(3), reference)
    shared = np.ones(4)
    refused(r"params\[0\] and params\[1\] share memory", [shared, shared])
