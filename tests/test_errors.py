"""Bad input gets an error that says where, what was found and what was expected, and changes nothing at all."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from inside import TILE, steps_of
from makers import Maker
from oracle import assert_same_runs, check_steps, reference_runs, step_together
from refusals import raises, refused, stepped
from rule_rows import KERNEL_CASES, Case

import pyadam

Array = np.ndarray
SHAPE = (2, 3, TILE // 2 + 7)  # some tiles and a rest
PARAM_DTYPES = [np.float32, np.float64]
GRAD_DTYPES = [np.float16, np.float32, np.float64, np.longdouble, ml_dtypes.bfloat16]

dtypes = pytest.mark.parametrize("dtype", PARAM_DTYPES)
grad_dtypes = pytest.mark.parametrize("grad_dtype", GRAD_DTYPES)
orders = pytest.mark.parametrize("order", ["C", "F"])


def unaligned(array: Array) -> Array:
    copy = np.ndarray(array.shape, array.dtype, bytearray(array.nbytes + 1), 1)
    copy[...] = array
    return copy


def read_only(array: Array) -> Array:
    array.setflags(write=False)
    return array


def byte_swapped(array: Array) -> Array:
    return array.astype(array.dtype.newbyteorder())


BAD_PARAMETERS = {
    "None": (None, TypeError, "NoneType"),
    "a number": (1.5, TypeError, "float"),
    "a string": ("weights", TypeError, "str"),
    "integers": (np.ones(4, np.int64), TypeError, "int64"),
    "booleans": (np.ones(4, bool), TypeError, "bool"),
    "complex numbers": (np.ones(4, np.complex64), TypeError, "complex64"),
    "objects": (np.ones(4, object), TypeError, "object"),
    "float8": (np.ones(4, ml_dtypes.float8_e4m3fn), TypeError, "float8_e4m3fn"),
    "longdouble": (np.ones(4, np.longdouble), TypeError, np.dtype(np.longdouble).name),
    "other byte order": (byte_swapped(np.ones(4)), TypeError, "byte order"),
    "masked": (np.ma.masked_array(np.ones(4), mask=[1, 0, 0, 0]), TypeError, "masked"),
    "masked nowhere": (np.ma.masked_array(np.ones(4)), TypeError, "masked"),
    "read-only": (read_only(np.ones(4)), ValueError, "read-only"),
    "broadcast": (np.broadcast_to(np.ones(3), (2, 3)), ValueError, "read-only"),
    "every second element": (np.ones(8)[::2], ValueError, "strides (16,)"),
    "reversed": (np.ones(8)[::-1], ValueError, "strides (-8,)"),
    "columns": (np.ones((4, 4))[:, :2], ValueError, "(4, 2)"),
    "permuted axes": (np.ones((2, 3, 4)).transpose(0, 2, 1), ValueError, "contiguous"),
    "unaligned": (unaligned(np.ones(4)), ValueError, "aligned"),
}


@pytest.mark.parametrize(("bad", "error", "found"), BAD_PARAMETERS.values(), ids=BAD_PARAMETERS)
def test_a_parameter_that_cannot_be_updated_in_place_is_refused(bad: Any, error: Any, found: str) -> None:
    with raises(error, "params['encoder'][1] ", found):
        pyadam.Adam({"encoder": [np.ones(4), bad]})


@pytest.mark.parametrize(("bad", "error", "found"), BAD_PARAMETERS.values(), ids=BAD_PARAMETERS)
def test_such_a_parameter_is_refused_in_a_group_and_as_a_replacement_too(bad: Any, error: Any, found: str) -> None:
    with raises(error, "params[1]['params']", found):
        pyadam.Adam([{"params": np.ones(4)}, {"params": bad}])
    opt = stepped([np.ones(4), np.ones(np.shape(bad))])
    with refused(opt, error, "params[1] ", found):
        opt.step([np.ones(4), np.ones(np.shape(bad))], params=[np.ones(4), bad])


SHARED = {
    "the same array": lambda a: (a, a),
    "an array and a view of all of it": lambda a: (a, a[:]),
    "an array and a view of a part": lambda a: (a, a[3:5]),
    "views that overlap by one element": lambda a: (a[:5], a[4:]),
    "views of other dtypes": lambda a: (a, a.view(np.float32)),
}


@pytest.mark.parametrize("views", SHARED.values(), ids=SHARED)
def test_parameters_that_share_memory_are_refused(views: Callable[[Array], tuple[Array, Array]]) -> None:
    a, b = views(np.ones(8))
    for first, second in ((a, b), (b, a)):
        with raises(ValueError, "params['x'] and params['y'] share memory"):
            pyadam.Adam({"x": first, "between": np.ones(3), "y": second})
        with raises(ValueError, "params[0]['params'] and params[1]['params'] share memory"):
            pyadam.Adam([{"params": first}, {"params": second}])


@pytest.mark.parametrize("views", SHARED.values(), ids=SHARED)
def test_replacements_that_share_memory_are_refused(views: Callable[[Array], tuple[Array, Array]]) -> None:
    a, b = views(np.ones(8))
    opt = stepped([a.copy(), b.copy()])
    with refused(opt, ValueError, "params[0] and params[1] share memory"):
        opt.step([np.ones_like(a), np.ones_like(b)], params=[a, b])


def test_neighbours_and_empty_views_in_one_buffer_share_nothing() -> None:
    buffer = np.ones(8)
    opt = pyadam.Adam([buffer[:3], buffer[3:], buffer[2:2], buffer[8:]], lr=0.5)
    opt.step([np.ones(3), np.zeros(5), np.ones(0), np.ones(0)])
    np.testing.assert_allclose(buffer, [0.5] * 3 + [1.0] * 5)


# The parameter is buffer[40:48] of 101 elements.
OVERLAPPING = {
    "the parameter": lambda b: b[40:48],
    "the parameter reversed": lambda b: b[40:48][::-1],
    "one element at its beginning": lambda b: b[33:41],
    "one element at its end": lambda b: b[47:55],
    "one element of a strided view": lambda b: b[4:100:12],
    "a broadcast of one element": lambda b: np.broadcast_to(b[44:45], 8),
    "unaligned": lambda b: np.ndarray(8, np.float64, b, 8 * 40 - 4),
    "float32": lambda b: b[40:44].view(np.float32),
    "other byte order": lambda b: b[40:48].view(b.dtype.newbyteorder()),
}


@pytest.mark.parametrize("view", OVERLAPPING.values(), ids=OVERLAPPING)
def test_a_gradient_that_overlaps_a_parameter_is_refused(view: Callable[[Array], Array]) -> None:
    buffer = np.linspace(1, 2, 101)
    opt = stepped({"x": np.ones(8), "y": buffer[40:48]})
    with refused(opt, ValueError, "gradient of params['y'] shares memory with params['y']"):
        opt.step({"x": np.ones(8), "y": view(buffer)})
    with refused(opt, ValueError, "gradient of params['x'] shares memory with params['y']"):
        opt.step({"x": view(buffer), "y": np.ones(8)})


DISJOINT = {
    "just before": lambda b: b[32:40],
    "just after": lambda b: b[48:56],
    "strided around it": lambda b: b[3:75:9],
    "strided around it, reversed": lambda b: b[3:75:9][::-1],
}


@pytest.mark.parametrize("view", DISJOINT.values(), ids=DISJOINT)
def test_a_gradient_in_the_same_buffer_that_shares_no_element_is_accepted(view: Callable[[Array], Array]) -> None:
    buffer = np.linspace(1, 2, 101)
    check_steps(pyadam.Adam(buffer[40:48]), [view(buffer)] * 3)


@pytest.mark.parametrize("shape", [(3,), (5,), (4, 1), (1, 4), (2, 2), (), (0,)])
def test_a_gradient_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    opt = stepped({"w": np.ones(4), "b": np.ones(4)})
    with refused(opt, ValueError, "gradient of params['b'] ", "(4,)", str(shape)):
        opt.step({"w": np.ones(4), "b": np.ones(shape)})


def test_a_transposed_gradient_is_of_another_shape() -> None:
    opt = stepped([np.ones((2, 3))])
    with refused(opt, ValueError, "gradient of params[0] ", "(2, 3)", "(3, 2)"):
        opt.step([np.ones((2, 3)).T])


BAD_GRADIENTS = {
    "integers": (np.ones(4, np.int32), "int32"),
    "booleans": (np.ones(4, bool), "bool"),
    "complex numbers": (np.ones(4, np.complex128), "complex128"),
    "objects": (np.ones(4, object), "object"),
    "strings": (np.ones(4, "U1"), "<U1"),
    "records": (np.ones(4, [("x", "f4")]), "x"),
    "a masked array": (np.ma.masked_array(np.ones(4), mask=[0, 1, 0, 0]), "masked"),
    "a list": ([1.0, 2.0, 3.0, 4.0], "list"),
    "a tuple": ((1.0, 2.0, 3.0, 4.0), "tuple"),
    "a dict": ({0: 1.0}, "dict"),
    "a string": ("gggg", "str"),
    "an integer": (1, "int"),
    "a memoryview": (memoryview(np.ones(4)), "memoryview"),
}


@pytest.mark.parametrize(("bad", "found"), BAD_GRADIENTS.values(), ids=BAD_GRADIENTS)
def test_a_gradient_of_another_kind_is_refused(bad: Any, found: str) -> None:
    opt = stepped({"w": np.ones(4), "b": np.ones(4)})
    with refused(opt, TypeError, "gradient of params['b'] ", found):
        opt.step({"w": np.ones(4), "b": bad})


LAYOUTS: dict[str, Callable[[Array], Array]] = {
    "C order": lambda g: g.copy(order="C"),
    "Fortran order": lambda g: g.copy(order="F"),
    "permuted axes": lambda g: np.ascontiguousarray(g.transpose(1, 2, 0)).transpose(2, 0, 1),
    "every second element": lambda g: np.repeat(g, 2, axis=-1)[..., ::2],
    "reversed": lambda g: np.ascontiguousarray(g[::-1, :, ::-1])[::-1, :, ::-1],
    "broadcast": lambda g: np.broadcast_to(g[:1, :, :1], g.shape),
    "read-only": lambda g: read_only(g.copy()),
    "unaligned": unaligned,
    "a subclass": lambda g: g.view(type("Subclass", (np.ndarray,), {})),
}


SPREAD = (-3, 3)  # powers of ten by which numbers differ


def check_against_reference(p: Array, gradients: list[Any], case: Case = KERNEL_CASES[0]) -> None:
    check_steps(case.cls(p, **case.options), gradients)


@dtypes
@grad_dtypes
@orders
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_a_gradient_of_any_floating_dtype_and_layout_gives_the_right_bits(
    dtype: Any, grad_dtype: Any, order: Any, layout: Callable[[Array], Array]
) -> None:
    make = Maker(0)
    p = make.array(SHAPE, dtype, order, powers=SPREAD)
    check_against_reference(p, [layout(make.array(SHAPE, grad_dtype, powers=SPREAD)) for _ in range(2)])


@dtypes
@orders
@pytest.mark.parametrize("grad_dtype", [np.float16, np.float32, np.float64])
def test_a_gradient_in_the_other_byte_order_gives_the_right_bits(dtype: Any, grad_dtype: Any, order: Any) -> None:
    make = Maker(1)
    p = make.array(SHAPE, dtype, order, powers=SPREAD)
    check_against_reference(p, [byte_swapped(make.array(SHAPE, grad_dtype, powers=SPREAD)) for _ in range(2)])


@dtypes
@orders
@pytest.mark.parametrize("case", KERNEL_CASES, ids=str)
def test_every_rule_takes_a_converted_gradient(case: Case, dtype: Any, order: Any) -> None:
    make = Maker(2)
    p = make.array(SHAPE, dtype, order, powers=SPREAD)
    gradients = [LAYOUTS["reversed"](make.array(SHAPE, np.float16, powers=SPREAD)) for _ in range(3)]
    check_against_reference(p, gradients, case)


@dtypes
@pytest.mark.parametrize("scalar", GRAD_DTYPES)
def test_a_parameter_of_no_dimensions_takes_a_numpy_scalar(dtype: Any, scalar: Any) -> None:
    check_against_reference(np.array(2.0, dtype), [scalar(0.5), scalar(-3.0)])


@dtypes
def test_a_parameter_of_no_dimensions_takes_a_float(dtype: Any) -> None:
    p, q = np.array(2.0, dtype), np.array(2.0, dtype)
    ours, theirs = pyadam.Adam(p), pyadam.Adam(q)
    ours.step(0.1)
    theirs.step(np.array(0.1))
    assert p == q


@dtypes
@grad_dtypes
@pytest.mark.parametrize("case", KERNEL_CASES, ids=str)
def test_non_finite_gradients_propagate(case: Case, dtype: Any, grad_dtype: Any) -> None:
    special = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0] * 11).astype(grad_dtype)
    check_against_reference(np.ones(66, dtype), [special, np.roll(special, 1), np.roll(special, 2)], case)


def test_a_parameter_made_read_only_is_refused_until_it_is_writeable_again() -> None:
    params = {"w": np.ones(4), "b": np.ones(4)}
    opt = stepped(params)
    params["b"].setflags(write=False)
    with refused(opt, ValueError, "params['b'] ", "read-only"):
        opt.step({"w": np.ones(4), "b": np.ones(4)})
    opt.step({"w": np.ones(4), "b": None})
    params["b"].setflags(write=True)
    opt.step({"w": np.ones(4), "b": np.ones(4)})
    assert steps_of(opt) == [4, 3]


def test_a_parameter_resized_in_place_is_refused() -> None:
    p = np.ones(1000)
    opt = stepped([np.ones(3), p])
    p.resize(999, refcheck=False)  # as a rule the allocator leaves the block where it is
    with refused(opt, ValueError, "params[1] "):
        opt.step([np.ones(3), np.ones(1000)])


NAN, INF = float("nan"), float("inf")
NOT_NUMBERS = [(value, TypeError, "number") for value in (True, np.True_, "0.1", None, 1j, [0.1], np.ones(1))]
NEGATIVE = [(value, ValueError, ">= 0") for value in (-1e-9, NAN, INF, -INF, 10**400)]
NOT_POSITIVE = [(value, ValueError, "> 0") for value in (0.0, -1.0, NAN, INF)]
NOT_FRACTIONS = [(value, ValueError, "[0, 1]") for value in (-1e-9, 1.0 + 1e-9, NAN, INF)]
NOT_BETAS = [
    *((value, TypeError, "in [0, 1)") for value in (0.9, None, (0.9,), (0.9, 0.9, 0.9), (True, 0.9), ("0.9", 0.9))),
    *((pair, ValueError, "in [0, 1)") for bad in (1.0, -0.1, NAN, INF, 10**400) for pair in ((bad, 0.9), (0.9, bad))),
    ((0.9, Fraction(10**20 - 1, 10**20)), ValueError, "in [0, 1)"),  # as a float it is 1
]
NOT_BOUNDS = [
    *((value, TypeError, "(lo, hi)") for value in (1.0, (1.0,), (0.0, 1.0, 2.0), "ab", max)),
    *(((value, 1.0), TypeError, "number") for value in (True, "0", 1j, [0.0], np.array(["0"]))),
    *((value, ValueError, "NaN") for value in ((NAN, 1.0), (0.0, NAN), (None, np.full(4, NAN)))),
    *(
        (value, ValueError, "lo <= hi")
        for value in ((1.0, 0.0), (np.ones(4), 0.5), (np.full(4, INF, np.float16), 1e300))
    ),
]
NOT_NUMBERS_OR_NONE = [row for row in NOT_NUMBERS if row[0] is not None]
NOT_DECAYS = [(value, ValueError, "[0, 1)") for value in (-1e-9, 1.0, NAN, INF)]
NOT_MASTERS = [
    (value, ValueError, "'float32', 'split', 'stochastic', 'nearest'") for value in ("float64", 1, True, max)
]
NOT_STATE_DTYPES = [(value, ValueError, "'bfloat16'") for value in ("float32", "f", np.float16, 16, max)]
NOT_FLAGS = [(value, TypeError, "True or False") for value in (1, 0, None, "yes", bool, 1.0)]

# The class on which a hyperparameter is tried, and what it must not be.
Errors = list[tuple[Any, type[Exception], str]]
SCHEDULABLE: dict[str, tuple[type[pyadam.Optimizer], Errors]] = {
    "lr": (pyadam.Adam, NEGATIVE + NOT_NUMBERS),
    "betas": (pyadam.Adam, NOT_BETAS),
    "eps": (pyadam.Adam, NEGATIVE + NOT_NUMBERS),
    "weight_decay": (pyadam.Adam, NEGATIVE + NOT_NUMBERS),
    "l1": (pyadam.Adam, NEGATIVE + NOT_NUMBERS),
    "clip_value": (pyadam.Adam, NOT_POSITIVE + NOT_NUMBERS_OR_NONE),
    "ema_decay": (pyadam.Adam, NOT_DECAYS + NOT_NUMBERS_OR_NONE),
    "momentum_decay": (pyadam.NAdam, NEGATIVE + NOT_NUMBERS),
    "lr_decay": (pyadam.Adagrad, NEGATIVE + NOT_NUMBERS),
    "momentum": (pyadam.SGD, NEGATIVE + NOT_NUMBERS),
    "dampening": (pyadam.SGD, NOT_FRACTIONS + NOT_NUMBERS),
    "alpha": (pyadam.RMSprop, NOT_FRACTIONS + NOT_NUMBERS),
    "rho": (pyadam.Adadelta, NOT_FRACTIONS + NOT_NUMBERS),
}
CONSTANT: dict[str, tuple[type[pyadam.Optimizer], Errors]] = {
    "initial_accumulator_value": (pyadam.Adagrad, [*NEGATIVE, *NOT_NUMBERS, (float, TypeError, "number")]),
    "bounds": (pyadam.Adam, NOT_BOUNDS),
    "ema_warmup": (pyadam.Adam, NOT_FLAGS),
    "master": (pyadam.Adam, NOT_MASTERS),
    "state_dtype": (pyadam.Adam, NOT_STATE_DTYPES),
    "amsgrad": (pyadam.Adam, NOT_FLAGS),
    "maximize": (pyadam.Adam, NOT_FLAGS),
    "decoupled_weight_decay": (pyadam.Adam, NOT_FLAGS),
    "epsilon_hat": (pyadam.Adam, NOT_FLAGS),
    "centered": (pyadam.RMSprop, NOT_FLAGS),
    "eps_inside_sqrt": (pyadam.RMSprop, NOT_FLAGS),
    "nesterov": (pyadam.SGD, NOT_FLAGS),
    "lr_in_momentum": (pyadam.SGD, NOT_FLAGS),
}


def each_of(table: dict[str, tuple[type[pyadam.Optimizer], Errors]]) -> pytest.MarkDecorator:
    rows = [(cls, key, *row) for key, (cls, errors) in table.items() for row in errors]
    ids = [f"{key}={value!s:.20}" for _, key, value, *_ in rows]
    return pytest.mark.parametrize(("cls", "key", "value", "error", "allowed"), rows, ids=ids)


def test_the_rows_cover_every_hyperparameter() -> None:
    known = [value for value in vars(pyadam).values() if isinstance(value, type)]
    classes = [cls for cls in known if issubclass(cls, pyadam.Optimizer) and cls is not pyadam.Optimizer]
    assert {*SCHEDULABLE, *CONSTANT} == {key for cls in classes for key in cls(np.ones(1)).param_groups[0].options}


@each_of(SCHEDULABLE | CONSTANT)
def test_a_hyperparameter_out_of_range_is_refused_at_construction(
    cls: type[pyadam.Optimizer], key: str, value: Any, error: Any, allowed: str
) -> None:
    with raises(error, key, allowed):
        cls(np.ones(4), **{key: value})
    with raises(error, f"param_groups[1]['{key}']", allowed):
        cls([{"params": np.ones(4)}, {"params": np.ones(4), key: value}])


@each_of(SCHEDULABLE | CONSTANT)
def test_a_hyperparameter_out_of_range_is_refused_later(
    cls: type[pyadam.Optimizer], key: str, value: Any, error: Any, allowed: str
) -> None:
    opt = stepped([np.ones(4)], cls)
    with refused(opt, error, f"param_groups[0]['{key}']", allowed):
        opt.param_groups[0][key] = value


@each_of(SCHEDULABLE)
def test_a_schedule_that_leaves_the_range_is_refused_at_its_step(
    cls: type[pyadam.Optimizer], key: str, value: Any, error: Any, allowed: str
) -> None:
    start = (0.9, 0.9) if key == "betas" else 0.5
    groups = [
        {"params": np.ones(4), "lr": lambda step: 0.1 / (step + 1)},
        {"params": np.ones(4), key: lambda step: value if step == 2 else start},
    ]
    opt = cls(groups)
    for _ in range(2):
        opt.step([np.ones(4), np.ones(4)])
    with refused(opt, error, f"param_groups[1]['{key}'](2)", allowed):
        opt.step([np.ones(4), np.ones(4)])


@pytest.mark.parametrize("bounds", [(np.zeros(3), None), (None, np.ones((4, 1))), (0.0, np.ones(()))])
def test_bounds_of_another_shape_are_refused(bounds: Any) -> None:
    shapes = [str(bound.shape) for bound in bounds if isinstance(bound, np.ndarray)]
    with raises(ValueError, "param_groups[0]['bounds']", "params['b']", "(4,)", *shapes):
        pyadam.Adam({"b": np.ones(4)}, bounds=bounds)
    opt = stepped({"b": np.ones(4)}, bounds=(-9.0, 9.0))
    with refused(opt, ValueError, "param_groups[0]['bounds']", "params['b']", "(4,)", *shapes):
        opt.param_groups[0]["bounds"] = bounds


@pytest.mark.parametrize("options", [{"momentum": 0.0}, {"momentum": 0.9, "dampening": 0.1}, {}])
def test_options_that_do_not_go_together_are_refused(options: dict[str, float]) -> None:
    with raises(ValueError, "nesterov", "momentum", "dampening"):
        pyadam.SGD(np.ones(4), nesterov=True, **options)
    opt = stepped([np.ones(4)], pyadam.SGD, nesterov=True, momentum=0.9)
    with refused(opt, ValueError, "nesterov", "momentum", "dampening"):
        opt.param_groups[0]["dampening"] = 0.5


@pytest.mark.parametrize(("key", "value"), [("lr", -1.5), ("eps", -1.5), ("betas", (0.5, -1.5)), ("amsgrad", "-1.5")])
def test_the_message_shows_the_value(key: str, value: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=r"found '?-1\.5"):
        pyadam.Adam(np.ones(4), **{key: value})


def test_an_error_of_a_schedule_reaches_the_caller() -> None:
    def broken(step: int) -> float:
        if step == 2:
            raise LookupError("no rate for step 2")
        return 0.1

    opt = stepped([np.ones(4)], lr=broken)
    with refused(opt, LookupError, "no rate for step 2"):
        opt.step([np.ones(4)])


@pytest.mark.parametrize("cls", [pyadam.Adam, pyadam.AdamW])
def test_an_unknown_option_is_refused_by_the_name_of_the_class(cls: type[pyadam.Optimizer]) -> None:
    with raises(TypeError, cls.__name__, "'learning_rate'"):
        cls(np.ones(4), learning_rate=0.1)
    with raises(TypeError, "params[1]", f"{cls.__name__} ", "'learning_rate'", "lr, betas, eps"):
        cls([{"params": np.ones(4)}, {"params": np.ones(4), "learning_rate": 0.1}])
    opt = stepped([np.ones(4)], cls)
    with refused(opt, KeyError, "param_groups[0]['learning_rate']", "lr, betas, eps"):
        opt.param_groups[0]["learning_rate"] = 0.1


@pytest.mark.parametrize(
    ("cls", "options", "key", "value"),
    [
        (pyadam.Adam, {}, "amsgrad", True),
        (pyadam.AdamW, {"amsgrad": True}, "amsgrad", False),
        (pyadam.AdamW, {}, "decoupled_weight_decay", False),
        (pyadam.Adagrad, {}, "initial_accumulator_value", 0.5),
        (pyadam.RMSprop, {}, "centered", True),
        (pyadam.RMSprop, {}, "momentum", 0.9),
        (pyadam.RMSprop, {"momentum": 0.9}, "momentum", 0.0),
        (pyadam.SGD, {}, "momentum", 0.9),
        (pyadam.SGD, {"momentum": 0.9}, "nesterov", True),
    ],
)
def test_an_option_that_decides_the_state_cannot_change(
    cls: type[pyadam.Optimizer], options: dict[str, Any], key: str, value: Any
) -> None:
    opt = stepped([np.ones(4)], cls, **options)
    with refused(opt, ValueError, f"param_groups[0]['{key}']", "fixed"):
        opt.param_groups[0][key] = value
    opt.param_groups[0][key] = opt.param_groups[0][key]


@pytest.mark.parametrize("case", KERNEL_CASES, ids=str)
def test_refused_steps_between_others_leave_no_trace(case: Case) -> None:
    make = Maker(3)
    params = make.arrays([50, 50])
    opt = case.cls(params, **case.options)
    expected = reference_runs(opt)
    bad = [np.ones(49), np.ones(50, int), [1.0] * 50, params[0], params[1][::-1], np.ma.masked_array(np.ones(50))]
    for _ in range(4):
        grads = make.like(params)
        for g in bad:
            with pytest.raises((TypeError, ValueError)):
                opt.step([grads[0], g])
        step_together(opt, expected, grads)
    assert_same_runs(opt, expected)
