"""LAMB."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ._common_options import CommonOptions
from .optimizer import Optimizer

if TYPE_CHECKING:
    from typing_extensions import Unpack


class LAMB(Optimizer):
    r"""LAMB: Adam's direction, scaled in each parameter by the ratio of norms (You et al., 2020).

    .. math::

        m_t &= β_1 m_{t-1} + (1-β_1) g_t, \quad v_t = β_2 v_{t-1} + (1-β_2) g_t^2 \\
        d_t &= \frac{m_t / (1-β_1^t)}{\sqrt{v_t} / \sqrt{1-β_2^t} + ε} + λ p_{t-1} \\
        p_t &= p_{t-1} - lr \frac{\|p_{t-1}\|}{\|d_t\|} d_t

    The ratio is 1 where either norm is 0. Norms are over one array of params.

    Parameters
    ----------
    params : ndarray, or list, tuple or dict of params, or list of group dicts
        As for every `Optimizer`.
    lr : float or function, default 1e-3
        Step size, >= 0.
    betas : (float, float) or function, default (0.9, 0.999)
        Decay rates of the averages `m` and `v`, in [0, 1).
    eps : float or function, default 1e-6
        Added to the denominator, >= 0.
    weight_decay : float or function, default 0.0
        The weight decay λ, >= 0. It is part of the direction whose norm is taken, as the paper has it.
    **common
        ``maximize``, ``l1``, ``bounds``, ``clip_norm``, ``ema_decay``, ``master`` and others: see `Optimizer`.

    Raises
    ------
    TypeError, ValueError
        As for every `Optimizer`.

    Notes
    -----
    optax, tinygrad and pytorch_optimizer agree; Keras has ε 1e-7 and decays weights outside the ratio. Norms are summed
    in double precision in one fixed order, so they do not depend on the CPU or the number of threads.

    References
    ----------
    You et al., "Large Batch Optimization for Deep Learning: Training BERT in 76 minutes", ICLR 2020,
    https://arxiv.org/abs/1904.00962.

    Examples
    --------
    >>> import numpy as np, pyadam
    >>> w = np.array([3.0, 4.0])
    >>> opt = pyadam.LAMB(w, lr=0.1)
    >>> _ = opt.step(np.array([1.0, 1.0]))  # a step of length lr * 5
    >>> round(float(np.linalg.norm(w - [3.0, 4.0])), 6)
    0.5
    """

    _rule_name = "lamb"
    _needs_whole_parameters = True

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-3,
        betas: Any = (0.9, 0.999),
        eps: Any = 1e-6,
        weight_decay: Any = 0.0,
        **common: Unpack[CommonOptions],
    ) -> None:
        options = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, options, common)

    @staticmethod
    def _weight_decay(options: Mapping[str, Any]) -> tuple[float, float]:
        del options
        return 0.0, 1.0

    @staticmethod
    def _scalars(options: Mapping[str, Any], t: int) -> tuple[float, ...]:
        beta1, beta2 = options["betas"]
        mean_scale = 1.0 / (1.0 - beta1**t)
        root_scale = 1.0 / math.sqrt(1.0 - beta2**t)
        averages = (beta1, 1.0 - beta1, beta2, 1.0 - beta2, mean_scale, root_scale)
        return *averages, options["eps"], options["weight_decay"], options["lr"]
