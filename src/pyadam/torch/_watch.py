"""Where tensors lie, and whether they still do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from .. import _core
from ._layout import DTYPE_NAMES

_CODES = {dtype: _core.GRADIENT_DTYPES[name] for dtype, name in DTYPE_NAMES.items()}


def addresses(grads: Sequence[Tensor | None]) -> tuple[list[int | None], list[int]]:
    """Return the gradients' addresses and the numbers of their dtypes, as the kernel takes them."""
    return (
        [None if g is None else g.data_ptr() for g in grads],
        [0 if g is None else _CODES[g.dtype] for g in grads],
    )


class SlowWatch:
    """As `_core.WatchedTensors`, for releases of PyTorch without DLPack's C exchange API."""

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        self._tensors = list(tensors)
        self._seen = self._look()

    def _look(self) -> list[Any]:
        return [(t.data_ptr(), t.dtype, t.shape, t.stride()) for t in self._tensors]

    def hold(self) -> bool:
        """Whether all tensors still have the same memory, dtype, shape and strides."""
        return self._look() == self._seen

    def addresses_of(self, gradients: list[Any]) -> None:
        """Leave it to others to look at each gradient."""
        del gradients


def watch(tensors: list[Tensor]) -> _core.WatchedTensors | SlowWatch:
    """Return what notices a change of the tensors' memory, and reads gradients that lie as the first of them."""
    exchange_api = getattr(Tensor, "__dlpack_c_exchange_api__", None)
    return SlowWatch(tensors) if exchange_api is None else _core.WatchedTensors(exchange_api, Tensor, tensors)
