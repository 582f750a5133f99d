"""Every class of `pyadam.torch` with options, and what the tests of them share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from makers import Maker, Shape

import pyadam.torch

SHAPES = [(7,), (3, 5), (), (2, 3, 4, 5)]


@dataclass(frozen=True)
class Case:
    """A class with options, which `torch.optim` has too unless `is_own`."""

    name: str
    options: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return "-".join([self.name, *(f"{key}={value}" for key, value in self.options.items())])

    @property
    def ours(self) -> Any:
        return getattr(pyadam.torch, self.name)

    @property
    def theirs(self) -> Any:
        return getattr(torch.optim, self.name)

    @property
    def numpy(self) -> Any:
        return getattr(pyadam, self.name)


CASES = [
    Case("Adam"),
    Case("Adam", {"lr": 0.02, "betas": (0.8, 0.95), "eps": 1e-3}),
    Case("Adam", {"weight_decay": 0.1, "maximize": True}),
    Case("Adam", {"weight_decay": 0.1, "decoupled_weight_decay": True}),
    Case("Adam", {"amsgrad": True}),
    Case("AdamW"),
    Case("AdamW", {"weight_decay": 0.3, "amsgrad": True, "maximize": True}),
    Case("NAdam"),
    Case("NAdam", {"weight_decay": 0.1, "momentum_decay": 0.1}),
    Case("NAdam", {"weight_decay": 0.1, "decoupled_weight_decay": True, "maximize": True}),
    Case("RAdam"),
    Case("RAdam", {"betas": (0.8, 0.95), "weight_decay": 0.1, "maximize": True}),
    Case("RAdam", {"weight_decay": 0.1, "decoupled_weight_decay": True}),
    Case("Adamax"),
    Case("Adamax", {"weight_decay": 0.1, "maximize": True}),
    Case("Adadelta"),
    Case("Adadelta", {"lr": 0.5, "rho": 0.8, "weight_decay": 0.1, "maximize": True}),
    Case("Adagrad"),
    Case("Adagrad", {"lr_decay": 0.1, "initial_accumulator_value": 0.5, "weight_decay": 0.1, "maximize": True}),
    Case("RMSprop"),
    Case("RMSprop", {"alpha": 0.9, "momentum": 0.9, "weight_decay": 0.1, "maximize": True}),
    Case("RMSprop", {"centered": True, "eps": 1e-2}),
    Case("RMSprop", {"centered": True, "momentum": 0.9, "eps": 1e-2}),
    Case("SGD"),
    Case("SGD", {"weight_decay": 0.1, "maximize": True}),
    Case("SGD", {"momentum": 0.9, "dampening": 0.3, "weight_decay": 0.1}),
    Case("SGD", {"momentum": 0.9, "nesterov": True}),
]
OWN_CASES = [
    Case("Lion"),
    Case("Lion", {"betas": (0.5, 0.9), "weight_decay": 0.1, "maximize": True}),
    Case("Lion", {"weight_decay": 0.1, "decoupled_weight_decay": False}),
]


def new_params(dtype: torch.dtype = torch.float64, shapes: Iterable[Shape] = SHAPES) -> list[Any]:
    """Return parameters with the same values every time."""
    return Maker(0).parameters(shapes, dtype)


def set_grads(params: Iterable[Any], step: int, left_out: Iterable[int] = ()) -> None:
    """Give the parameters the gradients of a step, the same every time; None to those left out."""
    make = Maker(1, step)
    for i, p in enumerate(params):
        grad = make.tensor(p.shape, p.dtype)
        p.grad = None if i in left_out else grad


def take_steps(optimizer: Any, params: Sequence[Any], steps: Iterable[int]) -> None:
    """Take steps of which the second parameter misses every third."""
    for step in steps:
        set_grads(params, step, left_out=() if step % 3 else (1,))
        optimizer.step()


def assert_close_in_float64(ours: Iterable[Any], theirs: Iterable[Any]) -> None:
    """Compare tensors that differ by rounding."""
    for p, q in zip(ours, theirs, strict=True):
        torch.testing.assert_close(p, q, rtol=1e-12, atol=1e-12)


def assert_same_bits(found: Iterable[Any], expected: Iterable[Any]) -> None:
    """Compare tensors bit by bit."""
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0, equal_nan=True)
