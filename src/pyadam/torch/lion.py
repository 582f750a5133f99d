"""Lion for PyTorch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor

import pyadam

from ._declaration import declares_options
from ._optimizer import Optimizer
from ._options import Extras

if TYPE_CHECKING:
    from typing_extensions import Unpack


class Lion(Optimizer):
    r"""Lion: steps of the sign of an interpolated momentum (Chen et al., 2023), the rule of `pyadam.Lion`.

    .. math::

        p_t &= (1 - lr λ) p_{t-1} - lr \operatorname{sign}(β_1 m_{t-1} + (1-β_1) g_t) \\
        m_t &= β_2 m_{t-1} + (1-β_2) g_t

    Parameters
    ----------
    params : iterable of Tensors, of (name, Tensor) pairs or of group dicts
        As for every `pyadam.torch.Optimizer`.
    lr : float or one-element Tensor, default 1e-4
        Step size, >= 0: three to ten times less than Adam's.
    betas : (float, float), default (0.9, 0.99)
        Weight of the momentum in the step, and its decay rate, in [0, 1).
    weight_decay : float, default 0.0
        The weight decay λ, >= 0: three to ten times more than AdamW's.
    decoupled_weight_decay : bool, default True
        Decay as above, which is the paper's. If False, ``weight_decay * p`` is added to the gradient instead.
    maximize : bool, default False
        Climb along the gradient.
    foreach, fused, capturable, differentiable : bool, optional
        See `pyadam.torch.Optimizer`.
    **extras
        ``l1``, ``bounds``, ``clip_norm``, ``ema_decay``, ``master`` and others: see `pyadam.torch.Optimizer`.

    Raises
    ------
    TypeError, ValueError
        As for every `pyadam.torch.Optimizer`.

    Notes
    -----
    A parameter's state begins at its first gradient: ``"step"`` and ``"exp_avg"`` (`m`).

    `torch.optim` has no Lion. So `foreach` and `fused` are of no use here, and `step` raises ValueError where a
    parameter is on another device than the CPU.

    ``sign(0)`` is 0. Libraries agree on the formula; optax's default weight decay is 1e-3, MLX's 0.

    References
    ----------
    Chen et al., "Symbolic Discovery of Optimization Algorithms", NeurIPS 2023, https://arxiv.org/abs/2302.06675.

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
