"""Checkpoints: a whole optimizer in a safetensors file, complete or not there at all."""

from __future__ import annotations

import mmap
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from . import _core, _state_dict
from ._atomic_file import replacing
from ._common_options import OF_OPTIMIZER
from ._hyperparameters import check_setting
from ._interrupts import all_or_nothing
from ._json_values import Arrays, decode, dumps, encode, loads
from ._safetensors import CheckpointError as CheckpointError
from ._safetensors import Reader, Tensor, write

if TYPE_CHECKING:
    from .optimizer import Optimizer

_NO_OPTIONS = {"params", "param_names", "schedule_state"}  # of a group
_WHOLE = -1  # stands for the optimizer as a whole where others are numbers of groups
FORMAT = 1  # raised when an older pyadam could not read a file, or would read it wrongly


def save(optimizer: Optimizer, path: str | os.PathLike[str]) -> None:
    """Write `optimizer` to a file: see `Optimizer.save`.

    Parameters
    ----------
    optimizer : Optimizer
        What is written.
    path : path-like
        The file.
    """
    optimizer._core.check_parameters()  # or no optimizer could load it
    parts, groups = optimizer._parts(copy=False), optimizer.param_groups
    schedules = [(i, key) for i, group in enumerate(groups) for key in group.options if group.is_scheduled(key)]
    schedules += [(_WHOLE, "clip_norm")] * optimizer.has_clip_schedule
    arrays: Arrays = {}
    state_dict = parts.pop("state_dict")
    trees = parts.pop("trees")
    del parts["options"]  # the state has their last values
    parts["own_options"] = state_dict["options"]
    is_grouped = parts["has_groups"]
    params = [{"params": tree} for tree in trees] if is_grouped else trees[0]
    metadata = {
        "pyadam_format": str(FORMAT),
        "pyadam": _core.__version__,
        "numpy": np.__version__,
        "class": type(optimizer).__name__,
        "schedules": dumps(schedules),
        "params": dumps(encode(params, "params", arrays)),
        "state": _state_text(optimizer, state_dict, arrays),
        "optimizer": dumps(encode(parts, "optimizer", arrays)),
    }
    with replacing(path) as descriptor:
        write(descriptor, arrays, metadata)


def restore(optimizer: Optimizer, path: str | os.PathLike[str]) -> None:
    """Read a file into `optimizer`: see `Optimizer.load`.

    Parameters
    ----------
    optimizer : Optimizer
        What is read into; it has the parameters of the file.
    path : path-like
        The file.
    """
    with _opened(path) as checkpoint:
        checkpoint.copy_in(optimizer)


def load(path: str | os.PathLike[str], **overrides: Any) -> Optimizer:
    """Make an optimizer and its parameters from a file that `Optimizer.save` wrote.

    Parameters
    ----------
    path : path-like
        The file.
    **overrides
        Hyperparameters in place of the saved ones, for every group; also what the optimizer has as a whole, such as
        `clip_norm` and `state_dir`. A file has of a schedule only the last value, so that schedules are given here, or
        set later.

    Returns
    -------
    Optimizer
        Of the class that was saved; its `params` are new arrays in the memory order of the saved ones. Their nesting
        is that of lists, tuples and dicts: a namedtuple becomes a tuple, any other mapping a dict.

    Raises
    ------
    CheckpointError
        If the file is no checkpoint, is truncated or altered, or was made by a later format or a class of your own. It
        is a ValueError.
    OSError
        If the file cannot be read.
    KeyError, TypeError, ValueError
        If an override is unknown, of the wrong type, out of range or fixed at construction.

    Warns
    -----
    UserWarning
        If a hyperparameter was a schedule and is not among `overrides`: it stays at its last value.

    Notes
    -----
    The file is read twice, in pieces: once for its SHA-256 checksum, before any memory is asked for, and once into the
    arrays. Nothing in a file is executed. The checksum tells damage, not forgery: whoever can write the file can also
    write its checksum.

    See Also
    --------
    Optimizer.save : writes the file.
    Optimizer.load : reads it into an optimizer that is there already.

    Examples
    --------
    >>> import os, tempfile, numpy as np, pyadam
    >>> opt = pyadam.Adam({"w": np.ones(3)}, lr=0.1)
    >>> _ = opt.step({"w": np.full(3, 2.0)})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "run.safetensors")
    ...     opt.save(path)
    ...     again = pyadam.load(path)
    >>> again.params
    {'w': array([0.9, 0.9, 0.9])}
    >>> again.step_count
    1
    """
    own = {key: check_setting(key, value, key) for key, value in overrides.items() if key in OF_OPTIMIZER}
    with _opened(path) as checkpoint:
        optimizer = checkpoint.rebuilt(own.get("state_dir"))
        checkpoint.copy_in(optimizer)
        schedules, schedule_states = checkpoint.schedules(), checkpoint.schedule_states()
    optimizer._set_own(own)
    for key, value in overrides.items():
        if key not in own:
            for group in optimizer.param_groups:
                group[key] = value
    for group, states in zip(optimizer.param_groups, schedule_states, strict=True):
        group.check_schedule_state(states, "the state of schedules")
        group.load_schedule_state(states)
    for index, key in schedules:
        if key not in overrides:
            name = key if index == _WHOLE else f"param_groups[{index}][{key!r}]"
            message = f"{name} was a schedule and stays at its last value until it is set again"
            warnings.warn(message, stacklevel=2)
    return optimizer


