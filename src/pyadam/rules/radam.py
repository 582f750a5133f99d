"""RAdam."""

import math

from .._hyperparameters import Betas, Flag, NonNegative
from ._rule import Rule


class RAdam(Rule):
    r"""RAdam: Adam that begins with steps of momentum, until their variance is bounded (Liu et al., 2020).

    .. math::

        m_t &= β_1 m_{t-1} + (1-β_1) g_t, \quad v_t = β_2 v_{t-1} + (1-β_2) g_t^2 \\
        ρ_∞ &= 2/(1-β_2) - 1, \quad ρ_t = ρ_∞ - 2tβ_2^t/(1-β_2^t) \\
        p_t &= p_{t-1} - \frac{lr}{1-β_1^t} m_t \cdot
        \begin{cases}
        \sqrt{\frac{(ρ_t-4)(ρ_t-2)ρ_∞}{(ρ_∞-4)(ρ_∞-2)ρ_t}} \frac{\sqrt{1-β_2^t}}{\sqrt{v_t} + ε} & ρ_t > 5 \\
        1 & \text{otherwise}
        \end{cases}

    Notes
    -----
    As in PyTorch, ε is added to the root before bias correction and the step is rectified where ρ > 5. optax adds ε
    after it and rectifies from ρ >= 5, as Thinc does, whose step count is one ahead.

    References
    ----------
    Liu et al., "On the Variance of the Adaptive Learning Rate and Beyond", ICLR 2020,
    https://arxiv.org/abs/1908.03265.
    """

    name = "radam"

    lr: NonNegative = 1e-3
    betas: Betas = (0.9, 0.999)
    eps: NonNegative = 1e-8
    weight_decay: NonNegative = 0.0
    decoupled_weight_decay: Flag = False

    def scalars(self, t: int) -> tuple[float, ...]:
        beta1, beta2 = self.betas
        lr = self.lr / (1.0 - beta1**t)
        beta2_power = beta2**t
        bias2 = 1.0 - beta2_power
        rho_inf = 2.0 / (1.0 - beta2) - 1.0
        rho = rho_inf - 2.0 * t * beta2_power / bias2
        is_rectified = rho > 5.0
        if is_rectified:
            variance = (rho - 4.0) * (rho - 2.0) * rho_inf / ((rho_inf - 4.0) * (rho_inf - 2.0) * rho)
            lr *= math.sqrt(variance) * math.sqrt(bias2)
        return beta1, 1.0 - beta1, beta2, 1.0 - beta2, self.eps, lr, float(is_rectified)
