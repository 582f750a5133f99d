"""Adam, with AMSGrad, and AdamW."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ._common_options import CommonOptions
from .optimizer import Optimizer

if TYPE_CHECKING:
    from typing_extensions import Unpack


class Adam(Optimizer):
    r"""Adam (Kingma & Ba, 2015), updating NumPy arrays in place in one pass over memory.

    .. math::

        m_t &= β_1 m_{t-1} + (1-β_1) g_t \\
        v_t &= β_2 v_{t-1} + (1-β_2) g_t^2 \\
        p_t &= p_{t-1} - \frac{lr}{1-β_1^t} \frac{m_t}{\sqrt{v_t} / \sqrt{1-β_2^t} + ε}

    Parameters
    ----------
    params : ndarray, or list, tuple or dict of params, or list of group dicts
        As for every `Optimizer`.
    lr : float or function, default 1e-3
        Step size, >= 0.
    betas : (float, float) or function, default (0.9, 0.999)
        Decay rates of the averages `m` and `v`, in [0, 1).
    eps : float or function, default 1e-8
        Added to the denominator, >= 0.
    weight_decay : float or function, default 0.0
        Coefficient of `p` added to the gradient, >= 0; with `decoupled_weight_decay`, see `AdamW`.
    amsgrad : bool, default False
        Divide by the root of the largest `v` so far (Reddi et al., 2018). Fixed at construction.
    decoupled_weight_decay : bool, default False
        Shrink `p` by ``1 - lr * weight_decay`` before the update, and leave the gradient alone.
    epsilon_hat : bool, default False
        Use the form of the paper's section 2,
        :math:`lr \sqrt{1-β_2^t} / (1-β_1^t) \cdot m_t / (\sqrt{v_t} + ε)`.
    **common
        ``maximize``, ``l1``, ``bounds``, ``clip_norm``, ``ema_decay``, ``master`` and others: see `Optimizer`.

    Raises
    ------
    TypeError, ValueError
        As for every `Optimizer`.

    Notes
    -----
    Arithmetic is in float64 for float64 parameters and in float32 for all others, one rounding per operation, the same
    on every CPU and for any number of threads; `pyadam.reference.adam` states it in NumPy.

    Libraries disagree about epsilon: PyTorch, optax, MLX and autograd use the default form; Keras, scikit-learn,
    TensorFlow, chainer and PennyLane that of ``epsilon_hat=True``. With `amsgrad`, PyTorch, and pyadam with it, keeps
    the maximum of `v` before bias correction, optax after it. Keras decays weights decoupled even in Adam.

    References
    ----------
    Kingma & Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015, https://arxiv.org/abs/1412.6980.
    Reddi, Kale & Kumar, "On the Convergence of Adam and Beyond", ICLR 2018, https://arxiv.org/abs/1904.09237.

    Examples
    --------
    >>> import numpy as np, pyadam
    >>> w = np.array([1.0, -2.0])
    >>> opt = pyadam.Adam(w, lr=0.1)
    >>> for _ in range(100):
    ...     _ = opt.step(2 * w)  # the gradient of sum(w**2)
    >>> bool(np.abs(w).max() < 0.05)
    True
    """

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-3,
        betas: Any = (0.9, 0.999),
        eps: Any = 1e-8,
        weight_decay: Any = 0.0,
        amsgrad: bool = False,
        *,
        decoupled_weight_decay: bool = False,
        epsilon_hat: bool = False,
        **common: Unpack[CommonOptions],
    ) -> None:
        options = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "decoupled_weight_decay": decoupled_weight_decay,
            "epsilon_hat": epsilon_hat,
        }
        super().__init__(params, options, common)

    @classmethod
    def _rule(cls, options: Mapping[str, Any]) -> str:
        return "amsgrad" if options["amsgrad"] else "adam"

    @staticmethod
    def _scalars(options: Mapping[str, Any], t: int) -> tuple[float, ...]:
        beta1, beta2 = options["betas"]
        bias1 = 1.0 - beta1**t
        root = math.sqrt(1.0 - beta2**t)
        if options["epsilon_hat"]:
            root_scale, lr = 1.0, options["lr"] * root / bias1
        else:
            root_scale, lr = 1.0 / root, options["lr"] / bias1
        return beta1, 1.0 - beta1, beta2, 1.0 - beta2, root_scale, options["eps"], lr


class AdamW(Adam):
    r"""Adam with decoupled weight decay (Loshchilov & Hutter, 2019).

    .. math:: p_t = (1 - lr λ) p_{t-1} - \frac{lr}{1-β_1^t} \frac{m_t}{\sqrt{v_t} / \sqrt{1-β_2^t} + ε}

    with `m` and `v` as in `Adam`.

    Parameters
    ----------
    params : ndarray, or list, tuple or dict of params, or list of group dicts
        As for every `Optimizer`.
    lr : float or function, default 1e-3
        Step size, >= 0.
    betas : (float, float) or function, default (0.9, 0.999)
        Decay rates of the averages `m` and `v`, in [0, 1).
    eps : float or function, default 1e-8
        Added to the denominator, >= 0.
    weight_decay : float or function, default 1e-2
        The weight decay λ, >= 0, always decoupled: `p` is multiplied by ``1 - lr * weight_decay`` before the update.
    amsgrad : bool, default False
        Divide by the root of the largest `v` so far (Reddi et al., 2018). Fixed at construction.
    epsilon_hat : bool, default False
        Use the form of section 2 of Adam's paper: see `Adam`.
    **common
        ``maximize``, ``l1``, ``bounds``, ``clip_norm``, ``ema_decay``, ``master`` and others: see `Optimizer`.

    Raises
    ------
    TypeError, ValueError
        As for every `Optimizer`.

    Notes
    -----
    PyTorch, Keras and MLX shrink `p` before the update; optax adds ``lr * weight_decay * p`` to it, which is the same
    up to rounding. chainer's `weight_decay_rate` is not multiplied by the step size.

    References
    ----------
    Loshchilov & Hutter, "Decoupled Weight Decay Regularization", ICLR 2019, https://arxiv.org/abs/1711.05101.

    Examples
    --------
    >>> import numpy as np, pyadam
    >>> w = np.ones(3)
    >>> opt = pyadam.AdamW(w, lr=0.1, weight_decay=0.5)
    >>> _ = opt.step(np.zeros(3))
    >>> w
    array([0.95, 0.95, 0.95])
    """

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-3,
        betas: Any = (0.9, 0.999),
        eps: Any = 1e-8,
        weight_decay: Any = 1e-2,
        amsgrad: bool = False,
        *,
        epsilon_hat: bool = False,
        **common: Unpack[CommonOptions],
    ) -> None:
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            decoupled_weight_decay=True,
            epsilon_hat=epsilon_hat,
            **common,
        )

    @classmethod
    def _rule(cls, options: Mapping[str, Any]) -> str:
        if not options["decoupled_weight_decay"]:
            raise ValueError("AdamW has decoupled_weight_decay=True, which is fixed at construction; Adam has both")
        return super()._rule(options)
