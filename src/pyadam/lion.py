"""Lion."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ._common_options import CommonOptions
from .optimizer import Optimizer

if TYPE_CHECKING:
    from typing_extensions import Unpack


class Lion(Optimizer):
    r"""Lion: steps of the sign of an interpolated momentum (Chen et al., 2023).

    .. math::

        p_t &= (1 - lr λ) p_{t-1} - lr \operatorname{sign}(β_1 m_{t-1} + (1-β_1) g_t) \\
        m_t &= β_2 m_{t-1} + (1-β_2) g_t

    Parameters
    ----------
    params : ndarray, or list, tuple or dict of params, or list of group dicts
        As for every `Optimizer`.
    lr : float or function, default 1e-4
        Step size, >= 0: three to ten times less than Adam's.
    betas : (float, float) or function, default (0.9, 0.99)
        Weight of the momentum in the step, and its decay rate, in [0, 1).
    weight_decay : float or function, default 0.0
        The weight decay λ, >= 0: three to ten times more than AdamW's.
    decoupled_weight_decay : bool, default True
        How to decay weights: see `Optimizer`. The paper's is decoupled.
    **common
        ``maximize``, ``l1``, ``bounds``, ``clip_norm``, ``ema_decay``, ``master`` and others: see `Optimizer`.

    Raises
    ------
    TypeError, ValueError
        As for every `Optimizer`.

    Notes
    -----
    ``sign(0)`` is 0. Libraries agree on the formula; optax's default weight decay is 1e-3, MLX's 0.

    References
    ----------
    Chen et al., "Symbolic Discovery of Optimization Algorithms", NeurIPS 2023, https://arxiv.org/abs/2302.06675.

    Examples
    --------
    >>> import numpy as np, pyadam
    >>> w = np.array([1.0, 1.0, 1.0])
    >>> opt = pyadam.Lion(w, lr=0.25)
    >>> _ = opt.step(np.array([3.0, -0.001, 0.0]))
    >>> w
    array([0.75, 1.25, 1.  ])
    """

    _rule_name = "lion"

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-4,
        betas: Any = (0.9, 0.99),
        weight_decay: Any = 0.0,
        *,
        decoupled_weight_decay: bool = True,
        **common: Unpack[CommonOptions],
    ) -> None:
        options = {
            "lr": lr,
            "betas": betas,
            "weight_decay": weight_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, options, common)

    @staticmethod
    def _scalars(options: Mapping[str, Any], t: int) -> tuple[float, ...]:
        del t
        beta1, beta2 = options["betas"]
        return beta1, 1.0 - beta1, beta2, 1.0 - beta2, options["lr"]
