"""Checkpoints of a sharded optimizer: a file per rank and a manifest, which makes them a whole."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import _core
from ..checkpoint._atomic_file import replacing
from ..checkpoint._json_values import Arrays, decode, dumps, encode, loads
from ..checkpoint._safetensors import CheckpointError, Reader, write
from ._shards import Bucket, Piece

if TYPE_CHECKING:
    from .optimizer import ZeroRedundancyOptimizer

FORMAT = 1  # raised when an older pyadam could not read a checkpoint, or would read it wrongly
MANIFEST = "manifest.safetensors"
_SHARD = re.compile(r"shard-([0-9a-f]{16})-\d+\.safetensors")


def consolidate(optimizer: ZeroRedundancyOptimizer) -> dict[str, Any] | None:
    """Bring the state to rank 0: see `ZeroRedundancyOptimizer.consolidate`."""
    comm, shard = optimizer._comm, optimizer._shard
    with optimizer._agreement.checked("consolidate", {}):
        optimizer._check_usable("consolidate")
        common = _common(optimizer)
        kept = _kept_names(optimizer)
        state = {i: {name: _empty(optimizer, i, name) for name in names} for i, names in kept.items()}
    with optimizer._agreement.vital():
        for rank in range(comm.size):
            for piece in _pieces_of(optimizer._buckets, rank):
                for name in kept.get(piece.parameter, ()):
                    mine = shard.state_of(piece)[name] if rank == comm.rank else None
                    if comm.rank != 0:
                        if mine is not None:
                            comm.Send(mine.view(np.uint8), 0)
                    elif mine is not None:
                        state[piece.parameter][name][piece.slice] = mine
                    else:
                        comm.Recv(state[piece.parameter][name][piece.slice].view(np.uint8), rank)
    if comm.rank != 0:
        return None
    steps, carried = common.pop("steps"), common.pop("carried")
    whole_state: dict[int, dict[str, Any]] = {}
    for group, entry in zip(optimizer.param_groups, common["param_groups"], strict=True):
        for i in entry["params"]:
            if steps[i] > 0:
                arrays = {name: optimizer._wholes[i].shaped(flat) for name, flat in state[i].items()}
                whole_state[i] = {"step": steps[i], **arrays, **dict(zip(group.rule.carries, carried[i], strict=True))}
    return {"state": whole_state, **common}


def _empty(optimizer: ZeroRedundancyOptimizer, parameter: int, name: str) -> NDArray[Any]:
    """Return an array for the state of a whole parameter on rank 0, and one of no elements on others."""
    size = optimizer._wholes[parameter].size if optimizer._comm.rank == 0 else 0
    return np.empty(size, optimizer._shard.state_of_parameter(parameter)[name].dtype)


def _common(optimizer: ZeroRedundancyOptimizer) -> dict[str, Any]:
    """Return what of the state is the same on all ranks, in the form of the plain optimizer's, and all step counts."""
    exported = optimizer._exported(copy=False)
    del exported["state"]
    members = iter(range(len(optimizer._wholes)))
    for group, entry in zip(optimizer.param_groups, exported["param_groups"], strict=True):
        entry.update(group.current)
        entry["param_names"] = list(dict.fromkeys(group.paths))
        entry["params"] = [next(members) for _ in entry["param_names"]]
    return {**exported, "steps": optimizer._shard.steps(), "carried": optimizer._shard.carried()}


def _kept_names(optimizer: ZeroRedundancyOptimizer) -> dict[int, list[str]]:
    """Return the names of what is kept beside each parameter that has taken a step."""
    steps = optimizer._shard.steps()
    return {i: list(optimizer._shard.state_of_parameter(i)) for i, step in enumerate(steps) if step > 0}


def _pieces_of(buckets: Sequence[Bucket], rank: int) -> list[Piece]:
    return sorted(piece for bucket in buckets for piece in bucket.chunks[rank].pieces)


def _tensor_name(path: str, piece: Piece, name: str = "") -> str:
    return f"{path}.flat[{piece.begin}:{piece.end}]{'.' if name else ''}{name}"


def save(optimizer: ZeroRedundancyOptimizer, path: str | os.PathLike[str]) -> None:
    """Write a directory: see `ZeroRedundancyOptimizer.save`."""
    comm, agreement = optimizer._comm, optimizer._agreement
    folder = Path(path)
    with agreement.checked("save", {"path": os.fspath(path), "the number of steps": optimizer.step_count}):
        optimizer._check_usable("save")
        if comm.rank == 0:
            folder.mkdir(parents=True, exist_ok=True)
    generation = comm.bcast(os.urandom(8).hex() if comm.rank == 0 else None)
    files = [folder / f"shard-{generation}-{rank}.safetensors" for rank in range(comm.size)]
    try:
        with agreement.checked("save, shards", {}):
            arrays, metadata = _shard_content(optimizer, generation)
            with replacing(files[comm.rank]) as descriptor:
                write(descriptor, arrays, metadata)
            size = files[comm.rank].stat().st_size
        sizes = comm.gather(size)
        with agreement.checked("save, manifest", {}):
            if comm.rank == 0:
                _check_seen(files, sizes)
                _write_manifest(optimizer, folder, generation)
    except BaseException:
        if not _names_generation(folder, generation):
            with suppress(OSError):
                files[comm.rank].unlink()
        raise
    with agreement.checked("save, older shards", {}):
        if comm.rank == 0:
            _remove_others(folder, generation)


