"""Memory layouts, dtypes and what `pyadam.torch` refuses; the cases that other optimizers get silently wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from inside import watches_of  # noqa: E402
from makers import Maker  # noqa: E402
from torch_cases import assert_close_in_float64, assert_same_bits, new_params, set_grads, take_steps  # noqa: E402

import pyadam.torch  # noqa: E402
from pyadam.torch import _watch  # noqa: E402

SHAPE = (2, 3, 4, 5)


def values(seed: int, shape: tuple[int, ...] = SHAPE, dtype: torch.dtype = torch.float32) -> Any:
    return Maker(seed).tensor(shape, dtype)


def rows(x: Any) -> Any:
    return x.contiguous()


def channels_last(x: Any) -> Any:
    return x.contiguous(memory_format=torch.channels_last)


def permuted(x: Any) -> Any:
    return x.permute(2, 0, 3, 1).contiguous().permute(1, 3, 0, 2)


def strided(x: Any) -> Any:
    return torch.stack([x, -x], dim=-1)[..., 0]


def offset(x: Any) -> Any:
    return torch.cat([torch.zeros(1, dtype=x.dtype), x.flatten()])[1:].view(x.shape)


DENSE = [rows, channels_last, permuted, offset]
LAYOUTS = [*DENSE, strided]


def by_name(function: Any) -> str:
    return function.__name__


def run(
    layout: Callable[[Any], Any], grad_layout: Callable[[Any], Any], dtype: Any, grad_dtype: Any, **options: Any
) -> Any:
    """Return a parameter after three steps, in the default layout."""
    p = torch.nn.Parameter(layout(values(0, dtype=dtype)))
    if grad_dtype is not dtype:
        p.grad_dtype = grad_dtype
    optimizer = pyadam.torch.AdamW([p], lr=0.1, **options)
    for step in range(3):
        grad = grad_layout(values(1 + step, dtype=grad_dtype))
        kept = grad.clone()
        p.grad = grad
        optimizer.step()
        assert torch.equal(grad, kept)
    return p.detach().contiguous()


@pytest.mark.parametrize("grad_layout", LAYOUTS, ids=by_name)
@pytest.mark.parametrize("layout", DENSE, ids=by_name)
def test_every_layout_gives_the_same_bits(layout: Any, grad_layout: Any) -> None:
    found = run(layout, grad_layout, torch.float32, torch.float32)
    assert_same_bits([found], [run(rows, rows, torch.float32, torch.float32)])


@pytest.mark.parametrize("grad_dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64], ids=str)
def test_every_pair_of_dtypes_is_that_of_the_widened_gradient(dtype: Any, grad_dtype: Any) -> None:
    compute = torch.float64 if dtype is torch.float64 else torch.float32
    found = run(rows, rows, dtype, grad_dtype, master="float32")
    expected = torch.nn.Parameter(values(0, dtype=dtype).to(compute))
    optimizer = pyadam.torch.AdamW([expected], lr=0.1)
    for step in range(3):
        expected.grad = values(1 + step, dtype=grad_dtype).to(compute)
        optimizer.step()
    assert_same_bits([found], [expected.detach().to(dtype)])


def test_expanded_gradients_are_read_as_what_they_show() -> None:
    ours, theirs = (torch.nn.Parameter(values(0)) for _ in range(2))
    for p, cls in ((ours, pyadam.torch.Adam), (theirs, torch.optim.Adam)):
        optimizer = cls([p], lr=0.1)
        p.grad = torch.full((), 0.5).expand(SHAPE)
        optimizer.step()
        p.grad = None
        p.sum().backward()
        optimizer.step()
    torch.testing.assert_close(ours, theirs)


def test_a_gradient_with_a_pending_negation_is_read_with_its_sign() -> None:
    ours, theirs = (torch.nn.Parameter(values(0)) for _ in range(2))
    grad = torch.complex(values(1), values(2)).conj().imag
    assert grad.is_neg()
    for p, cls in ((ours, pyadam.torch.SGD), (theirs, torch.optim.SGD)):
        p.grad = grad
        cls([p], lr=0.1).step()
    torch.testing.assert_close(ours, theirs)


def test_one_gradient_may_be_that_of_two_parameters() -> None:
    p, q = (torch.nn.Parameter(values(0)) for _ in range(2))
    p.grad = q.grad = values(1)
    pyadam.torch.Adam([p, q]).step()
    assert torch.equal(p, q)


def test_dimensions_of_size_1_have_no_layout() -> None:
    p = torch.nn.Parameter(torch.ones(4, 1, 3, 3).contiguous(memory_format=torch.channels_last))
    optimizer = pyadam.torch.Adam([p], lr=0.5)
    for _ in range(3):
        p.grad = torch.ones(4, 1, 3, 3)
        optimizer.step()
    torch.testing.assert_close(p.detach(), torch.full((4, 1, 3, 3), -0.5), rtol=1e-6, atol=1e-6)


def test_parameters_without_elements_take_part() -> None:
    params = [torch.nn.Parameter(torch.zeros(0, 3)), torch.nn.Parameter(torch.zeros(2))]
    optimizer = pyadam.torch.Adam(params)
    for _ in range(2):
        for p in params:
            p.grad = torch.ones_like(p)
        optimizer.step()
    assert [float(optimizer.state[p]["step"]) for p in params] == [2.0, 2.0]


@pytest.mark.parametrize(
    "make",
    [lambda: torch.zeros(4, 6)[:, :3], lambda: torch.zeros(3, 1).expand(3, 4), lambda: torch.zeros(8)[::2]],
    ids=["part", "expanded", "strided"],
)
def test_parameters_with_gaps_or_overlaps_are_refused_by_name(make: Any) -> None:
    good, bad = torch.nn.Parameter(torch.zeros(2)), make().requires_grad_()
    with pytest.raises(ValueError, match=r"param_groups\[0\]\['params'\]\[1\] must fill its memory"):
        pyadam.torch.Adam([good, bad])
    with pytest.raises(ValueError, match=r"parameter 'encoder\.weight' must fill its memory"):
        pyadam.torch.Adam([("good", good), ("encoder.weight", bad)])


def test_a_group_that_is_refused_is_not_added() -> None:
    optimizer = pyadam.torch.Adam(new_params())
    with pytest.raises(ValueError, match="must fill its memory"):
        optimizer.add_param_group({"params": torch.zeros(8)[::2].requires_grad_()})
    with pytest.raises(ValueError, match="lr"):
        optimizer.add_param_group({"params": torch.zeros(8).requires_grad_(), "lr": -1})
    with pytest.raises(TypeError, match="clip_norm is of the whole optimizer"):
        optimizer.add_param_group({"params": torch.zeros(8).requires_grad_(), "clip_norm": 1})
    assert len(optimizer.param_groups) == 1


def test_other_types_of_parameters_are_refused() -> None:
    with pytest.raises(TypeError, match="is complex"):
        pyadam.torch.Adam([torch.zeros(2, dtype=torch.complex64, requires_grad=True)])
    with pytest.raises(TypeError, match="must be of float32"):
        pyadam.torch.Adam([torch.zeros(2, dtype=torch.float8_e4m3fn, requires_grad=True)])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_low_precision_parameters_need_a_choice(dtype: Any) -> None:
    params = new_params(dtype)
    optimizer = pyadam.torch.Adam(params)
    set_grads(params, 0)
    with pytest.raises(ValueError, match=r"\[0\] is of b?float16, too coarse to add up small updates: choose master="):
        optimizer.step()
    assert not optimizer.state


def test_overlapping_parameters_are_refused() -> None:
    whole = torch.zeros(10)
    params = [whole[:6].requires_grad_(), whole[4:].requires_grad_()]
    optimizer = pyadam.torch.Adam(params)
    for p in params:
        p.grad = torch.ones_like(p)
    with pytest.raises(ValueError, match="share memory, so one update would overwrite the other"):
        optimizer.step()
    assert not whole.any()


def test_a_gradient_that_shares_memory_with_a_parameter_is_refused() -> None:
    params = [torch.nn.Parameter(torch.ones(4)) for _ in range(2)]
    optimizer = pyadam.torch.Adam(params)
    params[0].grad = params[1].detach()
    params[1].grad = torch.ones(4)
    with pytest.raises(ValueError, match=r"gradient of .*\[0\] shares memory with .*\[1\]"):
        optimizer.step()
    assert torch.equal(params[0], torch.ones(4))


@pytest.mark.parametrize("begun", [False, True])
def test_sparse_gradients_name_the_class_for_them(begun: bool) -> None:
    embedding = torch.nn.Embedding(10, 3, sparse=True)
    dense = torch.nn.Parameter(torch.ones(2))
    optimizer = pyadam.torch.Adam([dense, embedding.weight])
    if begun:
        set_grads([dense, embedding.weight], 0)
        optimizer.step()
        optimizer.zero_grad()
    before = [p.detach().clone() for p in (dense, embedding.weight)]
    dense.grad = torch.ones(2)
    embedding(torch.tensor([1, 2])).sum().backward()
    with pytest.raises(RuntimeError, match=r"gradient of .*\[1\] is sparse .*torch\.optim\.SparseAdam"):
        optimizer.step()
    assert_same_bits([dense.detach(), embedding.weight.detach()], before)
    assert bool(optimizer.state) is begun


@pytest.mark.parametrize("data", [torch.ones(3, 2), torch.ones(5), torch.ones(2, 3, dtype=torch.float8_e4m3fn)])
def test_a_gradient_that_was_exchanged_for_one_that_does_not_fit_is_refused(data: Any) -> None:
    p = torch.nn.Parameter(torch.ones(2, 3))
    optimizer = pyadam.torch.Adam([p])
    for _ in range(2):
        p.grad = torch.ones(2, 3)
        optimizer.step()
    before = p.detach().clone()
    p.grad.data = data
    with pytest.raises((ValueError, TypeError), match=r"gradient of .*\[0\] must"):
        optimizer.step()
    assert_same_bits([p.detach()], [before])


def test_a_backward_pass_notices_that_a_step_changed_what_it_saved() -> None:
    p = torch.nn.Parameter(torch.ones(3))
    optimizer = pyadam.torch.SGD([p])
    loss = p.square().sum()
    loss.backward(retain_graph=True)
    optimizer.step()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_gradients_that_need_a_copy_and_some_that_do_not_take_turns() -> None:
    ours, theirs = new_params(), new_params()
    a, b = pyadam.torch.Adam(ours), torch.optim.Adam(theirs)
    for step in range(6):
        for params in (ours, theirs):
            set_grads(params, step, left_out=(0, 2) if step == 3 else ())
            if step % 2:
                params[3].grad = params[3].grad.to(memory_format=torch.channels_last)
                params[1].grad = params[1].grad.t().contiguous().t()
        a.step()
        b.step()
    assert_close_in_float64(ours, theirs)
    take_steps(a, ours, [7])


def test_without_fast_ways_to_look_at_tensors_the_results_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_watch, "Tensor", object)
    monkeypatch.setattr(_watch, "_C_ABI", ("no_such_function",))
    slow = new_params()
    optimizer = pyadam.torch.Adam(slow)
    take_steps(optimizer, slow, range(3))
    assert [type(watch) for watch in watches_of(optimizer)] == [_watch.PlainWatch] * 2
    optimizer.state[slow[3]]["exp_avg"].data = optimizer.state[slow[3]]["exp_avg"].data.clone()
    slow[3].data = slow[3].data.to(memory_format=torch.channels_last)
    take_steps(optimizer, slow, range(3, 6))
    monkeypatch.undo()
    fast = new_params()
    take_steps(pyadam.torch.Adam(fast), fast, range(6))
    assert_same_bits(slow, fast)
