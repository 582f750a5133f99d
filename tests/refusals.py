"""How tests say that something is refused, and that nothing has changed by it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from inside import arrays_of, own_options_of, states_of, steps_of

import pyadam


def snapshot(opt: pyadam.Optimizer) -> dict[str, Any]:
    """Return all that an optimizer consists of, bit by bit."""
    return {
        "arrays": [(id(array), array.tobytes("A")) for array in arrays_of(opt)],
        "states": [{name: kept.tobytes("A") for name, kept in state.items()} for state in states_of(opt)],
        "steps": steps_of(opt),
        "step_count": opt.step_count,
        "skipped": opt.skipped,
        "of the optimizer": (own_options_of(opt), opt.accumulated),
        "options": [group.options for group in opt.param_groups],
    }


@contextmanager
def raises(error: type[Exception], *words: str) -> Iterator[None]:
    """Check that the block raises `error` and that each of `words` is in the message."""
    with pytest.raises(error) as caught:
        yield
    for word in words:
        assert word in str(caught.value)


@contextmanager
def unchanged(opt: pyadam.Optimizer) -> Iterator[None]:
    """Check that the block, or what it raises, leaves `opt` as it was to the last bit."""
    before = snapshot(opt)
    try:
        yield
    finally:
        assert snapshot(opt) == before


@contextmanager
def refused(opt: pyadam.Optimizer, error: type[Exception], *words: str) -> Iterator[None]:
    """As `raises`, and check that the block has changed nothing of `opt`."""
    with unchanged(opt), raises(error, *words):
        yield


def stepped(params: Any, cls: type[pyadam.Optimizer] = pyadam.Adam, **options: Any) -> pyadam.Optimizer:
    """Return an optimizer of a list or dict of arrays whose state is no longer zero."""
    opt = cls(params, **options)
    keys = params if isinstance(params, dict) else range(len(params))
    grads = {key: np.full_like(params[key], 0.5) for key in keys}
    for _ in range(2):
        opt.step(grads if isinstance(params, dict) else list(grads.values()))
    return opt
