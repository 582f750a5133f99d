"""Parameters and gradients come in any nesting, one like the other."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from inside import arrays_of, steps_of
from makers import NESTINGS, Maker, Nesting, leaves_of, mapped, without_options
from oracle import assert_same_runs, reference_runs, step_together
from refusals import raises, refused, stepped
from rule_rows import KERNEL_CASES, Case

import pyadam

Array = np.ndarray
SIZE = 5


STRUCTURES: dict[str, Nesting] = {**NESTINGS, "None as a key": lambda leaf: {None: leaf(3), "w": leaf(2)}}
structures = pytest.mark.parametrize("build", STRUCTURES.values(), ids=STRUCTURES)
cases = pytest.mark.parametrize("case", KERNEL_CASES, ids=str)


def filled(build: Nesting, make: Maker) -> tuple[Any, list[Array]]:
    """Return the nesting with random leaves, and the leaves."""
    leaves: list[Array] = []

    def leaf(*shape_dtype_order: Any, **how: Any) -> Array:
        leaves.append(make.array(*shape_dtype_order, **how))
        return leaves[-1]

    return build(leaf), leaves


def shape_of(tree: Any) -> Any:
    """Return the types and keys of a nesting."""
    if isinstance(tree, (list, tuple)):
        return type(tree), [shape_of(branch) for branch in tree]
    if isinstance(tree, dict):
        return dict, {key: shape_of(branch) for key, branch in tree.items()}
    return type(tree)


@structures
@pytest.mark.parametrize("of_groups", [lambda grads: grads, without_options], ids=["as given", "without options"])
def test_gradients_come_in_the_structure_of_the_parameters(build: Nesting, of_groups: Callable[[Any], Any]) -> None:
    make = Maker(0)
    params, arrays = filled(build, make)
    opt = pyadam.Adam(params)
    expected = reference_runs(opt)
    for _ in range(3):
        grads, gradients = filled(build, make)
        opt.step(of_groups(grads))
        for run, g in zip(expected, gradients, strict=True):
            run.step(g)
    assert [id(array) for array in arrays_of(opt)] == [id(array) for array in arrays]
    assert_same_runs(opt, expected)


@structures
def test_params_gives_back_the_structure_and_the_very_arrays(build: Nesting) -> None:
    params, arrays = filled(build, Maker(1))
    opt = pyadam.Adam(params)
    assert shape_of(opt.params) == shape_of(without_options(params))
    assert [id(leaf) for leaf in leaves_of(opt.params)] == [id(array) for array in arrays]
    assert [id(p) for group in opt.param_groups for p in group["params"]] == [id(array) for array in arrays]


ITERATORS = {
    "generator": lambda arrays: (array for array in arrays),
    "map": lambda arrays: map(np.asarray, arrays),
    "values of a dict": lambda arrays: dict(enumerate(arrays)).values(),
    "groups": lambda arrays: ({"params": [array]} for array in arrays),
    "a group's": lambda arrays: [{"params": iter(arrays)}],
}


@pytest.mark.parametrize("iterate", ITERATORS.values(), ids=ITERATORS)
def test_parameters_from_an_iterator_become_a_list(iterate: Callable[[list[Array]], Any]) -> None:
    arrays = [np.ones(SIZE), np.ones(SIZE)]
    opt = pyadam.Adam(iterate(arrays))
    assert [id(leaf) for leaf in leaves_of(opt.params)] == [id(array) for array in arrays]
    assert isinstance(opt.params, list)


@pytest.mark.parametrize("convert", [dict, OrderedDict, MappingProxyType], ids=lambda kind: kind.__name__)
def test_keys_come_in_any_order_and_from_any_mapping(convert: Any) -> None:
    params = convert({"w": np.zeros(SIZE), "b": np.zeros(SIZE)})
    opt = pyadam.Adam(params, lr=1.0)
    opt.step(convert({"b": -np.ones(SIZE), "w": np.ones(SIZE)}))
    assert (params["w"] < 0).all()
    assert (params["b"] > 0).all()


@pytest.mark.parametrize(("params_kind", "grads_kind"), [(list, tuple), (tuple, list)])
def test_a_list_and_a_tuple_stand_for_each_other_in_gradients(params_kind: type, grads_kind: type) -> None:
    opt = pyadam.Adam(params_kind([np.ones(SIZE), np.ones(SIZE)]))
    opt.step(grads_kind([np.ones(SIZE), np.ones(SIZE)]))
    assert steps_of(opt) == [1, 1]


def test_every_group_has_hyperparameters_of_its_own() -> None:
    make = Maker(2)
    start, options = make.arrays([SIZE] * 3), [{"lr": 0.1}, {"betas": (0.5, 0.6)}, {"amsgrad": True}]
    together = [p.copy() for p in start]
    opt = pyadam.Adam([{"params": p, **option} for p, option in zip(together, options, strict=True)], eps=1e-3)
    alone = [pyadam.Adam(p, eps=1e-3, **option) for p, option in zip(start, options, strict=True)]
    for _ in range(5):
        grads = make.like(start)
        opt.step(grads)
        for single, g in zip(alone, grads, strict=True):
            single.step(g)
    np.testing.assert_array_equal(together, start)


@cases
def test_a_parameter_without_gradient_does_not_age_and_goes_on_rightly(case: Case) -> None:
    make = Maker(3)
    params = {key: make.array(SIZE) for key in ("always", "sometimes", "never")}
    opt = case.cls(params, **case.options)
    expected = reference_runs(opt)
    steps_with_gradient = {"always": range(10), "sometimes": (1, 4, 7), "never": ()}
    for step in range(10):
        grads = {key: g if step in steps_with_gradient[key] else None for key, g in make.like(params).items()}
        step_together(opt, expected, grads)
    assert_same_runs(opt, expected)
    state = opt.state_dict()["state"]
    assert {i: entry["step"] for i, entry in state.items()} == {0: 10, 1: 3}
    assert opt.step_count == 10


@pytest.mark.parametrize(
    ("params", "grads"),
    [(np.ones(SIZE), None), ([np.ones(SIZE)], [None]), ([{"params": {"w": np.ones(SIZE)}}], [{"w": None}])],
    ids=["one array", "list", "groups"],
)
def test_a_step_without_any_gradient_is_refused(params: Any, grads: Any) -> None:
    opt = pyadam.Adam(params, weight_decay=0.1)
    for call in (opt.step, opt.accumulate):
        with pytest.raises(ValueError, match=r"every gradient is None, .* was a `return` forgotten"):
            call(grads)
    assert opt.state_dict()["state"] == {}
    assert (opt.step_count, opt.accumulated) == (0, 0)
    np.testing.assert_array_equal(arrays_of(opt)[0], np.ones(SIZE))


@structures
def test_step_with_params_goes_on_with_the_new_arrays(build: Nesting) -> None:
    make = Maker(4)
    params, old = filled(build, make)
    opt = pyadam.Adam(params)
    expected = reference_runs(opt)
    grads, gradients = filled(build, make)
    opt.step(grads)
    kept = [p.copy() for p in old]

    new_params, new = filled(build, make)
    for run, p, g in zip(expected, new, gradients, strict=True):
        run.step(g)
        run.p = p.copy(order="K")  # the state of one step, at the new place
        run.step(g)
        run.step(g)
    opt.step(grads, params=new_params)
    opt.step(grads)

    assert_same_runs(opt, expected)
    np.testing.assert_equal(old, kept)
    assert [id(leaf) for leaf in leaves_of(opt.params)] == [id(array) for array in new]
    assert [id(p) for group in opt.param_groups for p in group["params"]] == [id(array) for array in new]


def test_an_array_is_replaced_even_where_its_gradient_is_none() -> None:
    opt = stepped([np.ones(SIZE), np.ones(SIZE)])
    new = [np.zeros(SIZE), np.zeros(SIZE)]
    opt.step([np.ones(SIZE), None], params=new)
    assert opt.params[1] is new[1]
    assert steps_of(opt) == [3, 2]


def test_gradients_may_overlap_arrays_that_are_replaced_but_not_the_new_ones() -> None:
    old, new = np.ones(SIZE), np.ones(SIZE)
    opt = stepped([old])
    with refused(opt, ValueError, "gradient of params[0] shares memory"):
        opt.step([new], params=[new])
    opt.step([old], params=[new])
    assert opt.params[0] is new


REPLACEMENTS = {
    "another shape": (np.ones((3, 2)), ValueError, "(3, 2)"),
    "another dtype": (np.ones((2, 3), np.float32), ValueError, "float32"),
    "another memory order": (np.ones((2, 3), order="F"), ValueError, "memory order"),
    "None": (None, TypeError, "NoneType"),
}


@pytest.mark.parametrize(("new", "error", "found"), REPLACEMENTS.values(), ids=REPLACEMENTS)
def test_a_replacement_that_the_state_does_not_fit_is_refused(new: Any, error: Any, found: str) -> None:
    opt = stepped({"w": np.ones(4), "b": np.ones((2, 3))})
    with refused(opt, error, "params['b'] ", found):
        opt.step({"w": np.ones(4), "b": np.ones((2, 3))}, params={"w": np.ones(4), "b": new})


ONES = np.ones(SIZE)
TREE = {"encoder": [ONES, ONES], "head": {"w": ONES, "b": ONES}}
MISMATCHES = {
    "missing key": ({**TREE, "head": {"w": ONES}}, ["{root}['head']", "missing 'b'"]),
    "missing keys": ({}, ["{root} ", "missing 'encoder', 'head'"]),
    "extra key": ({**TREE, "tail": ONES}, ["{root} ", "extra 'tail'"]),
    "key renamed": ({**TREE, "head": {"w": ONES, "c": ONES}}, ["{root}['head']", "missing 'b'", "extra 'c'"]),
    "list too short": ({**TREE, "encoder": [ONES]}, ["{root}['encoder']", "2 entries", "found 1"]),
    "list too long": ({**TREE, "encoder": [ONES] * 3}, ["{root}['encoder']", "2 entries", "found 3"]),
    "list for a dict": ({**TREE, "head": [ONES, ONES]}, ["{root}['head']", "dict", "found list"]),
    "dict for a list": ({**TREE, "encoder": {0: ONES, 1: ONES}}, ["{root}['encoder']", "list", "found dict"]),
    "array for a list": ({**TREE, "encoder": np.ones((2, SIZE))}, ["{root}['encoder']", "list", "found ndarray"]),
    "array for everything": (ONES, ["{root} ", "dict", "found ndarray"]),
    "None for a branch": ({**TREE, "encoder": None}, ["{root}['encoder']", "list", "found NoneType"]),
    "None for everything": (None, ["{root} ", "dict", "found NoneType"]),
    "string for a list": ({**TREE, "encoder": "ab"}, ["{root}['encoder']", "list", "found str"]),
    "generator": ({**TREE, "encoder": (g for g in [ONES, ONES])}, ["{root}['encoder']", "list", "found generator"]),
}


@pytest.mark.parametrize(("tree", "words"), MISMATCHES.values(), ids=MISMATCHES)
def test_a_structure_that_does_not_match_is_refused_by_its_key(tree: Any, words: list[str]) -> None:
    opt = pyadam.Adam(mapped(np.copy, TREE))
    opt.step(TREE)
    with refused(opt, ValueError, *(word.format(root="grads") for word in words)):
        opt.step(tree)
    if tree is not None:  # which means to keep the parameters
        with refused(opt, ValueError, *(word.format(root="params") for word in words)):
            opt.step(TREE, params=tree)


@pytest.mark.parametrize("deeper", [[ONES], (ONES,), {"w": ONES}], ids=["list", "tuple", "dict"])
def test_a_structure_deeper_than_the_parameters_is_refused(deeper: Any) -> None:
    opt = stepped({"w": np.ones(SIZE), "b": np.ones(SIZE)})
    with refused(opt, TypeError, "gradient of params['b'] ", type(deeper).__name__):
        opt.step({"w": ONES, "b": deeper})


GROUP_MISMATCHES = {
    "too few groups": ([ONES], ["{root} ", "2 entries", "found 1"]),
    "too many groups": ([ONES, {"w": ONES}, ONES], ["{root} ", "2 entries", "found 3"]),
    "not a list": ({"params": ONES}, ["{root} ", "list of 2 entries", "found dict"]),
    "another key in a group": ([ONES, {"b": ONES}], ["{root}[1]['params']", "missing 'w'", "extra 'b'"]),
    "array for a dict": ([ONES, {"params": ONES}], ["{root}[1]['params']", "dict", "found ndarray"]),
}


@pytest.mark.parametrize(("tree", "words"), GROUP_MISMATCHES.values(), ids=GROUP_MISMATCHES)
def test_groups_that_do_not_match_are_refused_by_their_index(tree: Any, words: list[str]) -> None:
    opt = pyadam.Adam([{"params": np.ones(SIZE)}, {"params": {"w": np.ones(SIZE)}}])
    good = [ONES, {"w": ONES}]
    opt.step(good)
    with refused(opt, ValueError, *(word.format(root="grads") for word in words)):
        opt.step(tree)
    with refused(opt, ValueError, *(word.format(root="params") for word in words)):
        opt.step(good, params=tree)


@pytest.mark.parametrize(
    ("params", "path"),
    [([], "params "), ({}, "params "), ([[], {}], "params "), (iter(()), "params "), ([{"params": []}], "params[0]")],
    ids=["list", "dict", "nested", "iterator", "group"],
)
def test_no_parameters_at_all_is_an_error(params: Any, path: str) -> None:
    with raises(ValueError, path, "no arrays"):
        pyadam.Adam(params)


def test_groups_whose_own_structure_has_a_key_params_take_gradients_in_both_forms() -> None:
    def groups() -> list[dict[str, object]]:
        return [{"params": {"params": np.ones(2), "scale": np.ones(1)}}, {"params": {"params": np.ones(3)}}]

    trees = [{"params": np.ones(2), "scale": np.ones(1)}, {"params": np.ones(3)}]
    for grads in (trees, [{"params": tree} for tree in trees[:1]] + trees[1:]):
        opt = pyadam.SGD(groups(), lr=1.0)
        opt.step(grads)
        assert [array.sum() for array in arrays_of(opt)] == [0.0, 0.0, 0.0]
