"""Adagrad for NumPy arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import rules
from ._common_options import CommonOptions
from ._declaration import declares_options
from .optimizer import Optimizer

if TYPE_CHECKING:
    from typing_extensions import Unpack


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
