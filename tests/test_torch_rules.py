"""`pyadam.torch` beside `torch.optim` and beside the NumPy classes."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch_cases import CASES, OWN_CASES, Case, assert_close_in_float64, new_params, set_grads, take_steps  # noqa: E402

import pyadam.torch  # noqa: E402

CLASSES = sorted({case.name for case in CASES})


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.usefixtures("float64_scalars")
def test_the_same_as_torch_in_float64(case: Case) -> None:
    ours, theirs = new_params(), new_params()
    take_steps(case.ours(ours, **case.options), ours, range(100))
    take_steps(case.theirs(theirs, **case.options), theirs, range(100))
    assert_close_in_float64(ours, theirs)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_within_a_few_ulp_of_torch_in_a_float32_step(case: Case) -> None:
    theirs = new_params(torch.float32)
    optimizer = case.theirs(theirs, **case.options)
    take_steps(optimizer, theirs, range(1, 9))
    ours = [torch.nn.Parameter(p.detach().clone()) for p in theirs]
    resumed = case.ours(ours, **case.options)
    resumed.load_state_dict(optimizer.state_dict())
    before = [p.detach().clone() for p in ours]
    take_steps(optimizer, theirs, [10])
    take_steps(resumed, ours, [10])
    for a, b, old in zip(ours, theirs, before, strict=True):
        # Of what was added: rounding of the step, and of its sum with the parameter.
        ulp = torch.finfo(torch.float32).eps * torch.maximum(old.abs(), (b - old).abs())
        assert ((a - b).abs() <= 4 * ulp).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("case", CASES + OWN_CASES, ids=str)
def test_the_bits_of_the_numpy_class(case: Case, dtype: torch.dtype) -> None:
    params = new_params(dtype)
    arrays = [p.detach().numpy().copy() for p in params]
    ours, numpy = case.ours(params, **case.options), case.numpy(arrays, **case.options)
    for step in range(10):
        set_grads(params, step, left_out=(1,) if step % 3 == 0 else ())
        ours.step()
        numpy.step([None if p.grad is None else p.grad.numpy() for p in params])
    for p, array in zip(params, arrays, strict=True):
        np.testing.assert_array_equal(p.detach().numpy(), array)


@pytest.mark.parametrize("name", CLASSES)
def test_the_signature_is_that_of_torch(name: str) -> None:
    ours = list(inspect.signature(getattr(pyadam.torch, name)).parameters.values())
    theirs = list(inspect.signature(getattr(torch.optim, name)).parameters.values())
    assert ours[-1].kind is inspect.Parameter.VAR_KEYWORD
    assert [(p.name, p.kind, p.default) for p in ours[:-1]] == [(p.name, p.kind, p.default) for p in theirs]


@pytest.mark.parametrize("name", CLASSES)
def test_the_groups_have_the_keys_of_torch_and_the_extras(name: str) -> None:
    ours = getattr(pyadam.torch, name)(new_params()).param_groups[0]
    theirs = getattr(torch.optim, name)(new_params()).param_groups[0]
    assert {key: ours[key] for key in theirs if key != "params"} == {k: v for k, v in theirs.items() if k != "params"}
    assert ours.keys() - theirs.keys() == {
        "l1", "bounds", "clip_value", "ema_decay", "ema_warmup", "master", "state_dtype",
    }  # fmt: skip


def test_the_learning_rate_may_be_a_tensor_that_changes_inside() -> None:
    ours, theirs = new_params(), new_params()
    lr = torch.tensor(0.1)
    a, b = pyadam.torch.Adam(ours, lr=lr), torch.optim.Adam(theirs, lr=0.1)
    for step in range(5):
        lr.fill_(0.1 / (1 + step))
        b.param_groups[0]["lr"] = float(lr)
        take_steps(a, ours, [step])
        take_steps(b, theirs, [step])
    assert_close_in_float64(ours, theirs)


@pytest.mark.parametrize("option", ["capturable", "differentiable"])
def test_ways_of_computing_that_there_are_not_are_refused(option: str) -> None:
    with pytest.raises(ValueError, match=f"{option}=True"):
        pyadam.torch.Adam(new_params(), **{option: True})


@pytest.mark.parametrize("options", [{"foreach": True}, {"fused": True}])
def test_ways_of_computing_that_make_no_difference_are_accepted(options: dict[str, bool]) -> None:
    params = new_params()
    take_steps(pyadam.torch.Adam(params, **options), params, range(3))


@pytest.mark.parametrize(
    ("options", "word"),
    [({"lr": -1.0}, "lr"), ({"betas": (1.0, 0.9)}, "betas"), ({"l1": -1}, "l1"), ({"clip_norm": 0}, "clip_norm")],
)
def test_hyperparameters_out_of_range_are_refused(options: dict[str, object], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        pyadam.torch.Adam(new_params(), **options)


def test_a_hyperparameter_set_later_is_checked_before_the_step_and_counts() -> None:
    params = new_params()
    optimizer = pyadam.torch.Adam(params)
    take_steps(optimizer, params, [1])
    before = [p.detach().clone() for p in params]
    optimizer.param_groups[0]["lr"] = -1.0
    set_grads(params, 2)
    with pytest.raises(ValueError, match=r"param_groups\[0\]\['lr'\] must be a finite number >= 0"):
        optimizer.step()
    assert all(torch.equal(p, q) for p, q in zip(params, before, strict=True))
    assert {float(state["step"]) for state in optimizer.state.values()} == {1.0}
    optimizer.param_groups[0]["lr"] = 0.0
    optimizer.step()
    assert all(torch.equal(p, q) for p, q in zip(params, before, strict=True))


def test_unknown_options_are_refused() -> None:
    with pytest.raises(TypeError, match="no option 'momentum'"):
        pyadam.torch.Adam(new_params(), momentum=0.9)