def _state_text(optimizer: Optimizer, state_dict: Mapping[str, Any], arrays: Arrays) -> str:
    """Encode a state whose arrays are named by the paths of their parameters, not by their places in the state."""
    paths = [path for group in optimizer.param_groups for path in group.paths]
    state = {
        i: {key: encode(value, f"{paths[i]}.{key}", arrays) for key, value in entries.items()}
        for i, entries in state_dict["state"].items()
    }
    others = {key: encode(value, key, arrays) for key, value in state_dict.items() if key != "state"}
    return dumps({"state": list(state.items()), **others})


class _Checkpoint:
    """A file of which all has been checked that can be without an optimizer."""

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
        return [group.get("schedule_state", {}) for group in self._without_steps["param_groups"]]

    def rebuilt(self, state_dir: str | None) -> Optimizer:
        """Return an optimizer with new parameters and the hyperparameters of the file, which has taken no step."""
        cls = _class(self.reader.metadata.get("class", ""))
        others = decode(self._parsed("optimizer"), self._read)
        params = decode(self._parsed("params"), self._empty)
        trees = [group["params"] for group in params] if others["has_groups"] else [params]
        state_dict = self._without_steps
        defaults = cls(np.zeros(1)).param_groups[0].options
        options = [
            cls._merged(defaults, {key: group[key] for key in group.keys() - _NO_OPTIONS}, cls.__name__)
            for group in state_dict["param_groups"]
        ]
        optimizer: Optimizer = cls.__new__(cls)
        others["own_options"] = {**others.get("own_options", {}), "state_dir": state_dir}
        optimizer.__setstate__({**others, "trees": trees, "options": options, "state_dict": state_dict})
        return optimizer

    def copy_in(self, optimizer: Optimizer) -> None:
        """Check that all fits the optimizer, then read it in."""
        core, groups = optimizer._core, optimizer.param_groups
        arrays, paths = core.arrays, [path for group in groups for path in group.paths]
        self._check_params(arrays, paths)
        state_dict = self._state_dict(arrays)
        members = [i for group in state_dict["param_groups"] for i in group["params"]]
        if members != list(range(len(arrays))):
            raise CheckpointError(f"the groups must have the parameters 0 to {len(arrays) - 1} in order")

        take_over = optimizer._checked(state_dict)

        def commit() -> None:
            take_over()
            live = _state_dict.export(core, groups, copy=False)["state"]
            try:
                for path, array in zip(paths, arrays, strict=True):
                    self.reader.read_into(path, array)
                if len(state_dict["state"]) < len(arrays):  # what begins anew may begin from the parameter
                    take_over()
                for i, entries in state_dict["state"].items():
                    for key, value in entries.items():
                        if id(value) in self._sources:
                            self.reader.read_into(self._sources[id(value)][1], live[i][key])
                self.reader.check_unchanged()
            except Exception as error:
                raise RuntimeError(f"what was read in is in part the file's, so load another: {error}") from error

        all_or_nothing(commit)

    def _check_params(self, arrays: list[NDArray[Any]], paths: list[str]) -> None:
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
    def _without_steps(self) -> dict[str, Any]:
        return self._state_dict([])

    def _state_dict(self, arrays: list[NDArray[Any]]) -> dict[str, Any]:
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
        return {**state_dict, "state": state}


def _zeros(size: int) -> NDArray[Any]:
    """Return bytes that are all the one page of zeros which the system has for memory that is only read."""
    if size == 0 or not hasattr(mmap, "MAP_ANONYMOUS"):
        return np.zeros(size, "u1")
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    return np.frombuffer(mmap.mmap(-1, size, flags, mmap.PROT_READ), "u1")


def _class(name: str) -> Any:
    """Return pyadam's class of that name."""
    import pyadam

    cls = getattr(pyadam, name, None) if name in pyadam.__all__ else None
    if not (isinstance(cls, type) and issubclass(cls, pyadam.Optimizer) and cls is not pyadam.Optimizer):
        raise CheckpointError(
            f"the file is of the class {name!r:.100}, which is not pyadam's: make one and load into it"
        )
    return cls


@contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[_Checkpoint]:
    """Open a checkpoint; errors of what is done with it say that it is the file's fault."""
    if os.path.exists(path) and not os.path.isfile(path):
        raise CheckpointError(f"{path} is not a regular file")
    with open(path, "rb") as file:
        try:
            yield _Checkpoint(Reader(file))
        except (TypeError, ValueError, LookupError, AttributeError, OverflowError, RecursionError) as error:
            raise CheckpointError(f"{path}: {error}") from error
