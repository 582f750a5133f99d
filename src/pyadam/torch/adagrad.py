"""Steps divided by the root of squared gradients: Adagrad, Adadelta and RMSprop for PyTorch."""

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

__all__ = ["Adadelta", "Adagrad", "RMSprop"]


class Adagrad(Optimizer):
    """Adagrad for PyTorch.

    Notes
    -----
    A parameter's state is ``"step"`` and ``"sum"`` (`s`). As in PyTorch it begins at construction, which therefore
    refuses parameters of 16 bits without `master`, as the first step of the other classes does.

    PyTorch's class has a method `share_memory`, which this one has not, and takes sparse gradients, which `step`
    refuses here.

    Examples
    --------
    >>> import torch, pyadam.torch
    >>> w = torch.tensor([1.0], requires_grad=True)
    >>> optimizer = pyadam.torch.Adagrad([w], lr=0.5)
    >>> w.grad = torch.tensor([3.0])
    >>> for _ in range(2):
    ...     optimizer.step()  # steps of lr, then lr / sqrt(2)
    >>> w.detach()
    tensor([0.1464])
    """

    _rule = rules.Adagrad
    _torch = torch.optim.Adagrad
    _begins_at_once = True

    @declares_options
    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        **extras: Unpack[Extras],
    ) -> None: ...

    def share_memory(self) -> None:
        """Move the state into memory that processes share, step counts too, which PyTorch's class leaves."""
        for state in self.state.values():
            for value in state.values():
                if isinstance(value, Tensor):
                    value.share_memory_()  # type: ignore[no-untyped-call]


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
