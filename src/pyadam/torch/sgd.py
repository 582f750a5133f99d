"""Gradient descent with momentum, and Lion, which steps by its sign for PyTorch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from .. import rules
from .._common_options import Extras
from .._declaration import declares_options
from ._optimizer import Optimizer

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["SGD", "Lion"]


class SGD(Optimizer):
    """SGD for PyTorch.

    Raises
    ------
    ValueError
        If `nesterov` goes without momentum or with dampening, besides what every `pyadam.torch.Optimizer` raises.

    Notes
    -----
    A parameter's state is ``"momentum_buffer"`` (`b`), from its first gradient with momentum, else empty. As in PyTorch
    it has no step count, but for `ema_warmup`, `state_dtype` and ``master="stochastic"``, which need one: ``"step"``.

    PyTorch's class takes sparse gradients, which `step` refuses here, and any dampening.

    Examples
    --------
    >>> import torch, pyadam.torch
    >>> w = torch.tensor([1.0], requires_grad=True)
    >>> optimizer = pyadam.torch.SGD([w], lr=0.1, momentum=0.9)
    >>> w.grad = torch.tensor([1.0])
    >>> for _ in range(2):
    ...     optimizer.step()
    >>> w.detach()
    tensor([0.7100])
    """

    _rule = rules.SGD
    _torch = torch.optim.SGD

    @declares_options
    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
        **extras: Unpack[Extras],
    ) -> None: ...


class Lion(Optimizer):
    """Lion for PyTorch.

    Notes
    -----
    A parameter's state begins at its first gradient: ``"step"`` and ``"exp_avg"`` (`m`).

    `torch.optim` has no Lion. So `foreach` and `fused` are of no use here, and `step` raises ValueError where a
    parameter is on another device than the CPU.

    Examples
    --------
    >>> import torch, pyadam.torch
    >>> w = torch.ones(3, requires_grad=True)
    >>> optimizer = pyadam.torch.Lion([w], lr=0.25)
    >>> w.grad = torch.tensor([3.0, -0.001, 0.0])
    >>> optimizer.step()
    >>> w.detach()
    tensor([0.7500, 1.2500, 1.0000])
    """

    _rule = rules.Lion
    _torch = None

    @declares_options
    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 1e-4,
        betas: tuple[Any, Any] = (0.9, 0.99),
        weight_decay: float = 0.0,
        *,
        decoupled_weight_decay: bool = True,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        **extras: Unpack[Extras],
    ) -> None: ...
