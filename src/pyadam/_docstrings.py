"""Docstrings of the front ends' classes, composed of those of their rules: a rule's mathematics stands there alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from inspect import Parameter, cleandoc, signature
from typing import Any

from .rules import Rule

_ORDER = ("Parameters", "Raises", "Notes", "References", "Examples")

# Entries of a Parameters section: a name or several, what may be given, and an indented text.
_ENTRY = re.compile(r"^(\S[^:\n]*?)(?: : (.*))?\n((?:    .*\n|\n(?=    ))*)", flags=re.MULTILINE)


def sections(docstring: str) -> tuple[str, dict[str, str]]:
    """Return a cleaned docstring's introduction, and its numpydoc sections by their titles."""
    introduction, *parts = re.split(r"^(\w+)\n-{3,}\n", docstring, flags=re.MULTILINE)
    return introduction.strip(), {title: text.strip("\n") for title, text in zip(parts[::2], parts[1::2], strict=True)}


def described(rule: type[Rule]) -> dict[str, tuple[str, str]]:
    """Return the type and the text of each hyperparameter, from the docstrings of the rule and its bases."""
    found: dict[str, tuple[str, str]] = {}
    for base in reversed(rule.__mro__[:-1]):
        _, parts = sections(cleandoc(base.__doc__ or ""))
        for names, kind, text in _ENTRY.findall(parts.get("Parameters", "") + "\n"):
            found[names] = kind, text.rstrip("\n")
    return found


def composed(
    cls: type,
    rule: type[Rule],
    own_entries: Mapping[str, str],
    kind_of: Callable[[type[Rule], str, str], str],
    raises: str,
) -> str:
    """Return the docstring of a front end's class: what its own says, then its rule's, section by section.

    Its parameters are those of its constructor, in that order. `own_entries` has those that no rule has, whole, under
    one or several names; `kind_of` turns a rule's type of a hyperparameter into the front end's. The class's Notes come
    first, and its Raises go before `raises`, which is for all.
    """
    introduction, own = sections(cleandoc(vars(cls).get("__doc__") or ""))
    rule_introduction, of_rule = sections(cleandoc(rule.__doc__ or ""))
    headline, _, body = rule_introduction.partition("\n")
    shown = {"Parameters": _parameters(cls, described(rule), own_entries, lambda name, kind: kind_of(rule, name, kind))}
    shown["Raises"] = "\n".join(filter(None, (own.get("Raises"), raises)))
    shown["Notes"] = "\n\n".join(filter(None, (own.get("Notes"), of_rule.get("Notes"))))
    shown["References"] = of_rule["References"]
    shown["Examples"] = own["Examples"]
    parts = [headline, body.strip("\n"), introduction.partition("\n")[2].strip()]
    parts += [f"{title}\n{'-' * len(title)}\n{shown[title]}" for title in _ORDER if shown[title]]
    return "\n\n".join(filter(None, parts)) + "\n"


def _parameters(
    cls: Any,
    of_rule: Mapping[str, tuple[str, str]],
    own_entries: Mapping[str, str],
    kind_of: Callable[[str, str], str],
) -> str:
    entries: dict[str, None] = {}  # in order, each once
    for name, parameter in signature(cls.__init__).parameters.items():
        if name == "self":
            continue
        own = next((text for names, text in own_entries.items() if name in names.split(", ")), None)
        if own is not None:
            entries[own] = None
        elif parameter.kind is not Parameter.VAR_KEYWORD:
            kind, text = of_rule[name]
            entries[f"{name} : {kind_of(name, kind)}, default {parameter.default!r}\n{text}"] = None
    return "\n".join(entries)
