"""Adam and its kin: AMSGrad, AdamW, NAdam, RAdam, AdaMax and LAMB."""

import math
from collections.abc import Mapping
from typing import Any, ClassVar

from .._hyperparameters import Betas, Flag, NonNegative, StepSize
from ._rule import Rule

__all__ = ["LAMB", "Adam", "AdamW", "Adamax", "NAdam", "RAdam"]


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

    variants: ClassVar[tuple[Mapping[str, Any], ...]] = ({}, {"amsgrad": True})

    lr: StepSize = 1e-3
    betas: Betas = (0.9, 0.999)
    eps: NonNegative = 1e-8
    weight_decay: NonNegative = 0.0
    amsgrad: Flag = False
    decoupled_weight_decay: Flag = False
    epsilon_hat: Flag = False

    def kernel(self) -> str:
        return "amsgrad" if self.amsgrad else "adam"

    def scalars(self, t: int, carried: tuple[float, ...] = ()) -> tuple[float, ...]:
        del carried
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

    variants = ()  # those of Adam

    weight_decay: NonNegative = 1e-2
    decoupled_weight_decay: Flag = True

    def kernel(self) -> str:
        if not self.decoupled_weight_decay:
            raise ValueError("AdamW has decoupled_weight_decay=True, which is fixed at construction; Adam has both")
        return super().kernel()


class NAdam(Rule):
    r"""NAdam: Adam with Nesterov's momentum (Dozat, 2016).

    .. math::

        μ_t &= β_1 (1 - \tfrac12 0.96^{tψ}), \quad M_t = \prod_{i=1}^t μ_i \\
        m_t &= β_1 m_{t-1} + (1-β_1) g_t, \quad v_t = β_2 v_{t-1} + (1-β_2) g_t^2 \\
        p_t &= p_{t-1} - lr \left( \frac{1-μ_t}{1-M_t} g_t + \frac{μ_{t+1}}{1-M_{t+1}} m_t \right)
               \Big/ \left( \sqrt{v_t} / \sqrt{1-β_2^t} + ε \right)

    Parameters
    ----------
    momentum_decay : float
        The exponent ψ of the momentum's warm-up, >= 0.

    Notes
    -----
    PyTorch and quimb agree. Keras fixes ψ at 1 (``momentum_decay=1.0``). optax does not warm the momentum up, which a
    large ψ such as 1e6 amounts to. `M` is kept in double precision; PyTorch keeps it in float32 unless the default
    dtype is float64.

    References
    ----------
    Dozat, "Incorporating Nesterov Momentum into Adam", ICLR workshop 2016,
    https://openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ.
    """

    name = "nadam"

    lr: StepSize = 2e-3
    betas: Betas = (0.9, 0.999)
    eps: NonNegative = 1e-8
    weight_decay: NonNegative = 0.0
    momentum_decay: NonNegative = 4e-3
    decoupled_weight_decay: Flag = False

    carries = ("mu_product",)
    initial_carried = (1.0,)

    def _momentum(self, t: int) -> float:
        return float(self.betas[0] * (1.0 - 0.5 * 0.96 ** (t * self.momentum_decay)))

    def carry(self, t: int, carried: tuple[float, ...]) -> tuple[float, ...]:
        return (carried[0] * self._momentum(t),)

    def carried_after(self, t: int) -> tuple[float, ...]:
        carried: tuple[float, ...] = self.initial_carried
        for step in range(1, t + 1):
            before, carried = carried, self.carry(step, carried)
            if carried == before:  # rounding has stopped it, for ever since momenta grow
                break
        return carried

    def scalars(self, t: int, carried: tuple[float, ...] = ()) -> tuple[float, ...]:
        (beta1, beta2), (product,) = self.betas, carried
        momentum = self._momentum(t + 1)
        lr_gradient = self.lr * (1.0 - self._momentum(t)) / (1.0 - product)
        lr_momentum = self.lr * momentum / (1.0 - product * momentum)
        root_scale = 1.0 / math.sqrt(1.0 - beta2**t)
        return beta1, 1.0 - beta1, beta2, 1.0 - beta2, root_scale, self.eps, lr_gradient, lr_momentum


