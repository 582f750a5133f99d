"""The safetensors format, streamed: tensors go between file and live arrays in pieces, never as a whole copy.

A file is the length of its header (8 bytes, little-endian), the header (JSON), and the data of the tensors in C order,
little-endian, without gaps. The library of that name reads and writes whole tensors, has no checksum and does not say
when a file is safe on disk, so that it serves here for the tests alone.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .. import _core
from .._extras import require

PIECE = 2**20  # bytes
MAX_HEADER = 100_000_000  # bytes; the safetensors library reads no longer one either
_CHECKSUM = "checksum"
_NO_DIGEST = "0" * 64  # what the checksum itself counts as

# The format's names of dtypes: those of the kernel's table, and those that bounds may be of.
_NAMES = {code: name for name, (_, code, _) in _core.DTYPES.items()}
_NAMES |= {
    f"{kind}{8 * size}": f"{name}{8 * size}" for size in (1, 2, 4, 8) for kind, name in (("U", "uint"), ("I", "int"))
}
_NAMES["BOOL"] = "bool"
_CODES = {name: code for code, name in _NAMES.items()}


class CheckpointError(ValueError):
    """A file that is no checkpoint, is truncated or altered, or does not fit the optimizer."""


class Tensor(NamedTuple):
    """What the header says of a tensor."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    begin: int
    end: int


def _pieces(array: NDArray[Any], access: Literal["readonly", "writeonly"]) -> Iterator[NDArray[Any]]:
    """Yield the elements in C order, as little-endian bits, in arrays that hold at most PIECE bytes."""
    if array.size == 0:
        return
    bits = np.asarray(array).view(f"u{array.itemsize}")
    stored = np.dtype(f"<u{array.itemsize}")
    size = PIECE // array.itemsize
    flags: Any = ["buffered", "external_loop"]
    with np.nditer(bits, flags, [access], stored, order="C", casting="equiv", buffersize=size) as pieces:
        for piece in pieces:
            yield np.asarray(piece)


def write(descriptor: int, tensors: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]) -> None:
    """Write a file of `tensors` and `metadata`, with a checksum of all of it."""
    header = _header(tensors, metadata)
    digest = hashlib.sha256(header)
    _write_all(descriptor, header)
    for name in _order(tensors):
        for piece in _pieces(tensors[name], "readonly"):
            digest.update(piece.data)
            _write_all(descriptor, piece.data)
    # The checksum comes first in the header, so that no text of the user's can be taken for it.
    os.lseek(descriptor, header.index(_NO_DIGEST.encode()), os.SEEK_SET)
    _write_all(descriptor, digest.hexdigest().encode())


def _order(tensors: Mapping[str, NDArray[Any]]) -> list[str]:
    """Return the names in the order of the data: by falling size of element, so that all are aligned."""
    return sorted(tensors, key=lambda name: -tensors[name].itemsize)


def _header(tensors: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]) -> bytes:
    header: dict[str, Any] = {"__metadata__": {_CHECKSUM: f"sha256:{_NO_DIGEST}", **metadata}}
    begin = 0
    for name in _order(tensors):
        array = tensors[name]
        if array.dtype.name not in _CODES:
            raise TypeError(f"{name} is of dtype {array.dtype}, which no checkpoint can hold")
        end = begin + array.nbytes
        header[name] = {"dtype": _CODES[array.dtype.name], "shape": array.shape, "data_offsets": (begin, end)}
        begin = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    if len(text) > MAX_HEADER:
        raise ValueError(f"the names of {len(tensors)} arrays take {len(text)} bytes, more than {MAX_HEADER}")
    return len(text).to_bytes(8, "little") + text


def _write_all(descriptor: int, data: Any) -> None:
    left = memoryview(data).cast("B")
    while left:
        left = left[os.write(descriptor, left) :]


