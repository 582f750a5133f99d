"""Work that Ctrl-C must not leave half done."""

from __future__ import annotations

import _thread
import threading
from collections.abc import Callable
from contextlib import suppress


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


def until_done(work: Callable[[], None]) -> None:
    """Do `work`, which may be begun again, to its end, also when an impatient user presses Ctrl-C again."""
    try:
        work()
    except Exception:
        raise
    except BaseException:
        until_done(work)
        raise
