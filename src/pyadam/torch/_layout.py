"""Where tensors lie in memory, and new ones that lie like them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from .. import _core

#: The dtypes of the kernel's table, and the names of those that a parameter or a gradient may have.
DTYPES: dict[str, torch.dtype] = {name: getattr(torch, name) for name in _core.DTYPES}
DTYPE_NAMES = {DTYPES[name]: name for name in _core.GRADIENT_DTYPES}

_SMALL = _core.LARGE_MEMORY // 8  # elements, fewer of which, of any dtype, it leaves where they are

# Types of tensors that lie in one process.
PLAIN_TYPES = (Tensor, torch.nn.Parameter)


def is_distributed(tensor: Any) -> bool:
    """Whether this is a DTensor, of which a process has a part."""
    return type(tensor) not in PLAIN_TYPES and hasattr(tensor, "to_local") and hasattr(tensor, "placements")


def local(tensor: Any) -> Tensor:
    """Return the part of a DTensor that this process has, or the tensor itself. To be called without gradients."""
    here: Tensor = tensor if type(tensor) in PLAIN_TYPES or not is_distributed(tensor) else tensor.to_local()
    return here


def is_dense(shape: Sequence[int], strides: Sequence[int]) -> bool:
    """Whether elements fill their memory without gaps or overlaps, in any order of the dimensions."""
    if 0 in shape:
        return True
    expected = 1
    for stride, size in sorted((stride, size) for stride, size in zip(strides, shape, strict=True) if size != 1):
        if stride != expected:
            return False
        expected *= size
    return True


def is_same_layout(shape: Sequence[int], strides: Sequence[int], others: Sequence[int]) -> bool:
    """Whether two tensors of one shape have their elements in the same places."""
    return all(a == b or size == 1 for size, a, b in zip(shape, strides, others, strict=True)) or 0 in shape


def check_parameter(p: Tensor, name: str) -> None:
    """Raise TypeError or ValueError, beginning with `name`, if a parameter on the CPU cannot be updated in place."""
    if p.is_complex():
        raise TypeError(f"{name} is complex; pass torch.view_as_real(...) of it, or use the class of torch.optim")
    if p.dtype not in DTYPE_NAMES:
        raise TypeError(f"{name} must be of {', '.join(DTYPE_NAMES.values())}, found {p.dtype}")
    if p.layout is not torch.strided:
        raise TypeError(f"{name} must be a dense tensor, found layout {p.layout}")
    if p.is_neg():
        raise ValueError(f"{name} has a pending negation: pass .resolve_neg() of it")
    if not is_dense(p.shape, p.stride()):
        raise ValueError(
            f"{name} must fill its memory without gaps or overlaps, in any order of its dimensions; found the shape "
            f"{tuple(p.shape)} with strides {p.stride()}: pass .contiguous(), or the tensor that this is a part of"
        )
    if p.data_ptr() == 0 and p.numel() > 0:
        raise TypeError(f"{name} is a {type(p).__name__} without memory of its own")


def read_in_place(g: Tensor, p: Tensor, name: str) -> Tensor:
    """Return the gradient, or a copy that lies as its parameter does. Raises if it is none of the parameter."""
    if g.layout is not torch.strided:
        raise RuntimeError(
            f"gradient of {name} is sparse (layout {g.layout}): use torch.optim.SparseAdam for such parameters"
        )
    if g.dtype not in DTYPE_NAMES:
        raise TypeError(f"gradient of {name} must be of {', '.join(DTYPE_NAMES.values())}, found {g.dtype}")
    if g.shape != p.shape or g.device != p.device:
        raise ValueError(
            f"gradient of {name} must have the shape {tuple(p.shape)} on {p.device}, "
            f"found {tuple(g.shape)} on {g.device}"
        )
    has_values = not g.is_neg() and (g.data_ptr() != 0 or g.numel() == 0)
    if has_values and is_same_layout(p.shape, p.stride(), g.stride()):
        return g
    return torch.empty_like(p, dtype=g.dtype).copy_(g)


def state_like(p: Tensor, dtype: torch.dtype, index: int) -> Tensor:
    """Return a tensor without values that lies as `p` does, for the state number `index`.

    PyTorch begins all large tensors at one place of a page; these begin where those of NumPy's classes do.
    """
    size = p.numel() * dtype.itemsize
    if type(p) not in PLAIN_TYPES or _core.place_of(index, size, 0) == 0:
        return torch.empty_like(p, dtype=dtype)
    memory = torch.empty(p.numel() + _core.PAGE // dtype.itemsize, dtype=dtype, device="cpu")
    begin = _core.place_of(index, size, memory.data_ptr()) - memory.data_ptr()
    storage = memory.untyped_storage()
    return torch.empty(0, dtype=dtype, device="cpu").set_(storage, begin // dtype.itemsize, p.shape, p.stride())


def states_like(params: Sequence[Tensor], dtype: torch.dtype, index: int) -> list[Tensor]:
    """As `state_like`, for many parameters, of which most may be small."""
    return [torch.empty_like(p, dtype=dtype) if p.numel() < _SMALL else state_like(p, dtype, index) for p in params]


def copy_like(p: Tensor, values: Tensor, dtype: torch.dtype) -> Tensor:
    """Return a copy of `values` in the parameter's layout."""
    return torch.empty_like(p, dtype=dtype).copy_(values)
