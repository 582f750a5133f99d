"""Constructors that consist of their signature."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import Parameter, signature
from typing import Any, ParamSpec

P = ParamSpec("P")


def declares_options(declaration: Callable[P, None]) -> Callable[P, None]:
    """Return an `__init__` with this signature, of `self`, `params`, options with defaults, and ``**others``.

    It hands the options, whether they are given or not, and the others to the object's `_construct`.
    """
    own, params, *options, others = signature(declaration).parameters.values()
    assert (own.name, params.name, others.kind) == ("self", "params", Parameter.VAR_KEYWORD)
    defaults = {option.name: option.default for option in options}
    positional = ["self", "params", *(o.name for o in options if o.kind is Parameter.POSITIONAL_OR_KEYWORD)]

    @wraps(declaration)
    def __init__(*args: P.args, **kwargs: P.kwargs) -> None:  # noqa: N807
        declaration(*args, **kwargs)  # raises TypeError as any function would
        given: dict[str, Any] = {**dict(zip(positional, args, strict=False)), **kwargs}
        optimizer, params = given.pop("self"), given.pop("params")
        values = {name: given.pop(name, default) for name, default in defaults.items()}
        optimizer._construct(params, values, given)

    return __init__
