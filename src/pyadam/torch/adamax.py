"""AdaMax for PyTorch."""

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


class Adamax(Optimizer):
    r"""AdaMax: Adam with the infinity norm (Kingma & Ba, 2015, algorithm 2), the rule of `pyadam.Adamax`.

    .. math::

        m_t &= β_1 m_{t-1} + (1-β_1) g_t, \quad u_t = \max(β_2 u_{t-1}, |g_t| + ε) \\
        p_t &= p_{t-1} - \frac{lr}{1-β_1^t} \frac{m_t}{u_t}

    Parameters
    ----------
    params : iterable of Tensors, of (name, Tensor) pairs or of group dicts
        As for every `pyadam.torch.Optimizer`.
    lr : float or one-element Tensor, default 2e-3
        Step size, >= 0.
    betas : (float, float), default (0.9, 0.999)
        Decay rates of `m` and of the norm `u`, in [0, 1).
    eps : float, default 1e-8
        Added to the gradient's magnitude, >= 0. With 0, a parameter whose gradients were all 0 becomes NaN.
    weight_decay : float, default 0
        Coefficient of `p` added to the gradient, >= 0.
    foreach, capturable, differentiable : bool, optional
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
    A parameter's state begins at its first gradient: ``"step"``, ``"exp_avg"`` (`m`) and ``"exp_inf"`` (`u`).

    PyTorch and optax put ε where pyadam does. Keras, ensmallen and MLX add it to the denominator `u`. MLX leaves out
    the bias correction.

    References
    ----------
    Kingma & Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015, https://arxiv.org/abs/1412.6980.

    Examples
    --------
    >>> import torch, pyadam.torch
    >>> w = torch.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = pyadam.torch.Adamax([w], lr=0.25)
    >>> w.grad = torch.tensor([3.0, -4.0])
    >>> optimizer.step()  # the first step has the size lr
    >>> w.detach()
    tensor([ 0.7500, -1.7500])
    """

    _rules = pyadam.Adamax
    _torch = torch.optim.Adamax

    @declares_options
    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 2e-3,
        betas: tuple[Any, Any] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
        **extras: Unpack[Extras],
    ) -> None: ...
