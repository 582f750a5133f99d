"""Files that are replaced whole: whatever happens, there is the old content or the new."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[int]:
    """Give a new file to write to, which takes the place of `path` when it is complete and on disk."""
    path = Path(os.path.realpath(path))  # what a symbolic link points to, not the link
    if path.exists() and not path.is_file():
        raise OSError(f"{path} is not a regular file, and would be replaced by one")
    _remove_abandoned(path)
    new = path.with_name(f".{path.name}.{os.urandom(8).hex()}.tmp")
    descriptor = _created(new)
    try:
        try:
            yield descriptor
            os.fsync(descriptor)
            if fcntl is not None:  # while it is locked, so that nobody takes it for abandoned
                os.replace(new, path)
        finally:
            os.close(descriptor)
        if fcntl is None:  # Windows renames no open files
            os.replace(new, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(new)
        raise
    _sync_folder(path.parent)


def _created(new: Path) -> int:
    """Create the file and lock it; once more, if it was removed as abandoned before it was locked."""
    while True:
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
        try:
            if fcntl is not None:
                with suppress(OSError):  # a file system without locks
                    fcntl.flock(descriptor, fcntl.LOCK_EX)
            if new.exists():
                return descriptor
        except BaseException:
            os.close(descriptor)
            with suppress(OSError):
                os.unlink(new)
            raise
        os.close(descriptor)


def _remove_abandoned(path: Path) -> None:
    """Remove what processes left that were killed while they wrote for `path`: files that nobody has locked."""
    if fcntl is None:
        return
    pattern = re.compile(rf"\.{re.escape(path.name)}\.[0-9a-f]{{16}}\.tmp")
    for name in filter(pattern.fullmatch, os.listdir(path.parent)):
        with suppress(OSError), open(path.with_name(name), "rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.unlink(file.name)


def _sync_folder(folder: Path) -> None:
    """Make a rename last through a loss of power, where folders can be synced."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a file system that has no such thing
            raise
    finally:
        os.close(descriptor)
