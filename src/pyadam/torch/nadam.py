"""NAdam for PyTorch."""

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


class NAdam(Optimizer):
    """NAdam for PyTorch.

    Notes
    -----
    A parameter's state begins at its first gradient: ``"step"``, ``"mu_product"`` (`M`), ``"exp_avg"`` (`m`) and
    ``"exp_avg_sq"`` (`v`).

    The ``"mu_product"`` that stands in the state is written for PyTorch, and not read: PyTorch keeps the factors of the
    `betas` that were.

    Examples
    --------
    >>> import torch, pyadam.torch
    >>> w = torch.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = pyadam.torch.NAdam([w], lr=0.1)
    >>> for _ in range(100):
    ...     w.grad = 2 * w.detach()  # that of sum(w**2)
    ...     optimizer.step()
    >>> bool(w.abs().max() < 0.05)
    True
    """

    _rule = rules.NAdam
    _torch = torch.optim.NAdam

    @declares_options
    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 2e-3,
        betas: tuple[Any, Any] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        **extras: Unpack[Extras],
    ) -> None: ...
