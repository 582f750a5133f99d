"""Memory: nothing leaks, the state is aligned and in huge pages, and lives as long as it is used."""

from __future__ import annotations

import copy
import gc
import itertools
import os
import pickle
import re
import sys
import weakref
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from inside import state_of
from oracle import check_steps
from rule_rows import KERNEL_CASES, Case

import pyadam

Array = np.ndarray
Work = Callable[[], None]
MIB = 2**20
SMAPS = Path("/proc/self/smaps")
HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage")

needs_smaps = pytest.mark.skipif(not SMAPS.exists(), reason="this system does not tell what memory a process uses")
needs_huge_pages = pytest.mark.skipif(not HUGE_PAGES.exists(), reason="this kernel has no transparent huge pages")


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def growth(work: Work, times: int) -> tuple[int, int]:
    """Return by how many Python objects and resident bytes the process grows, once all is warm."""

    def repeat() -> None:
        for _ in range(times):
            work()
        gc.collect()

    for _ in range(2):  # free lists and caches of the interpreter fill up for some hundred calls
        repeat()
    objects, resident = sys.getallocatedblocks(), resident_bytes()
    repeat()
    return sys.getallocatedblocks() - objects, resident_bytes() - resident


def stepping() -> Work:
    opt, g = pyadam.Adam(np.ones(100, np.float32)), np.ones(100, np.float32)
    return lambda: opt.step(g)


def converting() -> Work:
    opt, g = pyadam.Adam({"w": np.ones((30, 40))}), np.ones((40, 30), ">f4").T
    return lambda: opt.step({"w": g})


def scheduling() -> Work:
    groups = [{"params": {"w": np.ones(10)}, "lr": lambda step: 1 / (step + 1)}, {"params": [np.ones(5)]}]
    opt, grads = pyadam.Adam(groups, amsgrad=True), [{"w": np.ones(10)}, [None]]
    return lambda: opt.step(grads)


def rebinding() -> Work:
    opt, g = pyadam.Adam([np.ones(100)]), np.ones(100)
    return lambda: opt.step([g], params=[np.ones(100)])


def refusing() -> Work:
    p, good = np.ones(100), np.ones(100)
    opt = pyadam.Adam([np.ones(100), p])
    bad: list[Any] = [np.ones(99), np.ones(100, int), "text", p[::-1], np.ma.masked_array(np.ones(100))]
    endless = itertools.cycle(bad)

    def work() -> None:
        with suppress(TypeError, ValueError):
            opt.step([good, next(endless)])

    return work


@needs_smaps
@pytest.mark.parametrize("start", [stepping, converting, scheduling, rebinding, refusing], ids=lambda f: f.__name__)
def test_steps_do_not_leak(start: Callable[[], Work]) -> None:
    objects, resident = growth(start(), times=10_000)
    assert objects < 1000
    assert resident < MIB


# Of the first size the state comes from malloc, of the second from the operating system.
SIZES = [1000, 2 * MIB // 8]


def building(p: Array) -> Work:
    return lambda: pyadam.Adam([p], amsgrad=True).state_dict()


def building_and_stepping(p: Array) -> Work:
    g = np.ones_like(p)
    return lambda: pyadam.Adam([p], amsgrad=True).step([g])


def building_and_saving(p: Array) -> Work:
    g = np.ones_like(p)

    def work() -> None:
        opt = pyadam.Adam([p])
        opt.step([g])
        opt.state_dict()

    return work


def copying(p: Array) -> Work:
    opt = pyadam.Adam([p])
    opt.step([np.ones_like(p)])
    return lambda: copy.deepcopy(opt).load_state_dict(opt.state_dict())


def pickling(p: Array) -> Work:
    opt = pyadam.Adam([p])
    opt.step([np.ones_like(p)])
    return lambda: pickle.loads(pickle.dumps(opt)).state_dict()


def failing_to_build(p: Array) -> Work:
    def work() -> None:
        with suppress(ValueError):
            pyadam.Adam([{"params": p}, {"params": p[1:]}])

    return work


@needs_smaps
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    "start",
    [building, building_and_stepping, building_and_saving, copying, pickling, failing_to_build],
    ids=lambda f: f.__name__,
)
def test_optimizers_that_come_and_go_do_not_leak(start: Callable[[Array], Work], size: int) -> None:
    # Lost state would be at least 300 MiB for the large size; the small one is for what is lost beside it.
    times = 300 if size == SIZES[0] else 20
    objects, resident = growth(start(np.ones(size)), times)
    assert objects < 100
    assert resident < 4 * MIB


def test_a_step_keeps_no_gradient_alive() -> None:
    opt = pyadam.Adam([np.ones(3), np.ones(3)])
    for refused in (None, np.ones(4)):
        g = np.ones(3)
        kept = weakref.ref(g)
        with suppress(ValueError):
            opt.step([g, refused])
        del g
        assert kept() is None


