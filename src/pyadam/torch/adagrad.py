"""Adagrad for PyTorch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

import pyadam

from ._declaration import declares_options
from ._optimizer import Optimizer
from ._options import Extras

if TYPE_CHECKING:
    from typing_extensions import Unpack


class Adagrad(Optimizer):
    r"""Adagrad: steps over the root of the sum of squared gradients (Duchi et al., 2011), as `pyadam.Adagrad`.

    .. math::

        s_t &= s_{t-1} + g_t^2 \\
        p_t &= p_{t-1} - \frac{lr}{1 + (t-1) η} \frac{g_t}{\sqrt{s_t} + ε}

    Parameters
    ----------
    params : iterable of Tensors, of (name, Tensor) pairs or of group dicts
        As for every `pyadam.torch.Optimizer`.
    lr : float or one-element Tensor, default 1e-2
        Step size, >= 0.
    lr_decay : float, default 0
        The decay η of the step size, >= 0.
    weight_decay : float, default 0
        Coefficient of `p` added to the gradient, >= 0.
    initial_accumulator_value : float, default 0
        What `s` starts at, >= 0.
    eps : float, default 1e-10
        Added to the denominator, >= 0.
    foreach, fused, differentiable : bool, optional
        See `pyadam.torch.Optimizer`.
    maximize : bool, default False
        Climb along the gradient.
    **extras
        ``l1``, ``bounds``, ``clip_norm``, ``ema_decay``, ``master`` and others: see `pyadam.torch.Optimizer`.

    Raises
    ------
    TypeError, ValueError
        As for every `pyadam.torch.Optimizer`.

    Notes
    -----
    A parameter's state is ``"step"`` and ``"sum"`` (`s`). As in PyTorch it begins at construction, which therefore
    refuses parameters of 16 bits without `master`, as the first step of the other classes does.

    PyTorch's class has a method `share_memory`, which this one has not, and takes sparse gradients, which `step`
    refuses here.

    PyTorch, MLX, chainer and ensmallen add ε outside the root; optax, Keras and PennyLane inside it, the first two with
    ε 1e-7 and a sum that starts at 0.1.

    References
    ----------
    Duchi, Hazan & Singer, "Adaptive Subgradient Methods for Online Learning and Stochastic Optimization", JMLR 12,
    2011, https://jmlr.org/papers/v12/duchi11a.html.

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

    def share_memory(self) -> None:
        """Move the state into memory that processes share, step counts too, which PyTorch's class leaves."""
        for state in self.state.values():
            for value in state.values():
                if isinstance(value, Tensor):
                    value.share_memory_()  # type: ignore[no-untyped-call]
