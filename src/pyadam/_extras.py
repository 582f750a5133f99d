"""Packages that only some functions need, imported when those are called."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def require(module: str, extra: str) -> Any:
    """Return `module`, or say in one line which extra of pyadam brings it."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        message = f"{error.name} is missing: pip install 'pyadam[{extra}]'"
        raise ModuleNotFoundError(message, name=error.name) from None
