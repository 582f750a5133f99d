"""Averages in the place of the parameters for as long as a block lasts, in every front end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, TypeVar

from ._interrupts import restoring

T = TypeVar("T")


@contextmanager
def swapped(
    optimizer: Any,
    begin: Callable[[], tuple[Sequence[T], Callable[[], None]]],
    copy: Callable[[T], T],
    write: Callable[[T, T], None],
    lock: AbstractContextManager[Any] | None = None,
) -> Iterator[None]:
    """Set the parameters back to the last bit when the block is left, whatever happens; `_is_swapped` is set meanwhile.

    `begin` checks that they may be swapped, and returns them and what puts the averages in their place. Both run with
    `lock` held.
    """
    params: Sequence[T] = ()
    kept: list[T] = []

    def swap_back() -> None:
        if not kept:
            return
        refused = []
        for p, values in zip(params, kept, strict=True):
            try:
                write(p, values)
            except ValueError as error:  # it was made read-only
                refused.append(error)
        optimizer._is_swapped = False
        if refused:
            raise refused[0]

    with restoring(swap_back):
        with lock or nullcontext():
            params, put = begin()
            kept.extend([copy(p) for p in params])
            optimizer._is_swapped = True
            put()
        yield
