"""RMSprop for PyTorch."""

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


class RMSprop(Optimizer):
    """RMSprop for PyTorch.

    Notes
    -----
    A parameter's state begins at its first gradient: ``"step"``, ``"square_avg"`` (`v`), with momentum
    ``"momentum_buffer"`` (`b`) and, where `centered`, ``"grad_avg"`` (`m`). The buffer also begins where `momentum` is
    set between steps; PyTorch raises KeyError then.

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

    _rule = rules.RMSprop
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
