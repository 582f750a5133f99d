"""AdaMax for PyTorch."""

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


class Adamax(Optimizer):
    """Adamax for PyTorch.

    Notes
    -----
    A parameter's state begins at its first gradient: ``"step"``, ``"exp_avg"`` (`m`) and ``"exp_inf"`` (`u`).

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

    _rule = rules.Adamax
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
