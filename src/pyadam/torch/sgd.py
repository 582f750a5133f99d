"""Gradient descent with momentum, for PyTorch."""

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


class SGD(Optimizer):
    r"""Gradient descent, with momentum and Nesterov's momentum: the rule of `pyadam.SGD`.

    .. math::

        b_1 &= g_1, \quad b_t = μ b_{t-1} + (1-τ) g_t \\
        p_t &= p_{t-1} - lr \begin{cases} g_t + μ b_t & \text{nesterov} \\ b_t & \text{otherwise} \end{cases}

    Parameters
    ----------
    params : iterable of Tensors, of (name, Tensor) pairs or of group dicts
        As for every `pyadam.torch.Optimizer`.
    lr : float or one-element Tensor, default 1e-3
        Step size, >= 0.
    momentum : float, default 0
        The factor μ of the last step, >= 0.
    dampening : float, default 0
        The dampening τ, in [0, 1]. It does not touch the first step.
    weight_decay : float, default 0
        Coefficient of `p` added to the gradient, >= 0.
    nesterov : bool, default False
        Step from where the momentum leads; needs a momentum and no dampening.
    maximize : bool, default False
        Climb along the gradient.
    foreach, fused, differentiable : bool, optional
        See `pyadam.torch.Optimizer`.
    **extras
        ``l1``, ``bounds``, ``clip_norm``, ``ema_decay``, ``master`` and others: see `pyadam.torch.Optimizer`.

    Raises
    ------
    ValueError
        If `nesterov` goes without momentum or with dampening, besides what every `pyadam.torch.Optimizer` raises.
    TypeError
        As for every `pyadam.torch.Optimizer`.

    Notes
    -----
    A parameter's state is ``"momentum_buffer"`` (`b`), from its first gradient with momentum, else empty. As in PyTorch
    it has no step count, but for `ema_warmup`, `state_dtype` and ``master="stochastic"``, which need one: ``"step"``.

    PyTorch's class takes sparse gradients, which `step` refuses here, and any dampening.

    PyTorch multiplies `lr` at the end and leaves dampening out of the first step; MLX dampens that too. Keras and
    scikit-learn keep `lr` in the momentum: `pyadam.SGD` has `lr_in_momentum` for them.

    References
    ----------
    Polyak, "Some methods of speeding up the convergence of iteration methods", 1964.
    Sutskever et al., "On the importance of initialization and momentum in deep learning", ICML 2013,
    https://proceedings.mlr.press/v28/sutskever13.html.

    Examples
    --------
    >>> import torch, pyadam.torch
    >>> w = torch.tensor([1.0], requires_grad=True)
    >>> optimizer = pyadam.torch.SGD([w], lr=0.1, momentum=0.9)
    >>> w.grad = torch.tensor([1.0])
    >>> for _ in range(2):
    ...     optimizer.step()
    >>> w.detach()
    tensor([0.7100])
    """

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
