"""Steps divided by the root of squared gradients: Adagrad, Adadelta and RMSprop for NumPy arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import rules
from ._common_options import CommonOptions
from ._declaration import declares_options
from .optimizer import Optimizer

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["Adadelta", "Adagrad", "RMSprop"]


class Adagrad(Optimizer):
    """Adagrad, updating arrays in place in one pass over memory.

    Examples
    --------
    >>> import numpy as np, pyadam
    >>> w = np.array([1.0])
    >>> opt = pyadam.Adagrad(w, lr=0.5)
    >>> for _ in range(2):
    ...     _ = opt.step(np.array([3.0]))  # steps of lr, then lr / sqrt(2)
    >>> w.round(4)
    array([0.1464])
    """

    _rule = rules.Adagrad

    @declares_options
    def __init__(
        self,
        params: Any,
        lr: Any = 1e-2,
        lr_decay: Any = 0.0,
        weight_decay: Any = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: Any = 1e-10,
        *,
        decoupled_weight_decay: bool = False,
        **common: Unpack[CommonOptions],
    ) -> None: ...


class Adadelta(Optimizer):
    """Adadelta, updating arrays in place in one pass over memory.

    Examples
    --------
    >>> import numpy as np, pyadam
    >>> w = np.array([1.0])
    >>> opt = pyadam.Adadelta(w, rho=0.75, eps=0.25)
    >>> _ = opt.step(np.array([3.0]))
    >>> w.round(4)
    array([0.0513])
    """

    _rule = rules.Adadelta

    @declares_options
    def __init__(
        self,
        params: Any,
        lr: Any = 1.0,
        rho: Any = 0.9,
        eps: Any = 1e-6,
        weight_decay: Any = 0.0,
        *,
        decoupled_weight_decay: bool = False,
        **common: Unpack[CommonOptions],
    ) -> None: ...


class RMSprop(Optimizer):
    """RMSprop, updating arrays in place in one pass over memory.

    Raises
    ------
    ValueError
        If `lr_in_momentum` goes without momentum, besides what every `Optimizer` raises.

    Examples
    --------
    >>> import numpy as np, pyadam
    >>> w = np.array([1.0])
    >>> opt = pyadam.RMSprop(w, lr=0.25, alpha=0.75)
    >>> _ = opt.step(np.array([3.0]))  # a step of lr / sqrt(1 - alpha)
    >>> w.round(6)
    array([0.5])
    """

    _rule = rules.RMSprop

    @declares_options
    def __init__(
        self,
        params: Any,
        lr: Any = 1e-2,
        alpha: Any = 0.99,
        eps: Any = 1e-8,
        weight_decay: Any = 0.0,
        momentum: Any = 0.0,
        centered: bool = False,
        *,
        eps_inside_sqrt: bool = False,
        lr_in_momentum: bool = False,
        decoupled_weight_decay: bool = False,
        **common: Unpack[CommonOptions],
    ) -> None: ...
