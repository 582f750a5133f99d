"""Functions of PyTorch's own library, by their addresses."""

from __future__ import annotations

import ctypes
import os
from functools import cache
from pathlib import Path

import torch


@cache
def addresses_of(*names: str) -> tuple[int, ...] | None:
    """Return where the C functions of these names are, in PyTorch's library or in what it was linked with, or None."""
    if os.name != "posix":
        return None
    folder = Path(torch.__file__).parent / "lib"
    for path in (folder / "libtorch_cpu.so", folder / "libtorch_cpu.dylib"):
        try:
            library = ctypes.CDLL(str(path))
            return tuple(ctypes.cast(getattr(library, name), ctypes.c_void_p).value or 0 for name in names)
        except (OSError, AttributeError):
            continue
    return None