def _shard_content(optimizer: ZeroRedundancyOptimizer, generation: str) -> tuple[Arrays, dict[str, str]]:
    kept = _kept_names(optimizer)
    arrays: Arrays = {}
    shard = optimizer._shard
    for piece in _pieces_of(optimizer._buckets, optimizer._comm.rank):
        path = optimizer._wholes[piece.parameter].path
        arrays[_tensor_name(path, piece)] = shard.array_of(piece)
        for name in kept.get(piece.parameter, ()):
            arrays[_tensor_name(path, piece, name)] = shard.state_of(piece)[name]
    return arrays, {"pyadam_shard": str(FORMAT), "generation": generation, "rank": str(optimizer._comm.rank)}


def _check_seen(files: Sequence[Path], sizes: Sequence[int]) -> None:
    for rank, (file, size) in enumerate(zip(files, sizes, strict=True)):
        if not file.exists() or file.stat().st_size != size:
            raise OSError(f"{file} of rank {rank} is not there for rank 0: all ranks must see the one directory")


def _write_manifest(optimizer: ZeroRedundancyOptimizer, folder: Path, generation: str) -> None:
    arrays: Arrays = {}
    pieces = [_pieces_of(optimizer._buckets, rank) for rank in range(optimizer._comm.size)]
    metadata = {
        "pyadam_manifest": str(FORMAT),
        "pyadam": _core.__version__,
        "numpy": np.__version__,
        "class": optimizer._optimizer_class.__name__,
        "generation": generation,
        "parameters": dumps([_identity(whole) for whole in optimizer._wholes]),
        "pieces": dumps(pieces),
        "kept": dumps(list(_kept_names(optimizer).items())),
        "state": dumps(encode(_common(optimizer), "state", arrays)),
    }
    with replacing(folder / MANIFEST) as descriptor:
        write(descriptor, arrays, metadata)


def _identity(whole: Any) -> list[Any]:
    return [whole.path, list(whole.shape), whole.dtype.name, whole.order]


def _names_generation(folder: Path, generation: str) -> bool:
    """Whether the manifest that is there is of this generation, or cannot be read."""
    try:
        with open(folder / MANIFEST, "rb") as file:
            return Reader(file).metadata.get("generation") == generation
    except FileNotFoundError:
        return False
    except (OSError, ValueError):
        return True


def _remove_others(folder: Path, generation: str) -> None:
    for file in folder.iterdir():
        match = _SHARD.fullmatch(file.name)
        if match and match[1] != generation:
            with suppress(OSError):
                file.unlink()


def load(optimizer: ZeroRedundancyOptimizer, path: str | os.PathLike[str]) -> None:
    """Read a directory: see `ZeroRedundancyOptimizer.load`."""
    agreement, shard = optimizer._agreement, optimizer._shard
    facts = {"path": os.fspath(path)}
    with agreement.checked("load", facts), _naming(path), ExitStack() as stack:
        optimizer._check_usable("load")
        checkpoint = _Checkpoint(Path(path), stack)
        facts["generation"] = checkpoint.generation
        checkpoint.check_parameters(optimizer)
        values = [checkpoint.read(piece, "", array.dtype) for piece, array in shard.items()]
        commit = optimizer._checked(checkpoint.state_dict(optimizer))
        checkpoint.check_unchanged()
    with agreement.vital():
        for (_, array), value in zip(shard.items(), values, strict=True):
            array[...] = value
        commit()
        optimizer._steps.gather_all(shard.sources)


@contextmanager
def _naming(path: str | os.PathLike[str]) -> Iterator[None]:
    """Errors of what is read say that it is the checkpoint's fault."""
    try:
        yield
    except (TypeError, ValueError, LookupError, AttributeError, OverflowError, RecursionError) as error:
        raise CheckpointError(f"{os.fspath(path)}: {error}") from error


