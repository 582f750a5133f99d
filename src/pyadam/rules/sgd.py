"""Gradient descent with momentum, and Lion, which steps by its sign."""

from .._hyperparameters import Betas, Flag, Fraction, NonNegative, StepSize
from ._rule import Rule

__all__ = ["SGD", "Lion"]


class SGD(Rule):
    r"""Gradient descent, with momentum and Nesterov's momentum.

    .. math::

        b_1 &= g_1, \quad b_t = μ b_{t-1} + (1-τ) g_t \\
        p_t &= p_{t-1} - lr \begin{cases} g_t + μ b_t & \text{nesterov} \\ b_t & \text{otherwise} \end{cases}

    Parameters
    ----------
    momentum : float
        The factor μ of the last step, >= 0. Whether it is 0 decides what state there is.
    dampening : float
        The dampening τ, in [0, 1]. It does not touch the first step.
    nesterov : bool
        Step from where the momentum leads; needs a momentum and no dampening.
    lr_in_momentum : bool
        Multiply `lr` into `b` when it is made, not when it is used: the two differ where `lr` changes. Needs momentum.

    Notes
    -----
    PyTorch multiplies `lr` at the end and leaves dampening out of the first step; MLX dampens that too. Keras,
    scikit-learn and Sutskever et al. keep `lr` in the momentum, as ``lr_in_momentum=True`` of `pyadam.SGD` does.

    References
    ----------
    Polyak, "Some methods of speeding up the convergence of iteration methods", 1964.
    Sutskever et al., "On the importance of initialization and momentum in deep learning", ICML 2013,
    https://proceedings.mlr.press/v28/sutskever13.html.
    """

    variants = ({}, {"momentum": 0.9}, {"momentum": 0.9, "nesterov": True})
    deciding = frozenset({"momentum", "dampening"})
    counts_steps_in_torch = False

    lr: StepSize = 1e-3
    momentum: NonNegative = 0.0
    dampening: Fraction = 0.0
    weight_decay: NonNegative = 0.0
    nesterov: Flag = False
    lr_in_momentum: Flag = False
    decoupled_weight_decay: Flag = False

    def kernel(self) -> str:
        if self.lr_in_momentum and self.momentum == 0:
            raise ValueError("lr_in_momentum=True needs a momentum > 0, found momentum=0")
        if self.nesterov:
            if self.momentum == 0 or self.dampening != 0:
                found = f"momentum={self.momentum!r} and dampening={self.dampening!r}"
                raise ValueError(f"nesterov=True needs a momentum > 0 and a dampening of 0, found {found}")
            return "sgd_nesterov"
        return "sgd" if self.momentum == 0 else "sgd_momentum"

    def scalars(self, t: int, carried: tuple[float, ...] = ()) -> tuple[float, ...]:
        del carried
        gradient_scale = 1.0 - self.dampening if t > 1 else 1.0
        if self.lr_in_momentum:
            return self.momentum, gradient_scale * self.lr, 1.0
        return self.momentum, gradient_scale, self.lr


class Lion(Rule):
    r"""Lion: steps of the sign of an interpolated momentum (Chen et al., 2023).

    .. math::

        p_t &= (1 - lr λ) p_{t-1} - lr \operatorname{sign}(β_1 m_{t-1} + (1-β_1) g_t) \\
        m_t &= β_2 m_{t-1} + (1-β_2) g_t

    Parameters
    ----------
    lr : float
        Step size, >= 0: three to ten times less than Adam's.
    betas : (float, float)
        Weight of the momentum in the step, and its decay rate, in [0, 1).
    weight_decay : float
        The weight decay λ, >= 0: three to ten times more than AdamW's.
    decoupled_weight_decay : bool
        Decay as above, which is the paper's. If False, ``weight_decay * p`` is added to the gradient instead.

    Notes
    -----
    ``sign(0)`` is 0. Libraries agree on the formula; optax's default weight decay is 1e-3, MLX's 0.

    References
    ----------
    Chen et al., "Symbolic Discovery of Optimization Algorithms", NeurIPS 2023, https://arxiv.org/abs/2302.06675.
    """

    name = "lion"

    lr: StepSize = 1e-4
    betas: Betas = (0.9, 0.99)
    weight_decay: NonNegative = 0.0
    decoupled_weight_decay: Flag = True

    def scalars(self, t: int, carried: tuple[float, ...] = ()) -> tuple[float, ...]:
        del t, carried
        beta1, beta2 = self.betas
        return beta1, 1.0 - beta1, beta2, 1.0 - beta2, self.lr
