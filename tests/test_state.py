"""The state of an optimizer can be saved, loaded, pickled and copied, and goes on with the same bits."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from inside import KERNEL_RULES, TILE, arrays_of, steps_of
from makers import NESTINGS, Maker, Nesting, without_options
from oracle import assert_same_bits, change_options, reference_run
from refusals import raises, refused, snapshot, stepped, unchanged
from rule_rows import CASES, KERNEL_CASES, Case

import pyadam
from pyadam import reference

Array = np.ndarray
STEPS = 12

cases = pytest.mark.parametrize("case", KERNEL_CASES, ids=str)
dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def new_params(make: Maker, dtype: Any = np.float64) -> dict[str, Array]:
    """Return parameters in C and Fortran order, of no dimensions, empty, and longer than a tile."""
    shapes = {"c": (3, 4), "scalar": (), "empty": (0, 2), "long": (TILE + 5,)}
    return {
        "fortran": make.array((4, 3), dtype, "F"),
        **{key: make.array(shape, dtype) for key, shape in shapes.items()},
    }


def new_grads(make: Maker, params: dict[str, Array], step: int = 0) -> dict[str, Array | None]:
    """Return gradients, of which every third for the Fortran-ordered parameter is None."""
    return {**make.like(params), **({"fortran": None} if step % 3 == 2 else {})}


def test_the_rows_cover_every_rule() -> None:
    rules = {case.cls(np.ones(1), **case.options).state_dict()["rules"][0] for case in KERNEL_CASES}
    assert rules == set(KERNEL_RULES)


@cases
def test_the_layout_is_that_of_torch(case: Case) -> None:
    opt = case.cls([np.ones(3), np.ones((2, 2)), np.ones(1)], **case.options)
    opt.step([np.ones(3), np.ones((2, 2)), None])
    saved = opt.state_dict()
    state_names, _ = KERNEL_RULES[saved["rules"][0]]
    assert list(saved["state"]) == [0, 1]
    for entry, shape in zip(saved["state"].values(), [(3,), (2, 2)], strict=True):
        assert list(entry)[: 1 + len(state_names)] == ["step", *state_names]
        assert entry["step"] == 1
        assert all(entry[name].shape == shape for name in state_names)
    (group,) = saved["param_groups"]
    assert group == {
        **opt.param_groups[0].options,
        "params": [0, 1, 2],
        "param_names": ["params[0]", "params[1]", "params[2]"],
    }
    assert saved["step_count"] == 1


def test_amsgrad_adds_its_maximum_as_torch_does() -> None:
    opt = stepped([np.ones(3)], amsgrad=True)
    assert set(opt.state_dict()["state"][0]) == {"step", "exp_avg", "exp_avg_sq", "max_exp_avg_sq"}


def test_the_indices_count_through_all_groups() -> None:
    opt = pyadam.Adam([{"params": [np.ones(1), np.ones(2)]}, {"params": {"w": np.ones(3)}, "lr": 0.5}])
    opt.step([[np.ones(1), np.ones(2)], {"w": np.ones(3)}])
    saved = opt.state_dict()
    assert [group["params"] for group in saved["param_groups"]] == [[0, 1], [2]]
    assert [group["lr"] for group in saved["param_groups"]] == [1e-3, 0.5]
    assert saved["state"][2]["exp_avg"].shape == (3,)


def test_what_is_saved_is_a_copy() -> None:
    opt = stepped([np.ones(3)])
    saved = opt.state_dict()
    kept = copy.deepcopy(saved)
    opt.step([np.ones(3)])
    opt.param_groups[0]["lr"] = 0.5
    np.testing.assert_equal(saved, kept)

    with unchanged(opt):
        saved["state"][0]["exp_avg"][:] = 99
        saved["param_groups"][0].update(lr=99, params=[])


def test_bounds_are_copied_when_they_are_set_and_when_they_are_saved() -> None:
    lower = np.zeros(3)
    opt = pyadam.Adam([np.ones(3)], lr=9.0, bounds=(lower, None))
    lower[:] = 99
    opt.state_dict()["param_groups"][0]["bounds"][0][:] = 99
    other = copy.deepcopy(opt)
    for each in (opt, other):
        each.step([np.ones(3)])
        np.testing.assert_array_equal(each.params, np.zeros((1, 3)))


def test_what_is_loaded_is_copied() -> None:
    saved = stepped([np.ones(3)]).state_dict()
    opt = pyadam.Adam([np.ones(3)])
    opt.load_state_dict(saved)
    with unchanged(opt):
        saved["state"][0]["exp_avg"][:] = 99


def test_saving_and_loading_changes_no_bit() -> None:
    opt = stepped(new_params(Maker(0)), weight_decay=0.1)
    with unchanged(opt):
        opt.load_state_dict(opt.state_dict())


@cases
def test_loading_a_state_from_before_the_first_step_resets(case: Case) -> None:
    opt = case.cls([np.ones(3)], **case.options)
    fresh, states = opt.state_dict(), snapshot(opt)["states"]
    for _ in range(2):
        opt.step([np.ones(3)])
        opt.load_state_dict(fresh)
        assert opt.step_count == 0
        assert steps_of(opt) == [0]
        assert snapshot(opt)["states"] == states


@dtypes
@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_run_resumed_at_any_step_gives_the_same_bits(case: Case, dtype: Any) -> None:
    make = Maker(1)
    params = new_params(make, dtype)
    gradients = [new_grads(make, params, step) for step in range(STEPS)]
    opt = case.cls(params, **case.options)
    checkpoints = []
    for grads in gradients:
        checkpoints.append((copy.deepcopy(params), opt.state_dict()))
        opt.step(grads)
    for start, (resumed_params, saved) in enumerate(checkpoints):
        resumed = case.cls(resumed_params, **case.options)
        resumed.load_state_dict(saved)
        for grads in gradients[start:]:
            resumed.step(grads)
        for key, p in params.items():
            np.testing.assert_array_equal(resumed_params[key], p)
        np.testing.assert_equal(resumed.state_dict(), opt.state_dict())


def test_the_memory_order_of_a_saved_state_does_not_matter() -> None:
    make = Maker(2)
    params = {"c": np.ones((3, 4)), "fortran": np.ones((3, 4), order="F")}
    opt = pyadam.Adam(params)
    opt.step(make.like(params))
    saved = opt.state_dict()
    for entry in saved["state"].values():
        for name in ("exp_avg", "exp_avg_sq"):
            entry[name] = np.ascontiguousarray(entry[name].T[::-1])[::-1].T
    with unchanged(opt):
        opt.load_state_dict(saved)


def test_hyperparameters_are_loaded() -> None:
    options = {"lr": 0.5, "betas": (0.1, 0.2), "eps": 0.3, "weight_decay": 0.4, "maximize": True, "epsilon_hat": True}
    opt = pyadam.Adam([np.ones(3)])
    opt.load_state_dict(stepped([np.ones(3)], **options).state_dict())
    assert opt.param_groups[0].options == {**opt.param_groups[0].options, **options}


@pytest.fixture
def torch(float64_scalars: None) -> Any:
    """PyTorch, with its numbers in double precision."""
    del float64_scalars
    return pytest.importorskip("torch")


def torch_run(torch: Any, name: str, options: dict[str, Any]) -> Any:
    """Return torch's optimizer and its tensors after some steps."""
    make = Maker(3)
    tensors = make.parameters([(3, 4), 5], torch.float64)
    theirs = getattr(torch.optim, name)(tensors, **options)
    for _ in range(5):
        torch_step(torch, theirs, tensors, make.like(tensors, np.float64))
    return theirs, tensors


