"""RAdam for PyTorch."""

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


class RAdam(Optimizer):
    r"""RAdam: Adam that begins with steps of momentum (Liu et al., 2020), the rule of `pyadam.RAdam`.

    .. math::

        ρ_∞ &= 2/(1-β_2) - 1, \quad ρ_t = ρ_∞ - 2tβ_2^t/(1-β_2^t) \\
        p_t &= p_{t-1} - \frac{lr}{1-β_1^t} m_t \cdot
        \begin{cases}
        \sqrt{\frac{(ρ_t-4)(ρ_t-2)ρ_∞}{(ρ_∞-4)(ρ_∞-2)ρ_t}} \frac{\sqrt{1-β_2^t}}{\sqrt{v_t} + ε} & ρ_t > 5 \\
        1 & \text{otherwise}
        \end{cases}

    with `m` and `v` as in `Adam`.

    Parameters
    ----------
    params : iterable of Tensors, of (name, Tensor) pairs or of group dicts
        As for every `pyadam.torch.Optimizer`.
    lr : float or one-element Tensor, default 1e-3
        Step size, >= 0.
    betas : (float, float), default (0.9, 0.999)
        Decay rates of the averages `m` and `v`, in [0, 1).
    eps : float, default 1e-8
        Added to the denominator, >= 0.
    weight_decay : float, default 0
        Coefficient of `p` added to the gradient, >= 0; with `decoupled_weight_decay`, see `AdamW`.
    decoupled_weight_decay : bool, default False
        Shrink `p` by ``1 - lr * weight_decay`` before the update, and leave the gradient alone.
    foreach, capturable, differentiable : bool, optional
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
    A parameter's state begins at its first gradient: ``"step"``, ``"exp_avg"`` (`m`) and ``"exp_avg_sq"`` (`v`).

    As in PyTorch, ε is added to the root before bias correction and the step is rectified where ρ > 5. optax adds ε
    after it and rectifies from ρ >= 5, as Thinc does, whose step count is one ahead.

    References
    ----------
    Liu et al., "On the Variance of the Adaptive Learning Rate and Beyond", ICLR 2020,
    https://arxiv.org/abs/1908.03265.

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
