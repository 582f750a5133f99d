"""Adadelta for PyTorch."""

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


class Adadelta(Optimizer):
    """Adadelta for PyTorch.

    Notes
    -----
    A parameter's state begins at its first gradient: ``"step"``, ``"square_avg"`` (`v`) and ``"acc_delta"`` (`u`).

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

    _rule = rules.Adadelta
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
