"""Lion for PyTorch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor

from .. import rules
from .._common_options import Extras
from .._declaration import declares_options
from ._optimizer import Optimizer

if TYPE_CHECKING:
    from typing_extensions import Unpack


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
