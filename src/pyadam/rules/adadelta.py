"""Adadelta."""

from .._hyperparameters import Flag, Fraction, NonNegative
from ._rule import Rule


class Adadelta(Rule):
    r"""Adadelta: steps in the units of the parameter, from averages of squared gradients and steps (Zeiler, 2012).

    .. math::

        v_t &= ρ v_{t-1} + (1-ρ) g_t^2 \\
        Δ_t &= \sqrt{\frac{u_{t-1} + ε}{v_t + ε}} g_t \\
        u_t &= ρ u_{t-1} + (1-ρ) Δ_t^2 \\
        p_t &= p_{t-1} - lr Δ_t

    Parameters
    ----------
    lr : float
        Factor of the step, >= 0; the paper has none.
    rho : float
        Decay rate of both averages, in [0, 1].
    eps : float
        Added to both averages before the root, >= 0.

    Notes
    -----
    Libraries agree on the formula, and differ in defaults: Keras has lr 1e-3, ρ 0.95 and ε 1e-7; ensmallen and chainer
    have ρ 0.95.

    References
    ----------
    Zeiler, "ADADELTA: An Adaptive Learning Rate Method", 2012, https://arxiv.org/abs/1212.5701.
    """

    name = "adadelta"

    lr: NonNegative = 1.0
    rho: Fraction = 0.9
    eps: NonNegative = 1e-6
    weight_decay: NonNegative = 0.0
    decoupled_weight_decay: Flag = False

    def scalars(self, t: int) -> tuple[float, ...]:
        del t
        return self.rho, 1.0 - self.rho, self.eps, self.lr
