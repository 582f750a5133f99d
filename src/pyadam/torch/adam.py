"""Adam, with AMSGrad, and AdamW, for PyTorch."""

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
    r"""Adam (Kingma & Ba, 2015), also with AMSGrad: the rule of `pyadam.Adam`.

    .. math::

        m_t &= β_1 m_{t-1} + (1-β_1) g_t, \quad v_t = β_2 v_{t-1} + (1-β_2) g_t^2 \\
        p_t &= p_{t-1} - \frac{lr}{1-β_1^t} \frac{m_t}{\sqrt{v_t} / \sqrt{1-β_2^t} + ε}

    Parameters
    ----------
    params : iterable of Tensors, of (name, Tensor) pairs or of group dicts
        As for every `pyadam.torch.Optimizer`.
    lr : float or one-element Tensor, default 1e-3
        Step size, >= 0.
    betas : pair of floats or one-element Tensors, default (0.9, 0.999)
        Decay rates of the averages `m` and `v`, in [0, 1).
    eps : float, default 1e-8
        Added to the denominator, >= 0.
    weight_decay : float, default 0
        Coefficient of `p` added to the gradient, >= 0; with `decoupled_weight_decay`, see `AdamW`.
    amsgrad : bool, default False
        Divide by the root of the largest `v` so far (Reddi et al., 2018). Must be set before the first step.
    foreach, fused, capturable, differentiable : bool, optional
        See `pyadam.torch.Optimizer`.
    maximize : bool, default False
        Climb along the gradient.
    decoupled_weight_decay : bool, default False
        Shrink `p` by ``1 - lr * weight_decay`` before the update, and leave the gradient alone.
    **extras
        ``l1``, ``bounds``, ``clip_norm``, ``ema_decay``, ``master`` and others: see `pyadam.torch.Optimizer`.

    Raises
    ------
    TypeError, ValueError
        As for every `pyadam.torch.Optimizer`.

    Notes
    -----
    A parameter's state begins at its first gradient: ``"step"``, ``"exp_avg"`` (`m`), ``"exp_avg_sq"`` (`v`) and, with
    `amsgrad`, ``"max_exp_avg_sq"``.

    ε and AMSGrad are those of `torch.optim.Adam`: ε is added after bias correction, and the maximum of `v` is kept
    before it. `pyadam.Adam` says which libraries do otherwise, and has `epsilon_hat` for some of them.

    References
    ----------
    Kingma & Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015, https://arxiv.org/abs/1412.6980.
    Reddi, Kale & Kumar, "On the Convergence of Adam and Beyond", ICLR 2018, https://arxiv.org/abs/1904.09237.

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
    r"""Adam with decoupled weight decay (Loshchilov & Hutter, 2019): the rule of `pyadam.AdamW`.

    .. math:: p_t = (1 - lr λ) p_{t-1} - \frac{lr}{1-β_1^t} \frac{m_t}{\sqrt{v_t} / \sqrt{1-β_2^t} + ε}

    with `m` and `v` as in `Adam`.

    Parameters
    ----------
    params : iterable of Tensors, of (name, Tensor) pairs or of group dicts
        As for every `pyadam.torch.Optimizer`.
    lr : float or one-element Tensor, default 1e-3
        Step size, >= 0.
    betas : pair of floats or one-element Tensors, default (0.9, 0.999)
        Decay rates of the averages `m` and `v`, in [0, 1).
    eps : float, default 1e-8
        Added to the denominator, >= 0.
    weight_decay : float, default 1e-2
        The weight decay λ, >= 0, always decoupled: `p` is multiplied by ``1 - lr * weight_decay`` before the update.
    amsgrad : bool, default False
        Divide by the root of the largest `v` so far (Reddi et al., 2018). Must be set before the first step.
    maximize : bool, default False
        Climb along the gradient.
    foreach, fused, capturable, differentiable : bool, optional
        See `pyadam.torch.Optimizer`.
    **extras
        ``l1``, ``bounds``, ``clip_norm``, ``ema_decay``, ``master`` and others: see `pyadam.torch.Optimizer`.

    Raises
    ------
    ValueError
        If a group has ``decoupled_weight_decay=False``, besides what every `pyadam.torch.Optimizer` raises.
    TypeError
        As for every `pyadam.torch.Optimizer`.

    Notes
    -----
    A parameter's state is that of `Adam`.

    As in PyTorch, groups have ``decoupled_weight_decay``, which is no argument. PyTorch's class takes a group in which
    it is False, and then adds the decay to the gradient as Adam does.

    References
    ----------
    Loshchilov & Hutter, "Decoupled Weight Decay Regularization", ICLR 2019, https://arxiv.org/abs/1711.05101.

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
