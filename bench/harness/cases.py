"""What is measured. The tests take steps of the same cases."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .models import MODELS, Shape

Array = NDArray[Any]

# Large arrays repeat numbers after so many elements, a prime: new ones would take longer than all that is measured.
PERIOD = 1_000_003

# From here on a step's bytes set a floor to its time; below, the call does, or for smaller arrays their number.
MEMORY_BOUND, MEMORY_BOUND_ARRAY = 100_000, 1000


@dataclass(frozen=True)
class Case:
    """What is measured over arrays of these shapes; some cases are rows of the README, few the short form."""

    name: str
    shapes: tuple[Shape, ...]
    dtype: str = "float32"
    in_readme: bool = False
    is_quick: bool = False
    measures: tuple[str, ...] = ("step",)

    @property
    def elements(self) -> int:
        """The number of elements of all arrays."""
        return sum(map(prod, self.shapes))

    @property
    def memory_bound(self) -> bool:
        """Whether the bytes set a floor to the time."""
        return self.elements >= max(MEMORY_BOUND, MEMORY_BOUND_ARRAY * len(self.shapes))

    @property
    def array_bytes(self) -> int:
        """The bytes of one copy of the parameters."""
        return self.elements * np.dtype(self.dtype).itemsize

    def facts(self, measure: str) -> dict[str, Any]:
        """Return what is said of a measure of this case beside its results."""
        name = self.name if len(self.measures) == 1 else f"{self.name}: {measure}"
        facts = {"name": name, "in_readme": self.in_readme, "dtype": self.dtype}
        return {**facts, "tensors": len(self.shapes), "elements": self.elements}

    def arrays(self) -> Iterator[tuple[Array, Array]]:
        """Yield each parameter and its gradient, the same ones every time."""
        for index, shape in enumerate(self.shapes):
            p, g = self.period(index)
            yield np.resize(p, shape), np.resize(g, shape)

    def period(self, index: int) -> tuple[Array, Array]:
        """Return the numbers that a parameter and its gradient repeat, flat."""
        rng = np.random.default_rng((0, index))
        size = min(prod(self.shapes[index]), PERIOD)
        p, g = (rng.standard_normal(size, dtype=np.float32).astype(self.dtype, copy=False) for _ in range(2))
        return p, g


def model(name: str, dtype: str = "float32", **options: Any) -> Case:
    """Return the case of a model's parameters."""
    return Case(name if dtype == "float32" else f"{name} {dtype}", MODELS[name], dtype, **options)


def arrays(count: int, elements: int, **options: Any) -> Case:
    """Return the case of equal arrays."""
    name = f"{elements:,}" if count == 1 else f"{count:,} arrays of {elements:,}"
    return Case(name, ((elements,),) * count, **options)


CASES = [
    Case("100M", ((10**8,),)),
    Case("32M", ((2**25,),), in_readme=True),
    Case("10M", ((10**7,),)),
    Case("1M", ((10**6,),), in_readme=True, is_quick=True),
    arrays(1, 100_000),
    arrays(1, 10_000, in_readme=True),
    arrays(1, 1000),
    arrays(1, 100, in_readme=True, is_quick=True),
    arrays(10, 100),
    arrays(100, 100),
    arrays(1000, 100, in_readme=True, is_quick=True),
    arrays(160, 10_000, in_readme=True),
    model("6-layer MLP", in_readme=True),
    model("ResNet-50", in_readme=True),
    model("GPT-2 small", in_readme=True),
    Case("100M float64", ((10**8,),), "float64"),
    Case("10M float64", ((10**7,),), "float64", in_readme=True),
    Case("1M float64", ((10**6,),), "float64"),
    Case("100,000 float64", ((10**5,),), "float64"),
    Case("10,000 float64", ((10_000,),), "float64", is_quick=True),
    Case("1,000 float64", ((1000,),), "float64"),
    Case("100 float64", ((100,),), "float64"),
    model("ResNet-50", dtype="float64"),
]
