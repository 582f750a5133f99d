"""The threads of PyTorch's OpenMP run time, lent to the kernel."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

import torch

from .. import _core


def _address(library: ctypes.CDLL, name: str) -> int:
    return ctypes.cast(getattr(library, name), ctypes.c_void_p).value or 0


def share_threads() -> bool:
    """Let the kernel work on the threads that PyTorch's operators use; False where they cannot be had.

    After a backward pass they spin for some milliseconds, waiting for more work. A step on other threads would have to
    share the cores with them.
    """
    if os.name != "posix":
        return False
    try:
        # Finds the run time that the library was linked with, whichever it is and wherever it lies.
        library = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"))
        parallel, thread_number = (_address(library, name) for name in ("GOMP_parallel", "omp_get_thread_num"))
    except (OSError, AttributeError):
        return False
    _core.use_host_threads(parallel, thread_number)
    return True
