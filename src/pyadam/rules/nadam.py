"""NAdam."""

import math
from functools import lru_cache

from .._hyperparameters import Betas, Flag, NonNegative
from ._rule import Rule


class NAdam(Rule):
    r"""NAdam: Adam with Nesterov's momentum (Dozat, 2016).

    .. math::

        μ_t &= β_1 (1 - \tfrac12 0.96^{tψ}), \quad M_t = \prod_{i=1}^t μ_i \\
        m_t &= β_1 m_{t-1} + (1-β_1) g_t, \quad v_t = β_2 v_{t-1} + (1-β_2) g_t^2 \\
        p_t &= p_{t-1} - lr \left( \frac{1-μ_t}{1-M_t} g_t + \frac{μ_{t+1}}{1-M_{t+1}} m_t \right)
               \Big/ \left( \sqrt{v_t} / \sqrt{1-β_2^t} + ε \right)

    Parameters
    ----------
    momentum_decay : float
        The exponent ψ of the momentum's warm-up, >= 0.

    Notes
    -----
    PyTorch and quimb agree. Keras fixes ψ at 1 (``momentum_decay=1.0``). optax does not warm the momentum up, which a
    large ψ such as 1e6 amounts to. `M` is derived from the step count and the present `betas` and `momentum_decay`;
    PyTorch keeps it as state, in float32 unless the default dtype is float64.

    References
    ----------
    Dozat, "Incorporating Nesterov Momentum into Adam", ICLR workshop 2016,
    https://openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ.
    """

    name = "nadam"

    lr: NonNegative = 2e-3
    betas: Betas = (0.9, 0.999)
    eps: NonNegative = 1e-8
    weight_decay: NonNegative = 0.0
    momentum_decay: NonNegative = 4e-3
    decoupled_weight_decay: Flag = False

    def scalars(self, t: int) -> tuple[float, ...]:
        (beta1, beta2), psi = self.betas, self.momentum_decay
        lr_gradient = self.lr * (1.0 - _momentum(beta1, psi, t)) / (1.0 - _product(beta1, psi, t))
        lr_momentum = self.lr * _momentum(beta1, psi, t + 1) / (1.0 - _product(beta1, psi, t + 1))
        root_scale = 1.0 / math.sqrt(1.0 - beta2**t)
        return beta1, 1.0 - beta1, beta2, 1.0 - beta2, root_scale, self.eps, lr_gradient, lr_momentum

    def derived_state(self, t: int) -> dict[str, float]:
        return {"mu_product": _product(self.betas[0], self.momentum_decay, t)}


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