def torch_step(torch: Any, theirs: Any, tensors: list[Any], grads: list[Array]) -> None:
    for tensor, g in zip(tensors, grads, strict=True):
        tensor.grad = torch.tensor(g)
    theirs.step()


def check_side_by_side(torch: Any, ours: pyadam.Optimizer, theirs: Any, tensors: list[Any]) -> None:
    make = Maker(4)
    for _ in range(20):
        grads = make.like(ours.params)
        ours.step(grads)
        torch_step(torch, theirs, tensors, grads)
    for p, tensor in zip(ours.params, tensors, strict=True):
        np.testing.assert_allclose(p, tensor.detach().numpy(), rtol=1e-12, atol=1e-12)


torch_cases = pytest.mark.parametrize("case", [case for case in CASES if case.torch], ids=str)


@torch_cases
def test_a_state_of_torch_is_taken_over(case: Case, torch: Any) -> None:
    theirs, tensors = torch_run(torch, case.torch, case.options)
    ours = case.cls([tensor.detach().numpy().copy() for tensor in tensors], **{**case.options, "lr": 99.0})
    ours.load_state_dict(theirs.state_dict())
    check_side_by_side(torch, ours, theirs, tensors)


@torch_cases
def test_a_saved_state_has_the_names_of_torch(case: Case, torch: Any) -> None:
    theirs, tensors = torch_run(torch, case.torch, case.options)
    ours = case.cls([tensor.detach().numpy().copy() for tensor in tensors], **case.options)
    ours.step([np.ones(p.shape) for p in ours.params])
    saved, expected = ours.state_dict(), theirs.state_dict()
    for index, entry in expected["state"].items():
        assert set(saved["state"][index]) == {"step", *(key for key, value in entry.items() if value is not None)}
    of_torch_alone = {"foreach", "fused", "capturable", "differentiable"}
    assert expected["param_groups"][0].keys() - of_torch_alone <= saved["param_groups"][0].keys()


