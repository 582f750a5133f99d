"""NAdam for PyTorch."""

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


class NAdam(Optimizer):
    r"""NAdam: Adam with Nesterov's momentum (Dozat, 2016), the rule of `pyadam.NAdam`.

    .. math::

        μ_t &= β_1 (1 - \tfrac12 0.96^{tψ}), \quad M_t = \prod_{i=1}^t μ_i \\
        p_t &= p_{t-1} - lr \left( \frac{1-μ_t}{1-M_t} g_t + \frac{μ_{t+1}}{1-M_{t+1}} m_t \right)
               \Big/ \left( \sqrt{v_t} / \sqrt{1-β_2^t} + ε \right)

    with `m` and `v` as in `Adam`.

    Parameters
    ----------
    params : iterable of Tensors, of (name, Tensor) pairs or of group dicts
        As for every `pyadam.torch.Optimizer`.
    lr : float or one-element Tensor, default 2e-3
        Step size, >= 0.
    betas : (float, float), default (0.9, 0.999)
        Decay rates of the averages `m` and `v`, in [0, 1).
    eps : float, default 1e-8
        Added to the denominator, >= 0.
    weight_decay : float, default 0
        Coefficient of `p` added to the gradient, >= 0; with `decoupled_weight_decay`, see `AdamW`.
    momentum_decay : float, default 4e-3
        The exponent ψ of the momentum's warm-up, >= 0.
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
    A parameter's state begins at its first gradient: ``"step"``, ``"mu_product"`` (`M`), ``"exp_avg"`` (`m`) and
    ``"exp_avg_sq"`` (`v`).

    `M` is derived from the step count and the present `betas` and `momentum_decay`; what stands in the state is written
    for PyTorch, and not read. PyTorch multiplies it up, in float32 unless the default dtype is float64, and so keeps
    the factors of the `betas` that were. Keras fixes ψ at 1; optax does not warm the momentum up.

    References
    ----------
    Dozat, "Incorporating Nesterov Momentum into Adam", ICLR workshop 2016,
    https://openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ.

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
