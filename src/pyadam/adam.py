"""Adam, with AMSGrad, and AdamW for NumPy arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import rules
from ._common_options import CommonOptions
from ._declaration import declares_options
from .optimizer import Optimizer

if TYPE_CHECKING:
    from typing_extensions import Unpack


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
