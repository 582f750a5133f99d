"""How tests say that something is refused, and that nothing has changed by it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

import pyadam


def snapshot(opt: pyadam.Optimizer) -> dict[str, Any]:
    """Return all that an optimizer consists of, bit by bit."""
    core = opt._core
    return {
        "arrays": [(id(array), array.tobytes("A")) for array in core.arrays],
        "states": [{name: kept.tobytes("A") for name, kept in core.state(i).items()} for i in range(len(core.steps))],
        "steps": core.steps,
        "step_count": core.step_count,
        "skipped": core.skipped,
        "of the optimizer": (opt._own_options(), opt.accumulated),
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
def refused(opt: pyadam.Optimizer, error: type[Exception], *words: str) -> Iterator[None]:
    """As `raises`, and check that the block has changed nothing of `opt`."""
    before = snapshot(opt)
    with raises(error, *words):
        yield
    assert snapshot(opt) == before


def stepped(params: Any, cls: type[pyadam.Optimizer] = pyadam.Adam, **options: Any) -> pyadam.Optimizer:
    """Return an optimizer of a list or dict of arrays whose state is no longer zero."""
    opt = cls(params, **options)
    keys = params if isinstance(params, dict) else range(len(params))
    grads = {key: np.full_like(params[key], 0.5) for key in keys}
    for _ in range(2):
        opt.step(grads if isinstance(params, dict) else list(grads.values()))
    return opt
