"""RMSprop for PyTorch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

import pyadam

from ._declaration import declares_options
from ._optimizer import Optimizer
from ._options import Extras

if TYPE_CHECKING:
    from typing_extensions import Unpack


class RMSprop(Optimizer):
    r"""RMSprop, also centered and with momentum (Tieleman & Hinton, 2012): the rule of `pyadam.RMSprop`.

    .. math::

        v_t &= α v_{t-1} + (1-α) g_t^2, \quad m_t = α m_{t-1} + (1-α) g_t \\
        b_t &= μ b_{t-1} + \frac{g_t}{\sqrt{v_t - m_t^2} + ε}, \quad p_t = p_{t-1} - lr b_t

    `m` is left out unless `centered`, and `b` has no memory without `momentum`.

    Parameters
    ----------
    params : iterable of Tensors, of (name, Tensor) pairs or of group dicts
        As for every `pyadam.torch.Optimizer`.
    lr : float or one-element Tensor, default 1e-2
        Step size, >= 0.
    alpha : float, default 0.99
        Decay rate of the averages `v` and `m`, in [0, 1].
    eps : float, default 1e-8
        Added to the denominator, >= 0.
    weight_decay : float, default 0
        Coefficient of `p` added to the gradient, >= 0.
    momentum : float, default 0
        The factor μ of the last step, >= 0.
    centered : bool, default False
        Divide by the standard deviation (Graves, 2013). Must be set before the first step. Rounding can make the
        variance of nearly constant gradients negative; the parameter is then NaN, as in all libraries.
    capturable, foreach, differentiable : bool, optional
        See `pyadam.torch.Optimizer`.
    maximize : bool, default False
        Climb along the gradient.
    **extras
        ``l1``, ``bounds``, ``clip_norm``, ``ema_decay``, ``master`` and others: see `pyadam.torch.Optimizer`.

    Raises
    ------
    TypeError, ValueError
        As for every `pyadam.torch.Optimizer`.

    Notes
    -----
    A parameter's state begins at its first gradient: ``"step"``, ``"square_avg"`` (`v`), with momentum
    ``"momentum_buffer"`` (`b`) and, where `centered`, ``"grad_avg"`` (`m`). The buffer also begins where `momentum` is
    set between steps; PyTorch raises KeyError then.

    PyTorch, MLX and ensmallen add ε outside the root and multiply `lr` at the end, with α 0.99. Keras, optax and
    PennyLane add it inside, with α 0.9; Keras and optax keep `lr` in the momentum. `pyadam.RMSprop` has both.

    References
    ----------
    Tieleman & Hinton, "Neural Networks for Machine Learning", lecture 6.5, 2012.
    Graves, "Generating Sequences With Recurrent Neural Networks", 2013, https://arxiv.org/abs/1308.0850.

    Examples
    --------
    >>> import torch, pyadam.torch
    >>> w = torch.tensor([1.0], requires_grad=True)
    >>> optimizer = pyadam.torch.RMSprop([w], lr=0.25, alpha=0.75)
    >>> w.grad = torch.tensor([3.0])
    >>> optimizer.step()  # a step of lr / sqrt(1 - alpha)
    >>> w.detach()
    tensor([0.5000])
    """

    _rules = pyadam.RMSprop
    _torch = torch.optim.RMSprop

    @declares_options
    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        **extras: Unpack[Extras],
    ) -> None: ...
