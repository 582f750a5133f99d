"""Gradient descent with momentum."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from ._common_options import CommonOptions
from .optimizer import Optimizer

if TYPE_CHECKING:
    from typing_extensions import Unpack


class SGD(Optimizer):
    r"""Gradient descent, with momentum and Nesterov's momentum.

    .. math::

        b_1 &= g_1, \quad b_t = μ b_{t-1} + (1-τ) g_t \\
        p_t &= p_{t-1} - lr \begin{cases} g_t + μ b_t & \text{nesterov} \\ b_t & \text{otherwise} \end{cases}

    Parameters
    ----------
    params : ndarray, or list, tuple or dict of params, or list of group dicts
        As for every `Optimizer`.
    lr : float or function, default 1e-3
        Step size, >= 0.
    momentum : float or function, default 0.0
        The factor μ of the last step, >= 0. Whether it is 0 is fixed at construction.
    dampening : float or function, default 0.0
        The dampening τ, in [0, 1]. It does not touch the first step.
    weight_decay : float or function, default 0.0
        Weight decay, >= 0: see `Optimizer`.
    nesterov : bool, default False
        Step from where the momentum leads; needs a momentum and no dampening. Fixed at construction.
    lr_in_momentum : bool, default False
        Multiply `lr` into `b` when it is made, not when it is used: the two differ where `lr` changes. Needs momentum.
    decoupled_weight_decay : bool, default False
        How to decay weights: see `Optimizer`.
    **common
        ``maximize``, ``l1``, ``bounds``, ``clip_norm``, ``ema_decay``, ``master`` and others: see `Optimizer`.

    Raises
    ------
    ValueError
        If `nesterov` or `lr_in_momentum` goes without momentum, or `nesterov` with dampening, besides what every
        `Optimizer` raises.

    Notes
    -----
    PyTorch multiplies `lr` at the end and leaves dampening out of the first step; MLX dampens that too. Keras,
    scikit-learn and Sutskever et al. keep `lr` in the momentum: set ``lr_in_momentum=True``.

    References
    ----------
    Polyak, "Some methods of speeding up the convergence of iteration methods", 1964.
    Sutskever et al., "On the importance of initialization and momentum in deep learning", ICML 2013,
    https://proceedings.mlr.press/v28/sutskever13.html.

    Examples
    --------
    >>> import numpy as np, pyadam
    >>> w = np.array([1.0])
    >>> opt = pyadam.SGD(w, lr=0.1, momentum=0.9)
    >>> for _ in range(2):
    ...     _ = opt.step(np.array([1.0]))
    >>> w.round(6)
    array([0.71])
    """

    _counts_steps_in_torch: ClassVar[bool] = False

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-3,
        momentum: Any = 0.0,
        dampening: Any = 0.0,
        weight_decay: Any = 0.0,
        nesterov: bool = False,
        *,
        lr_in_momentum: bool = False,
        decoupled_weight_decay: bool = False,
        **common: Unpack[CommonOptions],
    ) -> None:
        options = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "lr_in_momentum": lr_in_momentum,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, options, common)

    @classmethod
    def _rule(cls, options: Mapping[str, Any]) -> str:
        if options["lr_in_momentum"] and options["momentum"] == 0:
            raise ValueError("lr_in_momentum=True needs a momentum > 0, found momentum=0")
        if options["nesterov"]:
            if options["momentum"] == 0 or options["dampening"] != 0:
                found = f"momentum={options['momentum']!r} and dampening={options['dampening']!r}"
                raise ValueError(f"nesterov=True needs a momentum > 0 and a dampening of 0, found {found}")
            return "sgd_nesterov"
        return "sgd" if options["momentum"] == 0 else "sgd_momentum"

    @staticmethod
    def _scalars(options: Mapping[str, Any], t: int) -> tuple[float, ...]:
        momentum, lr = options["momentum"], options["lr"]
        gradient_scale = 1.0 - options["dampening"] if t > 1 else 1.0
        return (momentum, gradient_scale * lr, 1.0) if options["lr_in_momentum"] else (momentum, gradient_scale, lr)
