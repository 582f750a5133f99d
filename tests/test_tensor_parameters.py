"""The kernel on addresses, as front ends that own their memory use it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from inside import state_of, steps_of
from makers import Maker

import pyadam
from pyadam import _core

PLAN = pyadam.Adam(np.zeros(1)).param_groups[0].plan
FLOAT32 = _core.GRADIENT_DTYPES["float32"]


def address(array: Any) -> int:
    return array.__array_interface__["data"][0]


def gradients(*arrays: Any) -> Any:
    return _core.GivenGradients([None if g is None else address(g) for g in arrays], [FLOAT32] * len(arrays))


def bound(*arrays: Any, step: Any = None) -> tuple[Any, list[Any]]:
    """Return parameters bound by their addresses, and the memory of their state."""
    core = _core.TensorParameters()
    core.add_group("adam", None, None, False)
    states = []
    for i, p in enumerate(arrays):
        state = [np.zeros_like(p), np.zeros_like(p)]
        states.append(state)
        step_address = 0 if step is None else address(step)
        core.add(f"p[{i}]", 0, address(p), p.size, "float32", list(map(address, state)), 0, step_address, "float32", 0)
    return core, states


def test_the_bits_are_those_of_arrays() -> None:
    make = Maker(0)
    arrays = make.arrays([5, 3000], np.float32)
    copies = [p.copy() for p in arrays]
    core, states = bound(*arrays)
    opt = pyadam.Adam(copies)
    for t in range(4):
        grads = make.like(arrays)
        if t == 2:
            grads[0] = None
        assert core.step(gradients(*grads), (PLAN,))
        opt.step(grads)
    for i, p in enumerate(arrays):
        np.testing.assert_array_equal(p, copies[i])
        for found, expected in zip(states[i], state_of(opt, i).values(), strict=True):
            np.testing.assert_array_equal(found, expected)
    assert core.steps == steps_of(opt) == [3, 4]


def test_the_step_count_is_read_and_written_where_it_lies() -> None:
    p, g, step = np.ones(3, np.float32), np.ones(3, np.float32), np.zeros((), np.float32)
    core, _states = bound(p, step=step)
    for expected in (1, 2):
        core.step(gradients(g), (PLAN,))
        assert step == expected
    step[...] = 2**24
    seen = []

    def plan(t: int, step: int) -> Any:
        seen.append(t)
        return PLAN(t, step)

    for _ in range(3):
        core.step(gradients(g), (plan,))
    # What is mirrored is read after the last Python code has run, so that the first plan is of the count known before.
    assert seen == [3, 2**24 + 1, 2**24 + 2, 2**24 + 3]
    step[...] = 0.5
    before = p.copy()
    with pytest.raises(ValueError, match=r"step of p\[0\] must be a whole number"):
        core.step(gradients(g), (PLAN,))
    np.testing.assert_array_equal(p, before)


def test_memory_that_is_shared_is_refused() -> None:
    whole, g = np.ones(8, np.float32), np.ones(8, np.float32)
    core, _states = bound(whole[:5], whole[4:])
    with pytest.raises(ValueError, match=r"p\[0\] and p\[1\] share memory"):
        core.step(gradients(g, g), (PLAN,))
    core, _states = bound(whole[:4], whole[4:])
    with pytest.raises(ValueError, match=r"gradient of p\[0\] shares memory with p\[1\]"):
        core.step(gradients(whole[2:], g), (PLAN,))
    np.testing.assert_array_equal(whole, 1)


def test_what_does_not_fit_together_is_refused() -> None:
    core, _states = bound(np.ones(2, np.float32))
    with pytest.raises(ValueError, match="an address and a dtype for each parameter"):
        core.step(gradients(), (PLAN,))
    with pytest.raises(ValueError, match="a plan for each group"):
        core.step(gradients(None), ())
    with pytest.raises(ValueError, match="no gradient has the dtype 9"):
        _core.GivenGradients([1], [9])
    with pytest.raises(ValueError, match="each address needs a dtype"):
        _core.GivenGradients([1], [])
    with pytest.raises(ValueError, match="unknown dtype 'int8'"):
        core.add("p", 0, 0, 0, "int8", [0, 0], 0, 0, "float32", 0)
    with pytest.raises(ValueError, match="an address for each array kept"):
        core.add("p", 0, 0, 0, "float32", [0], 0, 0, "float32", 0)
    with pytest.raises(ValueError, match="there is no group 0"):
        _core.TensorParameters().add("p", 0, 0, 0, "float32", [], 0, 0, "float32", 0)


def test_a_step_within_a_step_is_refused() -> None:
    p, g = np.ones(2, np.float32), np.ones(2, np.float32)
    core, _states = bound(p)

    def plan(*_: int) -> Any:
        core.step(gradients(g), (PLAN,))

    with pytest.raises(RuntimeError, match="already running"):
        core.step(gradients(g), (plan,))
    np.testing.assert_array_equal(p, 1)


def test_a_snapshot_sees_what_lists_and_dicts_hold() -> None:
    first, second = object(), object()
    items, named = [first], {"a": second}
    snapshot = _core.Snapshot([items, named])
    assert snapshot.holds()
    named["b"] = first
    assert not snapshot.holds()
    del named["b"]
    assert snapshot.holds()
    items[0] = object()
    assert not snapshot.holds()
    items[:] = []
    assert not snapshot.holds()


@pytest.mark.parametrize("threads", [1, 2, 7])
@pytest.mark.parametrize("border", [100_000, 1_000_000])  # from 1 MiB on, a block also gets its pages
def test_memory_is_zeroed_where_it_is_told_to(border: int, threads: int, use_threads: Callable[[int], None]) -> None:
    use_threads(threads)
    memory = np.ones(3 * border + 1, np.int16)
    blocks = [memory[1:1], memory[1:2], memory[5:border], memory[border + 1 : -1]]
    _core.zero_new_memory([address(block) for block in blocks], [block.nbytes for block in blocks])
    assert not any(block.any() for block in blocks)
    np.testing.assert_array_equal(np.flatnonzero(memory), [0, 2, 3, 4, border, 3 * border])
    with pytest.raises(ValueError, match="each address needs a size"):
        _core.zero_new_memory([address(memory)], [])


def test_kept_arrays_are_named_for_those_who_own_them() -> None:
    assert _core.kept_arrays("adam", "bfloat16", "split", "bfloat16", True, "p") == [
        ("exp_avg", "bfloat16"),
        ("exp_avg_sq", "bfloat16"),
        ("low_bits", "int16"),
        ("ema", "float32"),
    ]
    with pytest.raises(ValueError, match="p is of bfloat16, too coarse"):
        _core.kept_arrays("adam", "bfloat16", None, None, False, "p")
