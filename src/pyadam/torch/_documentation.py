"""Docstrings of the classes: what they say beside their rule's."""

from __future__ import annotations

from inspect import signature
from typing import Any

from .._docstrings import composed
from ..rules import Rule

# Arguments that say how PyTorch shall compute.
_HOW = ("foreach", "fused", "capturable", "differentiable")

_RAISES = """TypeError, ValueError
    As for every `pyadam.torch.Optimizer`."""


def _own_entries(cls: Any) -> dict[str, str]:
    """Return what the docstring of a class says of arguments that no rule has."""
    how = ", ".join(name for name in _HOW if name in signature(cls.__init__).parameters)
    return {
        "params": """params : iterable of Tensors, of (name, Tensor) pairs or of group dicts
    As for every `pyadam.torch.Optimizer`.""",
        how: f"{how} : bool, optional\n    See `pyadam.torch.Optimizer`.",
        "maximize": "maximize : bool, default False\n    Climb along the gradient.",
        "extras": """**extras
    ``l1``, ``bounds``, ``clip_norm``, ``ema_decay``, ``master`` and others: see `pyadam.torch.Optimizer`.""",
    }


def _kind(rule: type[Rule], name: str, kind: str) -> str:
    """Return the type of a hyperparameter here, of that of the rule's."""
    del rule
    return {"lr": "float or one-element Tensor", "betas": "pair of floats or one-element Tensors"}.get(name, kind)


def docstring_of(cls: Any, rule: type[Rule]) -> str:
    """Return the docstring of a class of this front end."""
    return composed(cls, rule, _own_entries(cls), _kind, _RAISES)
