"""Where a formula has a branch, a zero or a pole; and what every rule does around its formula."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from makers import Maker
from oracle import assert_same_runs, check_steps, reference_runs, step_together
from rule_rows import KERNEL_CASES, Case

import pyadam

RULES = [
    pyadam.Adam,
    pyadam.AdamW,
    pyadam.NAdam,
    pyadam.RAdam,
    pyadam.Adamax,
    pyadam.Adadelta,
    pyadam.Adagrad,
    pyadam.RMSprop,
    pyadam.SGD,
    pyadam.Lion,
    pyadam.LAMB,
]
every_class = pytest.mark.parametrize("cls", RULES)
dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def test_radam_is_plain_momentum_until_rho_passes_5() -> None:
    """With beta2 0.999 rho is 4.99... at step 5 and 5.99... at step 6, as in PyTorch."""
    p = np.array([1.0])
    opt = pyadam.RAdam(p, lr=0.5, betas=(0.0, 0.999))
    sizes = []
    for _ in range(6):
        before = p.copy()
        opt.step(np.array([8.0]))
        sizes.append(float((before - p)[0]))
    assert sizes[:5] == [4.0] * 5
    assert sizes[5] < 0.1


def test_radam_is_never_rectified_where_rho_cannot_reach_5() -> None:
    p = np.array([1.0])
    opt = pyadam.RAdam(p, lr=0.125, betas=(0.0, 0.5))
    for _ in range(50):
        opt.step(np.array([1.0]))
    assert p[0] == 1.0 - 50 * 0.125


def test_radam_steps_by_momentum_even_where_the_square_overflows() -> None:
    p = np.array([1.0], np.float32)
    opt = pyadam.RAdam(p, lr=1e-30)
    opt.step(np.array([1e30], np.float32))
    assert p[0] == 0.0


def test_lamb_takes_a_ratio_of_1_where_the_parameter_is_zero() -> None:
    p = np.zeros(3)
    pyadam.LAMB(p, lr=0.25, eps=0.0).step(np.array([1.0, -2.0, 3.0]))
    np.testing.assert_allclose(p, [-0.25, 0.25, -0.25], rtol=1e-12)


def test_lamb_takes_a_ratio_of_1_where_the_direction_is_zero() -> None:
    p = np.array([3.0, 4.0])
    pyadam.LAMB(p, lr=0.25).step(np.zeros(2))
    np.testing.assert_array_equal(p, [3.0, 4.0])


def test_lamb_makes_everything_nan_where_a_norm_is() -> None:
    """A tensor with one NaN has a norm of NaN, and the step of all its elements follows from that."""
    p = np.ones(3000)
    g = np.ones(3000)
    g[1500] = np.nan
    pyadam.LAMB(p).step(g)
    assert np.isnan(p).all()


def test_lamb_of_an_empty_array() -> None:
    pyadam.LAMB([np.zeros(0), np.ones(2)]).step([np.zeros(0), np.ones(2)])


def test_adamax_without_gradient_stays_where_it_is_thanks_to_eps() -> None:
    p = np.array([1.0])
    pyadam.Adamax(p).step(np.zeros(1))
    assert p[0] == 1.0


def test_adamax_without_gradient_and_eps_is_nan_as_in_pytorch() -> None:
    p = np.array([1.0])
    pyadam.Adamax(p, eps=0.0).step(np.zeros(1))
    assert np.isnan(p[0])


def test_centered_rmsprop_is_nan_where_rounding_makes_the_variance_negative_as_in_pytorch() -> None:
    """The variance of a constant gradient is 0 in the end, and rounding may bring it below."""
    p = np.zeros(1000, np.float32)
    g = Maker(0).array(1000, np.float32)
    opt = pyadam.RMSprop(p, centered=True, alpha=0.5)
    was_negative = np.zeros(1000, bool)
    for _ in range(100):
        opt.step(g)
        state = opt.state_dict()["state"][0]
        was_negative |= state["square_avg"] - state["grad_avg"] ** 2 < 0
    assert was_negative.any()
    np.testing.assert_array_equal(np.isnan(p), was_negative)


def test_adadelta_of_zeros_without_eps_is_nan() -> None:
    p = np.array([1.0])
    pyadam.Adadelta(p, eps=0.0).step(np.zeros(1))
    assert np.isnan(p[0])


def test_lion_does_not_move_where_the_sign_is_zero() -> None:
    p = np.array([1.0, 1.0])
    pyadam.Lion(p).step(np.array([0.0, -0.0]))
    np.testing.assert_array_equal(p, [1.0, 1.0])


def test_sgd_leaves_dampening_out_of_the_first_step_of_each_parameter() -> None:
    params = [np.zeros(1), np.zeros(1)]
    opt = pyadam.SGD(params, lr=1.0, momentum=0.5, dampening=0.5)
    opt.step([np.ones(1), None])
    opt.step([np.ones(1), np.ones(1)])
    assert [float(p[0]) for p in params] == [-2.0, -1.0]


@pytest.mark.parametrize("options", [{}, {"momentum": 0.9, "dampening": 0.1}])
def test_nesterov_needs_momentum_and_no_dampening(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="nesterov=True needs a momentum > 0 and a dampening of 0"):
        pyadam.SGD(np.zeros(1), nesterov=True, **options)


def test_momentum_cannot_appear_in_the_middle_of_a_run() -> None:
    opt = pyadam.SGD(np.zeros(1))
    with pytest.raises(ValueError, match="would change the rule, which is fixed at construction"):
        opt.param_groups[0]["momentum"] = 0.9
    assert opt.param_groups[0]["momentum"] == 0


def test_nadam_derives_the_product_that_pytorch_keeps_as_state() -> None:
    p = np.ones(2)
    opt = pyadam.NAdam(p)
    opt.step(np.ones(2))
    opt.step(np.ones(2))
    momenta = [0.9 * (1 - 0.5 * 0.96 ** (t * 4e-3)) for t in (1, 2)]
    assert opt.state_dict()["state"][0]["mu_product"] == momenta[0] * momenta[1]


@dtypes
@pytest.mark.parametrize("case", KERNEL_CASES, ids=str)
def test_special_numbers(case: Case, dtype: Any) -> None:
    special = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1e-45, -1e-40, 1e-310, 1e-20, 3e38, -1e300, 1.0])
    with np.errstate(over="ignore"):
        p = np.repeat(special, len(special)).astype(dtype)
        g = np.tile(special, len(special)).astype(dtype)
    if case.cls is pyadam.LAMB:  # its norms mix the elements, so that each pair gets an array of its own
        arrays, grads = np.split(p, p.size), np.split(g, g.size)
    else:
        arrays, grads = [p], [g]
    opt = case.cls(arrays, **case.options)
    expected = reference_runs(opt)
    for _ in range(3):
        step_together(opt, expected, grads)
        assert_same_runs(opt, expected)


@every_class
def test_bounds_keep_every_rule_in_the_box(cls: type[pyadam.Optimizer]) -> None:
    p = np.linspace(-1, 1, 50)
    opt = cls(p, lr=0.3, bounds=(-0.5, 0.25))
    for _ in range(5):
        opt.step(np.sin(40 * p))
        assert p.min() >= -0.5
        assert p.max() <= 0.25


@dtypes
@pytest.mark.parametrize("lr", [0.5, 1.0, 2.0])
def test_l1_takes_the_sign_from_before_the_decay(lr: float, dtype: Any) -> None:
    p = np.array([1.0, -2.0, 0.0], dtype)
    opt = pyadam.SGD(p, lr=lr, weight_decay=1.0, decoupled_weight_decay=True, l1=0.25)
    check_steps(opt, [np.array([0.5, 0.5, 0.5], dtype)])


@dtypes
@pytest.mark.parametrize("order", ["C", "F"])
def test_bounds_may_be_arrays_of_the_parameters_shape(dtype: Any, order: str) -> None:
    make = Maker(0)
    start = make.array((40, 60), dtype, order)
    low, high = -abs(make.array(start.shape)), abs(make.array(start.shape))
    p = start.copy(order="K")
    opt = pyadam.Adam(p, lr=0.5, bounds=(low, high))
    g = make.like(start)
    opt.step(g)
    unbounded = start.copy(order="K")
    pyadam.Adam(unbounded, lr=0.5).step(g)
    np.testing.assert_array_equal(p, np.clip(unbounded, low.astype(dtype), high.astype(dtype)))


def test_bounds_may_be_open_on_a_side_and_change_during_a_run() -> None:
    p = np.array([1.0, -1.0])
    opt = pyadam.SGD(p, lr=1.0, bounds=(None, 0.5))
    opt.step(np.zeros(2))
    np.testing.assert_array_equal(p, [0.5, -1.0])
    opt.param_groups[0]["bounds"] = (0, None)
    opt.step(np.zeros(2))
    np.testing.assert_array_equal(p, [0.5, 0.0])
    opt.param_groups[0]["bounds"] = None
    opt.step(np.ones(2))
    np.testing.assert_array_equal(p, [-0.5, -1.0])


def test_bounds_are_a_groups_own() -> None:
    a, b = np.array([3.0]), np.array([3.0])
    opt = pyadam.SGD([{"params": a, "bounds": (0, 1)}, {"params": b}])
    opt.step([np.zeros(1), np.zeros(1)])
    assert (a[0], b[0]) == (1.0, 3.0)


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ((1, 0), "must have lo <= hi"),
        ((np.nan, 1), r"\[0\] must not be NaN"),
        ((0, np.array([1.0, np.nan])), r"\[1\] must not hold NaN"),
        ((np.array([0.0, 2.0]), np.array([1.0, 1.0])), "must have lo <= hi"),
        ((np.zeros(3), 1), r"must have the shape \(2,\) of params, found \(3,\)"),
        (np.zeros((2, 2))[0], "must be a pair"),
        (0.5, "must be a pair"),
        (("0", 1), r"\[0\] must be a number"),
    ],
)
def test_wrong_bounds_are_refused(bounds: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        pyadam.Adam(np.zeros(2), bounds=bounds)
    opt = pyadam.Adam(np.zeros(2), bounds=(0, 1))
    with pytest.raises((TypeError, ValueError), match=message):
        opt.param_groups[0]["bounds"] = bounds
    assert opt.param_groups[0]["bounds"] == (0, 1)


@every_class
def test_an_option_that_a_rule_has_not_names_the_class(cls: type[pyadam.Optimizer]) -> None:
    with pytest.raises(TypeError, match=f"{cls.__name__} has no option 'temperature'"):
        cls(np.zeros(1), temperature=1.0)
    with pytest.raises(TypeError, match=f"{cls.__name__} has no option 'temperature'"):
        cls([{"params": np.zeros(1), "temperature": 1.0}])


@pytest.mark.parametrize(
    ("cls", "key", "value", "message"),
    [
        (pyadam.NAdam, "momentum_decay", -1, r">= 0"),
        (pyadam.Adadelta, "rho", 1.5, r"in \[0, 1\]"),
        (pyadam.Adagrad, "lr_decay", -0.1, r">= 0"),
        (pyadam.Adagrad, "initial_accumulator_value", -0.1, r">= 0"),
        (pyadam.RMSprop, "alpha", -0.1, r"in \[0, 1\]"),
        (pyadam.RMSprop, "momentum", -0.1, r">= 0"),
        (pyadam.SGD, "dampening", 2.0, r"in \[0, 1\]"),
        (pyadam.Lion, "betas", (0.9, 1.0), r"in \[0, 1\)"),
        (pyadam.LAMB, "weight_decay", -0.1, r">= 0"),
        (pyadam.Adamax, "l1", -0.1, r">= 0"),
    ],
)
def test_out_of_range_hyperparameters_name_the_range(
    cls: type[pyadam.Optimizer], key: str, value: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=rf"^{key}.*{message}, found"):
        cls(np.zeros(1), **{key: value})
