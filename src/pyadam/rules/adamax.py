"""AdaMax."""

from .._hyperparameters import Betas, Flag, NonNegative
from ._rule import Rule


class Adamax(Rule):
    r"""AdaMax: Adam with the infinity norm in place of the second moment (Kingma & Ba, 2015, algorithm 2).

    .. math::

        m_t &= β_1 m_{t-1} + (1-β_1) g_t \\
        u_t &= \max(β_2 u_{t-1}, |g_t| + ε) \\
        p_t &= p_{t-1} - \frac{lr}{1-β_1^t} \frac{m_t}{u_t}

    Parameters
    ----------
    betas : (float, float)
        Decay rates of `m` and of the norm `u`, in [0, 1).
    eps : float
        Added to the gradient's magnitude, >= 0. With 0, a parameter whose gradients were all 0 becomes NaN.

    Notes
    -----
    PyTorch and optax put ε where pyadam does. Keras, ensmallen and MLX add it to the denominator `u`. MLX leaves out
    the bias correction.

    References
    ----------
    Kingma & Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015, https://arxiv.org/abs/1412.6980.
    """

    name = "adamax"

    lr: NonNegative = 2e-3
    betas: Betas = (0.9, 0.999)
    eps: NonNegative = 1e-8
    weight_decay: NonNegative = 0.0
    decoupled_weight_decay: Flag = False

    def scalars(self, t: int) -> tuple[float, ...]:
        beta1, beta2 = self.betas
        return beta1, 1.0 - beta1, beta2, self.eps, self.lr / (1.0 - beta1**t)
