"""The kernel equals pyadam.reference to the last bit, however the work is cut."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest
from inside import KERNEL_RULES, TILE
from makers import Maker
from oracle import check_steps
from rule_rows import CASES, KERNEL_CASES, Case

import pyadam

LENGTHS = [*range(301), *(k * TILE + d for k in (1, 2, 3, 7) for d in (-17, -1, 0, 1, 15, 16)), 16 * TILE + 5]

every_isa = pytest.mark.usefixtures("isa")


def test_the_cases_cover_every_rule_of_the_kernel() -> None:
    covered = {case.cls(np.zeros(1), **case.options).param_groups[0].kernel for case in KERNEL_CASES}
    assert covered == set(KERNEL_RULES)


dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])
kernel_cases = pytest.mark.parametrize("case", KERNEL_CASES, ids=str)


SPREAD = (-6, 3)  # powers of ten by which numbers differ


def check(case: Case, arrays: list[np.ndarray], gradients: Iterable[list[np.ndarray]]) -> None:
    check_steps(case.cls(arrays, **case.options), gradients)


@every_isa
@dtypes
@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_option(case: Case, dtype: Any) -> None:
    make = Maker(0)
    arrays = make.arrays([1, 33, 300], dtype, powers=SPREAD)
    check(case, arrays, [make.like(arrays, powers=SPREAD) for _ in range(20)])


@every_isa
@dtypes
@kernel_cases
def test_every_length(case: Case, dtype: Any) -> None:
    make = Maker(1)
    arrays = make.arrays(LENGTHS, dtype, powers=SPREAD)
    check(case, arrays, [make.like(arrays, powers=SPREAD) for _ in range(2)])


@every_isa
@dtypes
@kernel_cases
@pytest.mark.parametrize("threads", [1, 2, 4, 7])
def test_every_number_of_threads(case: Case, dtype: Any, threads: int, use_threads: Callable[[int], None]) -> None:
    use_threads(threads)
    make = Maker(2)
    arrays = make.arrays([0, 5, 20 * TILE + 3, 1, TILE, 0, 3 * TILE - 1, 2], dtype, powers=SPREAD)
    check(case, arrays, [make.like(arrays, powers=SPREAD) for _ in range(3)])


@every_isa
@dtypes
@kernel_cases
def test_unaligned_starts(case: Case, dtype: Any) -> None:
    make = Maker(3)

    def at(offsets: tuple[int, ...]) -> list[np.ndarray]:
        return [make.array(2 * TILE + 9, dtype, powers=SPREAD, offset=offset) for offset in offsets]

    of_params, of_grads = zip(*itertools.product(range(5), (0, 1, 3, 7)), strict=True)
    check(case, at(of_params), [at(of_grads) for _ in range(2)])


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
    n = 5 * TILE + 123
    start, *grads = Maker(4).arrays([n] * 5, dtype, powers=SPREAD)
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
    make = Maker(5)
    arrays = [make.array(2 * TILE + 77, dtype, powers=SPREAD)]
    check(case, arrays, [make.like(arrays, grad_dtype, powers=SPREAD) for _ in range(3)])


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
    make = Maker(6)
    arrays = [make.array(1003, dtype, powers=SPREAD)]
    check(case, arrays, (make.like(arrays, powers=SPREAD) for _ in range(1000)))