@torch_cases
def test_torch_takes_over_a_state(case: Case, torch: Any) -> None:
    make = Maker(5)
    ours = case.cls(make.arrays([(3, 4), 5]), **case.options)
    for _ in range(5):
        ours.step(make.like(ours.params))
    saved = ours.state_dict()
    for entry in saved["state"].values():
        entry.update({name: torch.tensor(value) for name, value in entry.items()})
    tensors = [torch.tensor(p, requires_grad=True) for p in ours.params]
    theirs = getattr(torch.optim, case.torch)(tensors)
    theirs.load_state_dict(saved)
    check_side_by_side(torch, ours, theirs, tensors)


def test_a_state_of_torch_with_named_parameters_is_taken_over(torch: Any) -> None:
    model = torch.nn.Linear(3, 2, dtype=torch.float64)
    theirs = torch.optim.Adam(model.named_parameters())
    torch_step(torch, theirs, list(model.parameters()), [np.ones((2, 3)), np.ones(2)])
    ours = pyadam.Adam({name: tensor.detach().numpy().copy() for name, tensor in model.named_parameters()})
    ours.load_state_dict(theirs.state_dict())
    assert steps_of(ours) == [1, 1]


def with_state(index: int, **entries: Any) -> Callable[[dict[str, Any]], None]:
    return lambda saved: saved["state"][index].update(entries)


def with_group(index: int, **entries: Any) -> Callable[[dict[str, Any]], None]:
    return lambda saved: saved["param_groups"][index].update(entries)


def with_entry(**entries: Any) -> Callable[[dict[str, Any]], None]:
    return lambda saved: saved.update(entries)


def without(*path: Any) -> Callable[[dict[str, Any]], None]:
    def remove(saved: Any) -> None:
        for key in path[:-1]:
            saved = saved[key]
        del saved[path[-1]]

    return remove


