"""NAdam."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from ._common_options import CommonOptions
from .optimizer import Optimizer

if TYPE_CHECKING:
    from typing_extensions import Unpack


class NAdam(Optimizer):
    r"""NAdam: Adam with Nesterov's momentum (Dozat, 2016).

    .. math::

        μ_t &= β_1 (1 - \tfrac12 0.96^{tψ}), \quad M_t = \prod_{i=1}^t μ_i \\
        m_t &= β_1 m_{t-1} + (1-β_1) g_t, \quad v_t = β_2 v_{t-1} + (1-β_2) g_t^2 \\
        p_t &= p_{t-1} - lr \left( \frac{1-μ_t}{1-M_t} g_t + \frac{μ_{t+1}}{1-M_{t+1}} m_t \right)
               \Big/ \left( \sqrt{v_t} / \sqrt{1-β_2^t} + ε \right)

    Parameters
    ----------
    params : ndarray, or list, tuple or dict of params, or list of group dicts
        As for every `Optimizer`.
    lr : float or function, default 2e-3
        Step size, >= 0.
    betas : (float, float) or function, default (0.9, 0.999)
        Decay rates of the averages `m` and `v`, in [0, 1).
    eps : float or function, default 1e-8
        Added to the denominator, >= 0.
    weight_decay : float or function, default 0.0
        Weight decay, >= 0: see `Optimizer`.
    momentum_decay : float or function, default 4e-3
        The exponent ψ of the momentum's warm-up, >= 0.
    decoupled_weight_decay : bool, default False
        How to decay weights: see `Optimizer`.
    **common
        ``maximize``, ``l1``, ``bounds``, ``clip_norm``, ``ema_decay``, ``master`` and others: see `Optimizer`.

    Raises
    ------
    TypeError, ValueError
        As for every `Optimizer`.

    Notes
    -----
    PyTorch and quimb agree. Keras fixes ψ at 1 (``momentum_decay=1.0``). optax does not warm the momentum up, which a
    large ψ such as 1e6 amounts to. `M` is derived from the step count and the present `betas` and `momentum_decay`;
    PyTorch keeps it as state, in float32 unless the default dtype is float64.

    References
    ----------
    Dozat, "Incorporating Nesterov Momentum into Adam", ICLR workshop 2016,
    https://openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ.

    Examples
    --------
    >>> import numpy as np, pyadam
    >>> w = np.array([1.0, -2.0])
    >>> opt = pyadam.NAdam(w, lr=0.1)
    >>> for _ in range(100):
    ...     _ = opt.step(2 * w)  # the gradient of sum(w**2)
    >>> bool(np.abs(w).max() < 0.05)
    True
    """

    _rule_name = "nadam"

    def __init__(
        self,
        params: Any,
        lr: Any = 2e-3,
        betas: Any = (0.9, 0.999),
        eps: Any = 1e-8,
        weight_decay: Any = 0.0,
        momentum_decay: Any = 4e-3,
        decoupled_weight_decay: bool = False,
        **common: Unpack[CommonOptions],
    ) -> None:
        options = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum_decay": momentum_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, options, common)

    @staticmethod
    def _scalars(options: Mapping[str, Any], t: int) -> tuple[float, ...]:
        (beta1, beta2), psi, lr = options["betas"], options["momentum_decay"], options["lr"]
        lr_gradient = lr * (1.0 - _momentum(beta1, psi, t)) / (1.0 - _product(beta1, psi, t))
        lr_momentum = lr * _momentum(beta1, psi, t + 1) / (1.0 - _product(beta1, psi, t + 1))
        root_scale = 1.0 / math.sqrt(1.0 - beta2**t)
        return beta1, 1.0 - beta1, beta2, 1.0 - beta2, root_scale, options["eps"], lr_gradient, lr_momentum

    @staticmethod
    def _derived_state(options: Mapping[str, Any], t: int) -> dict[str, float]:
        return {"mu_product": _product(options["betas"][0], options["momentum_decay"], t)}


def _momentum(beta1: float, psi: float, t: int) -> float:
    return float(beta1 * (1.0 - 0.5 * 0.96 ** (t * psi)))


@lru_cache(maxsize=64)
def _products(beta1: float, psi: float) -> dict[int, float]:
    """Return the products of the momenta up to the steps 0, 1, ..., as far as they were asked for."""
    del beta1, psi
    return {0: 1.0}


def _product(beta1: float, psi: float, t: int) -> float:
    """Return the product of the momenta up to step `t`, multiplied in the order of the steps."""
    products = _products(beta1, psi)
    while (step := len(products)) <= t:
        before = products[step - 1]
        product = before * _momentum(beta1, psi, step)
        if product == before:  # rounding has stopped it, for ever since momenta grow: the table ends here
            return product
        products[step] = product  # which another thread may have done meanwhile
    return products[t]
