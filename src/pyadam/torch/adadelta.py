"""Adadelta for PyTorch."""

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


class Adadelta(Optimizer):
    r"""Adadelta: steps in the units of the parameter (Zeiler, 2012), the rule of `pyadam.Adadelta`.

    .. math::

        v_t &= ρ v_{t-1} + (1-ρ) g_t^2, \quad Δ_t = \sqrt{\frac{u_{t-1} + ε}{v_t + ε}} g_t \\
        u_t &= ρ u_{t-1} + (1-ρ) Δ_t^2, \quad p_t = p_{t-1} - lr Δ_t

    Parameters
    ----------
    params : iterable of Tensors, of (name, Tensor) pairs or of group dicts
        As for every `pyadam.torch.Optimizer`.
    lr : float or one-element Tensor, default 1.0
        Factor of the step, >= 0; the paper has none.
    rho : float, default 0.9
        Decay rate of both averages, in [0, 1].
    eps : float, default 1e-6
        Added to both averages before the root, >= 0.
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
    A parameter's state begins at its first gradient: ``"step"``, ``"square_avg"`` (`v`) and ``"acc_delta"`` (`u`).

    Libraries agree on the formula, and differ in defaults: Keras has lr 1e-3, ρ 0.95 and ε 1e-7; ensmallen and chainer
    have ρ 0.95.

    References
    ----------
    Zeiler, "ADADELTA: An Adaptive Learning Rate Method", 2012, https://arxiv.org/abs/1212.5701.

    Examples
    --------
    >>> import torch, pyadam.torch
    >>> w = torch.tensor([1.0], requires_grad=True)
    >>> optimizer = pyadam.torch.Adadelta([w], rho=0.75, eps=0.25)
    >>> w.grad = torch.tensor([3.0])
    >>> optimizer.step()
    >>> w.detach()
    tensor([0.0513])
    """

    _rules = pyadam.Adadelta
    _torch = torch.optim.Adadelta

    @declares_options
    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
        **extras: Unpack[Extras],
    ) -> None: ...
