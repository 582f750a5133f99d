"""The long form of these tests, and what they share."""

from __future__ import annotations

import os

import numpy as np
import pytest
from makers import Maker

import pyadam

IS_FULL = os.environ.get("PYADAM_FAULTS") == "full"


@pytest.fixture
def full() -> bool:
    """Whether to take the time for all cases: PYADAM_FAULTS=full says so."""
    return IS_FULL


@pytest.fixture
def opt() -> pyadam.Optimizer:
    """An optimizer with a bit of everything that has taken steps."""
    make = Maker(0)
    first = {"w": make.array((3, 4), order="F"), "b": [make.array(5, np.float32)]}
    groups = [{"params": first, "bounds": (-9.0, 9.0)}, {"params": np.ones(2), "bounds": (np.full(2, -7.0), None)}]
    optimizer = pyadam.Adam(groups, lr=0.01)
    for _ in range(3):
        optimizer.step(make.like(optimizer.params))
    return optimizer
