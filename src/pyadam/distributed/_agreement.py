"""What all ranks must have in common, found before they depend on it; and how all end when one does."""

from __future__ import annotations

import hashlib
import sys
import traceback
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NoReturn

import numpy as np
from mpi4py import MPI


class Agreement:
    """Of the ranks of a communicator, on which these methods are collective."""

    def __init__(self, comm: Any) -> None:
        self.comm = comm

    def settle(self, operation: str, facts: Mapping[str, Any], error: Exception | None = None) -> None:
        """Raise on all ranks if one has an error or facts of its own.

        The rank whose error it is raises that error, the others RuntimeError with its message. It is one small
        all-reduce as long as all is well. `facts` are what must be equal, each with a name for the message; equal ones
        have one `repr`.
        """
        code = zlib.crc32(repr((operation, facts)).encode())
        found = np.array([error is not None, code, -code], np.int64)
        self.comm.Allreduce(MPI.IN_PLACE, found, MPI.MAX)
        if found[0] == 0 and found[1] == -found[2]:
            return
        text = None if error is None else f"{type(error).__name__}: {error}"
        shown = {name: repr(value) for name, value in facts.items()}
        all_ranks = self.comm.allgather((text, operation, shown))
        if error is not None:
            raise error
        for rank, (text, _, _) in enumerate(all_ranks):
            if text is not None:
                raise RuntimeError(f"rank {rank} raised {text}")
        _raise_difference([(operation, facts) for _, operation, facts in all_ranks])

    @contextmanager
    def checked(self, operation: str, facts: Mapping[str, Any]) -> Iterator[None]:
        """Run a block that has no collectives; if it raises on one rank, all raise as `settle` says.

        `facts` may be filled within the block.
        """
        error = None
        try:
            yield
        except Exception as raised:
            error = raised
        self.settle(operation, facts, error)

    @contextmanager
    def vital(self) -> Iterator[None]:
        """Run a block that cannot be undone; if it raises on one rank, its message is printed and all end."""
        try:
            yield
        except BaseException:
            self.abort()

    def abort(self) -> NoReturn:
        """Print the exception in hand and end all ranks: the others wait in a collective that will not come."""
        print(f"pyadam.distributed: rank {self.comm.rank} failed within a step", file=sys.stderr)
        traceback.print_exc()
        sys.stderr.flush()
        self.comm.Abort(1)
        raise SystemExit(1)


def _raise_difference(found: list[tuple[str, dict[str, str]]]) -> NoReturn:
    operation, facts = found[0]
    for rank, (other_operation, other_facts) in enumerate(found):
        if other_operation != operation:
            raise ValueError(
                f"all ranks must call the same method: rank 0 called {operation}, rank {rank} {other_operation}"
            )
        for name in {**facts, **other_facts}:
            ours, theirs = facts.get(name, "nothing"), other_facts.get(name, "nothing")
            if ours != theirs:
                raise ValueError(
                    f"{operation}: {name} must be the same on all ranks, found {ours} on rank 0 and {theirs} on "
                    f"rank {rank}"
                )
    raise AssertionError("ranks differ, and agree when asked")


def description(value: Any) -> Any:
    """Return what of a hyperparameter can be compared between processes, whose addresses differ."""
    if isinstance(value, np.ndarray):
        digest = hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()[:16]
        return f"array of {value.dtype} {value.shape} with the hash {digest}"
    if isinstance(value, (list, tuple)):
        return tuple(map(description, value))
    if isinstance(value, Mapping):
        return {key: description(item) for key, item in value.items()}
    if callable(value):
        name = getattr(value, "__qualname__", None)
        return f"function {name}" if name else f"a {type(value).__qualname__}"
    return value
