"""What the programs of ranks share: parameters, gradients of each rank, their mean, and comparisons."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from makers import Maker
from mpi4py import MPI
from numpy.testing import assert_array_equal

from pyadam.distributed import ZeroRedundancyOptimizer

COMM = MPI.COMM_WORLD
RANK, RANKS = COMM.rank, COMM.size
LAST = RANKS - 1
IS_LAST = RANK == LAST
BFLOAT16 = np.dtype(ml_dtypes.bfloat16)

# Cut in the middle, left whole, on tile borders, smaller than a tile, of no axis and of no elements.
SHAPES = [(70, 50), (5000,), (3,), (0,), (64, 64), ()]


def new_params(dtype: Any = np.float32, shapes: Any = SHAPES) -> list[Any]:
    first, *others = shapes
    make = Maker(1)
    return [make.array(first, dtype, "F"), *make.arrays(others, dtype)]


def gradients_of(rank: int, step: int, dtype: Any = np.float32, shapes: Any = SHAPES) -> list[Any]:
    return Maker(2, rank, step).arrays(shapes, dtype)


def mean_of(gradients: list[Any], dtype: Any = np.float32) -> Any:
    """Return ((g0 + g1) + ...) / N, all of it in `dtype`."""
    total = gradients[0].astype(dtype)
    for gradient in gradients[1:]:
        total = total + gradient.astype(dtype)
    return np.asarray(total / total.dtype.type(len(gradients)))


def means(step: int, dtype: Any = np.float32, compute: Any = np.float32) -> list[Any]:
    ranks = [gradients_of(rank, step, dtype) for rank in range(RANKS)]
    return [mean_of([grads[i] for grads in ranks], compute) for i in range(len(SHAPES))]


def grouped(params: list[Any]) -> list[dict[str, Any]]:
    return [{"params": {"a": params[0], "b": (params[1], params[2])}, "lr": 0.05}, {"params": params[3:]}]


def grouped_grads(grads: list[Any]) -> list[Any]:
    return [{"a": grads[0], "b": (grads[1], grads[2])}, grads[3:]]


def bits(array: Any) -> Any:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)


def assert_equal_bits(found: list[Any], expected: list[Any]) -> None:
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == b.dtype
        assert_array_equal(bits(a), bits(b))


def assert_same_on_all_ranks(params: list[Any]) -> None:
    hashes = COMM.allgather(b"".join(bits(p).tobytes() for p in params))
    assert all(found == hashes[0] for found in hashes)


def assert_same_state(found: Any, expected: Any) -> None:
    """Compare two `state_dict`, whose arrays must have the same bits."""
    assert found.keys() == expected.keys()
    assert list(found["state"]) == list(expected["state"])
    for i, entries in expected["state"].items():
        assert list(found["state"][i]) == list(entries)
        for name, value in entries.items():
            if isinstance(value, np.ndarray):
                assert found["state"][i][name].shape == value.shape
                assert_equal_bits([found["state"][i][name]], [value])
            else:
                assert found["state"][i][name] == value
    for key in expected.keys() - {"state"}:
        np.testing.assert_equal(found[key], expected[key])


@contextmanager
def raises_everywhere(own: type[Exception], match: str, rank: int) -> Iterator[None]:
    """Expect an error of one rank, on that rank, and its message on the others."""
    with pytest.raises(own if rank == RANK else RuntimeError, match=match) as caught:
        yield
    if rank != RANK:
        assert str(caught.value).startswith(f"rank {rank} raised {own.__name__}: ")


def compare(
    cls: Any,
    dtype: Any = np.float32,
    grad_dtype: Any = None,
    groups: bool = False,
    steps: int = 4,
    edit: Callable[[int, list[Any]], list[Any]] = lambda _, grads: grads,
    prepare: Callable[[Any, int], None] = lambda _, __: None,
    step_options: Any = None,
    distributed: Any = None,
    **options: Any,
) -> tuple[Any, Any]:
    """Train on all ranks, and one optimizer that is given the mean; the bits must be the same after each step."""
    compute = np.float64 if dtype == np.float64 else np.float32
    grad_dtype = grad_dtype or dtype
    arrange, arrange_grads = (grouped, grouped_grads) if groups else (list, list)
    ours, theirs = new_params(dtype), new_params(dtype)
    distributed = {"deterministic": True, "bucket_cap_mb": 0.03, **(distributed or {})}
    sharded = ZeroRedundancyOptimizer(arrange(ours), cls, **distributed, **options)
    plain = cls(arrange(theirs), **options)
    for step in range(steps):
        prepare(sharded, step)
        prepare(plain, step)
        taken = sharded.step(arrange_grads(edit(step, gradients_of(RANK, step, grad_dtype))), **(step_options or {}))
        whole = means(step, grad_dtype, compute) if RANKS > 1 else gradients_of(0, step, grad_dtype)
        assert taken == plain.step(arrange_grads(edit(step, whole)), **(step_options or {}))
        assert_equal_bits(ours, theirs)
        assert sharded.grad_norm == plain.grad_norm
        assert_same_on_all_ranks(ours)
    state = sharded.consolidate()
    assert (state is None) == (RANK != 0)
    if RANK == 0:
        assert_same_state(state, plain.state_dict())
    return sharded, plain
