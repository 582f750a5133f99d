"""The rows of rules with options that the tests of bits, of properties and of other libraries share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pyadam


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
    Case(pyadam.NAdam, {}, "NAdam"),
    Case(pyadam.NAdam, {"lr": 0.05, "betas": (0.8, 0.95), "eps": 1e-3, "momentum_decay": 0.1}, "NAdam"),
    Case(pyadam.NAdam, {"weight_decay": 0.1, "maximize": True}, "NAdam"),
    Case(pyadam.NAdam, {"weight_decay": 0.1, "decoupled_weight_decay": True}, "NAdam"),
    Case(pyadam.RAdam, {}, "RAdam"),
    Case(pyadam.RAdam, {"lr": 0.05, "betas": (0.8, 0.95), "eps": 1e-3}, "RAdam"),
    Case(pyadam.RAdam, {"weight_decay": 0.1, "maximize": True}, "RAdam"),
    Case(pyadam.RAdam, {"weight_decay": 0.1, "decoupled_weight_decay": True}, "RAdam"),
    Case(pyadam.Adamax, {}, "Adamax"),
    Case(pyadam.Adamax, {"lr": 0.05, "betas": (0.8, 0.95), "eps": 1e-3}, "Adamax"),
    Case(pyadam.Adamax, {"weight_decay": 0.1, "maximize": True}, "Adamax"),
    Case(pyadam.Adamax, {"weight_decay": 0.1, "decoupled_weight_decay": True}),
    Case(pyadam.Adadelta, {}, "Adadelta"),
    Case(pyadam.Adadelta, {"lr": 0.5, "rho": 0.8, "eps": 1e-3}, "Adadelta"),
    Case(pyadam.Adadelta, {"weight_decay": 0.1, "maximize": True}, "Adadelta"),
    Case(pyadam.Adagrad, {}, "Adagrad"),
    Case(pyadam.Adagrad, {"lr": 0.05, "lr_decay": 0.1, "eps": 1e-3}, "Adagrad"),
    Case(pyadam.Adagrad, {"initial_accumulator_value": 0.5}, "Adagrad"),
    Case(pyadam.Adagrad, {"weight_decay": 0.1, "maximize": True}, "Adagrad"),
    Case(pyadam.RMSprop, {}, "RMSprop"),
    Case(pyadam.RMSprop, {"lr": 0.05, "alpha": 0.9, "eps": 1e-3}, "RMSprop"),
    Case(pyadam.RMSprop, {"weight_decay": 0.1, "maximize": True}, "RMSprop"),
    Case(pyadam.RMSprop, {"momentum": 0.9}, "RMSprop"),
    Case(pyadam.RMSprop, {"centered": True, "eps": 1e-2}, "RMSprop"),
    Case(pyadam.RMSprop, {"centered": True, "momentum": 0.9, "eps": 1e-2}, "RMSprop"),
    Case(pyadam.RMSprop, {"eps_inside_sqrt": True, "eps": 1e-3}),
    Case(pyadam.RMSprop, {"momentum": 0.9, "lr_in_momentum": True}),
    Case(pyadam.SGD, {}, "SGD"),
    Case(pyadam.SGD, {"weight_decay": 0.1, "maximize": True}, "SGD"),
    Case(pyadam.SGD, {"momentum": 0.9}, "SGD"),
    Case(pyadam.SGD, {"momentum": 0.9, "dampening": 0.3, "weight_decay": 0.1}, "SGD"),
    Case(pyadam.SGD, {"momentum": 0.9, "nesterov": True}, "SGD"),
    Case(pyadam.SGD, {"momentum": 0.9, "nesterov": True, "lr_in_momentum": True}),
    Case(pyadam.SGD, {"momentum": 0.9, "dampening": 0.3, "lr_in_momentum": True}),
    Case(pyadam.Lion),
    Case(pyadam.Lion, {"betas": (0.5, 0.9), "weight_decay": 0.1, "maximize": True}),
    Case(pyadam.Lion, {"weight_decay": 0.1, "decoupled_weight_decay": False}),
    Case(pyadam.LAMB),
    Case(pyadam.LAMB, {"lr": 0.05, "betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.1}),
    Case(pyadam.LAMB, {"maximize": True, "l1": 0.01}),
]

# One case for each rule of the kernel, with each of what the kernel does around a rule in some of them.
BOX = (-0.5, 0.75)
KERNEL_CASES = [
    Case(pyadam.Adam),
    Case(pyadam.Adam, {"weight_decay": 0.1, "maximize": True}),
    Case(pyadam.AdamW, {"weight_decay": 0.1, "bounds": BOX}),
    Case(pyadam.Adam, {"amsgrad": True, "l1": 0.01}),
    Case(pyadam.NAdam, {"decoupled_weight_decay": True, "weight_decay": 0.1}),
    Case(pyadam.RAdam),
    Case(pyadam.Adamax),
    Case(pyadam.Adadelta, {"weight_decay": 0.1}),
    Case(pyadam.Adagrad, {"initial_accumulator_value": 0.1, "lr_decay": 0.1}),
    Case(pyadam.RMSprop),
    Case(pyadam.RMSprop, {"momentum": 0.9}),
    Case(pyadam.RMSprop, {"centered": True, "eps": 1e-2}),
    Case(pyadam.RMSprop, {"centered": True, "momentum": 0.9, "eps": 1e-2, "eps_inside_sqrt": True}),
    Case(pyadam.SGD, {"maximize": True}),
    Case(pyadam.SGD, {"momentum": 0.9, "dampening": 0.1}),
    Case(pyadam.SGD, {"momentum": 0.9, "nesterov": True, "l1": 0.01}),
    Case(pyadam.Lion, {"weight_decay": 0.1}),
    Case(pyadam.LAMB, {"weight_decay": 0.1, "bounds": BOX}),
]
