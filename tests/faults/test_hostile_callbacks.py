"""A user's code that runs while a call checks what it was given, and moves memory that was looked at before.

Each program either raises or computes rightly. Under AddressSanitizer, which `sanitize.py` builds with, none may touch
memory that is gone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import pyadam
from pyadam import _core

LARGE = 1 << 16

Trick = Callable[[np.ndarray[Any, Any]], None]


def replace_memory(array: np.ndarray[Any, Any]) -> None:
    array.__setstate__(np.ones(1, array.dtype).__reduce__()[2])


def replace_by_another(array: np.ndarray[Any, Any]) -> None:
    array.__setstate__(np.full(array.size, 7, array.dtype).__reduce__()[2])


def resize(array: np.ndarray[Any, Any]) -> None:
    array.resize(1, refcheck=False)


def reshape(array: np.ndarray[Any, Any]) -> None:
    array.shape = (2, array.size // 2)


def make_read_only(array: np.ndarray[Any, Any]) -> None:
    array.setflags(write=False)


TRICKS = [replace_memory, replace_by_another, resize, reshape, make_read_only]


def evil(trick: Trick, target: np.ndarray[Any, Any], times: int = 1) -> type[np.ndarray[Any, Any]]:
    """Return a class of arrays that play a trick on another when they are asked for their mask."""
    left = [times]

    class Evil(np.ndarray):  # type: ignore[type-arg]
        @property
        def mask(self) -> Any:
            if left[0] > 0:
                left[0] -= 1
                trick(target)
            raise AttributeError("mask")

        def __array_function__(self, *arguments: Any) -> Any:
            if left[0] > 0:
                left[0] -= 1
                trick(target)
            return super().__array_function__(*arguments)

    return Evil


def params() -> list[np.ndarray[Any, Any]]:
    return [np.ones(LARGE), np.ones(4)]


def grads() -> list[np.ndarray[Any, Any]]:
    return [np.full(LARGE, 0.5), np.ones(4)]


@pytest.mark.parametrize("call", ["step", "accumulate", "new arrays"])
@pytest.mark.parametrize("target", ["parameter", "gradient"])
@pytest.mark.parametrize("trick", TRICKS)
def test_a_mask_moves_what_was_looked_at(trick: Trick, target: str, call: str) -> None:
    ours, given = params(), grads()
    opt = pyadam.SGD(ours, lr=1.0)
    kept = [p.copy() for p in ours]
    given[1] = given[1].view(evil(trick, ours[0] if target == "parameter" else given[0]))
    if trick is make_read_only and target == "gradient":
        return  # gradients may be read-only
    seven = target == "gradient" and trick is replace_by_another
    try:
        if call == "step":
            opt.step(given)
        elif call == "accumulate":
            opt.accumulate(given)
        else:
            opt.step(given, params=[p.copy() for p in ours])
    except ValueError as error:
        message = str(error)
    else:
        message = ""
    if message:
        assert "params[0]" in message
        np.testing.assert_array_equal(ours[1], kept[1])
        assert opt.step_count == 0
        return
    # What is read is what lies there when all code has run; and parameters that were exchanged may be anything.
    assert seven or (call == "new arrays" and target == "parameter")
    if call == "step":
        np.testing.assert_array_equal(ours[0], 1 - 7)


@pytest.mark.parametrize("trick", TRICKS)
def test_a_cast_runs_a_callback(trick: Trick) -> None:
    if np.finfo(np.longdouble).max <= np.finfo(np.float64).max:
        pytest.skip("long double is float64 here")
    ours = [np.ones(LARGE), np.ones(4, np.float64)]
    opt = pyadam.SGD(ours, lr=1.0)
    before = np.geterrcall()
    np.seterrcall(lambda *_: trick(ours[0]))
    try:
        with np.errstate(over="call"), pytest.raises(ValueError, match=r"params\[0\]"):
            opt.step([np.full(LARGE, 0.5), np.full(4, np.finfo(np.longdouble).max)])
    finally:
        np.seterrcall(before)
    np.testing.assert_array_equal(ours[1], 1)
    assert opt.step_count == 0


@pytest.mark.parametrize("trick", TRICKS)
def test_construction_looks_again(trick: Trick) -> None:
    ours = params()
    ours[1] = ours[1].view(evil(trick, ours[0]))
    with pytest.raises(ValueError, match=r"params\[0\]"):
        pyadam.Adam(ours, ema_decay=0.9)


@pytest.mark.parametrize("trick", [replace_memory, resize])
def test_overlaps_are_asked_of_plain_arrays(trick: Trick) -> None:
    """`np.shares_memory` asks a subclass what to do; a gradient that interleaves with a parameter is compared so."""
    memory = np.ones((LARGE, 2))
    ours = [np.ones(LARGE), np.ascontiguousarray(memory[:, 0])]
    kind = evil(trick, ours[0], times=10)
    opt = pyadam.SGD(ours, lr=1.0)
    with pytest.raises(ValueError, match=r"params\[0\]"):
        opt.step([np.full(LARGE, 0.5), memory.view(kind)[:, 1]])
    ours = [np.ones(2 * LARGE)]
    opt = pyadam.SGD(ours, lr=1.0)
    with pytest.raises(ValueError, match="shares memory"):
        pyadam.SGD(ours[0][:LARGE], lr=1.0).step(ours[0].view(np.ndarray)[::2])
    assert opt.step_count == 0


@pytest.mark.parametrize("trick", TRICKS)
def test_a_schedule_moves_parameters(trick: Trick) -> None:
    ours = params()

    def lr(_: int) -> float:
        if ours[0].size == LARGE and ours[0].flags.writeable:
            trick(ours[0])
        return 1.0

    opt = pyadam.SGD(ours, lr=lr)
    with pytest.raises(ValueError, match=r"params\[0\]"):
        opt.step(grads())
    np.testing.assert_array_equal(ours[1], 1)


@pytest.mark.parametrize("trick", [replace_memory, resize])
def test_a_plan_moves_what_was_given(trick: Trick) -> None:
    ours, given = params(), grads()
    opt = pyadam.SGD(ours, lr=1.0)
    plan = opt._plans[0]

    def moving(t: int, step: int) -> Any:
        trick(given[0])
        return plan(t, step)

    with pytest.raises(ValueError, match=r"gradient of params\[0\]"):
        opt._core.step(given, (moving,))
    np.testing.assert_array_equal(ours[1], 1)


def test_lists_that_change_while_they_are_read() -> None:
    ours = params()
    given: list[Any] = grads()

    class Clears(np.ndarray):  # type: ignore[type-arg]
        @property
        def mask(self) -> Any:
            given.clear()
            ours.clear()
            raise AttributeError("mask")

    first, second = ours
    opt = pyadam.SGD(ours, lr=1.0)
    given[0] = given[0].view(Clears)
    opt.step(given)
    np.testing.assert_array_equal(first, 0.5)
    np.testing.assert_array_equal(second, 0)


@pytest.mark.parametrize("trick", [replace_memory, resize])
def test_loading_looks_again(trick: Trick) -> None:
    ours = params()
    opt = pyadam.Adam(ours)
    opt.step(grads())
    saved = opt.state_dict()

    class Buffer:
        def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
            trick(ours[0])
            return np.zeros(4)

    saved["state"][1]["exp_avg"] = Buffer()
    with pytest.raises(ValueError, match=r"params\[0\]"):
        opt.load_state_dict(saved)


def test_objects_that_were_never_made() -> None:
    core = _core.ArrayParameters.__new__(_core.ArrayParameters)
    with pytest.raises(TypeError):
        core.step([], ())
    with pytest.raises(TypeError):
        _core.ArrayParameters.step(object(), [], ())


class TestTorch:
    """The same where PyTorch's tensors run a user's code."""

    @pytest.fixture(autouse=True)
    def _torch(self) -> None:
        pytest.importorskip("torch", exc_type=ImportError)
        pytest.importorskip("pyadam.torch")

    def bound(self, kind: Any = None) -> tuple[Any, list[Any]]:
        import torch

        ps = [torch.nn.Parameter(torch.ones(LARGE)), torch.nn.Parameter(torch.ones(4))]
        if kind is not None:
            ps[1] = kind(torch.ones(4))
        opt = pyadam.torch.SGD(ps, lr=1.0)  # type: ignore[attr-defined]
        return opt, ps

    @pytest.mark.parametrize("what", ["parameter", "gradient"])
    def test_a_property_moves_memory(self, what: str) -> None:
        import torch

        armed: list[Any] = []

        class Evil(torch.nn.Parameter):
            @property  # type: ignore[override]
            def grad(self) -> Any:
                if armed:
                    tensor = armed.pop()
                    with torch.no_grad():
                        tensor.set_(torch.full((LARGE,), 3.0))
                return torch.ones(4)

        opt, ps = self.bound(Evil)
        ps[0].grad = torch.full((LARGE,), 0.5)
        opt.step()
        assert ps[0][0] == 0.5
        armed.append(ps[0].data if what == "parameter" else ps[0].grad)
        if what == "parameter":
            armed[0] = ps[0]
        opt.step()
        # Bound anew, or read where it lies now.
        assert ps[0][-1] == (2.5 if what == "parameter" else -2.5)

    def test_a_mode_sees_what_is_asked(self) -> None:
        import torch
        from torch.overrides import TorchFunctionMode

        opt, ps = self.bound()
        ps[1] = torch.nn.Parameter(torch.ones(()))
        opt = pyadam.torch.SGD(ps, lr=1.0)  # type: ignore[attr-defined]
        ps[0].grad, ps[1].grad = torch.full((LARGE,), 0.5), torch.ones(())
        opt.step()

        class Mode(TorchFunctionMode):
            done = False

            def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
                if not self.done and "is_neg" in getattr(function, "__name__", ""):
                    self.done = True
                    with torch.no_grad():
                        ps[0].set_(torch.full((LARGE,), 3.0))
                return function(*args, **(kwargs or {}))

        with Mode():
            opt.step()
        assert ps[0][-1] in (2.5, 2.0, 0.0)
        assert torch.isfinite(ps[0]).all()
