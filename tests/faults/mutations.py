"""Makers of wrong input: files that were cut, flipped and forged, and objects of every kind in every place."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import json
import random
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import ml_dtypes
import numpy as np

# Files

NUMBERS = [
    0,
    1,
    -1,
    2,
    7,
    8,
    255,
    2**31 - 1,
    2**31,
    2**32,
    2**53,
    2**63 - 1,
    2**63,
    2**64,
    10**30,
    -(2**63),
    0.5,
    1e308,
]
TEXTS = [
    "",
    "F32",
    "F64",
    "BF16",
    "F8_E4M3",
    "I64",
    "BOOL",
    "float64",
    "os.system",
    "../x",
    "\ud800",
    "$array",
    "x" * 9999,
]


def resealed(content: bytes) -> bytes:
    """Return a file with the checksum that fits it, so that what comes after the checksum is tried too."""
    length = int.from_bytes(content[:8], "little")
    header = content[8 : 8 + length]
    begin = header.find(b"sha256:") + len(b"sha256:")
    if begin < len(b"sha256:") or begin + 64 > len(header):
        return content
    zeroed = header[:begin] + b"0" * 64 + header[begin + 64 :]
    digest = hashlib.sha256(content[:8] + zeroed + content[8 + length :]).hexdigest().encode()
    return content[:8] + header[:begin] + digest + header[begin + 64 :] + content[8 + length :]


def joined(header: bytes, data: bytes) -> bytes:
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + data


def split(content: bytes) -> tuple[bytes, bytes]:
    length = int.from_bytes(content[:8], "little")
    return content[8 : 8 + length], content[8 + length :]


def truncated(content: bytes, rng: random.Random) -> bytes:
    return content[: rng.randrange(len(content))]


def extended(content: bytes, rng: random.Random) -> bytes:
    return content + rng.randbytes(rng.randrange(1, 100))


def flipped(content: bytes, rng: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.choice([1, 1, 2, 20])):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def overwritten(content: bytes, rng: random.Random) -> bytes:
    begin = rng.randrange(len(content))
    return content[:begin] + rng.randbytes(rng.randrange(1, 50)) + content[begin + rng.randrange(50) :]


def of_another_length(content: bytes, rng: random.Random) -> bytes:
    length = rng.choice(
        [0, 1, 2, 7, len(content), len(content) - 8, 2**31, 2**63, 2**64 - 1, rng.randrange(len(content))]
    )
    return length.to_bytes(8, "little") + content[8:]


def random_json(rng: random.Random, depth: int = 3) -> Any:
    """Return any JSON value."""
    kind = rng.randrange(8 if depth else 5)
    if kind < 2:
        return rng.choice(NUMBERS)
    if kind < 4:
        return rng.choice([*TEXTS, "inf", "params", "params[0]['params']['w']", "params[1]['params'].exp_avg"])
    if kind == 4:
        return rng.choice([None, True, False])
    if kind == 5:
        return [random_json(rng, depth - 1) for _ in range(rng.randrange(4))]
    keys = ["$array", "$fortran", "$tuple", "$dict", "$float", "$other", "lr", "params", "state", "betas", "step", ""]
    return {rng.choice(keys): random_json(rng, depth - 1) for _ in range(rng.choice([1, 1, 1, 2]))}


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every container and key in a value of lists and dicts."""
    items: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield value, key
        yield from places(item)


def changed_json(value: Any, rng: random.Random) -> Any:
    """Change a value in one or two places."""
    value = copy.deepcopy(value)
    for _ in range(rng.choice([1, 1, 2])):
        found = list(places(value))
        if not found:
            return random_json(rng)
        container, key = rng.choice(found)
        action = rng.randrange(6)
        if action == 0:
            del container[key]
        elif action == 1 and isinstance(container, list):
            container.insert(key, copy.deepcopy(container[key]))
        elif action == 2 and isinstance(container, dict):
            container[rng.choice(TEXTS)] = container.pop(key)
        elif action == 3 and isinstance(container[key], int):
            container[key] = container[key] + rng.choice([-8, -4, -1, 1, 4, 8])
        elif action == 4:
            other, other_key = rng.choice(found)
            with contextlib.suppress(LookupError):
                container[key] = copy.deepcopy(other[other_key])
        else:
            container[key] = random_json(rng)
    return value


