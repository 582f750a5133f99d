"""Lion."""

from .._hyperparameters import Betas, Flag, NonNegative
from ._rule import Rule


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

    lr: NonNegative = 1e-4
    betas: Betas = (0.9, 0.99)
    weight_decay: NonNegative = 0.0
    decoupled_weight_decay: Flag = True

    def scalars(self, t: int) -> tuple[float, ...]:
        del t
        beta1, beta2 = self.betas
        return beta1, 1.0 - beta1, beta2, 1.0 - beta2, self.lr
