"""What users of torch.optim do beside the usual loop, and what must come of it here too."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from inside import Group  # noqa: E402

import pyadam.torch  # noqa: E402

LIBRARIES = (pyadam.torch, torch.optim)


def ones(count: int = 1, size: Any = 3) -> list[Any]:
    return [torch.nn.Parameter(torch.ones(size)) for _ in range(count)]


def set_grads(params: list[Any], value: float = 1.0) -> None:
    for p in params:
        p.grad = torch.full_like(p, value)


def begun(library: Any, count: int = 1, rule: str = "Adam") -> tuple[list[Any], Any]:
    """Return parameters of ones, with gradients, and their optimizer after its first step."""
    params = ones(count)
    set_grads(params)
    optimizer = getattr(library, rule)(params, lr=0.1)
    optimizer.step()
    return params, optimizer


def compare(run: Any, tolerance: float = 1e-6) -> None:
    """Do the same with both libraries; what `run` returns must be close."""
    ours, theirs = map(run, LIBRARIES)
    torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance)


# Gradients and parameters


def test_gradients_of_one_element_may_have_a_pending_negation() -> None:
    def run(library: Any) -> Any:
        p = torch.nn.Parameter(torch.tensor(0.5))
        optimizer = library.SGD([p], lr=0.1)
        for _ in range(3):
            optimizer.zero_grad()
            (torch.complex(torch.zeros(()), p).conj() * torch.tensor(1 + 2j)).real.backward()
            assert p.grad.is_neg()
            optimizer.step()
        return p.detach()

    compare(run)


@pytest.mark.parametrize("count", [1, 2])
def test_parameters_with_a_pending_negation_are_refused(count: int) -> None:
    p = torch.nn.Parameter(torch._neg_view(torch.ones(count)))
    assert p.is_neg()
    with pytest.raises(ValueError, match=r"params'\]\[0\] has a pending negation: pass .resolve_neg\(\) of it"):
        pyadam.torch.SGD([p])


def test_parameters_without_elements_may_have_any_strides() -> None:
    p = torch.nn.Parameter(torch.empty(4, 6)[:0, ::2])
    optimizer = pyadam.torch.SGD([p])
    set_grads([p])
    optimizer.step()


def test_frozen_parameters_may_be_of_any_type() -> None:
    def run(library: Any) -> Any:
        params = ones()
        others = [torch.zeros(2, dtype=torch.int8), torch.zeros(2, dtype=torch.complex64), torch.zeros(8)[::2]]
        frozen = [torch.nn.Parameter(other, requires_grad=False) for other in others]
        optimizer = library.Adam([*params, *frozen], lr=0.1)
        for _ in range(2):
            set_grads(params)
            optimizer.step()
        optimizer.load_state_dict(optimizer.state_dict())
        optimizer.step()
        return params[0].detach()

    compare(run)


def test_a_parameter_that_is_frozen_later_is_left_alone() -> None:
    def run(library: Any) -> Any:
        params, optimizer = begun(library, 2)
        params[1].grad = None
        params[1].requires_grad_(False)
        params[1].data = params[1].data.half()
        optimizer.step()
        optimizer.load_state_dict(optimizer.state_dict())
        optimizer.step()
        return params[0].detach(), optimizer.state[params[1]]["step"]

    compare(run)


def test_adagrad_begins_for_frozen_parameters_that_it_could_step() -> None:
    params = [*ones(2), torch.nn.Parameter(torch.ones(3, dtype=torch.bfloat16), requires_grad=False)]
    params[1].requires_grad_(False)
    optimizer = pyadam.torch.Adagrad(params)
    assert [p in optimizer.state for p in params] == [True, True, False]
    set_grads(params[:1])
    optimizer.step()


def test_a_lazy_parameter_waits_for_its_shape() -> None:
    def run(library: Any) -> Any:
        layer = torch.nn.LazyLinear(1)
        optimizer = library.Adam(layer.parameters(), lr=0.1)
        optimizer.step()
        layer(torch.ones(2, 3))
        with torch.no_grad():
            layer.weight.fill_(1)
        layer(torch.ones(2, 3)).sum().backward()
        optimizer.step()
        return layer.weight.detach()

    compare(run)


# Groups


def test_parameters_of_a_group_may_be_in_any_container() -> None:
    for container in (tuple, lambda params: dict.fromkeys(params).keys()):

        def run(library: Any, container: Any = container) -> Any:
            params = ones(2)
            optimizer = library.Adam(params[:1], lr=0.1)
            optimizer.param_groups[0]["params"] = container(params)
            for _ in range(3):
                set_grads(params)
                optimizer.step()
            return [p.detach() for p in params]

        compare(run)


def test_the_list_of_groups_may_be_edited() -> None:
    def run(library: Any) -> Any:
        params = ones(3)
        optimizer = library.Adam([{"params": [p]} for p in params[:2]], lr=0.1)
        set_grads(params)
        optimizer.step()
        group = optimizer.param_groups.pop()
        optimizer.step()
        optimizer.param_groups.append({**group, "params": params[1:], "lr": 0.5})
        optimizer.step()
        optimizer.param_groups = tuple(optimizer.param_groups)
        optimizer.step()
        return [p.detach() for p in params]

    compare(run)


@pytest.mark.parametrize("set_betas", [list, lambda betas: [*map(torch.tensor, betas)]], ids=["floats", "tensors"])
def test_a_list_of_betas_may_be_changed_inside(set_betas: Any) -> None:
    def run(library: Any) -> Any:
        params = ones()
        optimizer = library.Adam(params, lr=0.1)
        optimizer.param_groups[0]["betas"] = set_betas([0.9, 0.999])
        set_grads(params)
        optimizer.step()
        optimizer.param_groups[0]["betas"][0] = set_betas([0.1])[0]
        set_grads(params, -1.0)
        optimizer.step()
        return params[0].detach()

    compare(run)


@pytest.mark.parametrize("number", [float, np.float64, torch.tensor], ids=["float", "numpy", "tensor"])
def test_a_schedule_may_round_to_less_than_zero(number: Any) -> None:
    def run(library: Any) -> Any:
        params = ones()
        optimizer = library.Adam(params, lr=number(0.1))
        schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1 / 3, 0.0, 5)
        for _ in range(8):
            set_grads(params)
            optimizer.step()
            schedule.step()
        assert optimizer.param_groups[0]["lr"] < 0
        return params[0].detach()

    compare(run)
    optimizer = pyadam.torch.Adam(ones())
    optimizer.param_groups[0]["lr"] = -1e-6
    with pytest.raises(ValueError, match="lr"):
        optimizer.step()


@pytest.mark.parametrize("place", [(Group, "_set_number"), (pyadam.torch.SGD, "_bind")], ids=["reading", "binding"])
@pytest.mark.parametrize(("key", "value"), [("lr", 1.0), ("bounds", (0.85, 2.0)), ("momentum", 0.5)])
def test_an_interrupt_does_not_lose_a_hyperparameter(
    key: str, value: Any, place: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(interrupted: bool) -> Any:
        params, optimizer = begun(pyadam.torch, rule="SGD")
        optimizer.param_groups[0][key] = value
        if interrupted:
            with monkeypatch.context() as patch:
                patch.setattr(*place, stop)
                if place[1] == "_set_number" or key != "lr":  # which needs no other binding
                    with pytest.raises(KeyboardInterrupt):
                        optimizer.step()
        for _ in range(3):
            optimizer.step()
        return params[0].detach()

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    assert torch.equal(run(interrupted=True), run(interrupted=False))


def test_an_interrupt_while_loading_begins_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    params = ones()
    set_grads(params)
    optimizer = pyadam.torch.Adam(params)
    optimizer.step()
    register = optimizer.register_load_state_dict_pre_hook

    def stop(*arguments: Any) -> None:
        register(*arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(optimizer, "register_load_state_dict_pre_hook", stop)
        with pytest.raises(KeyboardInterrupt):
            optimizer.load_state_dict(optimizer.state_dict())
    optimizer.load_state_dict(optimizer.state_dict())
    optimizer.step()
    assert float(optimizer.state[params[0]]["step"]) == 2


def test_a_subclass_may_have_options_of_its_own() -> None:
    class Own(pyadam.torch.Adam):
        def __init__(self, params: Any, **options: Any) -> None:
            super().__init__(params, **options)
            self.defaults["own"] = 1
            for group in self.param_groups:
                group.setdefault("own", 1)

    params = ones(2)
    optimizer = Own(params[:1], lr=0.1)
    optimizer.add_param_group({"params": params[1:]})
    set_grads(params)
    optimizer.step()
    torch.testing.assert_close(params[1].detach(), torch.full((3,), 0.9))


def test_a_base_may_have_no_rule() -> None:
    class Mixin(pyadam.torch.Optimizer):
        """What some program has in common."""

    class Own(pyadam.torch.SGD, Mixin):
        pass

    params = ones()
    set_grads(params)
    Own(params, lr=0.1).step()
    torch.testing.assert_close(params[0].detach(), torch.full((3,), 0.9))


@pytest.mark.parametrize(
    ("key", "value", "error"),
    [
        ("clip_norm", -1.0, ValueError),
        ("flush_denormals", 0, TypeError),
        ("skip_nonfinite", 3, TypeError),
        ("seed", -1, ValueError),
        ("seed", "x", TypeError),
    ],
)
def test_settings_are_checked_when_they_are_used(key: str, value: Any, error: type[Exception]) -> None:
    params = ones()
    set_grads(params)
    optimizer = pyadam.torch.Adam(params)
    optimizer.step()
    before = params[0].detach().clone()
    setattr(optimizer, key, value)
    with pytest.raises(error, match=f"{key} must be"):
        optimizer.step()
    assert torch.equal(params[0], before)


@pytest.mark.parametrize("key", ["lr", "weight_decay"])
def test_a_tensor_of_many_numbers_is_no_hyperparameter(key: str) -> None:
    optimizer = pyadam.torch.Adam(ones())
    optimizer.param_groups[0][key] = torch.ones(2)
    with pytest.raises(ValueError, match=rf"\['{key}'\] must be a number or a Tensor of one element, found \(2,\)"):
        optimizer.step()


# State


@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize("size", [3, 2**18])
def test_the_default_device_is_not_that_of_the_state(size: int, device: str) -> None:
    def run(library: Any) -> Any:
        params = ones(2, size)
        optimizer = library.Adam(params, lr=0.1)
        set_grads(params)
        with torch.device(device):
            optimizer.step()
            state = optimizer.state_dict()
        again = library.Adam(params, lr=0.1)
        again.load_state_dict(state)
        with torch.device(device):
            again.step()
        return [p.detach() for p in params], [s["exp_avg"] for s in again.state.values()]

    compare(run)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.int64, torch.float64])
@pytest.mark.parametrize("way", ["loaded", "set"])
def test_step_counts_may_be_of_any_number_s_dtype(dtype: Any, way: str) -> None:
    def run(library: Any) -> Any:
        params = ones(2)
        optimizer = library.Adam(params, lr=0.1)
        for _ in range(3):
            set_grads(params)
            optimizer.step()
        beside = torch.tensor([2, 1000], dtype=dtype)
        if way == "set":
            optimizer.state[params[0]]["step"] = beside[0]
        else:
            state = optimizer.state_dict()
            state["state"][0]["step"] = beside[0]
            optimizer.load_state_dict(state)
        for _ in range(2):
            optimizer.step()
        assert float(beside[1]) == 1000
        return params[0].detach(), [float(state["step"]) for state in optimizer.state_dict()["state"].values()]

    compare(run)


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("change", ["dtype", "number", "set"])
def test_new_memory_of_a_step_count_is_noticed(change: str, count: int) -> None:
    def run(library: Any) -> Any:
        params, optimizer = begun(library, count)
        for state in optimizer.state.values():
            if change == "dtype":
                state["step"].data = state["step"].data.double()
            elif change == "number":
                state["step"].data = torch.tensor(100.0)
            else:
                state["step"].set_(torch.tensor([7.0]).untyped_storage(), 0, (), ())
        for _ in range(3):
            optimizer.step()
        return params[0].detach(), [float(s["step"]) for s in optimizer.state_dict()["state"].values()]

    compare(run)


def test_states_that_are_exchanged_for_each_other_are_noticed() -> None:
    def run(library: Any) -> Any:
        p, q = params = ones(2)
        optimizer = library.Adam(params, lr=0.1)
        set_grads([p])
        set_grads([q], 5.0)
        optimizer.step()
        first, second = optimizer.state[p], optimizer.state[q]
        optimizer.state.clear()
        optimizer.state[q], optimizer.state[p] = first, second
        optimizer.step()
        return [p.detach() for p in params]

    compare(run)


def test_parameters_that_are_replaced_are_freed() -> None:
    optimizer = pyadam.torch.Adam(ones())
    seen = []
    for _ in range(5):
        old = optimizer.param_groups[0]["params"][0]
        seen.append(weakref.ref(old))
        old.grad = torch.ones(3)
        optimizer.step()
        new = torch.nn.Parameter(old.detach().clone())
        optimizer.param_groups[0]["params"][0] = new
        optimizer.state[new] = optimizer.state.pop(old)
        new.grad = torch.ones(3)
        del old
        optimizer.step()
        gc.collect()
        assert [p() for p in seen] == [None] * len(seen)
        del new


def test_the_state_of_adam_goes_on_in_adamw() -> None:
    def run(library: Any) -> Any:
        params = ones()
        set_grads(params)
        adam = library.Adam(params, lr=0.1)
        adam.step()
        adamw = library.AdamW(params, lr=0.1)
        adamw.load_state_dict(adam.state_dict())
        adamw.param_groups[0]["weight_decay"] = 0.5
        adamw.step()
        return params[0].detach()

    compare(run)


def test_the_state_of_adagrad_can_be_shared_between_processes() -> None:
    optimizer = pyadam.torch.Adagrad(ones(2))
    optimizer.share_memory()
    assert all(state["sum"].is_shared() for state in optimizer.state.values())


@pytest.mark.parametrize("key", ["step", "mu_product"])
def test_numbers_of_the_state_may_be_of_any_kind(key: str) -> None:
    def run(library: Any) -> Any:
        params, optimizer = begun(library, rule="NAdam")
        number = optimizer.state[params[0]][key]
        optimizer.state[params[0]][key] = number.double()
        optimizer.step()
        return params[0].detach(), float(optimizer.state[params[0]][key])

    compare(run)


def test_state_that_began_in_inference_mode_goes_on_outside() -> None:
    params = ones()
    set_grads(params)
    optimizer = pyadam.torch.NAdam(params, lr=0.1)
    with torch.inference_mode():
        optimizer.step()
    optimizer.step()
    again = ones()
    set_grads(again)
    other = pyadam.torch.NAdam(again, lr=0.1)
    other.step()
    other.step()
    assert torch.equal(params[0], again[0])
    assert torch.equal(optimizer.state[params[0]]["mu_product"], other.state[again[0]]["mu_product"])


def test_a_count_that_a_small_integer_cannot_hold_is_counted_on() -> None:
    def run(library: Any) -> Any:
        params = ones()
        optimizer = library.Adam(params, lr=0.1)
        set_grads(params)
        for _ in range(300):
            optimizer.step()
        optimizer.state[params[0]]["step"] = torch.tensor(2, dtype=torch.uint8)
        optimizer.step()
        return float(optimizer.state[params[0]]["step"])

    compare(run)


def test_nothing_is_loaded_while_the_averages_are_in_place() -> None:
    params = ones()
    set_grads(params)
    optimizer = pyadam.torch.Adam(params, ema_decay=0.5)
    optimizer.step()
    with optimizer.swap_ema():
        for call in (lambda: optimizer.load_state_dict(optimizer.state_dict()), optimizer.step):
            with pytest.raises(RuntimeError, match=r"hold their averages, inside swap_ema\(\)"):
                call()


# Compilation


@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")  # from PyTorch's own compiler
@pytest.mark.parametrize("name", ["Adam", "SGD"])
def test_a_step_within_a_compiled_function_runs_uncompiled(name: str) -> None:
    def run(library: Any) -> Any:
        params = ones(2)
        optimizer = getattr(library, name)(params, lr=0.1)
        step = torch.compile(optimizer.step, backend="eager")
        for _ in range(3):
            set_grads(params)
            step()
        return [p.detach() for p in params]

    compare(run, tolerance=1e-5)  # PyTorch computes otherwise where it compiles
