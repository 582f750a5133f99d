"""Adam and its kin: AMSGrad, AdamW, NAdam, RAdam, AdaMax and LAMB for NumPy arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import rules
from ._common_options import CommonOptions
from ._declaration import declares_options
from .optimizer import Optimizer

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["LAMB", "Adam", "AdamW", "Adamax", "NAdam", "RAdam"]


class Adam(Optimizer):
    """Adam, updating arrays in place in one pass over memory.

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

    _rule = rules.Adam

    @declares_options
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
    ) -> None: ...


class AdamW(Adam):
    """AdamW, updating arrays in place in one pass over memory.

    Examples
    --------
    >>> import numpy as np, pyadam
    >>> w = np.ones(3)
    >>> opt = pyadam.AdamW(w, lr=0.1, weight_decay=0.5)
    >>> _ = opt.step(np.zeros(3))
    >>> w
    array([0.95, 0.95, 0.95])
    """

    _rule = rules.AdamW

    @declares_options
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
    ) -> None: ...


class NAdam(Optimizer):
    """NAdam, updating arrays in place in one pass over memory.

    Examples
    --------
    >>> import numpy as np, pyadam
    >>> w = np.array([1.0, -2.0])
    >>> opt = pyadam.NAdam(w, lr=0.1)
    >>> for _ in range(100):
    ...     _ = opt.step(2 * w)  # the gradient of sum(w**2)
    >>> bool(np.abs(w).max() < 0.05)
    True
    """

    _rule = rules.NAdam

    @declares_options
    def __init__(
        self,
        params: Any,
        lr: Any = 2e-3,
        betas: Any = (0.9, 0.999),
        eps: Any = 1e-8,
        weight_decay: Any = 0.0,
        momentum_decay: Any = 4e-3,
        decoupled_weight_decay: bool = False,
        **common: Unpack[CommonOptions],
    ) -> None: ...


class RAdam(Optimizer):
    """RAdam, updating arrays in place in one pass over memory.

    Examples
    --------
    >>> import numpy as np, pyadam
    >>> w = np.array([1.0])
    >>> opt = pyadam.RAdam(w, lr=0.1)
    >>> _ = opt.step(np.array([0.5]))  # not rectified: the step is lr times the gradient
    >>> w
    array([0.95])
    """

    _rule = rules.RAdam

    @declares_options
    def __init__(
        self,
        params: Any,
        lr: Any = 1e-3,
        betas: Any = (0.9, 0.999),
        eps: Any = 1e-8,
        weight_decay: Any = 0.0,
        decoupled_weight_decay: bool = False,
        **common: Unpack[CommonOptions],
    ) -> None: ...


class Adamax(Optimizer):
    """Adamax, updating arrays in place in one pass over memory.

    Examples
    --------
    >>> import numpy as np, pyadam
    >>> w = np.array([1.0, -2.0])
    >>> opt = pyadam.Adamax(w, lr=0.25)
    >>> _ = opt.step(np.array([3.0, -4.0]))  # the first step has the size lr
    >>> w.round(6)
    array([ 0.75, -1.75])
    """

    _rule = rules.Adamax

    @declares_options
    def __init__(
        self,
        params: Any,
        lr: Any = 2e-3,
        betas: Any = (0.9, 0.999),
        eps: Any = 1e-8,
        weight_decay: Any = 0.0,
        *,
        decoupled_weight_decay: bool = False,
        **common: Unpack[CommonOptions],
    ) -> None: ...


class LAMB(Optimizer):
    """LAMB, updating arrays in place in one pass over memory.

    Examples
    --------
    >>> import numpy as np, pyadam
    >>> w = np.array([3.0, 4.0])
    >>> opt = pyadam.LAMB(w, lr=0.1)
    >>> _ = opt.step(np.array([1.0, 1.0]))  # a step of length lr * 5
    >>> round(float(np.linalg.norm(w - [3.0, 4.0])), 6)
    0.5
    """

    _rule = rules.LAMB

    @declares_options
    def __init__(
        self,
        params: Any,
        lr: Any = 1e-3,
        betas: Any = (0.9, 0.999),
        eps: Any = 1e-6,
        weight_decay: Any = 0.0,
        **common: Unpack[CommonOptions],
    ) -> None: ...
