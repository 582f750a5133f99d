"""LAMB."""

import math

from .._hyperparameters import Betas, NonNegative
from ._rule import Rule


class LAMB(Rule):
    r"""LAMB: Adam's direction, scaled in each parameter by the ratio of norms (You et al., 2020).

    .. math::

        m_t &= β_1 m_{t-1} + (1-β_1) g_t, \quad v_t = β_2 v_{t-1} + (1-β_2) g_t^2 \\
        d_t &= \frac{m_t / (1-β_1^t)}{\sqrt{v_t} / \sqrt{1-β_2^t} + ε} + λ p_{t-1} \\
        p_t &= p_{t-1} - lr \frac{\|p_{t-1}\|}{\|d_t\|} d_t

    The ratio is 1 where either norm is 0. Norms are over one array of params.

    Parameters
    ----------
    weight_decay : float
        The weight decay λ, >= 0. It is part of the direction whose norm is taken, as the paper has it.

    Notes
    -----
    optax, tinygrad and pytorch_optimizer agree; Keras has ε 1e-7 and decays weights outside the ratio. Norms are summed
    in double precision in one fixed order, so they do not depend on the CPU or the number of threads.

    References
    ----------
    You et al., "Large Batch Optimization for Deep Learning: Training BERT in 76 minutes", ICLR 2020,
    https://arxiv.org/abs/1904.00962.
    """

    name = "lamb"
    needs_whole_parameters = True

    lr: NonNegative = 1e-3
    betas: Betas = (0.9, 0.999)
    eps: NonNegative = 1e-6
    weight_decay: NonNegative = 0.0

    def decay(self) -> tuple[float, float]:
        return 0.0, 1.0

    def scalars(self, t: int) -> tuple[float, ...]:
        beta1, beta2 = self.betas
        mean_scale = 1.0 / (1.0 - beta1**t)
        root_scale = 1.0 / math.sqrt(1.0 - beta2**t)
        averages = (beta1, 1.0 - beta1, beta2, 1.0 - beta2, mean_scale, root_scale)
        return *averages, self.eps, self.weight_decay, self.lr
