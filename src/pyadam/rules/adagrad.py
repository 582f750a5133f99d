"""Adagrad."""

from .._hyperparameters import FixedNonNegative, Flag, NonNegative
from ._rule import Rule


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

    lr: NonNegative = 1e-2
    lr_decay: NonNegative = 0.0
    weight_decay: NonNegative = 0.0
    initial_accumulator_value: FixedNonNegative = 0.0
    eps: NonNegative = 1e-10
    decoupled_weight_decay: Flag = False

    def initial_state(self) -> float:
        return self.initial_accumulator_value

    def scalars(self, t: int) -> tuple[float, ...]:
        return self.eps, self.lr / (1.0 + (t - 1) * self.lr_decay)
