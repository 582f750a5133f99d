"""Work that Ctrl-C must not leave half done."""

from __future__ import annotations

import _thread
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress


def all_or_nothing(work: Callable[[], None]) -> None:
    """Do all of `work` or nothing; a Ctrl-C that comes meanwhile is let in at the end.

    Interrupts meet the main thread alone, so that the work is done in another. It begins by taking the token, which
    an interrupted caller tries to take first. Bare locks and a bare thread, since an interrupt within `Thread.start`
    or `Event.wait`, which are Python code, can leave the lock inside them taken for ever.
    """
    token = threading.Lock()
    ended = threading.Lock()
    results: list[BaseException | None] = []

    def run() -> None:
        if not token.acquire(blocking=False):
            return
        try:
            work()
        except BaseException as error:
            results.append(error)
        else:
            results.append(None)
        ended.release()

    ended.acquire()
    try:
        _thread.start_new_thread(run, ())
        ended.acquire()
    except BaseException:
        if token.acquire(blocking=False):
            raise
        while not results:
            with suppress(KeyboardInterrupt):
                ended.acquire()
        if results[0] is None:
            raise
    if results[0] is not None:
        raise results[0]


@contextmanager
def restoring(restore: Callable[[], None]) -> Iterator[None]:
    """Call `restore` when the block is left, to its end, also when an impatient user presses Ctrl-C again.

    It is begun again then, which must do no harm.
    """
    try:
        yield
    finally:
        try:
            _until_done(restore)
        except KeyboardInterrupt:  # which may have come before the first line of it
            _until_done(restore)
            raise


def _until_done(work: Callable[[], None]) -> None:
    try:
        work()
    except Exception:
        raise
    except BaseException:
        _until_done(work)
        raise
