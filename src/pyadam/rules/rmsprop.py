"""RMSprop, also centered and with momentum."""

from .._hyperparameters import Flag, Fraction, NonNegative
from ._rule import Rule


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

    deciding = frozenset({"momentum"})

    lr: NonNegative = 1e-2
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

    def scalars(self, t: int) -> tuple[float, ...]:
        del t
        eps_inside, eps_outside = (self.eps, 0.0) if self.eps_inside_sqrt else (0.0, self.eps)
        lr_in_buffer, lr = (self.lr, 1.0) if self.lr_in_momentum else (1.0, self.lr)
        return self.alpha, 1.0 - self.alpha, eps_inside, eps_outside, self.momentum, lr_in_buffer, lr
