"""`pyadam.torch` in training loops: closures, hooks, schedulers, clipping, loss scaling, averages."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from makers import Maker  # noqa: E402
from torch.optim.optimizer import register_optimizer_step_post_hook  # noqa: E402
from torch_cases import CASES, Case, assert_close_in_float64, assert_same_bits, new_params, set_grads, take_steps  # noqa: E402

import pyadam.torch  # noqa: E402


def model() -> Any:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1)).double()


def batch(step: int) -> Any:
    return Maker(step).tensor((16, 4), torch.float64)


def train(net: Any, optimizer: Any, steps: range) -> None:
    for step in steps:
        optimizer.zero_grad()
        net(batch(step)).square().mean().backward()
        optimizer.step()


def compare(run: Callable[[Any], Any]) -> None:
    """Train with both libraries; the models that `run` returns must be close."""
    ours, theirs = map(run, (pyadam.torch, torch.optim))
    assert_close_in_float64(ours.parameters(), theirs.parameters())


@pytest.mark.parametrize("set_to_none", [True, False])
@pytest.mark.parametrize("name", sorted({case.name for case in CASES} - {"NAdam"}))
def test_the_usual_loop(name: str, set_to_none: bool) -> None:
    def run(module: Any) -> Any:
        net = model()
        optimizer = getattr(module, name)(net.parameters(), lr=0.01)
        for step in range(20):
            optimizer.zero_grad(set_to_none=set_to_none)
            net(batch(step)).square().mean().backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), 0.1)
            optimizer.step()
        return net

    compare(run)


def test_a_closure_is_called_with_gradients_and_its_loss_returned() -> None:
    net = model()
    optimizer = pyadam.torch.Adam(net.parameters())

    def closure() -> Any:
        optimizer.zero_grad()
        loss = net(batch(0)).square().mean()
        loss.backward()
        return loss

    with torch.no_grad():
        losses = [float(optimizer.step(closure)) for _ in range(5)]
    assert losses == sorted(losses, reverse=True)
    assert losses[0] > losses[-1]


def test_step_hooks_run_around_the_step_once() -> None:
    net = model()
    optimizer = pyadam.torch.Adam(net.parameters())
    calls = []
    optimizer.register_step_pre_hook(lambda *_: calls.append("pre"))
    optimizer.register_step_post_hook(lambda *_: calls.append("post"))
    everywhere = register_optimizer_step_post_hook(lambda *_: calls.append("global"))
    net(batch(0)).sum().backward()
    optimizer.step()
    everywhere.remove()
    assert calls == ["pre", "post", "global"]


SCHEDULERS: dict[str, Any] = {
    "LambdaLR": lambda s, o: s.LambdaLR(o, lambda t: 0.9**t),
    "MultiplicativeLR": lambda s, o: s.MultiplicativeLR(o, lambda _: 0.9),
    "StepLR": lambda s, o: s.StepLR(o, 3),
    "MultiStepLR": lambda s, o: s.MultiStepLR(o, [2, 5]),
    "ConstantLR": lambda s, o: s.ConstantLR(o, 0.5, 4),
    "LinearLR": lambda s, o: s.LinearLR(o),
    "ExponentialLR": lambda s, o: s.ExponentialLR(o, 0.9),
    "PolynomialLR": lambda s, o: s.PolynomialLR(o, 8),
    "CosineAnnealingLR": lambda s, o: s.CosineAnnealingLR(o, 8),
    "CosineAnnealingWarmRestarts": lambda s, o: s.CosineAnnealingWarmRestarts(o, 4),
    "CyclicLR": lambda s, o: s.CyclicLR(o, 0.001, 0.1, step_size_up=3),
    "OneCycleLR": lambda s, o: s.OneCycleLR(o, 0.1, total_steps=20),
    "ReduceLROnPlateau": lambda s, o: s.ReduceLROnPlateau(o, patience=1),
    "SequentialLR": lambda s, o: s.SequentialLR(o, [s.ConstantLR(o), s.ExponentialLR(o, 0.9)], [4]),
    "ChainedScheduler": lambda s, o: s.ChainedScheduler([s.ConstantLR(o), s.ExponentialLR(o, 0.9)]),
    "SWALR": lambda _, o: torch.optim.swa_utils.SWALR(o, 0.02),
}


def test_every_scheduler_of_torch_is_among_those_tested() -> None:
    scheduler = torch.optim.lr_scheduler
    names = {name for name in scheduler.__all__ if name != "LRScheduler"}
    assert names | {"SWALR"} == SCHEDULERS.keys()


@pytest.mark.parametrize("case", [Case("Adam"), Case("SGD", {"momentum": 0.9})], ids=str)
@pytest.mark.parametrize("name", SCHEDULERS)
def test_every_learning_rate_scheduler(name: str, case: Case) -> None:
    rates = []

    def run(module: Any) -> Any:
        net = model()
        optimizer = getattr(module, case.name)(net.parameters(), lr=0.05, **case.options)
        scheduler = SCHEDULERS[name](torch.optim.lr_scheduler, optimizer)
        rates.append([])
        for step in range(12):
            train(net, optimizer, range(step, step + 1))
            scheduler.step(*([1.0] if name == "ReduceLROnPlateau" else []))
            rates[-1].append(optimizer.param_groups[0]["lr"])
        return net

    compare(run)
    assert rates[0] == rates[1]
    assert len(set(rates[0])) > 1


def test_groups_frozen_parameters_and_those_that_thaw() -> None:
    def run(module: Any) -> Any:
        net = model()
        net[0].requires_grad_(False)
        optimizer = module.AdamW([{"params": net[0].parameters(), "lr": 0.1}, {"params": net[2].parameters()}])
        for thawed in (False, True):
            net[0].requires_grad_(thawed)
            train(net, optimizer, range(4 * thawed, 4 * thawed + 4))
        assert [float(optimizer.state[p]["step"]) for p in net.parameters()] == [4.0, 4.0, 8.0, 8.0]
        return net

    compare(run)


def test_tied_weights_are_one_parameter() -> None:
    def run(module: Any) -> Any:
        torch.manual_seed(0)
        net = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Tanh(), torch.nn.Linear(4, 4)).double()
        net[2].weight = net[0].weight
        optimizer = module.Adam(net.parameters(), lr=0.01)
        assert len(optimizer.param_groups[0]["params"]) == 3
        train(net, optimizer, range(5))
        return net

    compare(run)


def test_a_parameter_listed_twice_is_refused() -> None:
    p = torch.nn.Parameter(torch.ones(2))
    with pytest.warns(UserWarning, match="duplicate parameters"):
        optimizer = pyadam.torch.Adam([p, p])
    p.grad = torch.ones(2)
    with pytest.raises(ValueError, match="share memory"):
        optimizer.step()


def test_steps_in_the_backward_pass() -> None:
    def run(module: Any) -> Any:
        net = model()
        optimizers = {p: module.Adam([p], lr=0.01) for p in net.parameters()}

        def step_now(p: Any, optimizers: Any = optimizers) -> None:
            optimizers[p].step()
            optimizers[p].zero_grad()

        for p in net.parameters():
            p.register_post_accumulate_grad_hook(step_now)
        for step in range(5):
            net(batch(step)).square().mean().backward()
        return net

    compare(run)


def test_grad_scaler_unscales_on_the_way_and_skips_what_overflowed() -> None:
    nets, scales, steps = [], [], []
    for module, options in ((pyadam.torch, {"fused": True}), (torch.optim, {"fused": True})):
        net = model().float()
        optimizer = module.Adam(net.parameters(), lr=0.01, **options)
        scaler = torch.amp.GradScaler("cpu", init_scale=1024.0, growth_interval=3)
        for step in range(8):
            optimizer.zero_grad()
            loss = net(batch(step).float()).square().mean() * (float("inf") if step == 4 else 1.0)
            scaler.scale(loss).backward()
            grads = [p.grad.clone() for p in net.parameters()]
            if step == 6:
                scaler.unscale_(optimizer)
            scaler.step(optimizer)
            if module is pyadam.torch and step != 6:
                assert_same_bits([p.grad for p in net.parameters()], grads)
            scaler.update()
        nets.append(net)
        scales.append(scaler.get_scale())
        steps.append([float(state["step"]) for state in optimizer.state.values()])
    assert scales[0] == scales[1]
    assert steps[0] == steps[1] == [7.0] * 4
    for p, q in zip(nets[0].parameters(), nets[1].parameters(), strict=True):
        torch.testing.assert_close(p, q)


def test_grad_scaler_treats_it_as_torchs_default_unless_it_is_asked_for() -> None:
    """Trainers refuse to clip gradients of optimizers that unscale them on their own."""
    for options in ({}, {"fused": False}, {"foreach": True}):
        ours, theirs = (module.Adam(model().parameters(), **options) for module in (pyadam.torch, torch.optim))
        for optimizer in (ours, theirs):
            assert not getattr(optimizer, "_step_supports_amp_scaling", False)

    def run(module: Any) -> Any:
        net = model().float()
        optimizer = module.SGD(net.parameters(), lr=0.01)
        scaler = torch.amp.GradScaler("cpu", init_scale=1024.0, growth_interval=3)
        for step in range(8):
            optimizer.zero_grad()
            loss = net(batch(step).float()).square().mean() * (float("inf") if step == 4 else 1.0)
            scaler.scale(loss).backward()
            scaler.unscale_(optimizer)
            torch.nn.utils.clip_grad_norm_(net.parameters(), 0.5)
            scaler.step(optimizer)
            scaler.update()
        return net

    for p, q in zip(run(pyadam.torch).parameters(), run(torch.optim).parameters(), strict=True):
        torch.testing.assert_close(p, q)


def test_averaged_models() -> None:
    def run(module: Any) -> Any:
        net = model()
        average = torch.optim.swa_utils.AveragedModel(net)
        optimizer = module.SGD(net.parameters(), lr=0.05)
        for step in range(5):
            train(net, optimizer, range(step, step + 1))
            average.update_parameters(net)
        return average

    compare(run)


def test_a_step_without_gradients_changes_nothing() -> None:
    params = new_params()
    optimizer = pyadam.torch.Adam(params)
    optimizer.step()
    assert not optimizer.state
    take_steps(optimizer, params, [1])
    before = [p.detach().clone() for p in params]
    set_grads(params, 0, left_out=range(4))
    optimizer.step()
    assert_same_bits(params, before)


def test_the_default_import_leaves_torch_alone_and_says_what_is_missing() -> None:
    code = """if True:
        import sys, pyadam
        assert "torch" not in sys.modules
        sys.modules["torch"] = None
        try:
            import pyadam.torch
        except ImportError as error:
            print(error)
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "pyadam.torch needs PyTorch: pip install 'pyadam[torch]'\n"
