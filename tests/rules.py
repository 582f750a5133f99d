"""Every rule with every option: the rows that the tests of bits, of properties and of other libraries share."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

import pyadam
from pyadam import _core, reference

Array = NDArray[Any]


@dataclass(frozen=True)
class Case:
    """A class with options; `torch` names the class of torch.optim that computes the same."""

    cls: type[pyadam.Optimizer]
    options: dict[str, Any] = field(default_factory=dict)
    torch: str | None = None

    def __str__(self) -> str:
        return "-".join([self.cls.__name__, *(f"{key}={value}" for key, value in self.options.items())])


CASES = [
    Case(pyadam.Adam, {}, "Adam"),
    Case(pyadam.Adam, {"lr": 0.02, "betas": (0.8, 0.95), "eps": 1e-3}, "Adam"),
    Case(pyadam.Adam, {"weight_decay": 0.1}, "Adam"),
    Case(pyadam.Adam, {"weight_decay": 0.1, "decoupled_weight_decay": True}, "Adam"),
    Case(pyadam.Adam, {"maximize": True, "weight_decay": 0.1}, "Adam"),
    Case(pyadam.Adam, {"betas": (0.0, 0.9)}, "Adam"),
    Case(pyadam.Adam, {"epsilon_hat": True, "eps": 1e-4}),
    Case(pyadam.Adam, {"amsgrad": True}, "Adam"),
    Case(pyadam.Adam, {"amsgrad": True, "weight_decay": 0.1, "maximize": True}, "Adam"),
    Case(pyadam.Adam, {"amsgrad": True, "epsilon_hat": True, "eps": 1e-4}),
    Case(pyadam.AdamW, {}, "AdamW"),
    Case(pyadam.AdamW, {"weight_decay": 0.3, "lr": 0.05}, "AdamW"),
    Case(pyadam.AdamW, {"maximize": True, "amsgrad": True}, "AdamW"),
]

# One case for each rule of the kernel, with what happens before the rule switched on.
KERNEL_CASES = [
    Case(pyadam.Adam),
    Case(pyadam.Adam, {"weight_decay": 0.1, "maximize": True}),
    Case(pyadam.AdamW, {"weight_decay": 0.1}),
    Case(pyadam.Adam, {"amsgrad": True}),
]


class ReferenceRun:
    """What `opt` does to one parameter, done by `pyadam.reference`."""

    def __init__(self, opt: pyadam.Optimizer, p: Array) -> None:
        options = opt.param_groups[0].options
        rule = opt._rule(options)
        self.p = p.copy(order="K")
        self.state: tuple[Array, ...] = tuple(np.zeros_like(p) for _ in _core.RULES[rule][0])
        self.t = 0
        self._rule = getattr(reference, rule)
        stages = {"weight_decay", "maximize", "decoupled_weight_decay"}
        known = stages | set(inspect.signature(self._rule.__wrapped__).parameters)
        self._options = {key: value for key, value in options.items() if key in known}

    def step(self, g: Array) -> None:
        self.t += 1
        self.p, *state = self._rule(self.p, g, *self.state, self.t, **self._options)
        self.state = tuple(state)


def assert_same_bits(opt: pyadam.Optimizer, index: int, expected: ReferenceRun) -> None:
    """Compare a parameter and its state with the reference's, NaN with NaN and +0 with +0."""
    actual = (opt._core.arrays[index], *opt._core.state(index))
    for found, wanted in zip(actual, (expected.p, *expected.state), strict=True):
        np.testing.assert_array_equal(found, wanted)
        number = ~np.isnan(wanted)
        np.testing.assert_array_equal(np.signbit(found)[number], np.signbit(wanted)[number])
