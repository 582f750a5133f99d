"""LAMB for NumPy arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import rules
from ._common_options import CommonOptions
from ._declaration import declares_options
from .optimizer import Optimizer

if TYPE_CHECKING:
    from typing_extensions import Unpack


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
