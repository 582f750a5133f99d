"""The kernel equals pyadam.reference to the last bit, however the work is cut."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from rules import CASES, KERNEL_CASES, Case, assert_same_bits, reference_runs

import pyadam
from pyadam import _core

TILE = _core.TILE
LENGTHS = [*range(301), *(k * TILE + d for k in (1, 2, 3, 7) for d in (-17, -1, 0, 1, 15, 16)), 16 * TILE + 5]

every_isa = pytest.mark.usefixtures("isa")


def test_the_cases_cover_every_rule_of_the_kernel() -> None:
    covered = {case.cls(np.zeros(1), **case.options).param_groups[0].kernel for case in KERNEL_CASES}
    assert covered == set(_core.RULES)


dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])
kernel_cases = pytest.mark.parametrize("case", KERNEL_CASES, ids=str)


def array(rng: np.random.Generator, n: int, dtype: Any, offset: int = 0) -> np.ndarray:
    """Return normal numbers of very different sizes, starting `offset` elements past an aligned address."""
    buffer = np.empty(n + offset, dtype)[offset:]
    buffer[:] = rng.standard_normal(n) * 10.0 ** rng.integers(-6, 3, n)
    return buffer


def check(case: Case, arrays: list[np.ndarray], gradients: list[list[np.ndarray]]) -> None:
    opt = case.cls(arrays, **case.options)
    expected = reference_runs(opt)
    for grads in gradients:
        opt.step(grads)
        for run, g in zip(expected, grads, strict=True):
            run.step(g)
    for i, run in enumerate(expected):
        assert_same_bits(opt, i, run)


@every_isa
@dtypes
@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_option(case: Case, dtype: Any) -> None:
    rng = np.random.default_rng(0)
    arrays = [array(rng, n, dtype) for n in (1, 33, 300)]
    check(case, arrays, [[array(rng, p.size, dtype) for p in arrays] for _ in range(20)])


@every_isa
@dtypes
@kernel_cases
def test_every_length(case: Case, dtype: Any) -> None:
    rng = np.random.default_rng(1)
    arrays = [array(rng, n, dtype) for n in LENGTHS]
    check(case, arrays, [[array(rng, n, dtype) for n in LENGTHS] for _ in range(2)])


@every_isa
@dtypes
@kernel_cases
@pytest.mark.parametrize("threads", [1, 2, 4, 7])
def test_every_number_of_threads(case: Case, dtype: Any, threads: int, use_threads: Callable[[int], None]) -> None:
    use_threads(threads)
    rng = np.random.default_rng(2)
    lengths = [0, 5, 20 * TILE + 3, 1, TILE, 0, 3 * TILE - 1, 2]
    arrays = [array(rng, n, dtype) for n in lengths]
    check(case, arrays, [[array(rng, n, dtype) for n in lengths] for _ in range(3)])


@every_isa
@dtypes
@kernel_cases
def test_unaligned_starts(case: Case, dtype: Any) -> None:
    rng = np.random.default_rng(3)
    offsets = [(p, g) for p in range(5) for g in (0, 1, 3, 7)]
    arrays = [array(rng, 2 * TILE + 9, dtype, offset) for offset, _ in offsets]
    check(case, arrays, [[array(rng, 2 * TILE + 9, dtype, offset) for _, offset in offsets] for _ in range(2)])


# LAMB's steps depend on the norm of each tensor, so to split one is to ask for another step.
ELEMENTWISE_CASES = [case for case in KERNEL_CASES if case.cls is not pyadam.LAMB]


@every_isa
@dtypes
@pytest.mark.parametrize("case", ELEMENTWISE_CASES, ids=str)
@pytest.mark.parametrize("threads", [1, 3])
def test_the_split_over_tensors_does_not_matter(
    case: Case, dtype: Any, threads: int, use_threads: Callable[[int], None]
) -> None:
    use_threads(threads)
    rng = np.random.default_rng(4)
    n = 5 * TILE + 123
    start, grads = array(rng, n, dtype), [array(rng, n, dtype) for _ in range(4)]
    results = []
    for cuts in ([], [1], [7, TILE, TILE + 1], list(range(50, n, 611))):
        p = start.copy()
        opt = case.cls(np.split(p, cuts), **case.options)
        for g in grads:
            opt.step(np.split(g, cuts))
        results.append(p)
    for other in results[1:]:
        np.testing.assert_array_equal(results[0], other)


@every_isa
@pytest.mark.parametrize("grad_dtype", [np.float16, np.float32, np.float64])
@dtypes
@kernel_cases
def test_every_gradient_dtype(case: Case, dtype: Any, grad_dtype: Any) -> None:
    rng = np.random.default_rng(5)
    n = 2 * TILE + 77
    p = array(rng, n, dtype)
    with np.errstate(over="ignore"):
        gradients = [[array(rng, n, np.float64).astype(grad_dtype)] for _ in range(3)]
    check(case, [p], gradients)


@every_isa
def test_every_float16_gradient_is_decoded_as_numpy_does() -> None:
    every_pattern = np.arange(2**16, dtype=np.uint16).view(np.float16)
    for dtype in (np.float32, np.float64):
        check(KERNEL_CASES[0], [np.zeros(2**16, dtype)], [[every_pattern]])


@every_isa
def test_every_bfloat16_gradient_is_decoded_as_ml_dtypes_does() -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    every_pattern = np.arange(2**16, dtype=np.uint16).view(ml_dtypes.bfloat16)
    for dtype in (np.float32, np.float64):
        check(KERNEL_CASES[0], [np.zeros(2**16, dtype)], [[every_pattern]])


@dtypes
@kernel_cases
def test_a_long_run(case: Case, dtype: Any) -> None:
    rng = np.random.default_rng(6)
    p = array(rng, 1003, dtype)
    check(case, [p], [[array(rng, 1003, dtype)] for _ in range(1000)])
