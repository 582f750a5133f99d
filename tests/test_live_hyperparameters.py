"""Hyperparameters set on an optimizer work, or raise with the line that does it: nothing is a silent copy."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import pyadam


def two_groups(**options: Any) -> tuple[list[Any], pyadam.Optimizer]:
    params = [np.ones(2), np.ones(2)]
    return params, pyadam.SGD([{"params": [p]} for p in params], **options)


def test_an_attribute_sets_all_groups_and_the_next_step_uses_it() -> None:
    params, opt = two_groups(lr=0.5)
    assert opt.lr == 0.5
    opt.lr = 0.25
    opt.step([[np.ones(2)], [np.ones(2)]])
    np.testing.assert_array_equal(params, np.full((2, 2), 0.75))
    assert [group["lr"] for group in opt.param_groups] == [0.25, 0.25]
    opt.maximize = True
    opt.bounds = (-1, 2)
    opt.step([[np.full(2, 100.0)], [np.ones(2)]])
    np.testing.assert_array_equal(params, [[2, 2], [1, 1]])


def test_a_value_that_is_refused_changes_no_group() -> None:
    _, opt = two_groups(lr=0.5)
    opt.param_groups[1]["weight_decay"] = 0.5
    for name, value in (("lr", -1.0), ("momentum", 0.9), ("master", "split")):
        with pytest.raises(ValueError, match=name):
            setattr(opt, name, value)
    assert [(group["lr"], group["momentum"]) for group in opt.param_groups] == [(0.5, 0.0)] * 2
    with pytest.raises(ValueError, match=r"weight_decay differs between groups, found \[0.0, 0.5\]"):
        _ = opt.weight_decay


@pytest.mark.parametrize(
    ("name", "meant"),
    [("learning_rate", "lr"), ("beta1", "betas"), ("wieght_decay", "weight_decay"), ("clipnorm", "clip_norm")],
)
def test_an_unknown_attribute_raises_and_names_the_nearest(name: str, meant: str) -> None:
    opt = pyadam.Adam(np.ones(1))
    with pytest.raises(AttributeError, match=f"Adam has no attribute '{name}'; did you mean '{meant}'"):
        setattr(opt, name, 0.5)
    with pytest.raises(AttributeError, match=name):
        getattr(opt, name)
    with pytest.raises(AttributeError, match=r"no attribute .nothing_like_it.$"):
        opt.nothing_like_it = 1


def test_a_subclass_may_have_attributes_of_its_own() -> None:
    class Mine(pyadam.Adam):
        def __init__(self, params: Any) -> None:
            super().__init__(params, lr=0.5)
            self.best_loss = 1.0

    opt = Mine(np.ones(1))
    opt.best_loss = 0.5
    opt.lr = 0.25
    assert (opt.best_loss, opt.param_groups[0]["lr"]) == (0.5, 0.25)


def test_what_groups_hand_out_cannot_be_changed() -> None:
    opt = pyadam.Adam(np.ones(1))
    group = opt.param_groups[0]
    with pytest.raises(AttributeError, match=r"an item: param_groups\[0\]\['lr'\] = "):
        group.lr = 0.5
    with pytest.raises(AttributeError, match="did you mean 'lr'"):
        group.learning_rate = 0.5
    for handed_out in (group.current, group.options):
        with pytest.raises(TypeError, match="item assignment"):
            handed_out["lr"] = 0.5
    for frozen in (group["params"], opt.param_groups):
        with pytest.raises(AttributeError, match="append"):
            frozen.append(np.ones(1))


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda opt: pickle.loads(pickle.dumps(opt))])
def test_copies_have_them_too(copied: Any) -> None:
    opt = pyadam.Adam(np.ones(1), lr=0.5)
    opt.lr = 0.25
    assert copied(opt).lr == 0.25


def test_torch_refuses_names_of_hyperparameters_alone() -> None:
    torch = pytest.importorskip("torch")
    import pyadam.torch

    optimizer = pyadam.torch.Adam([torch.ones(1)])
    for name in ("lr", "betas", "l1", "epsilon_hat"):
        with pytest.raises(AttributeError, match=rf"group\['{name}'\] = "):
            setattr(optimizer, name, 0.5)
    optimizer.of_the_trainer = 1
    optimizer.clip_norm = 0.5
    assert (optimizer.of_the_trainer, optimizer.clip_norm) == (1, 0.5)


def test_the_message_of_a_refused_state_has_what_differs_alone() -> None:
    p = np.ones(2)
    saved = pyadam.Adam(p.copy(), ema_decay=0.5, weight_decay=0.1).state_dict()
    with pytest.raises(
        ValueError, match=r"^param_groups\[0\]\['weight_decay'\], param_groups\[0\]\['ema_decay'\] would"
    ):
        pyadam.Adam(p).load_state_dict(saved)
    opt = pyadam.Adam(p)
    opt.step(np.ones(2))
    state = opt.state_dict()
    state["state"][0]["exp_avg"] = None
    with pytest.raises(ValueError, match=r"without a value for \['exp_avg'\]"):
        opt.load_state_dict(state)


@pytest.mark.parametrize("front_end", ["pyadam", "pyadam.torch"])
def test_a_schedule_that_ends_below_zero_by_rounding_ends_at_zero(front_end: str) -> None:
    def rate(step: int) -> float:
        return 0.3 - 0.1 * step

    assert -1e-16 < rate(3) < 0
    if front_end == "pyadam":
        p = np.ones(2)
        opt = pyadam.SGD(p, lr=rate)
        for _ in range(4):
            opt.step(np.ones(2))
        assert opt.param_groups[0].current["lr"] == 0.0
        with pytest.raises(ValueError, match=r"lr'\]\(4\) must be a finite number >= 0"):
            opt.step(np.ones(2))
        return
    torch = pytest.importorskip("torch")
    from pyadam.torch import SGD

    t = torch.ones(2)
    t.grad = torch.ones(2)
    optimizer = SGD([t], lr=rate(3))
    optimizer.step()
    assert torch.equal(t, torch.ones(2))


def test_a_class_is_no_schedule() -> None:
    found = r"lr.* a function of the step, found the class (Cosine|float)"
    with pytest.raises(TypeError, match=found):
        pyadam.Adam(np.ones(1), lr=pyadam.schedules.Cosine)
    opt = pyadam.Adam(np.ones(1))
    with pytest.raises(TypeError, match=found):
        opt.lr = float
