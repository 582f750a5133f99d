"""RMSprop for NumPy arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import rules
from ._common_options import CommonOptions
from ._declaration import declares_options
from .optimizer import Optimizer

if TYPE_CHECKING:
    from typing_extensions import Unpack


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
