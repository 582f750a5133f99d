"""The long form of these tests, and what they share."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest

import pyadam

IS_FULL = os.environ.get("PYADAM_FAULTS") == "full"

# tests/rules.py and tests/refusals.py
sys.path.append(str(Path(__file__).parents[1]))


@pytest.fixture
def full() -> bool:
    """Whether to take the time for all cases: PYADAM_FAULTS=full says so."""
    return IS_FULL


@pytest.fixture
def opt() -> pyadam.Optimizer:
    """An optimizer with a bit of everything that has taken steps."""
    rng = np.random.default_rng(0)

    def grads() -> list[object]:
        return [{"w": rng.standard_normal((3, 4)), "b": [rng.standard_normal(5)]}, rng.standard_normal(2)]

    first = {"w": np.asfortranarray(rng.standard_normal((3, 4))), "b": [np.ones(5, np.float32)]}
    groups = [{"params": first, "bounds": (-9.0, 9.0)}, {"params": np.ones(2), "bounds": (np.full(2, -7.0), None)}]
    optimizer = pyadam.Adam(groups, lr=0.01)
    for _ in range(3):
        optimizer.step(grads())
    return optimizer
