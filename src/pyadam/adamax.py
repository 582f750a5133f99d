"""AdaMax for NumPy arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import rules
from ._common_options import CommonOptions
from ._declaration import declares_options
from .optimizer import Optimizer

if TYPE_CHECKING:
    from typing_extensions import Unpack


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
