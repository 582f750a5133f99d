"""Lion for NumPy arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import rules
from ._common_options import CommonOptions
from ._declaration import declares_options
from .optimizer import Optimizer

if TYPE_CHECKING:
    from typing_extensions import Unpack


class Lion(Optimizer):
    """Lion, updating arrays in place in one pass over memory.

    Examples
    --------
    >>> import numpy as np, pyadam
    >>> w = np.array([1.0, 1.0, 1.0])
    >>> opt = pyadam.Lion(w, lr=0.25)
    >>> _ = opt.step(np.array([3.0, -0.001, 0.0]))
    >>> w
    array([0.75, 1.25, 1.  ])
    """

    _rule = rules.Lion

    @declares_options
    def __init__(
        self,
        params: Any,
        lr: Any = 1e-4,
        betas: Any = (0.9, 0.99),
        weight_decay: Any = 0.0,
        *,
        decoupled_weight_decay: bool = True,
        **common: Unpack[CommonOptions],
    ) -> None: ...