# What is done to the state_dict of WRONG_FOR, and what the error says.
WRONG_FOR = [{"params": [np.ones(3), np.ones((2, 3))]}, {"params": {"w": np.ones(3, np.float32)}, "lr": 0.1}]
X, Y, Z = "params[0]['params'][0]", "params[0]['params'][1]", "params[1]['params']['w']"
WRONG: dict[str, tuple[Callable[[dict[str, Any]], None], type[Exception], list[str]]] = {
    "no state": (without("state"), ValueError, ["'state'"]),
    "no param_groups": (without("param_groups"), ValueError, ["'param_groups'"]),
    "state is a list": (with_entry(state=[]), TypeError, ["'state'", "list"]),
    "param_groups is a dict": (with_entry(param_groups={}), TypeError, ["'param_groups'", "dict"]),
    "too few groups": (without("param_groups", 1), ValueError, ["param_groups", "2", "1"]),
    "too many groups": (
        lambda saved: saved["param_groups"].append(saved["param_groups"][0]),
        ValueError,
        ["param_groups", "2", "3"],
    ),
    "a group is a list": (lambda saved: saved.update(param_groups=[[], []]), TypeError, ["param_groups'][0]", "list"]),
    "a group without params": (without("param_groups", 1, "params"), ValueError, ["param_groups'][1]", "'params'"]),
    "too few parameters": (with_group(0, params=[0]), ValueError, ["param_groups'][0]", "2", "1"]),
    "too many parameters": (with_group(1, params=[2, 3]), ValueError, ["param_groups'][1]", "1", "2"]),
    "a parameter twice": (
        lambda saved: (saved["param_groups"][0].update(params=[0, 0]), saved["state"].pop(1)),
        ValueError,
        ["param_groups'][0]"],
    ),
    "other names": (with_group(1, param_names=["b"]), ValueError, ["param_names", "'w'", "'b'"]),
    "other rules": (with_entry(rules=["adam", "lion"]), ValueError, ["rules", "adam", "lion"]),
    "rules for fewer groups": (with_entry(rules=["adam"]), ValueError, ["rules"]),
    "amsgrad": (with_group(1, amsgrad=True), ValueError, ["param_groups[1]", "'amsgrad'", "fixed"]),
    "unknown hyperparameter": (with_group(1, momentum=0.9), ValueError, ["param_groups'][1]", "'momentum'"]),
    "lr out of range": (with_group(1, lr=-1.0), ValueError, ["param_groups'][1]", "'lr'", ">= 0", "-1"]),
    "betas out of range": (with_group(1, betas=(0.9, 1.0)), ValueError, ["'betas'", "[0, 1)", "1.0"]),
    "eps of another type": (with_group(1, eps="0"), TypeError, ["'eps'", "'0'"]),
    "a flag of another type": (with_group(1, maximize=1), TypeError, ["'maximize'", "True or False"]),
    "another shape": (with_state(1, exp_avg=np.ones((3, 2))), ValueError, ["exp_avg", Y, "(2, 3)", "(3, 2)"]),
    "another size": (with_state(2, exp_avg_sq=np.ones(4, "f4")), ValueError, ["exp_avg_sq", Z, "(3,)", "(4,)"]),
    "another dtype": (with_state(2, exp_avg=np.ones(3)), ValueError, ["exp_avg", Z, "float32", "float64"]),
    "integers": (with_state(0, exp_avg=np.ones(3, int)), ValueError, ["exp_avg", X, "float64", "int64"]),
    "other byte order": (with_state(0, exp_avg=np.ones(3, ">f8")), ValueError, ["exp_avg", X]),
    "None for an array": (with_state(0, exp_avg=None), ValueError, ["exp_avg", X]),
    "a masked array": (with_state(0, exp_avg=np.ma.masked_array(np.ones(3), [1, 0, 0])), TypeError, ["exp_avg", X]),
    "missing array": (without("state", 1, "exp_avg_sq"), ValueError, [Y, "exp_avg_sq"]),
    "missing step": (without("state", 1, "step"), ValueError, [Y, "step"]),
    "extra array": (with_state(1, max_exp_avg_sq=np.ones((2, 3))), ValueError, [Y, "max_exp_avg_sq"]),
    "state of no parameter": (lambda saved: saved["state"].update({7: saved["state"][0]}), ValueError, ["7"]),
    "a parameter's state is a list": (lambda saved: saved["state"].update({1: []}), TypeError, [Y, "list"]),
    "negative step": (with_state(1, step=-1), ValueError, ["step", Y, "-1"]),
    "NaN step": (with_state(1, step=float("nan")), ValueError, ["step", Y, "nan"]),
    "infinite step": (with_state(1, step=float("inf")), ValueError, ["step", Y, "inf"]),
    "broken step": (with_state(1, step=1.5), ValueError, ["step", Y, "1.5"]),
    "huge step": (with_state(1, step=2**64), ValueError, ["step", Y]),
    "step None": (with_state(1, step=None), ValueError, ["step", Y]),
    "step a string": (with_state(1, step="5"), TypeError, ["step", Y, "'5'"]),
    "step an array": (with_state(1, step=np.ones(2)), TypeError, ["step", Y]),
    "negative step_count": (with_entry(step_count=-1), ValueError, ["step_count", "-1"]),
    "NaN step_count": (with_entry(step_count=float("nan")), ValueError, ["step_count", "nan"]),
    "step_count a string": (with_entry(step_count="5"), TypeError, ["step_count", "'5'"]),
    "step_count less than a parameter's": (with_entry(step_count=1), ValueError, ["step_count", "1"]),
}


