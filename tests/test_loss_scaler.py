"""The dynamic loss scale follows PyTorch's policy."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from refusals import raises

import pyadam


def test_the_policy_is_that_of_torch() -> None:
    torch = pytest.importorskip("torch")
    policy = {"init_scale": 8.0, "growth_factor": 4.0, "backoff_factor": 0.25, "growth_interval": 4}
    theirs, ours = torch.amp.GradScaler("cpu", **policy), pyadam.LossScaler(**policy)
    p = torch.ones(1, requires_grad=True)
    q = np.ones(1, np.float32)
    optimizer, opt = torch.optim.SGD([p], lr=0.1), pyadam.SGD(q, lr=0.1, skip_nonfinite=True)
    overflows = np.random.default_rng(0).random(200) < 0.15
    for overflow in overflows:
        assert ours.scale == theirs.get_scale()
        gradient = float("inf") if overflow else 1.0
        theirs.scale(p.sum())
        p.grad = torch.tensor([gradient]) * theirs.get_scale()
        theirs.step(optimizer)
        theirs.update()
        ours.update(opt.step(np.full(1, gradient * ours.scale, np.float32), grad_scale=ours.scale))
    assert ours.state_dict() == theirs.state_dict()
    assert opt.skipped == overflows.sum()
    np.testing.assert_allclose(q, p.detach().numpy(), rtol=1e-6)


def test_the_scale_stays_finite() -> None:
    scaler = pyadam.LossScaler(init_scale=2.0**127, growth_interval=1)
    scaler.update(True)
    assert scaler.scale == 2.0**127


def test_a_scaler_goes_on_from_its_state() -> None:
    scaler = pyadam.LossScaler(growth_interval=3)
    scaler.update(True)
    scaler.update(True)
    other = pyadam.LossScaler()
    other.load_state_dict(scaler.state_dict())
    for each in (scaler, other, pickle.loads(pickle.dumps(scaler))):
        if each is not scaler:
            assert each.state_dict() == {**scaler.state_dict(), "_growth_tracker": 2, "scale": 2.0**16}
            each.update(True)
            assert each.scale == 2.0**17
    assert repr(other).startswith("LossScaler(scale=131072.0")


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"init_scale": 0.0}, ValueError),
        ({"init_scale": "1"}, TypeError),
        ({"growth_factor": 0.5}, ValueError),
        ({"backoff_factor": 1.0}, ValueError),
        ({"backoff_factor": 0.0}, ValueError),
        ({"growth_interval": 0}, ValueError),
        ({"growth_interval": 1.5}, TypeError),
    ],
)
def test_wrong_policies_are_refused(options: dict[str, Any], error: type[Exception]) -> None:
    key = next(iter(options)).removeprefix("init_")
    with raises(error, key):
        pyadam.LossScaler(**options)
