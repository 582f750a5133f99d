"""The update rules in plain NumPy; `pyadam.rules` has their formulas and sources.

Each function takes a parameter `p`, its gradient `g`, its state and the step `t` (from 1), and returns the new
parameter and state; nothing is changed in place. The operations and their order are those of the C++ headers in
``src/cpp/kernel/rules``, each rounded once in the parameter's dtype, so results are equal to the last bit. Scalars are
formed in double precision and rounded once.

Every function also takes the hyperparameters ``lr``, ``weight_decay``, ``decoupled_weight_decay``, ``maximize``,
``clip_value``, ``l1`` and ``bounds``, as the classes do, with their defaults, and ``grad_factor``, which the gradient
is multiplied by first.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .norms import norm

__all__ = [
    "adadelta",
    "adagrad",
    "adam",
    "adamax",
    "amsgrad",
    "lamb",
    "lion",
    "nadam",
    "radam",
    "rmsprop",
    "rmsprop_centered",
    "rmsprop_centered_momentum",
    "rmsprop_momentum",
    "sgd",
    "sgd_momentum",
    "sgd_nesterov",
]

Array = NDArray[Any]
Betas = tuple[float, float]
Rule = Callable[..., tuple[Array, ...]]


def _staged(rule: Rule) -> Rule:
    """Add what the kernel does around every rule, so that a rule is its mathematics alone."""
    own = inspect.signature(rule).parameters
    default_lr = own["lr"].default

    @wraps(rule)
    def step(
        p: Array,
        g: Array,
        *state_and_t: Any,
        lr: float = default_lr,
        weight_decay: float = 0.0,
        decoupled_weight_decay: bool = False,
        maximize: bool = False,
        grad_factor: float = 1.0,
        clip_value: float | None = None,
        l1: float = 0.0,
        bounds: tuple[Any, Any] | None = None,
        **options: Any,
    ) -> tuple[Array, ...]:
        T = p.dtype.type
        if "weight_decay" in own:  # which the rule applies itself
            options["weight_decay"], weight_decay = weight_decay, 0.0
        with np.errstate(all="ignore"):
            # In p's memory order too, which is the order that norms are added in.
            sign = -1.0 if maximize else 1.0
            g = T(sign * grad_factor) * g.astype(p.dtype, order="C" if p.flags.c_contiguous else "F")
            if clip_value is not None:
                g = _clamped(g, T(-clip_value), T(clip_value))
            if not decoupled_weight_decay and T(weight_decay) != 0:
                g = g + T(weight_decay) * p
            if T(l1) != 0:
                g = g + T(l1) * np.sign(p)
            if decoupled_weight_decay:
                p = p * T(1.0 - lr * weight_decay)
            p, *state = rule(p, g, *state_and_t, lr=lr, **options)
            if bounds is not None:
                p = _clamped(p, np.asarray(bounds[0], p.dtype), np.asarray(bounds[1], p.dtype))
        return p, *state

    return step


def _clamped(x: Array, low: Any, high: Any) -> Array:
    clamped = np.where(x < low, low, np.where(x > high, high, x))
    return clamped.astype(x.dtype, order="C" if x.flags.c_contiguous else "F", copy=False)


def _average(old: Array, new: Array, rate: float) -> Array:
    """Return a running average that keeps the part `rate` of what it was."""
    T = old.dtype.type
    average: Array = T(rate) * old + T(1.0 - rate) * new
    return average


def _bias_correction(lr: float, betas: Betas, t: int, epsilon_hat: bool) -> tuple[float, float]:
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
    lr: float = 1e-3,
    betas: Betas = (0.9, 0.999),
    eps: float = 1e-8,
    epsilon_hat: bool = False,
) -> tuple[Array, Array, Array]:
    """Return p, m and v after a step of `pyadam.Adam` (Kingma & Ba, 2015)."""
    T = p.dtype.type
    root_scale, step_size = _bias_correction(lr, betas, t, epsilon_hat)
    m, v = _average(m, g, betas[0]), _average(v, g * g, betas[1])
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
    lr: float = 1e-3,
    betas: Betas = (0.9, 0.999),
    eps: float = 1e-8,
    epsilon_hat: bool = False,
) -> tuple[Array, Array, Array, Array]:
    """Return p, m, v and v_max after a step of ``pyadam.Adam(amsgrad=True)`` (Reddi, Kale & Kumar, 2018)."""
    T = p.dtype.type
    root_scale, step_size = _bias_correction(lr, betas, t, epsilon_hat)
    m, v = _average(m, g, betas[0]), _average(v, g * g, betas[1])
    v_max = np.maximum(v_max, v)
    p = p - (T(step_size) * m) / (np.sqrt(v_max) * T(root_scale) + T(eps))
    return p, m, v, v_max


@_staged
def nadam(
    p: Array,
    g: Array,
    m: Array,
    v: Array,
    t: int,
    *,
    lr: float = 2e-3,
    betas: Betas = (0.9, 0.999),
    eps: float = 1e-8,
    momentum_decay: float = 4e-3,
) -> tuple[Array, Array, Array]:
    """Return p, m and v after a step of `pyadam.NAdam` (Dozat, 2016)."""
    T = p.dtype.type
    momenta = [betas[0] * (1.0 - 0.5 * 0.96 ** (i * momentum_decay)) for i in range(1, t + 2)]
    product = math.prod(momenta[:t])
    lr_gradient = lr * (1.0 - momenta[t - 1]) / (1.0 - product)
    lr_momentum = lr * momenta[t] / (1.0 - product * momenta[t])
    root_scale = 1.0 / math.sqrt(1.0 - betas[1] ** t)
    m, v = _average(m, g, betas[0]), _average(v, g * g, betas[1])
    p = p - (T(lr_gradient) * g + T(lr_momentum) * m) / (np.sqrt(v) * T(root_scale) + T(eps))
    return p, m, v


@_staged
def radam(
    p: Array, g: Array, m: Array, v: Array, t: int, *, lr: float = 1e-3, betas: Betas = (0.9, 0.999), eps: float = 1e-8
) -> tuple[Array, Array, Array]:
    """Return p, m and v after a step of `pyadam.RAdam` (Liu et al., 2020)."""
    T = p.dtype.type
    bias2 = 1.0 - betas[1] ** t
    rho_inf = 2.0 / (1.0 - betas[1]) - 1.0
    rho = rho_inf - 2.0 * t * betas[1] ** t / bias2
    step_size = lr / (1.0 - betas[0] ** t)
    m, v = _average(m, g, betas[0]), _average(v, g * g, betas[1])
    if rho > 5.0:
        variance = (rho - 4.0) * (rho - 2.0) * rho_inf / ((rho_inf - 4.0) * (rho_inf - 2.0) * rho)
        step_size *= math.sqrt(variance) * math.sqrt(bias2)
        p = p - (T(step_size) * m) / (np.sqrt(v) + T(eps))
    else:
        p = p - T(step_size) * m
    return p, m, v


@_staged
def adamax(
    p: Array, g: Array, m: Array, u: Array, t: int, *, lr: float = 2e-3, betas: Betas = (0.9, 0.999), eps: float = 1e-8
) -> tuple[Array, Array, Array]:
    """Return p, m and u after a step of `pyadam.Adamax` (Kingma & Ba, 2015, algorithm 2)."""
    T = p.dtype.type
    m = _average(m, g, betas[0])
    u = np.maximum(T(betas[1]) * u, np.abs(g) + T(eps))
    p = p - (T(lr / (1.0 - betas[0] ** t)) * m) / u
    return p, m, u


@_staged
def adadelta(
    p: Array, g: Array, v: Array, u: Array, t: int, *, lr: float = 1.0, rho: float = 0.9, eps: float = 1e-6
) -> tuple[Array, Array, Array]:
    """Return p, v and u after a step of `pyadam.Adadelta` (Zeiler, 2012)."""
    del t
    T = p.dtype.type
    v = _average(v, g * g, rho)
    delta = np.sqrt((u + T(eps)) / (v + T(eps))) * g
    u = _average(u, delta * delta, rho)
    p = p - T(lr) * delta
    return p, v, u


@_staged
def adagrad(
    p: Array, g: Array, s: Array, t: int, *, lr: float = 1e-2, lr_decay: float = 0.0, eps: float = 1e-10
) -> tuple[Array, Array]:
    """Return p and s after a step of `pyadam.Adagrad` (Duchi, Hazan & Singer, 2011)."""
    T = p.dtype.type
    s = s + g * g
    p = p - (T(lr / (1.0 + (t - 1) * lr_decay)) * g) / (np.sqrt(s) + T(eps))
    return p, s


def _root(v: Array, eps: float, eps_inside_sqrt: bool) -> Array:
    T = v.dtype.type
    return np.asarray(np.sqrt(v + T(eps)) if eps_inside_sqrt else np.sqrt(v) + T(eps))


@_staged
def rmsprop(
    p: Array,
    g: Array,
    v: Array,
    t: int,
    *,
    lr: float = 1e-2,
    alpha: float = 0.99,
    eps: float = 1e-8,
    eps_inside_sqrt: bool = False,
) -> tuple[Array, Array]:
    """Return p and v after a step of `pyadam.RMSprop` (Tieleman & Hinton, 2012)."""
    del t
    T = p.dtype.type
    v = _average(v, g * g, alpha)
    p = p - (T(lr) * g) / _root(v, eps, eps_inside_sqrt)
    return p, v


@_staged
def rmsprop_momentum(
    p: Array,
    g: Array,
    v: Array,
    b: Array,
    t: int,
    *,
    lr: float = 1e-2,
    alpha: float = 0.99,
    eps: float = 1e-8,
    momentum: float,
    eps_inside_sqrt: bool = False,
    lr_in_momentum: bool = False,
) -> tuple[Array, Array, Array]:
    """Return p, v and b after a step of ``pyadam.RMSprop(momentum=...)``."""
    del t
    T = p.dtype.type
    v = _average(v, g * g, alpha)
    b = T(momentum) * b + (T(lr if lr_in_momentum else 1.0) * g) / _root(v, eps, eps_inside_sqrt)
    p = p - T(1.0 if lr_in_momentum else lr) * b
    return p, v, b


@_staged
def rmsprop_centered(
    p: Array,
    g: Array,
    v: Array,
    m: Array,
    t: int,
    *,
    lr: float = 1e-2,
    alpha: float = 0.99,
    eps: float = 1e-8,
    eps_inside_sqrt: bool = False,
) -> tuple[Array, Array, Array]:
    """Return p, v and m after a step of ``pyadam.RMSprop(centered=True)`` (Graves, 2013)."""
    del t
    T = p.dtype.type
    v, m = _average(v, g * g, alpha), _average(m, g, alpha)
    p = p - (T(lr) * g) / _root(v - m * m, eps, eps_inside_sqrt)
    return p, v, m


@_staged
def rmsprop_centered_momentum(
    p: Array,
    g: Array,
    v: Array,
    b: Array,
    m: Array,
    t: int,
    *,
    lr: float = 1e-2,
    alpha: float = 0.99,
    eps: float = 1e-8,
    momentum: float,
    eps_inside_sqrt: bool = False,
    lr_in_momentum: bool = False,
) -> tuple[Array, Array, Array, Array]:
    """Return p, v, b and m after a step of ``pyadam.RMSprop(centered=True, momentum=...)``."""
    del t
    T = p.dtype.type
    v, m = _average(v, g * g, alpha), _average(m, g, alpha)
    b = T(momentum) * b + (T(lr if lr_in_momentum else 1.0) * g) / _root(v - m * m, eps, eps_inside_sqrt)
    p = p - T(1.0 if lr_in_momentum else lr) * b
    return p, v, b, m


@_staged
def sgd(p: Array, g: Array, t: int, *, lr: float = 1e-3) -> tuple[Array]:
    """Return p after a step of `pyadam.SGD`."""
    del t
    return (p - p.dtype.type(lr) * g,)


def _gradient_scale(t: int, lr: float, dampening: float, lr_in_momentum: bool) -> float:
    undamped = 1.0 - dampening if t > 1 else 1.0
    return undamped * lr if lr_in_momentum else undamped


@_staged
def sgd_momentum(
    p: Array,
    g: Array,
    b: Array,
    t: int,
    *,
    lr: float = 1e-3,
    momentum: float,
    dampening: float = 0.0,
    lr_in_momentum: bool = False,
) -> tuple[Array, Array]:
    """Return p and b after a step of ``pyadam.SGD(momentum=...)`` (Polyak, 1964)."""
    T = p.dtype.type
    b = T(momentum) * b + T(_gradient_scale(t, lr, dampening, lr_in_momentum)) * g
    p = p - T(1.0 if lr_in_momentum else lr) * b
    return p, b


@_staged
def sgd_nesterov(
    p: Array, g: Array, b: Array, t: int, *, lr: float = 1e-3, momentum: float, lr_in_momentum: bool = False
) -> tuple[Array, Array]:
    """Return p and b after a step of ``pyadam.SGD(momentum=..., nesterov=True)`` (Sutskever et al., 2013)."""
    T = p.dtype.type
    gradient_scale = T(_gradient_scale(t, lr, 0.0, lr_in_momentum))
    b = T(momentum) * b + gradient_scale * g
    p = p - T(1.0 if lr_in_momentum else lr) * (T(momentum) * b + gradient_scale * g)
    return p, b


@_staged
def lion(p: Array, g: Array, m: Array, t: int, *, lr: float = 1e-4, betas: Betas = (0.9, 0.99)) -> tuple[Array, Array]:
    """Return p and m after a step of `pyadam.Lion` (Chen et al., 2023)."""
    del t
    T = p.dtype.type
    p = p - T(lr) * np.sign(_average(m, g, betas[0]))
    m = _average(m, g, betas[1])
    return p, m


@_staged
def lamb(
    p: Array,
    g: Array,
    m: Array,
    v: Array,
    t: int,
    *,
    lr: float = 1e-3,
    betas: Betas = (0.9, 0.999),
    eps: float = 1e-6,
    weight_decay: float = 0.0,
    stored: Callable[[int, Array], Array] = lambda _, state: state,
) -> tuple[Array, Array, Array]:
    """Return p, m and v after a step of `pyadam.LAMB` (You et al., 2020), whose weight decay is its own.

    Its second pass reads the state as the first has stored it: ``stored(index, state)``.
    """
    T = p.dtype.type
    m, v = stored(0, _average(m, g, betas[0])), stored(1, _average(v, g * g, betas[1]))
    mean_scale, root_scale = 1.0 / (1.0 - betas[0] ** t), 1.0 / math.sqrt(1.0 - betas[1] ** t)
    direction = (T(mean_scale) * m) / (np.sqrt(v) * T(root_scale) + T(eps)) + T(weight_decay) * p
    p_norm, direction_norm = norm(p), norm(direction)
    ratio = 1.0 if p_norm == 0 or direction_norm == 0 else p_norm / direction_norm
    p = p - T(lr * ratio) * direction
    return p, m, v
