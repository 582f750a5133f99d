"""Steps divided by the root of squared gradients: Adagrad, Adadelta and RMSprop."""

from .._hyperparameters import FixedNonNegative, Flag, Fraction, NonNegative, StepSize
from ._rule import Rule

__all__ = ["Adadelta", "Adagrad", "RMSprop"]


class Adagrad(Rule):
    r"""Adagrad: steps divided by the root of the sum of squared gradients (Duchi, Hazan & Singer, 2011).

    .. math::

        s_t &= s_{t-1} + g_t^2 \\
        p_t &= p_{t-1} - \frac{lr}{1 + (t-1) η} \frac{g_t}{\sqrt{s_t} + ε}

    Parameters
    ----------
    lr_decay : float
        The decay η of the step size, >= 0.
    initial_accumulator_value : float
        What `s` starts at, >= 0. Decides what state begins with.

    Notes
    -----
    PyTorch, MLX, chainer and ensmallen add ε outside the root; optax, Keras and PennyLane inside it, the first two with
    ε 1e-7 and a sum that starts at 0.1.

    References
    ----------
    Duchi, Hazan & Singer, "Adaptive Subgradient Methods for Online Learning and Stochastic Optimization", JMLR 12,
    2011, https://jmlr.org/papers/v12/duchi11a.html.
    """

    name = "adagrad"

    lr: StepSize = 1e-2
    lr_decay: NonNegative = 0.0
    weight_decay: NonNegative = 0.0
    initial_accumulator_value: FixedNonNegative = 0.0
    eps: NonNegative = 1e-10
    decoupled_weight_decay: Flag = False

    def initial_state(self) -> float:
        return self.initial_accumulator_value

    def scalars(self, t: int, carried: tuple[float, ...] = ()) -> tuple[float, ...]:
        del carried
        return self.eps, self.lr / (1.0 + (t - 1) * self.lr_decay)


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

    lr: StepSize = 1.0
    rho: Fraction = 0.9
    eps: NonNegative = 1e-6
    weight_decay: NonNegative = 0.0
    decoupled_weight_decay: Flag = False

    def scalars(self, t: int, carried: tuple[float, ...] = ()) -> tuple[float, ...]:
        del t, carried
        return self.rho, 1.0 - self.rho, self.eps, self.lr


class RMSprop(Rule):
    r"""RMSprop: steps divided by a running root mean square of the gradients (Tieleman & Hinton, 2012).

    .. math::

        v_t &= α v_{t-1} + (1-α) g_t^2, \quad m_t = α m_{t-1} + (1-α) g_t \\
        b_t &= μ b_{t-1} + \frac{g_t}{\sqrt{v_t - m_t^2} + ε} \\
        p_t &= p_{t-1} - lr b_t

    `m` is left out unless `centered`, and `b` has no memory without `momentum`.

    Parameters
    ----------
    alpha : float
        Decay rate of the averages `v` and `m`, in [0, 1].
    momentum : float
        The factor μ of the last step, >= 0. Whether it is 0 decides what state there is.
    centered : bool
        Divide by the standard deviation (Graves, 2013). Decides what state there is. Rounding can make the variance of
        nearly constant gradients negative; the parameter is then NaN, as in all libraries.
    eps_inside_sqrt : bool
        Add `eps` under the root.
    lr_in_momentum : bool
        Multiply `lr` into `b` when it is made, not when it is used: the two differ where `lr` changes. Needs momentum.

    Notes
    -----
    PyTorch, MLX and ensmallen add ε outside the root and multiply `lr` at the end, with α 0.99. Keras, optax and
    PennyLane add it inside, with α 0.9; Keras and optax keep `lr` in the momentum. autograd and quimb start `v` at 1.

    References
    ----------
    Tieleman & Hinton, "Neural Networks for Machine Learning", lecture 6.5, 2012.
    Graves, "Generating Sequences With Recurrent Neural Networks", 2013, https://arxiv.org/abs/1308.0850.
    """

    variants = ({}, {"momentum": 0.9}, {"centered": True}, {"centered": True, "momentum": 0.9})
    deciding = frozenset({"momentum"})

    lr: StepSize = 1e-2
    alpha: Fraction = 0.99
    eps: NonNegative = 1e-8
    weight_decay: NonNegative = 0.0
    momentum: NonNegative = 0.0
    centered: Flag = False
    eps_inside_sqrt: Flag = False
    lr_in_momentum: Flag = False
    decoupled_weight_decay: Flag = False

    def kernel(self) -> str:
        if self.lr_in_momentum and self.momentum == 0:
            raise ValueError("lr_in_momentum=True needs a momentum > 0, found momentum=0")
        centered = "_centered" if self.centered else ""
        momentum = "_momentum" if self.momentum != 0 else ""
        return f"rmsprop{centered}{momentum}"

    def scalars(self, t: int, carried: tuple[float, ...] = ()) -> tuple[float, ...]:
        del t, carried
        eps_inside, eps_outside = (self.eps, 0.0) if self.eps_inside_sqrt else (0.0, self.eps)
        lr_in_buffer, lr = (self.lr, 1.0) if self.lr_in_momentum else (1.0, self.lr)
        return self.alpha, 1.0 - self.alpha, eps_inside, eps_outside, self.momentum, lr_in_buffer, lr
