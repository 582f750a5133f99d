"""The state of a parameter: what PyTorch keeps, by its names, and what only pyadam keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from .. import _core
from ._layout import is_same_layout, local, state_like, states_like
from ._options import GroupOptions

if TYPE_CHECKING:
    from ._bound import Member

# What only pyadam keeps, and what PyTorch makes when it first needs it: begins anew where it is missing.
_MADE_LATER = frozenset({"master", "low_bits", "ema", "momentum_buffer"})

_COUNT_DTYPES = (torch.float32, torch.float64)

_BEGIN_AS_THE_PARAMETER = frozenset({"master", "ema"})


def count_dtype() -> torch.dtype:
    """Return the dtype of PyTorch's step counts."""
    return torch.float64 if torch.get_default_dtype() == torch.float64 else torch.float32


def new_numbers(values: Sequence[float]) -> list[Tensor]:
    """Return a tensor for each number, which lie side by side: a step writes to one after the other."""
    shape = (len(values),) if len(values) > 1 else ()  # a lone one is no view, which would take as long again
    if any(values):
        numbers = torch.tensor(values, dtype=count_dtype(), device="cpu").reshape(shape)
    else:
        numbers = torch.empty(shape, dtype=count_dtype(), device="cpu")
        zero([numbers])
    return list(numbers.unbind()) if shape else [numbers]


def lacking(member: Member, options: GroupOptions) -> tuple[str, ...]:
    """Return the names of what a parameter's state has yet to begin with."""
    state = member.state
    if not state:
        return (*options.numbers, *member.kept)
    return tuple(key for key in (*options.numbers, *member.kept) if state.get(key) is None)


def begin(key: str, members: Sequence[Member], options: GroupOptions) -> list[Tensor]:
    """Return what the states of members with the same options and dtype begin with under a name."""
    if key in options.numbers:
        return new_numbers([member.count for member in members] if key == "step" else [1.0] * len(members))
    kept = members[0].kept
    tensors = states_like([member.p for member in members], kept[key], list(kept).index(key))
    if key in _BEGIN_AS_THE_PARAMETER:
        for tensor, member in zip(tensors, members, strict=True):
            tensor.copy_(member.p)
    elif key != "low_bits" and options.keeping.initial_state != 0:
        for tensor in tensors:
            tensor.fill_(options.keeping.initial_state)
    else:
        zero(tensors)
    return tensors


def zero(tensors: Sequence[Tensor]) -> None:
    """Zero new tensors, one per parameter, as one piece of work: PyTorch zeroes small ones one by one on one thread."""
    here = [*map(local, tensors)]
    _core.zero_new_memory([*map(Tensor.data_ptr, here)], [tensor.nbytes for tensor in here])


def laid_out(member: Member, options: GroupOptions) -> dict[str, Tensor]:
    """Return copies of those tensors of a state that the kernel cannot work on: of another dtype or layout."""
    p = member.p
    copies = {}
    for key in options.numbers:
        if key in member.state and not _is_count(member.state[key]):
            copies[key] = loaded_count(member.state[key])
    for index, (key, dtype) in enumerate(member.kept.items()):
        value = member.state.get(key)
        if value is None:
            continue
        if value.dtype != dtype or not is_same_layout(p.shape, member.here.stride(), local(value).stride()):
            copies[key] = state_like(p, dtype, index).copy_(value)
    return copies


def check(
    state: Mapping[str, Any], p: Tensor, kept: Mapping[str, torch.dtype], options: GroupOptions, name: str
) -> None:
    """Raise ValueError if a state that has begun does not fit the parameter."""
    needed = {"step"} if options.rule.counts_steps_in_torch else set()
    missing = (needed | set(kept)) - {key for key, value in state.items() if value is not None} - _MADE_LATER
    if missing:
        raise ValueError(
            f"state of {name} must have {sorted(needed | set(kept))} for the rule {options.kernel!r}, "
            f"found {list(state)}"
        )
    for key in kept:
        value = state.get(key)
        if value is None:
            continue
        if not isinstance(value, Tensor) or value.shape != p.shape:
            found = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
            raise ValueError(f"{key} of {name} must be a tensor of the shape {tuple(p.shape)}, found {found}")


def whole_number(step: Any, known: int, name: str) -> int:
    """Return a step count; `known` where `step` is that, as far as its dtype can tell."""
    number = float(step)
    if _is_count(step) and float(torch.tensor(known, dtype=step.dtype, device="cpu")) == number:
        return known
    if not (0 <= number <= _core.MAX_STEP and number == int(number)):
        raise ValueError(f"step of {name} must be a whole number from 0 to 2**53 - 1, found {number}")
    return int(number)


def _is_count(value: Any) -> bool:
    return isinstance(value, Tensor) and value.dtype in _COUNT_DTYPES and value.device.type == "cpu"


def loaded_count(value: Any) -> Tensor:
    """Return a number of the state, which PyTorch once kept as a plain one, as a tensor of its own."""
    dtype = value.dtype if isinstance(value, Tensor) and value.dtype in _COUNT_DTYPES else count_dtype()
    return torch.tensor(float(value), dtype=dtype, device="cpu")


def moved(state: Mapping[str, Any], p: Tensor) -> dict[str, Any]:
    """Return the state of a parameter on another device as PyTorch would have it: of its dtype, on its device."""
    return {
        key: value.to(p.device, p.dtype) if isinstance(value, Tensor) and key != "step" else value
        for key, value in state.items()
    }
