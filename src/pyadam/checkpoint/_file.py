"""A checkpoint of one process: parameters, state and hyperparameters, as plain values, in one safetensors file."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _core
from ._atomic_file import replacing
from ._json_values import Arrays, decode, dumps, encode, loads
from ._safetensors import CheckpointError, Reader, Tensor, write

#: Stands for the optimizer where others are numbers of groups.
OPTIMIZER = -1
FORMAT = 1  # raised when an older pyadam could not read a file, or would read it wrongly


def save(
    path: str | os.PathLike[str],
    class_name: str,
    params: Any,
    state_dict: Mapping[str, Any],
    paths: Sequence[str],
    schedules: Sequence[tuple[int, str]],
    others: Mapping[str, Any],
) -> None:
    """Write a file: `params` and `state_dict` may nest and hold arrays, `paths` names the parameters."""
    arrays: Arrays = {}
    metadata = {
        "pyadam_format": str(FORMAT),
        "pyadam": _core.__version__,
        "numpy": np.__version__,
        "class": class_name,
        "schedules": dumps(schedules),
        "params": dumps(encode(params, "params", arrays)),
        "state": _state_text(state_dict, paths, arrays),
        "optimizer": dumps(encode(others, "optimizer", arrays)),
    }
    with replacing(path) as descriptor:
        write(descriptor, arrays, metadata)


def _state_text(state_dict: Mapping[str, Any], paths: Sequence[str], arrays: Arrays) -> str:
    """Encode a state whose arrays are named by the paths of their parameters, not by their places in the state."""
    state = {
        i: {key: encode(value, f"{paths[i]}.{key}", arrays) for key, value in entries.items()}
        for i, entries in state_dict["state"].items()
    }
    others = {key: encode(value, key, arrays) for key, value in state_dict.items() if key != "state"}
    return dumps({"state": list(state.items()), **others})


class Checkpoint:
    """A file of which all has been checked that can be without an optimizer; it gives plain values and arrays."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        version = reader.metadata.get("pyadam_format", "")
        if not version:
            raise CheckpointError("the file is no checkpoint of pyadam: its metadata has no pyadam_format")
        if version not in map(str, range(1, FORMAT + 1)):
            raise CheckpointError(f"the file is of format {version:.20}; this pyadam reads 1 to {FORMAT}")
        reader.verify()
        #: What stands in for the arrays of a state until they are read, each with the name of its tensor.
        self._sources: dict[int, tuple[NDArray[Any], str]] = {}

    def _parsed(self, key: str) -> Any:
        if key not in self.reader.metadata:
            raise CheckpointError(f"the metadata has no {key!r}")
        return loads(self.reader.metadata[key])

    def _tensor(self, name: str) -> Tensor:
        if name not in self.reader.tensors:
            raise CheckpointError(f"the file has no tensor {name:.100}")
        return self.reader.tensors[name]

    def _empty(self, name: str, order: Any) -> NDArray[Any]:
        tensor = self._tensor(name)
        return np.empty(tensor.shape, tensor.dtype, order)

    def _read(self, name: str, order: Any) -> NDArray[Any]:
        array = self._empty(name, order)
        self.reader.read_into(name, array)
        return array

    def schedules(self) -> list[tuple[int, str]]:
        """Return which hyperparameters were schedules: a group and a key each."""
        return [(int(index), str(key)) for index, key in self._parsed("schedules")]

    def schedule_states(self) -> list[Any]:
        """Return the states of each group's schedules, by hyperparameter."""
        return [group.get("schedule_state", {}) for group in self.without_steps["param_groups"]]

    @property
    def class_name(self) -> str:
        """The name of the optimizer's class."""
        return self.reader.metadata.get("class", "")

    def params(self) -> Any:
        """Return new arrays of the parameters, without their values, in the structure that was saved."""
        return decode(self._parsed("params"), self._empty)

    def others(self) -> dict[str, Any]:
        """Return what was saved beside parameters and state: ``has_groups`` and ``own_options``."""
        values: dict[str, Any] = decode(self._parsed("optimizer"), self._read)
        return values

    def read(self, state_dict: Mapping[str, Any], live: Mapping[int, Mapping[str, Any]]) -> None:
        """Read the arrays of a state that `state_dict` returned into those of `live`, which are named alike."""
        for i, entries in state_dict["state"].items():
            for key, value in entries.items():
                if id(value) in self._sources:
                    self.reader.read_into(self._sources[id(value)][1], live[i][key])

    def check_params(self, arrays: list[NDArray[Any]], paths: list[str]) -> None:
        """Raise CheckpointError if the file's parameters are not of these paths, shapes and dtypes."""
        names: list[str] = []
        decode(self._parsed("params"), lambda name, _: names.append(name))
        if names != paths:
            differing = next((pair for pair in zip(names, paths, strict=False) if pair[0] != pair[1]), None)
            found = f"{differing[0]:.100} in place of {differing[1]}" if differing else f"{len(names)} arrays"
            raise CheckpointError(f"the file must have the {len(paths)} arrays of the optimizer, found {found}")
        for path, array in zip(paths, arrays, strict=True):
            tensor = self._tensor(path)
            if (tensor.shape, tensor.dtype) != (array.shape, array.dtype):
                raise CheckpointError(
                    f"{path} must have shape {array.shape} and dtype {array.dtype}, "
                    f"found {tensor.shape} and {tensor.dtype}"
                )
            if not array.flags.writeable:
                raise CheckpointError(f"{path} was made read-only since it was bound")

    @cached_property
    def without_steps(self) -> dict[str, Any]:
        """The state before any step."""
        return self.state_dict([])

    def state_dict(self, arrays: list[NDArray[Any]]) -> dict[str, Any]:
        """Return the state with stand-ins for the arrays of `arrays`, the parameters; without those, before any step.

        The stand-ins are views of one array of zeros, which takes no memory.
        """
        parsed = self._parsed("state")
        state_dict = {key: decode(value, self._read) for key, value in parsed.items() if key != "state"}
        largest = max((tensor.end - tensor.begin for tensor in self.reader.tensors.values()), default=0)
        zeros = _zeros(largest)

        def stand_in(array: NDArray[Any], name: str, _: str) -> NDArray[Any]:
            tensor = self._tensor(name)
            order: Any = "C" if array.flags.c_contiguous else "F"
            view = zeros[: tensor.end - tensor.begin].view(tensor.dtype).reshape(tensor.shape, order=order)
            self._sources[id(view)] = view, name
            return view

        state = {}
        for i, entries in parsed["state"] if arrays else []:
            if type(i) is not int or not 0 <= i < len(arrays) or i in state:
                raise CheckpointError(f"the state has an entry {i!r:.100}, which is no parameter or there twice")
            state[i] = decode(entries, partial(stand_in, arrays[i]))
            if not (isinstance(state[i], dict) and type(state[i].get("step")) is int and state[i]["step"] > 0):
                raise CheckpointError(f"the state of parameter {i} has no step above 0")
        members = [i for group in state_dict["param_groups"] for i in group["params"]]
        if arrays and members != list(range(len(arrays))):
            raise CheckpointError(f"the groups must have the parameters 0 to {len(arrays) - 1} in order")
        return {**state_dict, "state": state}


def _zeros(size: int) -> NDArray[Any]:
    """Return bytes that are all the one page of zeros which the system has for memory that is only read."""
    if size == 0 or not hasattr(mmap, "MAP_ANONYMOUS"):
        return np.zeros(size, "u1")
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    return np.frombuffer(mmap.mmap(-1, size, flags, mmap.PROT_READ), "u1")


@contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[Checkpoint]:
    """Open a checkpoint; errors of what is done with it say that it is the file's fault."""
    if os.path.exists(path) and not os.path.isfile(path):
        raise CheckpointError(f"{path} is not a regular file")
    with open(path, "rb") as file:
        try:
            yield Checkpoint(Reader(file))
        except (TypeError, ValueError, LookupError, AttributeError, OverflowError, RecursionError) as error:
            raise CheckpointError(f"{path}: {error}") from error
