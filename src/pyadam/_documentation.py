"""Docstrings of the classes for NumPy arrays: what they say beside their rule's."""

from __future__ import annotations

from ._docstrings import composed
from .rules import Rule

_RAISES = """TypeError, ValueError
    As for every `Optimizer`."""

# What the docstrings of the classes say of arguments that no rule has.
_OWN_ENTRIES = {
    "params": """params : ndarray, or list, tuple or dict of params, or list of group dicts
    As for every `Optimizer`.""",
    "common": """**common
    ``maximize``, ``l1``, ``bounds``, ``clip_norm``, ``ema_decay``, ``master`` and others: see `Optimizer`.""",
}


def _kind(rule: type[Rule], name: str, kind: str) -> str:
    """Return the type of a hyperparameter here, of that of the rule's."""
    return kind if rule.fields[name].is_fixed else f"{kind} or function"


def docstring_of(cls: type, rule: type[Rule]) -> str:
    """Return the docstring of a class of this front end."""
    return composed(cls, rule, _OWN_ENTRIES, _kind, _RAISES)
