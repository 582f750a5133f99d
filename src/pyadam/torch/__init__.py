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

from ._optimizer import Optimizer
from ._threads import share_threads as _share_threads
from .adadelta import Adadelta
from .adagrad import Adagrad
from .adam import Adam, AdamW
from .adamax import Adamax
from .lion import Lion
from .nadam import NAdam
from .radam import RAdam
from .rmsprop import RMSprop
from .sgd import SGD

__all__ = ["SGD", "Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "Lion", "NAdam", "Optimizer", "RAdam", "RMSprop"]

_share_threads()
