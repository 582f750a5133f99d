"""RAdam."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ._common_options import CommonOptions
from .optimizer import Optimizer

if TYPE_CHECKING:
    from typing_extensions import Unpack


class RAdam(Optimizer):
    r"""RAdam: Adam that begins with steps of momentum, until their variance is bounded (Liu et al., 2020).

    .. math::

        m_t &= β_1 m_{t-1} + (1-β_1) g_t, \quad v_t = β_2 v_{t-1} + (1-β_2) g_t^2 \\
        ρ_∞ &= 2/(1-β_2) - 1, \quad ρ_t = ρ_∞ - 2tβ_2^t/(1-β_2^t) \\
        p_t &= p_{t-1} - \frac{lr}{1-β_1^t} m_t \cdot
        \begin{cases}
        \sqrt{\frac{(ρ_t-4)(ρ_t-2)ρ_∞}{(ρ_∞-4)(ρ_∞-2)ρ_t}} \frac{\sqrt{1-β_2^t}}{\sqrt{v_t} + ε} & ρ_t > 5 \\
        1 & \text{otherwise}
        \end{cases}

    Parameters
    ----------
    params : ndarray, or list, tuple or dict of params, or list of group dicts
        As for every `Optimizer`.
    lr : float or function, default 1e-3
        Step size, >= 0.
    betas : (float, float) or function, default (0.9, 0.999)
        Decay rates of the averages `m` and `v`, in [0, 1).
    eps : float or function, default 1e-8
        Added to the denominator, >= 0.
    weight_decay : float or function, default 0.0
        Weight decay, >= 0: see `Optimizer`.
    decoupled_weight_decay : bool, default False
        How to decay weights: see `Optimizer`.
    **common
        ``maximize``, ``l1``, ``bounds``, ``clip_norm``, ``ema_decay``, ``master`` and others: see `Optimizer`.

    Raises
    ------
    TypeError, ValueError
        As for every `Optimizer`.

    Notes
    -----
    As in PyTorch, ε is added to the root before bias correction and the step is rectified where ρ > 5. optax adds ε
    after it and rectifies from ρ >= 5, as Thinc does, whose step count is one ahead.

    References
    ----------
    Liu et al., "On the Variance of the Adaptive Learning Rate and Beyond", ICLR 2020,
    https://arxiv.org/abs/1908.03265.

    Examples
    --------
    >>> import numpy as np, pyadam
    >>> w = np.array([1.0])
    >>> opt = pyadam.RAdam(w, lr=0.1)
    >>> _ = opt.step(np.array([0.5]))  # not rectified: the step is lr times the gradient
    >>> w
    array([0.95])
    """

    _rule_name = "radam"

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-3,
        betas: Any = (0.9, 0.999),
        eps: Any = 1e-8,
        weight_decay: Any = 0.0,
        decoupled_weight_decay: bool = False,
        **common: Unpack[CommonOptions],
    ) -> None:
        options = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, options, common)

    @staticmethod
    def _scalars(options: Mapping[str, Any], t: int) -> tuple[float, ...]:
        beta1, beta2 = options["betas"]
        lr = options["lr"] / (1.0 - beta1**t)
        beta2_power = beta2**t
        bias2 = 1.0 - beta2_power
        rho_inf = 2.0 / (1.0 - beta2) - 1.0
        rho = rho_inf - 2.0 * t * beta2_power / bias2
        is_rectified = rho > 5.0
        if is_rectified:
            variance = (rho - 4.0) * (rho - 2.0) * rho_inf / ((rho_inf - 4.0) * (rho_inf - 2.0) * rho)
            lr *= math.sqrt(variance) * math.sqrt(bias2)
        return beta1, 1.0 - beta1, beta2, 1.0 - beta2, options["eps"], lr, float(is_rectified)
