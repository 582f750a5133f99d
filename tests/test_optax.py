"""Agreement with optax in float64, with the settings that docs/conventions.md gives."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import pyadam

jax = pytest.importorskip("jax")
optax = pytest.importorskip("optax")

STEPS = 200
BETA2 = 0.99


def amsgrad_lr(step: int) -> float:
    """Return the step size that leaves sqrt(v) without bias correction."""
    return 0.01 / math.sqrt(1 - BETA2 ** (step + 1))


ROWS: dict[str, tuple[Callable[[], Any], type[pyadam.Optimizer], dict[str, Any]]] = {
    "adam": (lambda: optax.adam(0.01), pyadam.Adam, {"lr": 0.01}),
    "adamw": (lambda: optax.adamw(0.01, weight_decay=0.1), pyadam.AdamW, {"lr": 0.01, "weight_decay": 0.1}),
    "amsgrad": (
        lambda: optax.amsgrad(0.01, b2=BETA2, bias_correction_nu=False),
        pyadam.Adam,
        {"lr": amsgrad_lr, "betas": (0.9, BETA2), "amsgrad": True, "epsilon_hat": True},
    ),
    "nadam": (lambda: optax.nadam(0.01), pyadam.NAdam, {"lr": 0.01, "momentum_decay": 1e6}),
    "adamax": (lambda: optax.adamax(0.01), pyadam.Adamax, {"lr": 0.01}),
    "adadelta": (lambda: optax.adadelta(0.5), pyadam.Adadelta, {"lr": 0.5}),
    "rmsprop": (lambda: optax.rmsprop(0.01), pyadam.RMSprop, {"lr": 0.01, "alpha": 0.9, "eps_inside_sqrt": True}),
    "rmsprop momentum": (
        lambda: optax.rmsprop(lambda step: 0.01 / (1 + step), momentum=0.9),
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
        lambda: optax.rmsprop(0.01, centered=True, eps=1e-2),
        pyadam.RMSprop,
        {"lr": 0.01, "alpha": 0.9, "eps": 1e-2, "centered": True, "eps_inside_sqrt": True},
    ),
    "sgd": (
        lambda: optax.sgd(0.01, momentum=0.9, nesterov=True),
        pyadam.SGD,
        {"lr": 0.01, "momentum": 0.9, "nesterov": True},
    ),
    "lion": (lambda: optax.lion(0.01, weight_decay=0.1), pyadam.Lion, {"lr": 0.01, "weight_decay": 0.1}),
    "lamb": (lambda: optax.lamb(0.01, weight_decay=0.1), pyadam.LAMB, {"lr": 0.01, "weight_decay": 0.1}),
}


@pytest.fixture(autouse=True)
def x64() -> Iterator[None]:
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", False)


@pytest.mark.parametrize("row", ROWS)
def test_the_same_as_optax_in_float64(row: str) -> None:
    make, cls, options = ROWS[row]
    rng = np.random.default_rng(0)
    params = {"w": rng.standard_normal((5, 3)), "b": rng.standard_normal(4)}
    theirs = {name: jax.numpy.asarray(p.copy()) for name, p in params.items()}
    transform = make()
    state = transform.init(theirs)
    update = jax.jit(transform.update)
    ours = cls(params, **options)
    for _ in range(STEPS):
        grads = {name: rng.standard_normal(p.shape) for name, p in params.items()}
        ours.step(grads)
        updates, state = update(grads, state, theirs)
        theirs = optax.apply_updates(theirs, updates)
    for name, p in params.items():
        np.testing.assert_allclose(p, np.asarray(theirs[name]), rtol=1e-12, atol=1e-12)
