"""Parameters on other devices than the CPU: PyTorch's own classes step them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ._options import GROUP_EXTRAS, OPTIMIZER_EXTRAS


class Elsewhere:
    """A group's parameters on other devices, stepped by `cls` of torch.optim, on the same state."""

    def __init__(
        self,
        cls: Callable[..., torch.optim.Optimizer] | None,
        params: Sequence[Tensor],
        group: Mapping[str, Any],
        settings: Mapping[str, Any],
        state: MutableMapping[Tensor, Any],
        name: str,
    ) -> None:
        self.params = list(params)
        device = self.params[0].device
        if cls is None:
            raise ValueError(
                f"{name}: torch.optim has no class for this rule, so parameters must be on the CPU, found {device}"
            )
        extras = {key: group[key] for key in GROUP_EXTRAS if group[key] != GROUP_EXTRAS[key]}
        extras |= {
            key: settings[key] for key in OPTIMIZER_EXTRAS if settings[key] != OPTIMIZER_EXTRAS[key] and key != "seed"
        }
        if extras:
            raise ValueError(f"{name}: {', '.join(extras)} needs parameters on the CPU, found {device}")
        self._optimizer = cls([{**group, "params": self.params}])
        for p, begun in self._optimizer.state.items():  # Adagrad's state is there from the start
            if not state.get(p):
                state[p] = begun

    def step(self, group: Mapping[str, Any], state: Any, grad_scale: Tensor | None) -> None:
        """Take a step with the group's present hyperparameters."""
        if grad_scale is not None:
            with torch.no_grad():
                for p in self.params:
                    if p.grad is not None:
                        p.grad.div_(grad_scale.to(p.device))
        self._optimizer.state = state
        self._optimizer.param_groups[0].update({key: value for key, value in group.items() if key != "params"})
        # Without PyTorch's wrapper, which would run the global step hooks again.
        type(self._optimizer).step.__wrapped__(self._optimizer)  # type: ignore[attr-defined]
