"""Every update rule in plain NumPy: the specification of the kernel, and what tests compare it with.

Each function takes a parameter `p`, its gradient `g`, its state and the step `t` (from 1), and returns the new
parameter and state; nothing is changed in place. The operations and their order are those of the C++ headers in
``src/cpp/rules``, each rounded once in the parameter's dtype, so results are equal to the last bit. Scalars are formed
in double precision and rounded once.

Every function also takes ``lr``, ``weight_decay``, ``decoupled_weight_decay`` and ``maximize``, as the classes do.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Rule = Callable[..., tuple[Array, ...]]

__all__ = ["adam", "amsgrad"]


def _staged(rule: Rule) -> Rule:
    """Add what the kernel does around every rule, so that a rule is its mathematics alone."""

    @wraps(rule)
    def step(
        p: Array,
        g: Array,
        *state_and_t: Any,
        lr: float = 1e-3,
        weight_decay: float = 0.0,
        maximize: bool = False,
        decoupled_weight_decay: bool = False,
        **options: Any,
    ) -> tuple[Array, ...]:
        T = p.dtype.type
        with np.errstate(all="ignore"):
            g = T(-1.0 if maximize else 1.0) * g.astype(p.dtype)
            if decoupled_weight_decay:
                p = p * T(1.0 - lr * weight_decay)
            elif T(weight_decay) != 0:
                g = g + T(weight_decay) * p
            return rule(p, g, *state_and_t, lr=lr, **options)

    return step


def _bias_correction(lr: float, betas: tuple[float, float], t: int, epsilon_hat: bool) -> tuple[float, float]:
    """Return the factor of sqrt(v) and the step size that take the bias out of m and v."""
    root = math.sqrt(1.0 - betas[1] ** t)
    bias1 = 1.0 - betas[0] ** t
    return (1.0, lr * root / bias1) if epsilon_hat else (1.0 / root, lr / bias1)


@_staged
def adam(
    p: Array,
    g: Array,
    m: Array,
    v: Array,
    t: int,
    *,
    lr: float,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    epsilon_hat: bool = False,
) -> tuple[Array, Array, Array]:
    """Return p, m and v after a step of `pyadam.Adam` (Kingma & Ba, 2015)."""
    T = p.dtype.type
    root_scale, step_size = _bias_correction(lr, betas, t, epsilon_hat)
    m = T(betas[0]) * m + T(1.0 - betas[0]) * g
    v = T(betas[1]) * v + T(1.0 - betas[1]) * (g * g)
    p = p - (T(step_size) * m) / (np.sqrt(v) * T(root_scale) + T(eps))
    return p, m, v


@_staged
def amsgrad(
    p: Array,
    g: Array,
    m: Array,
    v: Array,
    v_max: Array,
    t: int,
    *,
    lr: float,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    epsilon_hat: bool = False,
) -> tuple[Array, Array, Array, Array]:
    """Return p, m, v and v_max after a step of ``pyadam.Adam(amsgrad=True)`` (Reddi, Kale & Kumar, 2018)."""
    T = p.dtype.type
    root_scale, step_size = _bias_correction(lr, betas, t, epsilon_hat)
    m = T(betas[0]) * m + T(1.0 - betas[0]) * g
    v = T(betas[1]) * v + T(1.0 - betas[1]) * (g * g)
    v_max = np.maximum(v_max, v)
    p = p - (T(step_size) * m) / (np.sqrt(v_max) * T(root_scale) + T(eps))
    return p, m, v, v_max