class RAdam(Rule):
    r"""RAdam: Adam that begins with steps of momentum, until their variance is bounded (Liu et al., 2020).

    .. math::

        m_t &= β_1 m_{t-1} + (1-β_1) g_t, \quad v_t = β_2 v_{t-1} + (1-β_2) g_t^2 \\
        ρ_∞ &= 2/(1-β_2) - 1, \quad ρ_t = ρ_∞ - 2tβ_2^t/(1-β_2^t) \\
        p_t &= p_{t-1} - \frac{lr}{1-β_1^t} m_t \cdot
        \begin{cases}
        \sqrt{\frac{(ρ_t-4)(ρ_t-2)ρ_∞}{(ρ_∞-4)(ρ_∞-2)ρ_t}} \frac{\sqrt{1-β_2^t}}{\sqrt{v_t} + ε} & ρ_t > 5 \\
        1 & \text{otherwise}
        \end{cases}

    Notes
    -----
    As in PyTorch, ε is added to the root before bias correction and the step is rectified where ρ > 5. optax adds ε
    after it and rectifies from ρ >= 5, as Thinc does, whose step count is one ahead.

    References
    ----------
    Liu et al., "On the Variance of the Adaptive Learning Rate and Beyond", ICLR 2020,
    https://arxiv.org/abs/1908.03265.
    """

    name = "radam"

    lr: StepSize = 1e-3
    betas: Betas = (0.9, 0.999)
    eps: NonNegative = 1e-8
    weight_decay: NonNegative = 0.0
    decoupled_weight_decay: Flag = False

    def scalars(self, t: int, carried: tuple[float, ...] = ()) -> tuple[float, ...]:
        del carried
        beta1, beta2 = self.betas
        lr = self.lr / (1.0 - beta1**t)
        beta2_power = beta2**t
        bias2 = 1.0 - beta2_power
        rho_inf = 2.0 / (1.0 - beta2) - 1.0
        rho = rho_inf - 2.0 * t * beta2_power / bias2
        is_rectified = rho > 5.0
        if is_rectified:
            variance = (rho - 4.0) * (rho - 2.0) * rho_inf / ((rho_inf - 4.0) * (rho_inf - 2.0) * rho)
            lr *= math.sqrt(variance) * math.sqrt(bias2)
        return beta1, 1.0 - beta1, beta2, 1.0 - beta2, self.eps, lr, float(is_rectified)


class Adamax(Rule):
    r"""AdaMax: Adam with the infinity norm in place of the second moment (Kingma & Ba, 2015, algorithm 2).

    .. math::

        m_t &= β_1 m_{t-1} + (1-β_1) g_t \\
        u_t &= \max(β_2 u_{t-1}, |g_t| + ε) \\
        p_t &= p_{t-1} - \frac{lr}{1-β_1^t} \frac{m_t}{u_t}

    Parameters
    ----------
    betas : (float, float)
        Decay rates of `m` and of the norm `u`, in [0, 1).
    eps : float
        Added to the gradient's magnitude, >= 0. With 0, a parameter whose gradients were all 0 becomes NaN.

    Notes
    -----
    PyTorch and optax put ε where pyadam does. Keras, ensmallen and MLX add it to the denominator `u`. MLX leaves out
    the bias correction.

    References
    ----------
    Kingma & Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015, https://arxiv.org/abs/1412.6980.
    """

    name = "adamax"

    lr: StepSize = 2e-3
    betas: Betas = (0.9, 0.999)
    eps: NonNegative = 1e-8
    weight_decay: NonNegative = 0.0
    decoupled_weight_decay: Flag = False

    def scalars(self, t: int, carried: tuple[float, ...] = ()) -> tuple[float, ...]:
        del carried
        beta1, beta2 = self.betas
        return beta1, 1.0 - beta1, beta2, self.eps, self.lr / (1.0 - beta1**t)


class LAMB(Rule):
    r"""LAMB: Adam's direction, scaled in each parameter by the ratio of norms (You et al., 2020).

    .. math::

        m_t &= β_1 m_{t-1} + (1-β_1) g_t, \quad v_t = β_2 v_{t-1} + (1-β_2) g_t^2 \\
        d_t &= \frac{m_t / (1-β_1^t)}{\sqrt{v_t} / \sqrt{1-β_2^t} + ε} + λ p_{t-1} \\
        p_t &= p_{t-1} - lr \frac{\|p_{t-1}\|}{\|d_t\|} d_t

    The ratio is 1 where either norm is 0. Norms are over one array of params.

    Parameters
    ----------
    weight_decay : float
        The weight decay λ, >= 0. It is part of the direction whose norm is taken, as the paper has it.

    Notes
    -----
    optax, tinygrad and pytorch_optimizer agree; Keras has ε 1e-7 and decays weights outside the ratio. Norms are summed
    in double precision in one fixed order, so they do not depend on the CPU or the number of threads.

    References
    ----------
    You et al., "Large Batch Optimization for Deep Learning: Training BERT in 76 minutes", ICLR 2020,
    https://arxiv.org/abs/1904.00962.
    """

    name = "lamb"
    needs_whole_parameters = True

    lr: StepSize = 1e-3
    betas: Betas = (0.9, 0.999)
    eps: NonNegative = 1e-6
    weight_decay: NonNegative = 0.0

    def decay(self) -> tuple[float, float]:
        return 0.0, 1.0

    def scalars(self, t: int, carried: tuple[float, ...] = ()) -> tuple[float, ...]:
        del carried
        beta1, beta2 = self.betas
        mean_scale = 1.0 / (1.0 - beta1**t)
        root_scale = 1.0 / math.sqrt(1.0 - beta2**t)
        averages = (beta1, 1.0 - beta1, beta2, 1.0 - beta2, mean_scale, root_scale)
        return *averages, self.eps, self.weight_decay, self.lr