@pytest.mark.parametrize(("change", "error", "words"), WRONG.values(), ids=WRONG)
def test_a_wrong_state_is_refused(change: Callable[[dict[str, Any]], None], error: Any, words: list[str]) -> None:
    opt = pyadam.Adam(copy.deepcopy(WRONG_FOR))
    for _ in range(3):
        opt.step(WRONG_FOR)
    saved = opt.state_dict()
    # Right entries that differ from what is there come first, so that a half-loaded state shows.
    saved["state"][0].update(step=2, exp_avg=np.full(3, 9.0))
    saved["param_groups"][0].update(lr=0.9)
    change(saved)
    with refused(opt, error, *words):
        opt.load_state_dict(saved)


@pytest.mark.parametrize("wrong", [None, [], 3, "state"])
def test_what_is_not_a_dict_is_refused(wrong: Any) -> None:
    opt = stepped([np.ones(3)])
    with refused(opt, TypeError, "state_dict", type(wrong).__name__):
        opt.load_state_dict(wrong)


def test_a_state_of_another_rule_or_structure_is_refused() -> None:
    saved = stepped([np.ones(3), np.ones(3)]).state_dict()
    others = [
        stepped([np.ones(3), np.ones(3)], amsgrad=True),
        stepped({"a": np.ones(3), "b": np.ones(3)}),
        stepped([np.ones(3)]),
        pyadam.AdamW([np.ones(3), np.ones(3)]),
        pyadam.Adam([{"params": np.ones(3)}, {"params": np.ones(3)}]),
    ]
    for other in others:
        with refused(other, ValueError):
            other.load_state_dict(saved)


def duplicates() -> dict[str, Callable[[Any], Any]]:
    protocols = range(pickle.HIGHEST_PROTOCOL + 1)
    pickled = {f"pickle {n}": lambda value, n=n: pickle.loads(pickle.dumps(value, protocol=n)) for n in protocols}
    return {**pickled, "deepcopy": copy.deepcopy}


def ones(shape: Any, dtype: Any = np.float64, order: Any = "C") -> Array:
    return np.ones(shape, dtype, order)


duplicated = pytest.mark.parametrize("duplicate", duplicates().values(), ids=duplicates())
nestings = pytest.mark.parametrize("nesting", NESTINGS.values(), ids=NESTINGS)


@duplicated
@nestings
@pytest.mark.parametrize("cls", [pyadam.Adam, pyadam.AdamW])
def test_a_copy_goes_on_with_the_same_bits(
    cls: type[pyadam.Optimizer], nesting: Nesting, duplicate: Callable[[Any], Any]
) -> None:
    opt = cls(nesting(ones), weight_decay=0.1, eps=1e-4)
    for _ in range(3):
        opt.step(nesting(ones))
    opt.param_groups[0]["lr"] = 0.25
    other = duplicate(opt)
    assert type(other) is cls
    assert all(not np.shares_memory(a, b) for a, b in zip(arrays_of(opt), arrays_of(other), strict=True))
    for _ in range(3):
        opt.step(nesting(ones))
        other.step(nesting(ones))
    np.testing.assert_equal(other.params, opt.params)
    np.testing.assert_equal(other.state_dict(), opt.state_dict())
    assert repr(other) == repr(opt)


