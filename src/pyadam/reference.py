"""Every update rule in plain NumPy: the specification of the kernel, and what tests compare it with.

Each function takes a parameter `p`, its gradient `g`, its state and the step `t` (from 1), and returns the new
parameter and state; nothing is changed in place. The operations and their order are those of the C++ headers in
``src/cpp/rules``, each rounded once in the parameter's dtype, so results are equal to the last bit. Scalars are formed
in double precision and rounded once.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

__all__ = ["adam", "amsgrad"]


def _gradient(p: Array, g: Array, weight_decay: float, decoupled: bool, maximize: bool) -> Array:
    """Return the gradient as the rule sees it: in p's dtype, its sign turned, coupled weight decay added."""
    T = p.dtype.type
    g = T(-1.0 if maximize else 1.0) * g.astype(p.dtype)
    if weight_decay != 0 and not decoupled:
        g = g + T(weight_decay) * p
    return g


def _decayed(p: Array, lr: float, weight_decay: float, decoupled: bool) -> Array:
    """Return the parameter after decoupled weight decay."""
    T = p.dtype.type
    return p * T(1.0 - lr * weight_decay) if decoupled else p


def _bias_correction(
    lr: float, betas: tuple[float, float], t: int, epsilon_hat: bool
) -> tuple[float, float]:
    """Return the factor of sqrt(v) and the step size, with the bias of m and v taken out."""
    root = math.sqrt(1.0 - betas[1] ** t)
    bias1 = 1.0 - betas[0] ** t
    return (1.0, lr * root / bias1) if epsilon_hat else (1.0 / root, lr / bias1)


def adam(
    p: Array,
    g: Array,
    m: Array,
    v: Array,
    t: int,
    *,
    lr: float = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    maximize: bool = False,
    decoupled_weight_decay: bool = False,
    epsilon_hat: bool = False,
) -> tuple[Array, Array, Array]:
    """Return p, m and v after a step of `pyadam.Adam` (Kingma & Ba, 2015)."""
    T = p.dtype.type
    root_scale, step_size = _bias_correction(lr, betas, t, epsilon_hat)
    with np.errstate(all="ignore"):
        g = _gradient(p, g, weight_decay, decoupled_weight_decay, maximize)
        p = _decayed(p, lr, weight_decay, decoupled_weight_decay)
        m = T(betas[0]) * m + T(1.0 - betas[0]) * g
        v = T(betas[1]) * v + T(1.0 - betas[1]) * (g * g)
        p = p - (T(step_size) * m) / (np.sqrt(v) * T(root_scale) + T(eps))
    return p, m, v


def amsgrad(
    p: Array,
    g: Array,
    m: Array,
    v: Array,
    v_max: Array,
    t: int,
    *,
    lr: float = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    maximize: bool = False,
    decoupled_weight_decay: bool = False,
    epsilon_hat: bool = False,
) -> tuple[Array, Array, Array, Array]:
    """Return p, m, v and v_max after a step of ``pyadam.Adam(amsgrad=True)`` (Reddi, Kale & Kumar, 2018)."""
    T = p.dtype.type
    root_scale, step_size = _bias_correction(lr, betas, t, epsilon_hat)
    with np.errstate(all="ignore"):
        g = _gradient(p, g, weight_decay, decoupled_weight_decay, maximize)
        p = _decayed(p, lr, weight_decay, decoupled_weight_decay)
        m = T(betas[0]) * m + T(1.0 - betas[0]) * g
        v = T(betas[1]) * v + T(1.0 - betas[1]) * (g * g)
        v_max = np.maximum(v_max, v)
        p = p - (T(step_size) * m) / (np.sqrt(v_max) * T(root_scale) + T(eps))
    return p, m, v, v_max
