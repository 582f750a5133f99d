"""RAdam for PyTorch."""

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


class RAdam(Optimizer):
    """RAdam for PyTorch.

    Notes
    -----
    A parameter's state begins at its first gradient: ``"step"``, ``"exp_avg"`` (`m`) and ``"exp_avg_sq"`` (`v`).

    Examples
    --------
    >>> import torch, pyadam.torch
    >>> w = torch.tensor([1.0], requires_grad=True)
    >>> optimizer = pyadam.torch.RAdam([w], lr=0.1)
    >>> w.grad = torch.tensor([0.5])
    >>> optimizer.step()  # not rectified: the step is lr times the gradient
    >>> w.detach()
    tensor([0.9500])
    """

    _rule = rules.RAdam
    _torch = torch.optim.RAdam

    @declares_options
    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 1e-3,
        betas: tuple[Any, Any] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        **extras: Unpack[Extras],
    ) -> None: ...
