"""Adagrad."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ._common_options import CommonOptions
from .optimizer import Optimizer

if TYPE_CHECKING:
    from typing_extensions import Unpack


class Adagrad(Optimizer):
    r"""Adagrad: steps divided by the root of the sum of squared gradients (Duchi, Hazan & Singer, 2011).

    .. math::

        s_t &= s_{t-1} + g_t^2 \\
        p_t &= p_{t-1} - \frac{lr}{1 + (t-1) η} \frac{g_t}{\sqrt{s_t} + ε}

    Parameters
    ----------
    params : ndarray, or list, tuple or dict of params, or list of group dicts
        As for every `Optimizer`.
    lr : float or function, default 1e-2
        Step size, >= 0.
    lr_decay : float or function, default 0.0
        The decay η of the step size, >= 0.
    weight_decay : float or function, default 0.0
        Weight decay, >= 0: see `Optimizer`.
    initial_accumulator_value : float, default 0.0
        What `s` starts at, >= 0. Fixed at construction.
    eps : float or function, default 1e-10
        Added to the denominator, >= 0.
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
    PyTorch, MLX, chainer and ensmallen add ε outside the root; optax, Keras and PennyLane inside it, the first two with
    ε 1e-7 and a sum that starts at 0.1.

    References
    ----------
    Duchi, Hazan & Singer, "Adaptive Subgradient Methods for Online Learning and Stochastic Optimization", JMLR 12,
    2011, https://jmlr.org/papers/v12/duchi11a.html.

    Examples
    --------
    >>> import numpy as np, pyadam
    >>> w = np.array([1.0])
    >>> opt = pyadam.Adagrad(w, lr=0.5)
    >>> for _ in range(2):
    ...     _ = opt.step(np.array([3.0]))  # steps of lr, then lr / sqrt(2)
    >>> w.round(4)
    array([0.1464])
    """

    _rule_name = "adagrad"

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-2,
        lr_decay: Any = 0.0,
        weight_decay: Any = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: Any = 1e-10,
        *,
        decoupled_weight_decay: bool = False,
        **common: Unpack[CommonOptions],
    ) -> None:
        options = {
            "lr": lr,
            "lr_decay": lr_decay,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "eps": eps,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, options, common)

    @staticmethod
    def _initial_state(options: Mapping[str, Any]) -> float:
        return float(options["initial_accumulator_value"])

    @staticmethod
    def _scalars(options: Mapping[str, Any], t: int) -> tuple[float, ...]:
        return options["eps"], options["lr"] / (1.0 + (t - 1) * options["lr_decay"])