def with_another_header(content: bytes, rng: random.Random) -> bytes:
    header, data = split(content)
    return joined(json.dumps(changed_json(json.loads(header), rng)).encode(), data)


def with_another_layout(content: bytes, rng: random.Random) -> bytes:
    """Change dtypes, shapes and offsets of tensors, which overlap then or leave gaps or have another size."""
    header, data = split(content)
    parsed = json.loads(header)
    for name in rng.sample(sorted(parsed.keys() - {"__metadata__"}), 2):
        entry = parsed[name]
        action = rng.randrange(4)
        if action == 0:
            entry["shape"] = rng.choice([[], [0], entry["shape"][::-1], [1, *entry["shape"]], [rng.choice(NUMBERS)]])
        elif action == 1:
            entry["dtype"] = rng.choice(TEXTS)
        elif action == 2:
            entry["data_offsets"] = [rng.choice([*NUMBERS, *entry["data_offsets"]]) for _ in range(2)]
        else:
            other = parsed[rng.choice(sorted(parsed.keys() - {"__metadata__"}))]
            entry["data_offsets"], other["data_offsets"] = other["data_offsets"], entry["data_offsets"]
    return joined(json.dumps(parsed).encode(), data)


def with_other_metadata(content: bytes, rng: random.Random) -> bytes:
    """Change what the metadata say of parameters, state and hyperparameters."""
    header, data = split(content)
    parsed = json.loads(header)
    key = rng.choice(["params", "state", "state", "state", "optimizer", "schedules", "class", "pyadam_format"])
    metadata = parsed["__metadata__"]
    if key in ("class", "pyadam_format"):
        metadata[key] = rng.choice(
            [*TEXTS, "SGD", "Optimizer", "load", "reference", "__builtins__", "1", "2", "-1", "9" * 99]
        )
    else:
        metadata[key] = json.dumps(changed_json(json.loads(metadata[key]), rng))
    return joined(json.dumps(parsed).encode(), data)


def deep(content: bytes, rng: random.Random) -> bytes:
    """Nest a part of the JSON a hundred thousand levels deep."""
    header, data = split(content)
    levels = rng.choice([50, 900, 3000, 100_000])
    if rng.randrange(2):
        return joined(b"[" * levels + b"]" * levels, data)
    parsed = json.loads(header)
    opening, closing = rng.choice([("[", "]"), ('{"$tuple":[', "]}"), ('{"a":', "}"), ('{"$dict":[[0,', "]]}")])
    parsed["__metadata__"][rng.choice(["params", "state", "optimizer"])] = opening * levels + "0" + closing * levels
    return joined(json.dumps(parsed).encode(), data)


def noise(content: bytes, rng: random.Random) -> bytes:
    del content
    return rng.randbytes(rng.choice([0, 1, 8, 9, 100]))


DAMAGES: list[Callable[[bytes, random.Random], bytes]] = [
    truncated,
    extended,
    flipped,
    overwritten,
    of_another_length,
    noise,
]
FORGERIES: list[Callable[[bytes, random.Random], bytes]] = [
    flipped,
    overwritten,
    with_another_header,
    with_another_layout,
    with_another_layout,
    with_other_metadata,
    with_other_metadata,
    with_other_metadata,
]


def damaged(content: bytes, rng: random.Random) -> bytes:
    """Return the file with an accident."""
    return rng.choice(DAMAGES)(content, rng)


def forged(content: bytes, rng: random.Random) -> bytes:
    """Return the file changed by someone who knows the checksum."""
    return resealed((deep if rng.random() < 0.005 else rng.choice(FORGERIES))(content, rng))


# Objects


class Unfriendly:
    """Has every method that might be asked for, and none that works."""

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise ValueError("no array")

    def __len__(self) -> int:
        raise ValueError("no length")

    def __iter__(self) -> Any:
        raise TypeError("no items")

    def __float__(self) -> float:
        raise ValueError("no number")


class Pretender:
    """Says that it is an array, and gives the wrong one."""

    shape = (2,)
    dtype = np.dtype("f8")
    ndim = 1

    def __array__(self, *_: Any, **__: Any) -> Any:
        return np.ones((3, 3), object)


class Sub(np.ndarray):
    """An array of another class."""


def recursive() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


def nested(levels: int) -> Any:
    value: Any = np.ones(2)
    for _ in range(levels):
        value = [value]
    return value


