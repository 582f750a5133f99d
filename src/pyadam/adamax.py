"""AdaMax."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ._common_options import CommonOptions
from .optimizer import Optimizer

if TYPE_CHECKING:
    from typing_extensions import Unpack


class Adamax(Optimizer):
    r"""AdaMax: Adam with the infinity norm in place of the second moment (Kingma & Ba, 2015, algorithm 2).

    .. math::

        m_t &= β_1 m_{t-1} + (1-β_1) g_t \\
        u_t &= \max(β_2 u_{t-1}, |g_t| + ε) \\
        p_t &= p_{t-1} - \frac{lr}{1-β_1^t} \frac{m_t}{u_t}

    Parameters
    ----------
    params : ndarray, or list, tuple or dict of params, or list of group dicts
        As for every `Optimizer`.
    lr : float or function, default 2e-3
        Step size, >= 0.
    betas : (float, float) or function, default (0.9, 0.999)
        Decay rates of `m` and of the norm `u`, in [0, 1).
    eps : float or function, default 1e-8
        Added to the gradient's magnitude, >= 0. With 0, a parameter whose gradients were all 0 becomes NaN.
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
    PyTorch and optax put ε where pyadam does. Keras, ensmallen and MLX add it to the denominator `u`. MLX leaves out
    the bias correction.

    References
    ----------
    Kingma & Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015, https://arxiv.org/abs/1412.6980.

    Examples
    --------
    >>> import numpy as np, pyadam
    >>> w = np.array([1.0, -2.0])
    >>> opt = pyadam.Adamax(w, lr=0.25)
    >>> _ = opt.step(np.array([3.0, -4.0]))  # the first step has the size lr
    >>> w.round(6)
    array([ 0.75, -1.75])
    """

    _rule_name = "adamax"

    def __init__(
        self,
        params: Any,
        lr: Any = 2e-3,
        betas: Any = (0.9, 0.999),
        eps: Any = 1e-8,
        weight_decay: Any = 0.0,
        *,
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
        return beta1, 1.0 - beta1, beta2, options["eps"], options["lr"] / (1.0 - beta1**t)
