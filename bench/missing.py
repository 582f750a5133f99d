"""Why a contender cannot run here."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module


def reason_of(error: BaseException) -> str:
    """Return a line that says what went wrong."""
    return f"{type(error).__name__}: {str(error).strip()}".splitlines()[0]


def missing(modules: Sequence[str]) -> str | None:
    """Return why one of the modules cannot be imported, or None."""
    try:
        for module in modules:
            import_module(module)
    except Exception as error:
        return reason_of(error)
    return None
