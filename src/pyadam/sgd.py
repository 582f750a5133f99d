"""Gradient descent with momentum, and Lion, which steps by its sign for NumPy arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import rules
from ._common_options import CommonOptions
from ._declaration import declares_options
from .optimizer import Optimizer

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["SGD", "Lion"]


class SGD(Optimizer):
    """SGD, updating arrays in place in one pass over memory.

    Raises
    ------
    ValueError
        If `nesterov` or `lr_in_momentum` goes without momentum, or `nesterov` with dampening, besides what every
        `Optimizer` raises.

    Examples
    --------
    >>> import numpy as np, pyadam
    >>> w = np.array([1.0])
    >>> opt = pyadam.SGD(w, lr=0.1, momentum=0.9)
    >>> for _ in range(2):
    ...     _ = opt.step(np.array([1.0]))
    >>> w.round(6)
    array([0.71])
    """

    _rule = rules.SGD

    @declares_options
    def __init__(
        self,
        params: Any,
        lr: Any = 1e-3,
        momentum: Any = 0.0,
        dampening: Any = 0.0,
        weight_decay: Any = 0.0,
        nesterov: bool = False,
        *,
        lr_in_momentum: bool = False,
        decoupled_weight_decay: bool = False,
        **common: Unpack[CommonOptions],
    ) -> None: ...


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
