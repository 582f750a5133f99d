"""Where tensors lie, and whether they still do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from .. import _core
from ._layout import DTYPE_NAMES, PLAIN_TYPES
from ._library import addresses_of

_CODES = {dtype: _core.GRADIENT_DTYPES[name] for dtype, name in DTYPE_NAMES.items()}

# Of PyTorch's stable C ABI, in the order in which `_core.TensorHandles` takes them.
_C_ABI = (
    "aoti_torch_get_data_ptr",
    "aoti_torch_get_dtype",
    "aoti_torch_get_dim",
    "aoti_torch_get_sizes",
    "aoti_torch_get_strides",
    "aoti_torch_delete_tensor_object",
)


class PlainWatch:
    """A watch in Python, for releases of PyTorch that have no faster way to look at tensors."""

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        self._tensors = list(tensors)
        self._seen = self._look()

    def _look(self) -> list[Any]:
        return [(t.data_ptr(), t.dtype, t.shape, t.stride()) for t in self._tensors]

    def hold(self) -> bool:
        """Whether all tensors still have the same memory, dtype, shape and strides."""
        return self._look() == self._seen


def are_plain(params: list[Any]) -> bool:
    """Whether all certainly pass the checks of `_layout`, and their gradients too: a quick look, since most do."""
    exchange_api = getattr(Tensor, "__dlpack_c_exchange_api__", None)
    return exchange_api is not None and _core.are_plain(exchange_api, PLAIN_TYPES, params)


def given_gradients(grads: Sequence[Tensor | None]) -> _core.GivenGradients:
    """Return gradients, each of which lies as its parameter does, as the kernel takes them. They must be kept alive."""
    return _core.GivenGradients(
        [None if g is None else g.data_ptr() for g in grads],
        [0 if g is None else _CODES[g.dtype] for g in grads],
    )


def watch_params(params: list[Tensor]) -> _core.WatchedTensors | PlainWatch:
    """Return what notices a change of the parameters' memory.

    It looks at the objects, whose tensors `torch.utils.swap_tensors` may exchange.
    """
    exchange_api = getattr(Tensor, "__dlpack_c_exchange_api__", None)
    return PlainWatch(params) if exchange_api is None else _core.WatchedTensors(exchange_api, Tensor, params)


def watch_state(
    tensors: list[Tensor], numbers: list[Tensor]
) -> _core.WatchedTensors | _core.TensorHandles | PlainWatch:
    """Return what notices a change of the memory of the state's tensors and its numbers, which nobody swaps.

    PyTorch refuses to swap a tensor that has a handle.
    """
    functions = addresses_of(*_C_ABI)
    handles_of = getattr(getattr(torch._C, "_aoti", None), "unsafe_alloc_void_ptrs_from_tensors", None)
    if functions is None or handles_of is None:
        return watch_params([*tensors, *numbers])
    return _core.TensorHandles(functions, handles_of([*tensors, *numbers]), len(numbers))
