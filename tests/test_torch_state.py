"""State of `pyadam.torch`: that of `torch.optim`, in both directions, saved, copied and exchanged."""

from __future__ import annotations

import copy
import io
import pickle
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from inside import counts_of  # noqa: E402
from makers import Maker  # noqa: E402
from torch_cases import (  # noqa: E402
    CASES,
    OWN_CASES,
    Case,
    assert_close_in_float64,
    assert_same_bits,
    new_params,
    set_grads,
    take_steps,
)

import pyadam.torch  # noqa: E402
from pyadam import _core  # noqa: E402


def kinds(state_dict: dict[str, Any]) -> dict[int, Any]:
    return {
        i: {name: (value.dtype, value.shape, value.device) for name, value in state.items()}
        for i, state in state_dict["state"].items()
    }


def through_a_file(state_dict: dict[str, Any]) -> dict[str, Any]:
    file = io.BytesIO()
    torch.save(state_dict, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


@pytest.mark.parametrize("steps", [0, 1, 4])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_keys_dtypes_and_shapes_are_those_of_torch(case: Case, steps: int) -> None:
    ours, theirs = new_params(torch.float32), new_params(torch.float32)
    a, b = case.ours(ours, **case.options), case.theirs(theirs, **case.options)
    take_steps(a, ours, range(steps))  # the first leaves the second parameter out
    take_steps(b, theirs, range(steps))
    assert kinds(a.state_dict()) == kinds(b.state_dict())
    for i, state in b.state_dict()["state"].items():
        for name, value in state.items():
            torch.testing.assert_close(a.state_dict()["state"][i][name], value, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.usefixtures("float64_scalars")
def test_a_run_goes_from_torch_to_pyadam_and_back(case: Case) -> None:
    expected = new_params()
    take_steps(case.theirs(expected, **case.options), expected, range(30))
    params = new_params()
    optimizer = case.theirs(params, **case.options)
    take_steps(optimizer, params, range(10))
    for cls, steps in ((case.ours, range(10, 20)), (case.theirs, range(20, 30))):
        state_dict = through_a_file(optimizer.state_dict())
        optimizer = cls(params, **case.options)
        optimizer.load_state_dict(state_dict)
        take_steps(optimizer, params, steps)
    assert_close_in_float64(params, expected)


def saved(optimizer: Any, params: list[Any]) -> tuple[Any, list[Any]]:
    new = [torch.nn.Parameter(p.detach().clone()) for p in params]
    resumed = type(optimizer)(new)
    resumed.load_state_dict(through_a_file(optimizer.state_dict()))
    return resumed, new


def deep_copied(optimizer: Any, params: list[Any]) -> tuple[Any, list[Any]]:
    return copy.deepcopy((optimizer, params))


def pickled(optimizer: Any, params: list[Any]) -> tuple[Any, list[Any]]:
    return pickle.loads(pickle.dumps((optimizer, params)))


def saved_whole(optimizer: Any, params: list[Any]) -> tuple[Any, list[Any]]:
    file = io.BytesIO()
    torch.save((optimizer, params), file)
    file.seek(0)
    return torch.load(file, weights_only=False)


WAYS = [saved, deep_copied, pickled, saved_whole]
EXTRAS = [
    {},
    {"clip_norm": 0.5, "ema_decay": 0.9, "ema_warmup": True},
    {"state_dtype": "bfloat16", "bounds": (-1.0, None), "l1": 0.01},
]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@pytest.mark.parametrize("case", CASES + OWN_CASES, ids=str)
def test_a_copied_run_goes_on_with_the_same_bits(case: Case, way: Any) -> None:
    params = new_params(torch.float32)
    optimizer = case.ours(params, **case.options)
    take_steps(optimizer, params, range(5))
    other, others = way(optimizer, params)
    take_steps(optimizer, params, range(5, 10))
    before = [p.detach().clone() for p in params]
    take_steps(other, others, range(5, 10))
    assert_same_bits(others, params)
    assert_same_bits(before, params)  # the two share nothing


@pytest.mark.parametrize("way", WAYS[1:], ids=lambda way: way.__name__)
@pytest.mark.parametrize("extras", EXTRAS, ids=str)
def test_copies_keep_the_extras(extras: dict[str, Any], way: Any) -> None:
    params = new_params(torch.float32)
    optimizer = pyadam.torch.AdamW(params, **extras)
    take_steps(optimizer, params, range(5))
    other, others = way(optimizer, params)
    take_steps(optimizer, params, range(5, 10))
    take_steps(other, others, range(5, 10))
    assert_same_bits(others, params)


@pytest.mark.parametrize("master", ["float32", "split", "stochastic", "nearest"])
@pytest.mark.parametrize("cls", [pyadam.torch.AdamW, pyadam.torch.SGD])
def test_a_low_precision_run_resumes_with_the_same_bits(cls: Any, master: str) -> None:
    params = new_params(torch.bfloat16)
    optimizer = cls(params, master=master)
    take_steps(optimizer, params, range(5))
    new = [torch.nn.Parameter(p.detach().clone()) for p in params]
    resumed = cls(new, master=master)
    resumed.load_state_dict(through_a_file(optimizer.state_dict()))
    take_steps(optimizer, params, range(5, 10))
    take_steps(resumed, new, range(5, 10))
    assert_same_bits(new, params)


def test_the_state_of_low_precision_parameters_is_cast_down_by_torch_and_up_by_pyadam() -> None:
    params = new_params(torch.bfloat16)
    optimizer = pyadam.torch.Adam(params, master="float32", ema_decay=0.9)
    take_steps(optimizer, params, range(1, 4))
    state = optimizer.state[params[0]]
    assert {name: value.dtype for name, value in state.items()} == dict.fromkeys(
        ["step", "exp_avg", "exp_avg_sq", "master", "ema"], torch.float32
    )
    theirs = torch.optim.Adam(params)
    theirs.load_state_dict(optimizer.state_dict())
    take_steps(theirs, params, range(4, 6))
    assert theirs.state[params[0]]["exp_avg"].dtype is torch.bfloat16
    assert optimizer.state[params[0]]["exp_avg"].dtype is torch.float32
    back = pyadam.torch.Adam(params, master="float32")
    bare = torch.optim.Adam(params)
    set_grads(params, 6)
    bare.step()
    back.load_state_dict(bare.state_dict())
    assert back.state[params[0]]["exp_avg"].dtype is torch.float32
    set_grads(params, 7)
    back.step()
    assert torch.equal(back.state[params[0]]["master"].bfloat16(), params[0])


def test_loading_copies_where_torch_would_share() -> None:
    params = new_params(torch.float32)
    optimizer = pyadam.torch.Adam(params)
    take_steps(optimizer, params, range(1, 3))
    state_dict = optimizer.state_dict()
    other = pyadam.torch.Adam(params)
    other.load_state_dict(state_dict)
    for i, p in enumerate(params):
        for name, value in state_dict["state"][i].items():
            assert other.state[p][name].data_ptr() != value.data_ptr()


def test_a_state_in_another_memory_order_is_loaded_element_by_element() -> None:
    values = Maker(0).tensor((2, 3, 4, 5), torch.float32)
    rows = [torch.nn.Parameter(values.clone())]
    last = [torch.nn.Parameter(values.clone().to(memory_format=torch.channels_last))]
    a = pyadam.torch.Adam(rows)
    take_steps(a, rows, range(1, 4))
    b = pyadam.torch.Adam(last)
    with torch.no_grad():
        last[0].copy_(rows[0])
    b.load_state_dict(a.state_dict())
    assert b.state[last[0]]["exp_avg"].stride() == last[0].stride()
    take_steps(a, rows, range(4, 6))
    take_steps(b, last, range(4, 6))
    assert_same_bits(last, rows)


@pytest.mark.parametrize("change", ["shape", "missing", "groups", "fraction"])
def test_a_state_that_does_not_fit_is_refused_and_nothing_changes(change: str) -> None:
    params = new_params(torch.float32)
    optimizer = pyadam.torch.Adam(params)
    take_steps(optimizer, params, range(1, 3))
    state_dict = copy.deepcopy(optimizer.state_dict())
    before = copy.deepcopy(state_dict)
    if change == "shape":
        state_dict["state"][2]["exp_avg"] = torch.zeros(9)
    elif change == "missing":
        del state_dict["state"][2]["exp_avg_sq"]
    elif change == "groups":
        state_dict["param_groups"] *= 2
    else:
        state_dict["param_groups"][0]["betas"] = (0.9, 1.5)
    with pytest.raises(ValueError, match="param"):
        optimizer.load_state_dict(state_dict)
    after = optimizer.state_dict()
    assert after["param_groups"] == before["param_groups"]
    for i, state in before["state"].items():
        assert_same_bits(after["state"][i].values(), state.values())


def test_old_checkpoints_whose_step_is_a_number_load() -> None:
    params = new_params(torch.float32)
    optimizer = pyadam.torch.Adam(params)
    take_steps(optimizer, params, [1])
    state_dict = optimizer.state_dict()
    for state in state_dict["state"].values():
        state["step"] = 7
    optimizer.load_state_dict(state_dict)
    take_steps(optimizer, params, [2])
    assert {float(state["step"]) for state in optimizer.state.values()} == {8.0}


def adam_pair() -> tuple[list[Any], Any, list[Any], Any]:
    ours, theirs = new_params(), new_params()
    a, b = pyadam.torch.Adam(ours, lr=0.1), torch.optim.Adam(theirs, lr=0.1)
    take_steps(a, ours, range(1, 4))
    take_steps(b, theirs, range(1, 4))
    return ours, a, theirs, b


def clear(optimizer: Any, _: list[Any]) -> None:
    optimizer.state.clear()


def forget_one(optimizer: Any, params: list[Any]) -> None:
    del optimizer.state[params[0]]


def replace_tensor(optimizer: Any, params: list[Any]) -> None:
    optimizer.state[params[0]]["exp_avg"] = torch.zeros_like(params[0]).detach()


def write_tensor(optimizer: Any, params: list[Any]) -> None:
    optimizer.state[params[3]]["exp_avg_sq"].mul_(2)


def write_step(optimizer: Any, params: list[Any]) -> None:
    optimizer.state[params[3]]["step"].fill_(1)


def replace_step(optimizer: Any, params: list[Any]) -> None:
    optimizer.state[params[3]]["step"] = torch.tensor(1.0)


def share(optimizer: Any, _: list[Any]) -> None:
    for state in optimizer.state.values():
        for value in state.values():
            value.share_memory_()


def swap_data(_: Any, params: list[Any]) -> None:
    params[3].data = params[3].data.clone().to(memory_format=torch.channels_last)


def swap_state_data(optimizer: Any, params: list[Any]) -> None:
    for name in ("exp_avg", "exp_avg_sq"):
        optimizer.state[params[3]][name].data = optimizer.state[params[3]][name].data.clone()


def swap_tensors(_: Any, params: list[Any]) -> None:
    grad, params[3].grad = params[3].grad, None
    torch.utils.swap_tensors(params[3], torch.nn.Parameter(params[3].detach().clone() + 1))
    params[3].grad = grad


def restride(_: Any, params: list[Any]) -> None:
    p = params[3]
    p.data = torch.as_strided(p.data, p.shape, torch.empty(p.shape[::-1]).permute(3, 2, 1, 0).stride())


def restride_state(optimizer: Any, params: list[Any]) -> None:
    kept = optimizer.state[params[3]]["exp_avg"]
    kept.data = torch.as_strided(kept.data, kept.shape, torch.empty(kept.shape[::-1]).permute(3, 2, 1, 0).stride())


def add_group(optimizer: Any, params: list[Any]) -> None:
    params.append(torch.nn.Parameter(torch.ones(3, dtype=torch.float64)))
    optimizer.add_param_group({"params": params[-1:], "lr": 0.5})


def extend_group(optimizer: Any, params: list[Any]) -> None:
    group = optimizer.param_groups[0]
    group["param_names"] = [f"p{i}" for i in range(len(params))]
    params.append(torch.nn.Parameter(torch.ones(3, dtype=torch.float64)))
    group["params"].append(params[-1])


def shorten_group(optimizer: Any, params: list[Any]) -> None:
    group = optimizer.param_groups[0]
    group["param_names"] = [f"p{i}" for i in range(len(params))]
    del group["params"][0]


@pytest.mark.parametrize(
    "change",
    [
        clear,
        forget_one,
        replace_tensor,
        write_tensor,
        write_step,
        replace_step,
        share,
        swap_data,
        swap_state_data,
        swap_tensors,
        restride,
        restride_state,
        add_group,
        extend_group,
        shorten_group,
    ],
    ids=lambda change: change.__name__,
)
def test_what_is_changed_between_steps_counts_as_in_torch(change: Any) -> None:
    ours, a, theirs, b = adam_pair()
    change(a, ours)
    change(b, theirs)
    take_steps(a, ours, range(4, 8))
    take_steps(b, theirs, range(4, 8))
    assert_close_in_float64(ours, theirs)
    for p, q in zip(ours, theirs, strict=True):
        assert a.state[p].keys() == b.state[q].keys()
        assert float(a.state[p]["step"]) == float(b.state[q]["step"])


def test_a_step_that_is_stopped_while_state_begins_has_begun_none(monkeypatch: pytest.MonkeyPatch) -> None:
    stopped, never = new_params(torch.float32), new_params(torch.float32)
    a, b = pyadam.torch.Adam(stopped), pyadam.torch.Adam(never)
    set_grads(stopped, 0)

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(_core, "zero_new_memory", stop)
        with pytest.raises(KeyboardInterrupt):
            a.step()
    assert not a.state
    take_steps(a, stopped, range(3))
    take_steps(b, never, range(3))
    assert_same_bits(stopped, never)


def test_step_counts_go_on_where_float32_no_longer_counts() -> None:
    params = new_params(torch.float32)
    optimizer = pyadam.torch.Adam(params)
    take_steps(optimizer, params, [1])
    for state in optimizer.state.values():
        state["step"].fill_(2**24)
    for step in range(1, 4):
        set_grads(params, step)
        optimizer.step()
    assert counts_of(optimizer) == [2**24 + 3] * len(params)
    optimizer.add_param_group({"params": torch.nn.Parameter(torch.ones(1))})
    optimizer.step()
    assert counts_of(optimizer) == [2**24 + 4] * len(params)
