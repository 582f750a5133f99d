"""RMSprop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ._common_options import CommonOptions
from .optimizer import Optimizer

if TYPE_CHECKING:
    from typing_extensions import Unpack


class RMSprop(Optimizer):
    r"""RMSprop: steps divided by a running root mean square of the gradients (Tieleman & Hinton, 2012).

    .. math::

        v_t &= α v_{t-1} + (1-α) g_t^2, \quad m_t = α m_{t-1} + (1-α) g_t \\
        b_t &= μ b_{t-1} + \frac{g_t}{\sqrt{v_t - m_t^2} + ε} \\
        p_t &= p_{t-1} - lr b_t

    `m` is left out unless `centered`, and `b` has no memory without `momentum`.

    Parameters
    ----------
    params : ndarray, or list, tuple or dict of params, or list of group dicts
        As for every `Optimizer`.
    lr : float or function, default 1e-2
        Step size, >= 0.
    alpha : float or function, default 0.99
        Decay rate of the averages `v` and `m`, in [0, 1].
    eps : float or function, default 1e-8
        Added to the denominator, >= 0.
    weight_decay : float or function, default 0.0
        Weight decay, >= 0: see `Optimizer`.
    momentum : float or function, default 0.0
        The factor μ of the last step, >= 0. Whether it is 0 is fixed at construction.
    centered : bool, default False
        Divide by the standard deviation (Graves, 2013). Fixed at construction. Rounding can make the variance of nearly
        constant gradients negative; the parameter is then NaN, as in all libraries.
    eps_inside_sqrt : bool, default False
        Add `eps` under the root.
    lr_in_momentum : bool, default False
        Multiply `lr` into `b` when it is made, not when it is used: the two differ where `lr` changes. Needs momentum.
    decoupled_weight_decay : bool, default False
        How to decay weights: see `Optimizer`.
    **common
        ``maximize``, ``l1``, ``bounds``, ``clip_norm``, ``ema_decay``, ``master`` and others: see `Optimizer`.

    Raises
    ------
    ValueError
        If `lr_in_momentum` goes without momentum, besides what every `Optimizer` raises.

    Notes
    -----
    PyTorch, MLX and ensmallen add ε outside the root and multiply `lr` at the end, with α 0.99. Keras, optax and
    PennyLane add it inside, with α 0.9; Keras and optax keep `lr` in the momentum. autograd and quimb start `v` at 1.

    References
    ----------
    Tieleman & Hinton, "Neural Networks for Machine Learning", lecture 6.5, 2012.
    Graves, "Generating Sequences With Recurrent Neural Networks", 2013, https://arxiv.org/abs/1308.0850.

    Examples
    --------
    >>> import numpy as np, pyadam
    >>> w = np.array([1.0])
    >>> opt = pyadam.RMSprop(w, lr=0.25, alpha=0.75)
    >>> _ = opt.step(np.array([3.0]))  # a step of lr / sqrt(1 - alpha)
    >>> w.round(6)
    array([0.5])
    """

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-2,
        alpha: Any = 0.99,
        eps: Any = 1e-8,
        weight_decay: Any = 0.0,
        momentum: Any = 0.0,
        centered: bool = False,
        *,
        eps_inside_sqrt: bool = False,
        lr_in_momentum: bool = False,
        decoupled_weight_decay: bool = False,
        **common: Unpack[CommonOptions],
    ) -> None:
        options = {
            "lr": lr,
            "alpha": alpha,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "centered": centered,
            "eps_inside_sqrt": eps_inside_sqrt,
            "lr_in_momentum": lr_in_momentum,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, options, common)

    @classmethod
    def _rule(cls, options: Mapping[str, Any]) -> str:
        if options["lr_in_momentum"] and options["momentum"] == 0:
            raise ValueError("lr_in_momentum=True needs a momentum > 0, found momentum=0")
        centered = "_centered" if options["centered"] else ""
        momentum = "_momentum" if options["momentum"] != 0 else ""
        return f"rmsprop{centered}{momentum}"

    @staticmethod
    def _scalars(options: Mapping[str, Any], t: int) -> tuple[float, ...]:
        del t
        alpha, eps, lr = options["alpha"], options["eps"], options["lr"]
        eps_inside, eps_outside = (eps, 0.0) if options["eps_inside_sqrt"] else (0.0, eps)
        lr_in_buffer, lr = (lr, 1.0) if options["lr_in_momentum"] else (1.0, lr)
        return alpha, 1.0 - alpha, eps_inside, eps_outside, options["momentum"], lr_in_buffer, lr