OBJECTS: list[Callable[[], Any]] = [
    *(
        lambda value=value: value
        for value in [*NUMBERS, *TEXTS, None, True, float("nan"), float("-inf"), 1j, b"", b"\0" * 16]
    ),
    *(
        lambda value=value: value
        for value in [Ellipsis, int, len, NotImplemented, Fraction(1, 3), range(5), object(), slice(1)]
    ),
    lambda: bytearray(16),
    lambda: memoryview(b"\0" * 16),
    lambda: SimpleNamespace(shape=(2,)),
    lambda: (i for i in range(2)),
    set,
    lambda: {1: 2, "params": [0]},
    lambda: deque([np.ones(2)]),
    lambda: OrderedDict(w=np.ones((3, 4)), b=[np.ones(5)]),
    lambda: {"params": np.ones(2)},
    lambda: {"params": {"params": np.ones(2)}},
    recursive,
    lambda: nested(2000),
    Unfriendly,
    Pretender,
    list,
    lambda: [None, None],
    lambda: (1.0, 2.0),
    lambda: [np.ones(2), np.ones(2)],
    lambda: [[1.0], [1.0, 2.0]],
]
SHAPES: list[tuple[int, ...]] = [(), (2,), (5,), (3, 4), (4, 3), (0,), (0, 2**40), (1, 1, 1, 2), (2, 1), (1,) * 32]
DTYPES: list[Any] = [
    *["f2", "f4", "f8", "g", ">f4", ">f8", "c8", "c16", "?", "i1", "i8", "u2", "O", "S3", "U3", "M8[s]", "m8[s]", "V4"],
    [("a", "f4"), ("b", "f8")],
    *[ml_dtypes.bfloat16, ml_dtypes.float8_e5m2, ml_dtypes.int4],
]
VIEWS: list[Callable[[Any], Any]] = [
    lambda a: a,
    lambda a: a[::-1] if a.ndim else a,
    lambda a: np.asfortranarray(a),
    lambda a: np.lib.stride_tricks.as_strided(a, a.shape, (0,) * a.ndim),
    lambda a: a.view(Sub),
    lambda a: np.ma.masked_array(a),
    lambda a: a.astype(a.dtype.newbyteorder()),
    lambda a: np.frombuffer(b"\0" + a.tobytes(), a.dtype, offset=1).reshape(a.shape),
    lambda a: a.view(np.recarray),
    lambda a: a.flat,
    lambda a: a.tolist(),
    lambda a: np.broadcast_to(a, a.shape),
    lambda a: a[()],
    lambda a: a.reshape(-1, *a.shape[1:]) * 1 if a.ndim else a,
]


def random_array(rng: random.Random) -> Any:
    """Return an array of any dtype, shape and layout, or what is nearly one."""
    shape, dtype, view = rng.choice(SHAPES), rng.choice(DTYPES), rng.choice(VIEWS)
    with contextlib.suppress(TypeError, ValueError):
        return view(np.zeros(shape, dtype))
    return np.zeros(shape, dtype)


def random_object(rng: random.Random) -> Any:
    """Return anything."""
    return random_array(rng) if rng.random() < 0.5 else rng.choice(OBJECTS)()


def with_random_objects(value: Any, rng: random.Random) -> Any:
    """Return a value of lists, tuples and dicts with one or two of its places, or all of it, replaced."""
    if rng.random() < 0.05:
        return random_object(rng)
    value = as_lists(value)
    found = list(places(value))
    for container, key in rng.sample(found, rng.choice([1, 1, 2])):
        action = rng.randrange(6)
        with contextlib.suppress(LookupError, TypeError):  # a place that is no longer there, a key that is none
            if action == 0 and isinstance(container, dict):
                container[random_object(rng)] = container.pop(key)
            elif action == 1:
                del container[key]
            elif action == 2 and isinstance(container[key], np.ndarray):
                container[key] = rng.choice(VIEWS)(container[key])
            else:
                container[key] = random_object(rng)
    return value


def as_lists(value: Any) -> Any:
    """Copy a value, with lists for tuples, so that all its places can be written to."""
    if isinstance(value, dict):
        return {key: as_lists(item) for key, item in value.items()}
    return [as_lists(item) for item in value] if isinstance(value, (list, tuple)) else value
