"""What a rule carries from step to step: NAdam's product of momenta, also where a schedule changes its factors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from makers import Maker
from oracle import assert_same_bits, change_options, reference_run

import pyadam


def cycled(step: int) -> tuple[float, float]:
    """Return betas as PyTorch's OneCycleLR changes them."""
    return 0.95 - 0.1 * abs(step % 20 - 10) / 10, 0.999


def expected_product(steps: int) -> float:
    product = 1.0
    for t in range(1, steps + 1):
        product *= cycled(t - 1)[0] * (1.0 - 0.5 * 0.96 ** (t * 4e-3))
    return product


def test_the_bits_are_those_of_the_reference_under_a_schedule() -> None:
    make = Maker(0)
    p = make.array(300, np.float32)
    opt = pyadam.NAdam(p, betas=cycled)
    opt.param_groups[0]["betas"] = cycled(0)  # which the reference is made with
    run = reference_run(opt, p)
    opt.param_groups[0]["betas"] = cycled
    for step in range(60):
        change_options(run, betas=cycled(step))
        g = make.like(p)
        opt.step(g)
        run.step(g)
    assert_same_bits(opt, 0, run)
    assert opt.state_dict()["state"][0]["mu_product"] == expected_product(60)


def test_the_product_is_saved_with_the_state(tmp_path: Path) -> None:
    make = Maker(1)
    p = make.array(10)
    opt = pyadam.NAdam(p, betas=cycled)
    for _ in range(7):
        opt.step(make.like(p))
    opt.save(tmp_path / "run")
    other = p.copy()
    again = pyadam.NAdam(other, betas=cycled)
    again.load(tmp_path / "run")
    for _ in range(5):
        g = make.like(p)
        opt.step(g)
        again.step(g)
    np.testing.assert_array_equal(p, other)
    assert again.state_dict()["state"][0]["mu_product"] == expected_product(12)


def test_parameters_of_one_age_may_carry_different_products() -> None:
    make = Maker(2)
    p, q, alone = make.array(4), make.array(4), make.array(4)
    both = pyadam.NAdam([p, q], betas=cycled)
    grads = [make.like(p) for _ in range(4)]
    alone[...] = q
    for step, g in enumerate(grads):
        both.step([g if step < 2 else None, g if step >= 2 else None])
    products = [state["mu_product"] for state in both.state_dict()["state"].values()]
    assert products[0] != products[1]
    assert products[0] == expected_product(2)
    both.step([grads[0], grads[0]])  # at one age, with one plan each
    single = pyadam.NAdam([alone], betas=lambda step: cycled(step + 2))
    for g in (grads[2], grads[3], grads[0]):
        single.step([g])
    np.testing.assert_array_equal(q, alone)


def test_a_state_without_the_product_has_it_made_of_the_step_count() -> None:
    p = np.ones(3)
    opt = pyadam.NAdam(p)
    for _ in range(5):
        opt.step(np.ones(3))
    saved = opt.state_dict()
    product = saved["state"][0].pop("mu_product")
    again = pyadam.NAdam(np.ones(3))
    again.load_state_dict(saved)
    assert again.state_dict()["state"][0]["mu_product"] == product


def test_a_state_without_the_product_meets_a_schedule() -> None:
    opt = pyadam.NAdam(np.ones(3), betas=lambda _: (0.9, 0.999))
    fixed = pyadam.NAdam(np.ones(3))
    for _ in range(5):
        opt.step(np.ones(3))
        fixed.step(np.ones(3))
    saved = opt.state_dict()
    product = saved["state"][0].pop("mu_product")
    again = pyadam.NAdam(np.ones(3), betas=lambda _: (0.9, 0.999))
    again.load_state_dict(saved)
    assert again.state_dict()["state"][0]["mu_product"] == product
    assert product == fixed.state_dict()["state"][0]["mu_product"]


def test_a_state_without_the_product_brings_its_hyperparameters() -> None:
    opt = pyadam.NAdam(np.ones(3), betas=(0.8, 0.99))
    for _ in range(5):
        opt.step(np.ones(3))
    saved = opt.state_dict()
    product = saved["state"][0].pop("mu_product")
    again = pyadam.NAdam(np.ones(3))
    again.load_state_dict(saved)
    assert again.state_dict()["state"][0]["mu_product"] == product


@pytest.fixture
def torch() -> Any:
    torch = pytest.importorskip("torch")
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)  # in which PyTorch then keeps the product
    yield torch
    torch.set_default_dtype(before)


@pytest.mark.parametrize("front_end", ["NumPy", "PyTorch"])
def test_the_same_as_torch_under_a_schedule(torch: Any, front_end: str) -> None:
    import pyadam.torch

    make = Maker(3)
    start = make.array(20)
    theirs = torch.tensor(start, requires_grad=True)
    reference = torch.optim.NAdam([theirs])
    p = start.copy()
    ours = torch.tensor(start, requires_grad=True)
    opt: Any = pyadam.NAdam(p, betas=cycled) if front_end == "NumPy" else pyadam.torch.NAdam([ours])
    for step in range(60):
        g = make.like(start)
        reference.param_groups[0]["betas"] = cycled(step)
        theirs.grad = torch.tensor(g)
        reference.step()
        if front_end == "NumPy":
            opt.step(g)
        else:
            opt.param_groups[0]["betas"] = cycled(step)
            ours.grad = torch.tensor(g)
            opt.step()
        if step == 30:  # to and from the other's state
            opt.load_state_dict(reference.state_dict())
            reference.load_state_dict(reference.state_dict())
    found = p if front_end == "NumPy" else ours.detach().numpy()
    np.testing.assert_allclose(found, theirs.detach().numpy(), rtol=0, atol=1e-12)


def test_a_product_that_is_changed_in_pytorchs_state_is_taken_over(torch: Any) -> None:
    import pyadam.torch

    def run(product: float) -> Any:
        p = torch.ones(3, requires_grad=True)
        opt = pyadam.torch.NAdam([p])
        for step in range(4):
            p.grad = torch.ones(3)
            if step == 2:
                opt.state[p]["mu_product"].fill_(product)
            opt.step()
        return p.detach(), float(opt.state[p]["mu_product"])

    (p, product), (q, other) = run(0.5), run(0.25)
    assert not torch.equal(p, q)
    assert product == pytest.approx(2 * other)