@duplicated
@nestings
def test_parameters_copied_together_with_the_optimizer_stay_its_parameters(
    nesting: Nesting, duplicate: Callable[[Any], Any]
) -> None:
    params = nesting(ones)
    opt = pyadam.Adam(params)
    opt.step(nesting(ones))
    for pair in ((params, opt), (opt, params)):
        copies = duplicate(pair)
        new_opt, new_params = copies if isinstance(copies[0], pyadam.Adam) else reversed(copies)
        before = copy.deepcopy(without_options(new_params))
        new_opt.step(nesting(ones))
        np.testing.assert_equal(new_opt.params, without_options(new_params))
        with pytest.raises(AssertionError):
            np.testing.assert_equal(before, new_opt.params)


@duplicated
def test_a_copy_keeps_the_refusals(duplicate: Callable[[Any], Any]) -> None:
    opt = duplicate(stepped({"w": np.ones(3)}, pyadam.AdamW))
    with refused(opt, ValueError, "gradient of params['w'] "):
        opt.step({"w": np.ones(4)})
    with refused(opt, ValueError, "fixed"):
        opt.param_groups[0]["amsgrad"] = True


def halving_lr(step: int) -> float:
    return 0.1 / (1 + step // 2)


def warming_betas(step: int) -> tuple[float, float]:
    return 0.9 - 0.1 / (step + 1), 0.999 - 0.01 * step


def shrinking_eps(step: int) -> float:
    return 10.0 ** -(step + 1)


def growing_decay(step: int) -> float:
    return 0.01 * step


SCHEDULES = {"lr": halving_lr, "betas": warming_betas, "eps": shrinking_eps, "weight_decay": growing_decay}
schedules = pytest.mark.parametrize(
    "options", [*({key: value} for key, value in SCHEDULES.items()), SCHEDULES], ids=[*SCHEDULES, "all"]
)


def scheduled_reference(options: dict[str, Any], p: Array, gradients: list[Array], decoupled: bool) -> Array:
    """Return the parameter after the reference's steps, the schedules evaluated at 0, 1, ..."""
    m, v = np.zeros_like(p), np.zeros_like(p)
    for step, g in enumerate(gradients):
        values = {key: schedule(step) for key, schedule in options.items()}
        p, m, v = reference.adam(p, g, m, v, step + 1, decoupled_weight_decay=decoupled, **values)
    return p


@schedules
@dtypes
@pytest.mark.parametrize("decoupled", [False, True], ids=["coupled", "decoupled"])
def test_a_schedule_is_a_function_of_the_step_from_zero(options: dict[str, Any], dtype: Any, decoupled: bool) -> None:
    p, *gradients = Maker(6).arrays([20] * 7, dtype)
    expected = scheduled_reference(options, p, gradients, decoupled)
    opt = pyadam.Adam(p, decoupled_weight_decay=decoupled, **options)
    for g in gradients:
        opt.step(g)
    np.testing.assert_array_equal(p, expected)


def test_a_schedule_goes_by_the_steps_of_the_optimizer_also_where_a_parameter_skips_some() -> None:
    opt = pyadam.Adam([np.ones(3), np.ones(3)], lr=halving_lr)
    for step in range(5):
        opt.step([np.ones(3), np.ones(3) if step == 4 else None])
    p, *_ = reference.adam(np.ones(3), np.ones(3), np.zeros(3), np.zeros(3), 1, lr=halving_lr(4))
    np.testing.assert_array_equal(opt.params[1], p)


def test_a_schedule_is_saved_as_its_value_and_stays_a_schedule_when_a_state_is_loaded() -> None:
    opt = stepped([np.ones(3)], lr=halving_lr)
    saved = opt.state_dict()
    assert saved["param_groups"][0]["lr"] == halving_lr(1), "the value of the last step"
    fresh = pyadam.Adam([np.ones(3)], lr=halving_lr)
    fresh.load_state_dict(saved)
    assert fresh.param_groups[0]["lr"] is halving_lr
    plain = pyadam.Adam([np.ones(3)], lr=0.7)
    plain.load_state_dict(saved)
    assert plain.param_groups[0]["lr"] == halving_lr(1)


@schedules
@duplicated
def test_a_schedule_goes_on_in_a_copy(options: dict[str, Any], duplicate: Callable[[Any], Any]) -> None:
    p, *gradients = Maker(7).arrays([20] * 7)
    expected = scheduled_reference(options, p, gradients, decoupled=False)
    opt = pyadam.Adam(p, **options)
    for g in gradients:
        opt = duplicate(opt)
        opt.step(g)
    np.testing.assert_array_equal(opt.params, expected)


class Constant:
    """A schedule that says the same at every step, and can be pickled."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __call__(self, _: int) -> Any:
        return self.value


def schedulable() -> list[tuple[Case, str]]:
    """Return the numbers of each case; not those that are 0, which may stand for another rule."""
    fixed = {"bounds", "initial_accumulator_value", "master", "state_dtype"}
    return [
        (case, key)
        for case in KERNEL_CASES
        for key, value in case.cls(np.ones(1), **case.options).param_groups[0].options.items()
        if key not in fixed and not isinstance(value, bool) and value != 0
    ]


@pytest.mark.parametrize(("case", "key"), schedulable(), ids=str)
def test_every_number_may_come_from_a_schedule(case: Case, key: str) -> None:
    make = Maker(9)
    p = make.array(20)
    numbers = case.cls(p.copy(), **case.options)
    scheduled = case.cls(p.copy(), **{**case.options, key: Constant(numbers.param_groups[0][key])})
    for _ in range(3):
        g = make.like(p)
        scheduled = pickle.loads(pickle.dumps(scheduled))
        numbers.step(g)
        scheduled.step(g)
    np.testing.assert_array_equal(scheduled.params, numbers.params)


@pytest.mark.parametrize(
    "case",
    [
        Case(pyadam.SGD, {"momentum": 0.9}),
        Case(pyadam.SGD, {"momentum": 0.9, "nesterov": True}),
        Case(pyadam.SGD, {"momentum": 0.9, "lr_in_momentum": True}),
        Case(pyadam.RMSprop, {"momentum": 0.9}),
        Case(pyadam.RMSprop, {"momentum": 0.9, "lr_in_momentum": True}),
    ],
    ids=str,
)
def test_a_scheduled_momentum_may_be_zero_at_some_steps(case: Case) -> None:
    make = Maker(10)
    p = make.array(20)
    opt = case.cls(p, **case.options)
    expected = reference_run(opt, p)
    momenta = [0.9, 0.0, 0.0, 0.5]
    scheduled = case.cls(p, **{**case.options, "momentum": momenta.__getitem__})
    for momentum in momenta:
        g = make.like(p)
        scheduled.step(g)
        change_options(expected, momentum=momentum)
        expected.step(g)
    assert_same_bits(scheduled, 0, expected)


def test_a_schedule_may_replace_a_number_and_be_replaced_by_one() -> None:
    opt = pyadam.Adam([np.zeros(1)], lr=1.0, betas=(0.0, 0.0), eps=0.0)
    places = []
    for lr in (1.0, lambda step: 2.0**step, 0.25):
        opt.param_groups[0]["lr"] = lr
        opt.step([np.ones(1)])
        places.append(opt.params[0].item())
    assert places == [-1.0, -3.0, -3.25]


def test_the_state_can_be_saved_after_the_last_step_that_a_schedule_knows() -> None:
    rates = [0.1, 0.2]
    opt = pyadam.Adam([np.ones(3)], lr=rates.__getitem__)
    for _ in rates:
        opt.step([np.ones(3)])
    assert opt.state_dict()["step_count"] == 2
    assert copy.deepcopy(opt).step_count == 2


def test_a_group_reads_like_a_dict() -> None:
    w = np.ones(3)
    group = pyadam.Adam([w], lr=0.5).param_groups[0]
    assert dict(group) == {"params": (w,), **group.options}
    assert group["betas"] == (0.9, 0.999)
    assert group.get("lr") == 0.5
    assert group.get("momentum", "none") == "none"
    assert "lr" in group
    assert "momentum" not in group
    assert len(group) == len(list(group)) == 1 + len(group.options)
    assert repr(group) == "ParamGroup(1 array, lr=0.5)"
    other = pyadam.Adam([w, w.copy()], bounds=(0, np.ones(3))).param_groups[0]
    assert repr(other) == "ParamGroup(2 arrays, lr=0.001, bounds=(0.0, array([1., 1., 1.])))"
    with raises(KeyError, "momentum"):
        group["momentum"]


def test_a_group_is_written_like_a_dict() -> None:
    opt = pyadam.Adam([np.zeros(1)], betas=(0.0, 0.0), eps=0.0)
    group = opt.param_groups[0]
    group["lr"] = 1
    opt.step([np.ones(1)])
    group.update(lr=0.5, maximize=True)
    opt.step([np.ones(1)])
    group["lr"] *= 0.5
    opt.step([np.ones(1)])
    assert group.setdefault("lr", 99) == 0.25
    assert opt.params[0] == -1 + 0.5 + 0.25


REFUSED_WRITES: dict[str, tuple[Callable[[Any], Any], type[Exception], str]] = {
    "set params": (lambda group: group.update(params=[np.ones(3)]), KeyError, "'params'"),
    "setdefault of an unknown key": (lambda group: group.setdefault("momentum", 0.9), KeyError, "'momentum'"),
    "del": (lambda group: group.__delitem__("lr"), TypeError, "'lr'"),
    "del params": (lambda group: group.__delitem__("params"), TypeError, "'params'"),
    "pop": (lambda group: group.pop("lr"), TypeError, "'lr'"),
    "popitem": (lambda group: group.popitem(), TypeError, "cannot be removed"),
    "clear": (lambda group: group.clear(), TypeError, "cannot be removed"),
}


@pytest.mark.parametrize(("write", "error", "word"), REFUSED_WRITES.values(), ids=REFUSED_WRITES)
def test_the_keys_of_a_group_are_fixed(write: Callable[[Any], Any], error: Any, word: str) -> None:
    opt = stepped([np.ones(3)])
    with refused(opt, error, "param_groups[0]", word):
        write(opt.param_groups[0])


def test_bounds_that_a_group_hands_out_cannot_be_written_to() -> None:
    given = np.zeros(3), np.ones(3)
    opt = pyadam.Adam(np.full(3, 0.5), bounds=given)
    for handed_out in (opt, copy.deepcopy(opt)):
        for bounds in (handed_out.param_groups[0]["bounds"], handed_out.param_groups[0].options["bounds"]):
            with pytest.raises(ValueError, match="read-only"):
                bounds[1][:] = np.nan
    given[1][:] = 9.0
    np.testing.assert_array_equal(opt.param_groups[0]["bounds"][1], np.ones(3))


def test_masked_arrays_are_no_bounds() -> None:
    with pytest.raises(TypeError, match=r"bounds\[0\] must be a number, an array"):
        pyadam.Adam(np.ones(2), bounds=(np.ma.masked_array([0.0, 1.0], [True, False]), None))


def test_what_a_group_hands_out_changes_nothing() -> None:
    opt = stepped([np.ones(3)])
    with unchanged(opt):
        for handed_out in (opt.param_groups[0]["params"], opt.param_groups[0].options, opt.param_groups[0].current):
            assert not hasattr(handed_out, "clear")
        arrays_of(opt).clear()


@cases
def test_a_changed_hyperparameter_takes_effect_at_the_next_step(case: Case) -> None:
    p, first, second = Maker(8).arrays([20] * 3)
    opt = case.cls(p, **case.options)
    expected = reference_run(opt, p)
    opt.step(first)
    expected.step(first)
    changes = {"lr": 0.3, "weight_decay": 0.2, "maximize": True, "l1": 0.1, "bounds": (-0.4, 0.3)}
    changes = {key: value for key, value in changes.items() if key in opt.param_groups[0]}
    opt.param_groups[0].update(changes)
    change_options(expected, **changes)
    opt.step(second)
    expected.step(second)
    assert_same_bits(opt, 0, expected)
