"""The extras of `pyadam.torch`, to the bits of the NumPy classes, and parameters on other devices."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
from inside import state_of

torch = pytest.importorskip("torch")

from torch.optim.optimizer import register_optimizer_step_pre_hook  # noqa: E402
from torch_cases import CASES, new_params, set_grads, take_steps  # noqa: E402

import pyadam.torch  # noqa: E402

SHAPES = [(7,), (3, 5), (2, 3, 4, 5)]
EXTRAS: list[dict[str, Any]] = [
    {"l1": 0.01},
    {"bounds": (-0.5, 0.75)},
    {"clip_value": 0.5},
    {"clip_norm": 0.5},
    {"clip_norm": 0.5, "skip_nonfinite": True, "clip_value": 0.1, "l1": 0.01, "bounds": (None, 1.0)},
    {"ema_decay": 0.9},
    {"ema_decay": 0.99, "ema_warmup": True},
    {"state_dtype": "bfloat16", "seed": 7},
    {"flush_denormals": True},
]
MASTERS = ["float32", "split", "stochastic", "nearest"]


def as_array(tensor: Any) -> np.ndarray:
    """Return a copy that NumPy can hold."""
    if tensor.dtype is torch.bfloat16:
        import ml_dtypes

        return tensor.detach().view(torch.int16).numpy().copy().view(ml_dtypes.bfloat16)
    return tensor.detach().numpy().copy()


def assert_equal(tensor: Any, array: np.ndarray) -> None:
    np.testing.assert_array_equal(as_array(tensor).astype(np.float64), array.astype(np.float64))


def run_beside_numpy(name: str, dtype: Any, **extras: Any) -> None:
    params = new_params(dtype, SHAPES)
    arrays = [as_array(p) for p in params]
    ours, numpy = getattr(pyadam.torch, name)(params, **extras), getattr(pyadam, name)(arrays, **extras)
    for step in range(6):
        set_grads(params, step)
        ours.step()
        numpy.step([as_array(p.grad) for p in params])
        assert ours.grad_norm == numpy.grad_norm
    for i, (p, array) in enumerate(zip(params, arrays, strict=True)):
        assert_equal(p, array)
        for key, kept in state_of(numpy, i).items():
            assert_equal(ours.state[p][key], kept)


@pytest.mark.parametrize("extras", EXTRAS, ids=str)
@pytest.mark.parametrize("name", ["AdamW", "SGD", "Lion", "Adagrad"])
def test_the_bits_of_the_numpy_class_with_extras(name: str, extras: dict[str, Any]) -> None:
    run_beside_numpy(name, torch.float32, **extras)


@pytest.mark.parametrize("master", MASTERS)
@pytest.mark.parametrize("name", ["AdamW", "SGD", "RMSprop"])
def test_the_bits_of_the_numpy_class_in_bfloat16(name: str, master: str) -> None:
    pytest.importorskip("ml_dtypes")
    run_beside_numpy(name, torch.bfloat16, master=master, seed=3)


@pytest.mark.parametrize("master", ["float32", "stochastic", "nearest"])
def test_the_bits_of_the_numpy_class_in_float16(master: str) -> None:
    run_beside_numpy("AdamW", torch.float16, master=master, ema_decay=0.9)


def test_bounds_may_be_tensors_of_any_layout() -> None:
    p = torch.nn.Parameter(torch.zeros(2, 3, 4, 5).contiguous(memory_format=torch.channels_last))
    low = torch.linspace(-1, 0, 120).view(2, 3, 4, 5)
    optimizer = pyadam.torch.SGD([p], lr=100.0, bounds=(low, None))
    p.grad = torch.ones_like(p)
    optimizer.step()
    assert torch.equal(p, low)
    optimizer.param_groups[0]["bounds"] = (-2.0, None)
    optimizer.step()
    assert bool((p == -2).all())


def test_a_step_with_a_nonfinite_gradient_is_skipped_and_counted() -> None:
    params = new_params()
    optimizer = pyadam.torch.Adam(params, skip_nonfinite=True)
    take_steps(optimizer, params, [1])
    before = [p.detach().clone() for p in params]
    set_grads(params, 2)
    params[3].grad[0, 0, 0, 0] = float("nan")
    optimizer.step()
    assert optimizer.skipped == 1
    assert all(torch.equal(p, q) for p, q in zip(params, before, strict=True))
    assert {float(state["step"]) for state in optimizer.state.values()} == {1.0}
    optimizer.skip_nonfinite = False
    optimizer.step()
    assert bool(params[3].isnan().any())


def test_denormals_are_flushed_where_that_is_asked_for() -> None:
    for flushes in (False, True):
        p = torch.nn.Parameter(torch.ones(40))
        optimizer = pyadam.torch.Adam([p], flush_denormals=flushes)
        p.grad = torch.full((40,), 1e-38)
        optimizer.step()
        kept = optimizer.state[p]["exp_avg"]
        assert bool((kept == 0).all()) is flushes


def test_clip_norm_may_be_set_later() -> None:
    params = [torch.nn.Parameter(torch.zeros(4))]
    optimizer = pyadam.torch.SGD(params, lr=1.0)
    params[0].grad = torch.full((4,), 2.0)
    optimizer.step()
    assert optimizer.grad_norm is None
    optimizer.clip_norm = 1.0
    optimizer.step()
    assert optimizer.grad_norm == 4.0
    torch.testing.assert_close(params[0].detach(), torch.full((4,), -2.5))


def test_averages_take_the_place_of_the_parameters_for_a_while() -> None:
    params = new_params()
    optimizer = pyadam.torch.Adam(params, lr=0.1, ema_decay=0.5)
    with pytest.raises(ValueError, match="ema_decay"), optimizer.swap_ema():
        pass
    take_steps(optimizer, params, range(1, 4))
    before = [p.detach().clone() for p in params]
    with optimizer.swap_ema():
        for p in params:
            assert torch.equal(p, optimizer.state[p]["ema"])
        assert params[0].square().sum().requires_grad
        with pytest.raises(RuntimeError, match="inside swap_ema"):
            optimizer.step()
    assert all(torch.equal(p, q) for p, q in zip(params, before, strict=True))
    take_steps(optimizer, params, [4])


# The meta device has shapes and no values: these tests see where a step goes, not what a GPU would compute.


def mixed() -> list[Any]:
    return [torch.nn.Parameter(torch.ones(3)), torch.nn.Parameter(torch.ones(2, 2, device="meta"))]


@pytest.mark.parametrize("name", sorted({case.name for case in CASES}))
def test_parameters_on_another_device_are_stepped_by_torch(name: str) -> None:
    params, theirs = mixed(), mixed()
    a, b = getattr(pyadam.torch, name)(params), getattr(torch.optim, name)(theirs)
    for _ in range(3):
        for p in (*params, *theirs):
            p.grad = torch.ones_like(p)
        a.step()
        b.step()
    torch.testing.assert_close(params[0], theirs[0])
    for p, q in zip(params, theirs, strict=True):
        state, expected = a.state.get(p, {}), b.state.get(q, {})
        assert {k: (v.shape, v.dtype, v.device) for k, v in state.items()} == {
            k: (v.shape, v.dtype, v.device) for k, v in expected.items()
        }
        if "step" in expected:
            assert float(state["step"]) == float(expected["step"]) == 3.0


def test_the_step_of_another_device_sees_new_hyperparameters_and_runs_hooks_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen = []
    monkeypatch.setattr(
        sys.modules["torch.optim.sgd"], "sgd", lambda params, *_, **options: seen.append((len(params), options["lr"]))
    )
    params = mixed()
    optimizer = pyadam.torch.SGD(params, lr=0.5)
    calls = []
    handle = register_optimizer_step_pre_hook(lambda *_: calls.append(1))
    for lr in (0.5, 0.25):
        optimizer.param_groups[0]["lr"] = lr
        for p in params:
            p.grad = torch.ones_like(p)
        optimizer.step()
    handle.remove()
    assert seen == [(1, 0.5), (1, 0.25)]
    assert len(calls) == 2


def test_a_model_that_moves_is_followed() -> None:
    p = torch.nn.Parameter(torch.ones(2))
    optimizer = pyadam.torch.Adam([p])
    p.grad = torch.ones(2)
    optimizer.step()
    moved = torch.nn.Parameter(torch.ones(2, device="meta"))
    optimizer.param_groups[0]["params"][0] = moved
    moved.grad = torch.ones_like(moved)
    optimizer.step()
    assert optimizer.state[moved]["exp_avg"].device.type == "meta"


def test_what_only_the_kernel_can_do_is_refused_on_another_device() -> None:
    for extras in ({"clip_norm": 1.0}, {"ema_decay": 0.9}, {"l1": 0.1}):
        params = mixed()
        optimizer = pyadam.torch.Adam(params, **extras)
        for p in params:
            p.grad = torch.ones_like(p)
        with pytest.raises(ValueError, match=f"{next(iter(extras))} needs parameters on the CPU, found meta"):
            optimizer.step()
    params = mixed()
    optimizer = pyadam.torch.Lion(params)
    params[1].grad = torch.ones_like(params[1])
    with pytest.raises(ValueError, match="no class for this rule"):
        optimizer.step()


def test_other_devices_get_gradients_unscaled() -> None:
    params = mixed()
    optimizer = pyadam.torch.SGD(params, lr=1.0)
    for p in params:
        p.grad = torch.full_like(p, 8.0)
    optimizer.grad_scale, optimizer.found_inf = torch.tensor(8.0), torch.tensor(0.0)
    optimizer.step()
    assert torch.equal(params[0], torch.zeros(3))
