"""Agreement with optax in float64, with the settings that docs/conventions.md gives."""

from __future__ import annotations

import math
import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
from makers import Maker

import pyadam

if find_spec("optax") is None:
    pytest.skip("optax is not installed", allow_module_level=True)

STEPS = 200
BETA2 = 0.99


def amsgrad_lr(step: int) -> float:
    """Return the step size that leaves sqrt(v) without bias correction."""
    return 0.01 / math.sqrt(1 - BETA2 ** (step + 1))


ROWS: dict[str, tuple[Callable[[Any], Any], type[pyadam.Optimizer], dict[str, Any]]] = {
    "adam": (lambda optax: optax.adam(0.01), pyadam.Adam, {"lr": 0.01}),
    "adamw": (lambda optax: optax.adamw(0.01, weight_decay=0.1), pyadam.AdamW, {"lr": 0.01, "weight_decay": 0.1}),
    "amsgrad": (
        lambda optax: optax.amsgrad(0.01, b2=BETA2, bias_correction_nu=False),
        pyadam.Adam,
        {"lr": amsgrad_lr, "betas": (0.9, BETA2), "amsgrad": True, "epsilon_hat": True},
    ),
    "nadam": (lambda optax: optax.nadam(0.01), pyadam.NAdam, {"lr": 0.01, "momentum_decay": 1e6}),
    "radam": (
        lambda optax: optax.radam(0.01),
        pyadam.RAdam,
        {"lr": 0.01, "eps": lambda step: 1e-8 * math.sqrt(1 - 0.999 ** (step + 1))},
    ),
    "adagrad": (
        lambda optax: optax.adagrad(0.01),
        pyadam.Adagrad,
        {"lr": 0.01, "initial_accumulator_value": 0.1 + 1e-7, "eps": 0.0},
    ),
    "adamax": (lambda optax: optax.adamax(0.01), pyadam.Adamax, {"lr": 0.01}),
    "adadelta": (lambda optax: optax.adadelta(0.5), pyadam.Adadelta, {"lr": 0.5}),
    "rmsprop": (lambda optax: optax.rmsprop(0.01), pyadam.RMSprop, {"lr": 0.01, "alpha": 0.9, "eps_inside_sqrt": True}),
    "rmsprop momentum": (
        lambda optax: optax.rmsprop(lambda step: 0.01 / (1 + step), momentum=0.9),
        pyadam.RMSprop,
        {
            "lr": lambda step: 0.01 / (1 + step),
            "alpha": 0.9,
            "momentum": 0.9,
            "eps_inside_sqrt": True,
            "lr_in_momentum": True,
        },
    ),
    "rmsprop centered": (
        lambda optax: optax.rmsprop(0.01, centered=True, eps=1e-2),
        pyadam.RMSprop,
        {"lr": 0.01, "alpha": 0.9, "eps": 1e-2, "centered": True, "eps_inside_sqrt": True},
    ),
    "sgd": (
        lambda optax: optax.sgd(0.01, momentum=0.9, nesterov=True),
        pyadam.SGD,
        {"lr": 0.01, "momentum": 0.9, "nesterov": True},
    ),
    "lion": (lambda optax: optax.lion(0.01, weight_decay=0.1), pyadam.Lion, {"lr": 0.01, "weight_decay": 0.1}),
    "lamb": (lambda optax: optax.lamb(0.01, weight_decay=0.1), pyadam.LAMB, {"lr": 0.01, "weight_decay": 0.1}),
}


def params_and_gradients() -> tuple[dict[str, np.ndarray], list[dict[str, np.ndarray]]]:
    make = Maker(0)
    params = {"w": make.array((5, 3)), "b": make.array(4)}
    return params, [make.like(params) for _ in range(STEPS)]


def run_optax(row: str) -> dict[str, np.ndarray]:
    import jax

    jax.config.update("jax_enable_x64", True)
    import optax

    params, gradients = params_and_gradients()
    transform = ROWS[row][0](optax)
    params = jax.tree.map(jax.numpy.asarray, params)
    state = transform.init(params)
    update = jax.jit(transform.update)
    for grads in gradients:
        updates, state = update(grads, state, params)
        params = optax.apply_updates(params, updates)
    return {name: np.asarray(p) for name, p in params.items()}


@pytest.fixture(scope="module")
def apart() -> Iterator[Executor]:
    """Run JAX in a process of its own: its threads would make the forks of other tests unsafe."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as executor:
        yield executor


@pytest.mark.parametrize("row", ROWS)
def test_the_same_as_optax_in_float64(row: str, apart: Executor) -> None:
    _, cls, options = ROWS[row]
    params, gradients = params_and_gradients()
    opt = cls(params, **options)
    for grads in gradients:
        opt.step(grads)
    for name, expected in apart.submit(run_optax, row).result().items():
        np.testing.assert_allclose(params[name], expected, rtol=1e-12, atol=1e-12)
