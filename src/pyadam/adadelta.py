"""Adadelta."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ._common_options import CommonOptions
from .optimizer import Optimizer

if TYPE_CHECKING:
    from typing_extensions import Unpack


class Adadelta(Optimizer):
    r"""Adadelta: steps in the units of the parameter, from averages of squared gradients and steps (Zeiler, 2012).

    .. math::

        v_t &= ρ v_{t-1} + (1-ρ) g_t^2 \\
        Δ_t &= \sqrt{\frac{u_{t-1} + ε}{v_t + ε}} g_t \\
        u_t &= ρ u_{t-1} + (1-ρ) Δ_t^2 \\
        p_t &= p_{t-1} - lr Δ_t

    Parameters
    ----------
    params : ndarray, or list, tuple or dict of params, or list of group dicts
        As for every `Optimizer`.
    lr : float or function, default 1.0
        Factor of the step, >= 0; the paper has none.
    rho : float or function, default 0.9
        Decay rate of both averages, in [0, 1].
    eps : float or function, default 1e-6
        Added to both averages before the root, >= 0.
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
    Libraries agree on the formula, and differ in defaults: Keras has lr 1e-3, ρ 0.95 and ε 1e-7; ensmallen and chainer
    have ρ 0.95.

    References
    ----------
    Zeiler, "ADADELTA: An Adaptive Learning Rate Method", 2012, https://arxiv.org/abs/1212.5701.

    Examples
    --------
    >>> import numpy as np, pyadam
    >>> w = np.array([1.0])
    >>> opt = pyadam.Adadelta(w, rho=0.75, eps=0.25)
    >>> _ = opt.step(np.array([3.0]))
    >>> w.round(4)
    array([0.0513])
    """

    _rule_name = "adadelta"

    def __init__(
        self,
        params: Any,
        lr: Any = 1.0,
        rho: Any = 0.9,
        eps: Any = 1e-6,
        weight_decay: Any = 0.0,
        *,
        decoupled_weight_decay: bool = False,
        **common: Unpack[CommonOptions],
    ) -> None:
        options = {
            "lr": lr,
            "rho": rho,
            "eps": eps,
            "weight_decay": weight_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, options, common)

    @staticmethod
    def _scalars(options: Mapping[str, Any], t: int) -> tuple[float, ...]:
        del t
        return options["rho"], 1.0 - options["rho"], options["eps"], options["lr"]
