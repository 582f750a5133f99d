"""Compiles native/floor.cpp on first use and calls it."""

from __future__ import annotations

import ctypes
import os
import shlex
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from .cases import Array

SOURCE = Path(__file__).parents[1] / "native/floor.cpp"


class _Arrays(ctypes.Structure):
    _fields_ = [*((name, ctypes.c_void_p) for name in "pgmv"), ("size", ctypes.c_size_t)]


def library() -> ctypes.CDLL:
    """Return the compiled floor; raises OSError where $CXX or c++ is missing or fails."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        output = str(Path(folder, "floor.so"))
        flags = ["-std=c++17", "-O3", "-march=native", "-fopenmp", "-shared", "-fPIC"]
        command = [*shlex.split(os.environ.get("CXX", "c++")), *flags, str(SOURCE), "-o", output]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode != 0:
            raise OSError(f"{command[0]} failed: {result.stderr.strip()}")
        return ctypes.CDLL(output)


def zeros_apart(like: Array, distance: int) -> Array:
    """Return zeros that begin `distance` bytes behind the place of a page at which `like` does."""
    page = 4096
    memory = np.zeros(like.nbytes + page, np.uint8)
    begin = (like.ctypes.data + distance - memory.ctypes.data) % page
    return memory[begin : begin + like.nbytes].view(like.dtype).reshape(like.shape)


def mover(params: Sequence[Array], grads: Sequence[Array], threads: int) -> Callable[[], None]:
    """Return a function that moves the bytes of an Adam step of these arrays, all of one dtype."""
    # Where all four arrays are at the same place of their pages, the floor would be higher than pyadam's step.
    rows = [(p, g, zeros_apart(p, 1024), zeros_apart(p, 2048)) for p, g in zip(params, grads, strict=True)]
    arrays = (_Arrays * len(rows))(*(_Arrays(*(a.ctypes.data for a in row), row[0].size) for row in rows))
    function = library()[f"move_{params[0].dtype}"]
    function.restype = None

    def move(_kept_alive: object = rows) -> None:
        function(arrays, ctypes.c_size_t(len(arrays)), ctypes.c_int(threads))

    return move
