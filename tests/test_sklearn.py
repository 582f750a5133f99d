"""Equality to the last bit with scikit-learn's own optimizers, which its own tests ask of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from makers import Maker

import pyadam

optimizers = pytest.importorskip("sklearn.neural_network._stochastic_optimizers")

SHAPES = [(4, 6), (6,), (1,), ()]


def check(theirs: Any, ours: pyadam.Optimizer, params: list[np.ndarray], expected: list[np.ndarray]) -> None:
    make = Maker(1)
    for _ in range(200):
        grads = make.like(params)
        theirs.update_params(expected, grads)
        ours.step(grads)
        for p, e in zip(params, expected, strict=True):
            np.testing.assert_array_equal(p, e)


@pytest.mark.parametrize("lr", [1e-3, 0.1])
@pytest.mark.parametrize("beta1", [0.0, 0.9])
@pytest.mark.parametrize("beta2", [0.99, 0.999])
def test_adam(lr: float, beta1: float, beta2: float) -> None:
    params, expected = (Maker(0).arrays(SHAPES) for _ in range(2))
    theirs = optimizers.AdamOptimizer(expected, lr, beta1, beta2)
    ours = pyadam.Adam(params, lr, (beta1, beta2), epsilon_hat=True)
    check(theirs, ours, params, expected)


@pytest.mark.parametrize("lr", [1e-3, 0.1])
@pytest.mark.parametrize("momentum", [0.5, 0.9])
@pytest.mark.parametrize("nesterov", [False, True])
def test_sgd(lr: float, momentum: float, nesterov: bool) -> None:
    params, expected = (Maker(0).arrays(SHAPES) for _ in range(2))
    theirs = optimizers.SGDOptimizer(expected, lr, momentum=momentum, nesterov=nesterov)
    ours = pyadam.SGD(params, lr, momentum, nesterov=nesterov, lr_in_momentum=True)
    check(theirs, ours, params, expected)
