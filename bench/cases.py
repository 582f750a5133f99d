"""What is measured, and what pyadam must reach."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True)
class Case:
    """One step over arrays of these sizes; where it is `memory_bound`, its bytes set a floor to its time."""

    name: str
    sizes: tuple[int, ...]
    dtype: str = "float32"
    memory_bound: bool = False

    @property
    def is_quick(self) -> bool:
        """Whether the case is small enough for the short form of the benchmark."""
        return sum(self.sizes) <= 2_000_000

    def arrays(self) -> tuple[list[Array], list[Array]]:
        """Return parameters and gradients, the same ones every time."""
        rng = np.random.default_rng(0)
        params, grads = ([rng.standard_normal(size).astype(self.dtype) for size in self.sizes] for _ in range(2))
        return params, grads


CASES = [
    Case("32M", (2**25,), memory_bound=True),
    Case("1M", (10**6,), memory_bound=True),
    Case("10,000", (10_000,)),
    Case("100", (100,)),
    Case("1,000 arrays of 100", (100,) * 1000),
    Case("160 arrays of 10,000", (10_000,) * 160, memory_bound=True),
]

# For each case and contender, the least time of the contender over pyadam's.
RATIO_TARGETS = {
    "32M": {"byte floor": 0.97, "torch fused": 1.05, "numba": 1.05, "DeepSpeed": 1.15, "NumPy": 9.0},
    "1M": {"torch fused": 1.4, "numba": 1.4, "NumPy": 25.0},
    "160 arrays of 10,000": {"torch fused": 2.0},
}

# For each case, pyadam's greatest time in seconds.
TIME_TARGETS = {"10,000": 5e-6, "100": 1.5e-6, "1,000 arrays of 100": 120e-6}

IMPORT_TARGET = 15e-3  # seconds
WHEEL_TARGET = 2e6  # bytes
