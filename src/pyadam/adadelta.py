"""Adadelta for NumPy arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import rules
from ._common_options import CommonOptions
from ._declaration import declares_options
from .optimizer import Optimizer

if TYPE_CHECKING:
    from typing_extensions import Unpack


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
