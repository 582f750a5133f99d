"""Adam, with AMSGrad, and AdamW."""

import math

from .._hyperparameters import Betas, Flag, NonNegative
from ._rule import Rule


class Adam(Rule):
    r"""Adam (Kingma & Ba, 2015), also with AMSGrad.

    .. math::

        m_t &= β_1 m_{t-1} + (1-β_1) g_t \\
        v_t &= β_2 v_{t-1} + (1-β_2) g_t^2 \\
        p_t &= p_{t-1} - \frac{lr}{1-β_1^t} \frac{m_t}{\sqrt{v_t} / \sqrt{1-β_2^t} + ε}

    Parameters
    ----------
    amsgrad : bool
        Divide by the root of the largest `v` so far (Reddi et al., 2018). Decides what state there is.
    epsilon_hat : bool
        Use the form of the paper's section 2,
        :math:`lr \sqrt{1-β_2^t} / (1-β_1^t) \cdot m_t / (\sqrt{v_t} + ε)`.

    Notes
    -----
    Libraries disagree about epsilon: PyTorch, optax, MLX and autograd use the default form; Keras, scikit-learn,
    TensorFlow, chainer and PennyLane that of ``epsilon_hat=True``. With `amsgrad`, PyTorch, and pyadam with it, keeps
    the maximum of `v` before bias correction, optax after it. Keras decays weights decoupled even in Adam.

    References
    ----------
    Kingma & Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015, https://arxiv.org/abs/1412.6980.
    Reddi, Kale & Kumar, "On the Convergence of Adam and Beyond", ICLR 2018, https://arxiv.org/abs/1904.09237.
    """

    lr: NonNegative = 1e-3
    betas: Betas = (0.9, 0.999)
    eps: NonNegative = 1e-8
    weight_decay: NonNegative = 0.0
    amsgrad: Flag = False
    decoupled_weight_decay: Flag = False
    epsilon_hat: Flag = False

    def kernel(self) -> str:
        return "amsgrad" if self.amsgrad else "adam"

    def scalars(self, t: int) -> tuple[float, ...]:
        beta1, beta2 = self.betas
        bias1 = 1.0 - beta1**t
        root = math.sqrt(1.0 - beta2**t)
        if self.epsilon_hat:
            return beta1, 1.0 - beta1, beta2, 1.0 - beta2, 1.0, self.eps, self.lr * root / bias1
        return beta1, 1.0 - beta1, beta2, 1.0 - beta2, 1.0 / root, self.eps, self.lr / bias1


class AdamW(Adam):
    r"""Adam with decoupled weight decay (Loshchilov & Hutter, 2019).

    .. math:: p_t = (1 - lr λ) p_{t-1} - \frac{lr}{1-β_1^t} \frac{m_t}{\sqrt{v_t} / \sqrt{1-β_2^t} + ε}

    with `m` and `v` as in `Adam`.

    Parameters
    ----------
    weight_decay : float
        The weight decay λ, >= 0, always decoupled: `p` is multiplied by ``1 - lr * weight_decay`` before the update.
    epsilon_hat : bool
        Use the form of section 2 of Adam's paper: see `Adam`.

    Notes
    -----
    PyTorch, Keras and MLX shrink `p` before the update; optax adds ``lr * weight_decay * p`` to it, which is the same
    up to rounding. chainer's `weight_decay_rate` is not multiplied by the step size.

    References
    ----------
    Loshchilov & Hutter, "Decoupled Weight Decay Regularization", ICLR 2019, https://arxiv.org/abs/1711.05101.
    """

    weight_decay: NonNegative = 1e-2
    decoupled_weight_decay: Flag = True

    def kernel(self) -> str:
        if not self.decoupled_weight_decay:
            raise ValueError("AdamW has decoupled_weight_decay=True, which is fixed at construction; Adam has both")
        return super().kernel()
