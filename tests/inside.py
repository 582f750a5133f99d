"""The inside of an optimizer, for tests: the only module of tests/ that knows where an optimizer keeps what."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyadam
from pyadam import _core
from pyadam._group import Group
from pyadam.optimizer import _alive as optimizers_alive

# What makes the kernel's numbers of a step of hyperparameters, and the optimizers that the module knows of.
__all__ = ["Group", "optimizers_alive"]

TILE: int = _core.TILE  # elements of a tile
KERNEL_RULES: dict[str, Any] = _core.RULES  # the names of the kernel's rules and of their state


def arrays_of(opt: pyadam.Optimizer) -> list[Any]:
    """Return the parameters in the order in which they are numbered."""
    return opt._core.arrays


def state_of(opt: pyadam.Optimizer, index: int = 0) -> dict[str, Any]:
    """Return all that is kept beside a parameter, by name: the arrays themselves."""
    return opt._core.state(index)


def states_of(opt: pyadam.Optimizer) -> list[dict[str, Any]]:
    """Return `state_of` each parameter."""
    return [state_of(opt, i) for i in range(len(steps_of(opt)))]


def steps_of(opt: pyadam.Optimizer) -> list[int]:
    """Return how many steps each parameter has taken."""
    return opt._core.steps


def initial_state_of(opt: pyadam.Optimizer, group: int = 0) -> float:
    """Return the value with which the state of a group's rule begins."""
    return opt.param_groups[group].keeping.initial_state


def own_options_of(opt: pyadam.Optimizer) -> dict[str, Any]:
    """Return the options of the whole optimizer."""
    return opt._own_options()


def state_dir_of(opt: pyadam.Optimizer) -> str | None:
    """Return the directory that holds the files of the state."""
    return opt._core.state_dir


def count_elements_from(opt: pyadam.Optimizer, first: int) -> None:
    """Let random rounding count the elements from `first` on, as if others came before."""
    opt._core.first_element = first


# A step in parts, as `pyadam.distributed` takes it.


def grad_squares(opt: pyadam.Optimizer, slots: Sequence[int], grads: list[Any]) -> tuple[Any, bool]:
    """Return the sums of squares of the gradients' tiles, and whether one of them is not finite."""
    return opt._core.grad_squares(slots, grads)


def step_part(
    opt: pyadam.Optimizer,
    slots: Sequence[int],
    grads: list[Any],
    scale: float,
    squares: tuple[float, bool],
    last: bool,
) -> bool:
    """Take the part of a step for which there are gradients, with the squares of all of them."""
    return opt._core.step_part(slots, grads, opt._plans, scale, squares, last)


def check_gradients(opt: pyadam.Optimizer, grads: list[Any]) -> None:
    """Raise what a step would raise of its gradients."""
    opt._core.check_gradients(grads)


# Of `pyadam.torch`.


def counts_of(optimizer: Any) -> list[int]:
    """Return the steps that each parameter on the CPU has taken, as whole numbers."""
    return optimizer._bound.counts


def watches_of(optimizer: Any) -> tuple[Any, Any]:
    """Return what sees whether parameters, and whether their state, lie where they lay."""
    return optimizer._bound._watch, optimizer._bound._watch_beside
