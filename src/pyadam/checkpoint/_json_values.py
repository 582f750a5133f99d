"""Values as JSON: hyperparameters, step counts and the nesting of arrays, which are kept apart under names.

What JSON has no word for is an object with one key that begins with "$".
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._safetensors import CheckpointError, unique

Array = Callable[[str, str], Any]
Arrays = dict[str, NDArray[Any]]

_SCALARS = (bool, int, float, str)


def dumps(encoded: Any) -> str:
    """Return the text of an encoded value."""
    return json.dumps(encoded, separators=(",", ":"), allow_nan=False)


def loads(text: str) -> Any:
    """Return the encoded value of a text."""
    return json.loads(text, object_pairs_hook=unique)


def encode(value: Any, name: str, arrays: Arrays) -> Any:
    """Return `value` as JSON has it; its arrays go to `arrays`, under their paths, which begin with `name`."""
    if isinstance(value, np.ndarray):
        arrays[name] = value
        return {"$array" if value.flags.c_contiguous else "$fortran": name}
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return {"$float": str(value)}
    if value is None or isinstance(value, _SCALARS):
        return value
    if isinstance(value, (list, tuple)):
        items = [encode(item, f"{name}[{i}]", arrays) for i, item in enumerate(value)]
        return {"$tuple": items} if isinstance(value, tuple) else items
    if isinstance(value, Mapping):
        entries = [(_key(key, name), encode(item, f"{name}[{key!r}]", arrays)) for key, item in value.items()]
        if all(isinstance(key, str) and not key.startswith("$") for key, _ in entries):
            return dict(entries)
        return {"$dict": entries}
    raise TypeError(f"{name} is of type {type(value).__name__}, which no checkpoint can hold")


def _key(key: Any, name: str) -> Any:
    if type(key) is tuple:
        return {"$tuple": [_key(item, name) for item in key]}
    if type(key) not in (str, int):
        raise TypeError(f"{name} has the key {key!r}; a checkpoint can hold strings, integers and tuples of them")
    return key


def decode(value: Any, array: Array) -> Any:
    """Undo `encode`; `array` makes an array of its name and memory order."""
    if isinstance(value, list):
        return [decode(item, array) for item in value]
    if not isinstance(value, dict):
        return value
    if not any(key.startswith("$") for key in value):
        return {key: decode(item, array) for key, item in value.items()}
    if len(value) == 1:
        ((kind, content),) = value.items()
        if kind in ("$array", "$fortran") and isinstance(content, str):
            return array(content, "C" if kind == "$array" else "F")
        if kind == "$float" and content in ("inf", "-inf", "nan"):
            return float(content)
        if kind == "$tuple" and isinstance(content, list):
            return tuple(decode(item, array) for item in content)
        if kind == "$dict":
            return _pairs(content, array)
    raise CheckpointError(f"unknown content {str(value)[:100]}")


def _pairs(content: Any, array: Array) -> dict[Any, Any]:
    if not isinstance(content, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in content):
        raise CheckpointError(f"a list of pairs is needed, found {str(content)[:100]}")
    result = {decode(key, array): decode(item, array) for key, item in content}
    if len(result) != len(content):
        raise CheckpointError("a dict has a key twice")
    return result