class Reader:
    """A file whose header has been checked."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._stamp = _stamp(file)
        size = os.fstat(file.fileno()).st_size
        length = int.from_bytes(self._read(8), "little")
        if not 2 <= length <= min(MAX_HEADER, size - 8):
            raise CheckpointError(f"a header of {length} bytes in a file of {size}: truncated, or no safetensors file")
        self._data_begin = 8 + length
        self._header = self._read(length)
        header = _parsed(self._header)
        self.metadata = _metadata(header.pop("__metadata__", {}))
        self.tensors = {name: _tensor(name, entry) for name, entry in header.items()}
        _check_layout(self.tensors, size - self._data_begin)

    def _read(self, size: int) -> bytes:
        data = self._file.read(size)
        if len(data) < size:
            raise CheckpointError("the file is truncated")
        return data

    def verify(self) -> None:
        """Check that the file is, to the last bit, what was written."""
        kind, _, expected = self.metadata.get(_CHECKSUM, "").partition(":")
        if kind != "sha256" or len(expected) != len(_NO_DIGEST):
            raise CheckpointError("the file has no checksum")
        header = self._header.replace(expected.encode(), _NO_DIGEST.encode(), 1)
        digest = hashlib.sha256(len(header).to_bytes(8, "little") + header)
        self._file.seek(self._data_begin)
        while piece := self._file.read(PIECE):
            digest.update(piece)
        if digest.hexdigest() != expected:
            raise CheckpointError("the checksum is wrong: the file was altered or damaged")

    def read_into(self, name: str, array: NDArray[Any]) -> None:
        """Read a tensor into an array of its dtype and shape, which may lie in any order."""
        tensor = self.tensors[name]
        if (array.dtype, array.shape) != (tensor.dtype, tensor.shape):
            raise CheckpointError(
                f"{name} must be of {array.dtype} and shape {array.shape}, found {tensor.dtype} and {tensor.shape}"
            )
        self._file.seek(self._data_begin + tensor.begin)
        for piece in _pieces(array, "writeonly"):
            piece[...] = np.frombuffer(self._read(piece.nbytes), piece.dtype)

    def read_part_into(self, name: str, first: int, array: NDArray[Any]) -> None:
        """Read the elements of a tensor of one axis, from `first` on, into an array of its dtype and one axis."""
        tensor = self.tensors[name]
        end = first + array.size
        if (array.dtype, array.ndim) != (tensor.dtype, len(tensor.shape)) or array.ndim != 1 or tensor.shape[0] < end:
            raise CheckpointError(
                f"{name} must be of {array.dtype} and have {end} elements, found {tensor.dtype} and {tensor.shape}"
            )
        self._file.seek(self._data_begin + tensor.begin + first * tensor.dtype.itemsize)
        for piece in _pieces(array, "writeonly"):
            piece[...] = np.frombuffer(self._read(piece.nbytes), piece.dtype)

    def check_unchanged(self) -> None:
        """Check that nobody has written to the file since it was opened."""
        if _stamp(self._file) != self._stamp:
            raise CheckpointError("the file was written to while it was read")


def _stamp(file: BinaryIO) -> tuple[int, int]:
    status = os.fstat(file.fileno())
    return status.st_size, status.st_mtime_ns


def _parsed(header: bytes) -> dict[str, Any]:
    try:
        parsed = json.loads(header.decode("utf-8"), object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"the header is no JSON: {error}") from None
    if not isinstance(parsed, dict):
        raise CheckpointError(f"the header must be a JSON object, found {type(parsed).__name__}")
    return parsed


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make a dict of a JSON object, and refuse one that has a key twice."""
    result = dict(pairs)
    if len(result) != len(pairs):
        raise CheckpointError("a JSON object has a key twice")
    return result


def _metadata(entry: Any) -> dict[str, str]:
    if not isinstance(entry, dict) or not all(isinstance(value, str) for value in entry.values()):
        raise CheckpointError("__metadata__ must be an object of strings")
    return entry


def _tensor(name: str, entry: Any) -> Tensor:
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise CheckpointError(f"{name} must have dtype, shape and data_offsets")
    shape, offsets = _sizes(entry["shape"]), _sizes(entry["data_offsets"])
    if shape is None or offsets is None or len(shape) > 32 or len(offsets) != 2:
        raise CheckpointError(f"{name} has the shape {entry['shape']!r:.100} at {entry['data_offsets']!r:.100}")
    dtype = _dtype(name, entry["dtype"])
    # NumPy, too, refuses a shape that would be too large but for its zeros.
    if math.prod(filter(None, shape)) * dtype.itemsize >= 2**63:
        raise CheckpointError(f"{name} has the shape {shape!r:.100}, too large for any array")
    begin, end = offsets
    if end - begin != math.prod(shape) * dtype.itemsize:
        raise CheckpointError(f"{name} of {dtype} and shape {shape!r:.100} does not fit its {end - begin} bytes")
    return Tensor(dtype, shape, begin, end)


def _sizes(value: Any) -> tuple[int, ...] | None:
    if isinstance(value, list) and all(type(size) is int and 0 <= size < 2**63 for size in value):
        return tuple(value)
    return None


def _dtype(name: str, code: Any) -> np.dtype[Any]:
    if not isinstance(code, str) or code not in _NAMES:
        raise CheckpointError(f"{name} is of the unknown dtype {code!r:.100}")
    if code == "BF16":
        bfloat16: np.dtype[Any] = np.dtype(require("ml_dtypes", "bfloat16").bfloat16)
        return bfloat16
    return np.dtype(_NAMES[code])


def _check_layout(tensors: Mapping[str, Tensor], size: int) -> None:
    end = 0
    for name, tensor in sorted(tensors.items(), key=lambda item: (item[1].begin, item[1].end)):
        if tensor.begin != end:
            raise CheckpointError(f"{name} begins at byte {tensor.begin} of the data, not at {end}")
        end = tensor.end
    if end != size:
        raise CheckpointError(f"the tensors take {end} bytes, the file has {size}: it is truncated or altered")