class _Checkpoint:
    """A manifest that has been checked, and the shards that are opened, and checked, as they are needed."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder, self._stack = folder, stack
        self._shards: dict[int, Reader] = {}
        self._manifest = self._opened(MANIFEST, "pyadam_manifest")
        self.generation = self._metadata("generation")
        self._wholes = loads(self._metadata("parameters"))
        self._kept = {int(i): [str(name) for name in names] for i, names in loads(self._metadata("kept"))}
        #: The ranks that have pieces of a parameter.
        self._owners: defaultdict[int, list[tuple[int, Piece]]] = defaultdict(list)
        for rank, pieces in enumerate(loads(self._metadata("pieces"))):
            for piece in pieces:
                self._owners[piece[0]].append((rank, Piece(*piece)))

    def _opened(self, name: str, kind: str) -> Reader:
        reader = Reader(self._stack.enter_context((self._folder / name).open("rb")))
        version = reader.metadata.get(kind, "nothing")
        if version != str(FORMAT):
            raise CheckpointError(f"{name} must have {kind} {FORMAT}, found {version:.20}")
        reader.verify()
        return reader

    def _metadata(self, key: str) -> str:
        if key not in self._manifest.metadata:
            raise CheckpointError(f"{MANIFEST} has no {key!r}")
        return self._manifest.metadata[key]

    def _shard(self, rank: int) -> Reader:
        if rank not in self._shards:
            name = f"shard-{self.generation}-{rank}.safetensors"
            reader = self._opened(name, "pyadam_shard")
            if (reader.metadata.get("generation"), reader.metadata.get("rank")) != (self.generation, str(rank)):
                raise CheckpointError(f"{name} is of another checkpoint")
            self._shards[rank] = reader
        return self._shards[rank]

    def check_parameters(self, optimizer: ZeroRedundancyOptimizer) -> None:
        """Check that the parameters are those of the optimizer."""
        expected = [_identity(whole) for whole in optimizer._wholes]
        for found, wanted in zip(self._wholes, expected, strict=False):
            if found != wanted:
                raise CheckpointError(
                    f"{wanted[0]} must have shape {tuple(wanted[1])}, dtype {wanted[2]} and {wanted[3]} order, "
                    f"found {found[0]:.100} with {tuple(found[1])}, {found[2]} and {found[3]}"
                )
        if len(self._wholes) != len(expected):
            raise CheckpointError(f"the checkpoint must have {len(expected)} parameters, found {len(self._wholes)}")

    def read(self, piece: Piece, name: str, dtype: np.dtype[Any]) -> NDArray[Any]:
        """Return the elements of a piece, or of what is kept beside it, from all shards that have some."""
        path = self._wholes[piece.parameter][0]
        values = np.empty(piece.size, dtype)
        missing = piece.size
        for rank, other in self._owners[piece.parameter]:
            begin, end = max(piece.begin, other.begin), min(piece.end, other.end)
            if begin >= end:
                continue
            tensor = _tensor_name(path, other, name)
            reader = self._shard(rank)
            if tensor not in reader.tensors:
                raise CheckpointError(f"the shard of rank {rank} has no tensor {tensor:.100}")
            reader.read_part_into(tensor, begin - other.begin, values[begin - piece.begin : end - piece.begin])
            missing -= end - begin
        if missing != 0:
            raise CheckpointError(f"the shards do not have each element of {path:.100} once")
        return values

    def state_dict(self, optimizer: ZeroRedundancyOptimizer) -> dict[str, Any]:
        """Return the state of this rank's pieces, as their plain optimizer takes it."""
        common: Mapping[str, Any] = decode(loads(self._metadata("state")), self._array)
        steps = common["steps"]
        state: dict[int, dict[str, Any]] = {}
        for slot, (piece, _) in enumerate(optimizer._shard.items()):
            if steps[piece.parameter] == 0:
                continue
            live = optimizer._shard.state_of(piece)
            state[slot] = {"step": steps[piece.parameter]}
            if "carried" in common:
                carries = optimizer._optimizer_class._rule.carries
                state[slot].update(zip(carries, common["carried"][piece.parameter], strict=True))
            for name in self._kept[piece.parameter]:  # of one that is not known here, the plain optimizer will say so
                state[slot][name] = self.read(piece, name, live[name].dtype) if name in live else np.empty(0)
        groups = [dict(group) for group in common["param_groups"]]
        if len(groups) == len(optimizer.param_groups):
            for group, own in zip(groups, optimizer.param_groups, strict=True):
                group.update(params=list(own.members), param_names=list(own.paths))
        others = {key: common[key] for key in ("step_count", "rules", "skipped", "options")}
        return {"state": state, "param_groups": groups, **others}

    def _array(self, name: str, order: Any) -> NDArray[Any]:
        tensor = self._manifest.tensors[name]
        array = np.empty(tensor.shape, tensor.dtype, order)
        self._manifest.read_into(name, array)
        return array

    def check_unchanged(self) -> None:
        """Check that nobody has written to the files since they were opened."""
        for reader in (self._manifest, *self._shards.values()):
            reader.check_unchanged()
