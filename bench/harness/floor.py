"""Compiles native/floor.cpp on first use and calls it."""

from __future__ import annotations

import ctypes
import os
import shlex
import subprocess
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np

from .cases import Array

SOURCE = Path(__file__).parents[1] / "native/floor.cpp"


class _Arrays(ctypes.Structure):
    _fields_ = [*((name, ctypes.c_void_p) for name in "pgmv"), ("size", ctypes.c_size_t)]


@cache
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


class Mover:
    """Moves an Adam step's bytes of these arrays, all of one dtype, each time it is called."""

    def __init__(
        self, p: Sequence[Array], g: Sequence[Array], m: Sequence[Array], v: Sequence[Array], threads: int
    ) -> None:
        self._function = library()[f"move_{p[0].dtype}"]
        self._function.restype = None
        self._kept_alive = list(zip(p, g, m, v, strict=True))
        self._arrays = (_Arrays * len(p))(
            *(_Arrays(*(array.ctypes.data for array in row), row[0].size) for row in self._kept_alive)
        )
        self._count = ctypes.c_size_t(len(p))
        self._threads = ctypes.c_int(threads)

    def __call__(self) -> None:
        """Move the bytes once."""
        self._function(self._arrays, self._count, self._threads)
