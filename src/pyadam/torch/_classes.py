"""The classes of `torch.optim`, in its names, order and defaults, on the rules of the NumPy classes.

`Lion`, which PyTorch has not, takes the arguments of `pyadam.Lion`. All take the extras of `Optimizer` as keywords.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

import pyadam

from ._declaration import declares_options
from ._optimizer import Optimizer
from ._options import Extras

if TYPE_CHECKING:
    from typing_extensions import Unpack


class Adam(Optimizer):
    """Adam, with AMSGrad: the rule of `pyadam.Adam`."""

    _rules = pyadam.Adam
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
    """Adam with decoupled weight decay: the rule of `pyadam.AdamW`."""

    _rules = pyadam.AdamW
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
    """Adam with Nesterov's momentum: the rule of `pyadam.NAdam`."""

    _rules = pyadam.NAdam
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
    """Rectified Adam: the rule of `pyadam.RAdam`."""

    _rules = pyadam.RAdam
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
    """Adam with the infinity norm: the rule of `pyadam.Adamax`."""

    _rules = pyadam.Adamax
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


class Adadelta(Optimizer):
    """Adadelta: the rule of `pyadam.Adadelta`."""

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


class Adagrad(Optimizer):
    """Adagrad: the rule of `pyadam.Adagrad`."""

    _rules = pyadam.Adagrad
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


class RMSprop(Optimizer):
    """RMSprop, also centered and with momentum: the rule of `pyadam.RMSprop`."""

    _rules = pyadam.RMSprop
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


class SGD(Optimizer):
    """Gradient descent, with momentum or Nesterov's: the rule of `pyadam.SGD`."""

    _rules = pyadam.SGD
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
    """Lion: the rule of `pyadam.Lion`."""

    _rules = pyadam.Lion
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
