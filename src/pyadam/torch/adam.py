"""Adam and its kin: AMSGrad, AdamW, NAdam, RAdam, AdaMax and LAMB for PyTorch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from .. import rules
from .._common_options import Extras
from .._declaration import declares_options
from ._optimizer import Optimizer

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["Adam", "AdamW", "Adamax", "NAdam", "RAdam"]


class Adam(Optimizer):
    """Adam for PyTorch.

    Notes
    -----
    A parameter's state begins at its first gradient: ``"step"``, ``"exp_avg"`` (`m`), ``"exp_avg_sq"`` (`v`) and, with
    `amsgrad`, ``"max_exp_avg_sq"``.

    ε and AMSGrad are those of `torch.optim.Adam`: ε is added after bias correction, and the maximum of `v` is kept
    before it. `pyadam.Adam` says which libraries do otherwise, and has `epsilon_hat` for some of them.

    Examples
    --------
    >>> import torch, pyadam.torch
    >>> w = torch.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = pyadam.torch.Adam([w], lr=0.1)
    >>> for _ in range(100):
    ...     w.grad = 2 * w.detach()  # that of sum(w**2)
    ...     optimizer.step()
    >>> bool(w.abs().max() < 0.05)
    True
    """

    _rule = rules.Adam
    _torch = torch.optim.Adam

    @declares_options
    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 1e-3,
        betas: tuple[Any, Any] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
        **extras: Unpack[Extras],
    ) -> None: ...


class AdamW(Optimizer):
    """AdamW for PyTorch.

    Raises
    ------
    ValueError
        If a group has ``decoupled_weight_decay=False``, besides what every `pyadam.torch.Optimizer` raises.

    Notes
    -----
    A parameter's state is that of `Adam`.

    As in PyTorch, groups have ``decoupled_weight_decay``, which is no argument. PyTorch's class takes a group in which
    it is False, and then adds the decay to the gradient as Adam does.

    Examples
    --------
    >>> import torch, pyadam.torch
    >>> w = torch.ones(3, requires_grad=True)
    >>> optimizer = pyadam.torch.AdamW([w], lr=0.1, weight_decay=0.5)
    >>> w.grad = torch.zeros(3)
    >>> optimizer.step()
    >>> w.detach()
    tensor([0.9500, 0.9500, 0.9500])
    """

    _rule = rules.AdamW
    _torch = torch.optim.AdamW
    _fixed: ClassVar[Mapping[str, Any]] = {"decoupled_weight_decay": True}

    @declares_options
    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 1e-3,
        betas: tuple[Any, Any] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        **extras: Unpack[Extras],
    ) -> None: ...


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