def test_parameters_are_released_with_the_optimizer_and_when_they_are_replaced() -> None:
    first, second = np.ones(3), np.ones(3)
    references = weakref.ref(first), weakref.ref(second)
    opt = pyadam.Adam([first])
    opt.step([np.ones(3)], params=[second])
    del first, second
    assert references[0]() is None
    assert references[1]() is not None
    del opt
    gc.collect()
    assert references[1]() is None


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", KERNEL_CASES, ids=str)
def test_every_state_array_is_aligned_and_apart_from_the_others(case: Case, dtype: Any) -> None:
    shapes = [(), (1,), (3,), (16,), (17,), (5, 7), (0,), (1000,), (300_001,)]
    opt = case.cls([{"params": [np.ones(shape, dtype) for shape in shapes]}, {"params": np.ones(9, dtype)}])
    states = [buffer for i in range(len(shapes) + 1) for buffer in state_of(opt, i).values()]
    assert all(buffer.ctypes.data % 64 == 0 for buffer in states)
    ranges = sorted((buffer.ctypes.data, buffer.ctypes.data + buffer.nbytes) for buffer in states if buffer.size)
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(ranges))


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_state_has_the_shape_dtype_and_order_of_its_parameter(order: Any, dtype: Any) -> None:
    p = np.ones((3, 4, 5), dtype, order=order)
    for buffer in state_of(pyadam.Adam([p])).values():
        assert (buffer.shape, buffer.dtype, buffer.strides) == (p.shape, p.dtype, p.strides)
        assert not buffer.any()


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0, 2)])
def test_empty_arrays_are_parameters_like_others(shape: tuple[int, ...]) -> None:
    opt = pyadam.Adam([np.ones(shape), np.ones(3), np.ones(shape, np.float32)])
    check_steps(opt, [[np.ones(shape), np.ones(3), np.ones(shape)]] * 2)
    assert opt.state_dict()["state"][0]["exp_avg"].shape == shape
    pickle.loads(pickle.dumps(opt)).step([np.ones(shape), np.ones(3), np.ones(shape)])


def test_an_optimizer_of_nothing_but_an_empty_array_steps() -> None:
    opt = pyadam.Adam(np.ones(0))
    opt.step(np.ones(0))
    assert opt.state_dict()["state"][0]["step"] == 1


def mapping_of(address: int) -> dict[str, str]:
    """Return what the kernel says of the mapping that holds an address."""
    entries = re.split(r"^(?=[0-9a-f]+-[0-9a-f]+ )", SMAPS.read_text(), flags=re.MULTILINE)
    for entry in filter(None, entries):
        begin, end = (int(bound, 16) for bound in entry.split(maxsplit=1)[0].split("-"))
        if begin <= address < end:
            return dict(line.split(":", 1) for line in entry.splitlines()[1:])
    raise LookupError(f"no mapping holds {address:#x}")


@needs_smaps
@needs_huge_pages
def test_a_large_state_is_advised_to_be_in_huge_pages() -> None:
    opt = pyadam.Adam(np.ones(8 * MIB // 8))
    for buffer in state_of(opt).values():
        address = buffer.ctypes.data
        for place in (address, address + buffer.nbytes - 1):
            assert "hg" in mapping_of(place)["VmFlags"].split()


def test_large_state_does_not_lie_at_one_place_of_its_pages() -> None:
    """Where all streams of a step do, they drive each other out of the cache: 2**25 elements are such a size."""
    opt = pyadam.AdamW(np.ones(2**18, np.float32), amsgrad=True, ema_decay=0.9)
    places = [0, *(kept.ctypes.data % 4096 for kept in state_of(opt).values()), 4096]
    assert len(places) == 6
    assert np.diff(sorted(places)).min() >= 512


@needs_smaps
def test_a_large_state_takes_no_memory_before_the_first_step() -> None:
    p = np.ones(64 * MIB // 8)
    before = resident_bytes()
    opt = pyadam.Adam(p)
    assert resident_bytes() - before < 4 * MIB
    opt.step(p * 0.5)
    assert resident_bytes() - before > 100 * MIB


@pytest.mark.parametrize("size", SIZES)
def test_state_arrays_outlive_the_optimizer(size: int) -> None:
    opt = pyadam.Adam(np.ones(size))
    opt.step(np.full(size, 2.0))
    exp_avg, exp_avg_sq = state_of(opt).values()
    kept = exp_avg.copy(), exp_avg_sq.copy()
    del opt
    gc.collect()
    others = [pyadam.Adam(np.ones(size)) for _ in range(5)]  # which would be given the memory, were it free
    for other in others:
        other.step(np.full(size, -7.0))
    np.testing.assert_array_equal((exp_avg, exp_avg_sq), kept)
