"""Optimizers for PyTorch with the classes of `torch.optim`: a drop-in for parameters on the CPU.

Examples
--------
>>> import torch, pyadam.torch
>>> model = torch.nn.Linear(10, 1)
>>> optimizer = pyadam.torch.Adam(model.parameters(), lr=0.001, betas=(0.9, 0.999))
>>> optimizer.zero_grad()
>>> model(torch.ones(4, 10)).square().mean().backward()
>>> optimizer.step()
"""

from __future__ import annotations

try:
    import torch as _torch  # noqa: F401
except ModuleNotFoundError as _error:
    if _error.name != "torch":
        raise
    raise ImportError("pyadam.torch needs PyTorch: pip install 'pyadam[torch]'") from None

from . import adagrad, adam, sgd
from ._optimizer import Optimizer
from ._threads import share_threads as _share_threads
from .adagrad import *
from .adam import *
from .sgd import *

__all__ = ["Optimizer"]
__all__ += adagrad.__all__
__all__ += adam.__all__
__all__ += sgd.__all__

_share_threads()
