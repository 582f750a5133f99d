"""pyadam and its peers, each built from the same arrays and stepped by the same call.

All of them use the threads that `pyadam.get_num_threads` says when they are built.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import Any

import floor
import numpy as np
from cases import Array

import pyadam
from pyadam import reference

Arrays = Sequence[Array]

LR, BETAS, EPS = 1e-3, (0.9, 0.999), 1e-8


@dataclass(frozen=True)
class Running:
    """A contender with arrays of its own: `step` updates them, `params` returns them as they are now."""

    step: Callable[[], object]
    params: Callable[[], Arrays]


def package_missing(package: str) -> Callable[[], str | None]:
    """Return a function that says whether the package is missing."""
    return lambda: None if find_spec(package) else f"{package} is not installed"


def adam_answer(params: Arrays, grads: Arrays, steps: int) -> Arrays:
    """Return the parameters after Adam's steps, all with the same gradients."""
    contender = numpy_adam(params, grads)
    for _ in range(steps):
        contender.step()
    return contender.params()


def sum_answer(params: Arrays, grads: Arrays, steps: int) -> Arrays:
    """Return the parameters after the byte floor's additions."""
    expected = [p.copy() for p in params]
    for p, g in zip(expected, grads, strict=True):
        for _ in range(steps):
            p += g
    return expected


@dataclass(frozen=True)
class Contender:
    """How to build a contender, and what its parameters must be after some steps.

    With a `tolerance` of 0 they must be equal to the last bit. `missing` returns why it cannot run here, or None.
    """

    name: str
    build: Callable[[Arrays, Arrays], Running]
    missing: Callable[[], str | None]
    tolerance: float = 0.0
    answer: Callable[[Arrays, Arrays, int], Arrays] = adam_answer
    memory_bound_only: bool = False


def pyadam_step(params: Arrays, grads: Arrays, optimizer: Callable[[Any], pyadam.Optimizer] = pyadam.Adam) -> Running:
    """Build an optimizer of pyadam: over an array where there is one, else over a list."""
    params, grads = [p.copy() for p in params], [g.copy() for g in grads]
    opt = optimizer(params[0] if len(params) == 1 else params)
    given = grads[0] if len(grads) == 1 else grads
    return Running(lambda: opt.step(given), lambda: params)


def numpy_adam(params: Arrays, grads: Arrays) -> Running:
    """Build the rule in plain NumPy, the expressions that most loops write by hand."""
    arrays: list[Arrays] = [(p.copy(), np.zeros_like(p), np.zeros_like(p)) for p in params]
    grads = [g.copy() for g in grads]
    t = 0

    def step() -> None:
        nonlocal t
        t += 1
        for i, ((p, m, v), g) in enumerate(zip(arrays, grads, strict=True)):
            arrays[i] = reference.adam(p, g, m, v, t, lr=LR, betas=BETAS, eps=EPS)

    return Running(step, lambda: [row[0] for row in arrays])


def torch_running(params: Arrays, grads: Arrays, optimizer: Callable[[list[Any]], Any]) -> Running:
    """Build what `optimizer` makes of PyTorch tensors."""
    import torch

    torch.set_num_threads(pyadam.get_num_threads())
    tensors = [torch.from_numpy(p.copy()) for p in params]
    for tensor, g in zip(tensors, grads, strict=True):
        tensor.grad = torch.from_numpy(g.copy())
    return Running(optimizer(tensors).step, lambda: [tensor.numpy() for tensor in tensors])


def torch_adam(params: Arrays, grads: Arrays, **options: Any) -> Running:
    """Build PyTorch's Adam."""
    import torch

    return torch_running(
        params, grads, lambda tensors: torch.optim.Adam(tensors, lr=LR, betas=BETAS, eps=EPS, **options)
    )


def torch_fused_adam(params: Arrays, grads: Arrays) -> Running:
    """Build PyTorch's Adam with its fused kernel."""
    return torch_adam(params, grads, fused=True)


def deepspeed_adam(params: Arrays, grads: Arrays) -> Running:
    """Build DeepSpeed's CPUAdam, which it compiles on first use."""
    from deepspeed.ops.adam import DeepSpeedCPUAdam

    return torch_running(
        params, grads, lambda tensors: DeepSpeedCPUAdam(tensors, lr=LR, betas=BETAS, eps=EPS, adamw_mode=False)
    )


@cache
def numba_kernel() -> Callable[..., None]:
    """Return Adam as a compiled parallel loop."""
    import numba

    numba.config.THREADING_LAYER = "omp"  # the pool of threads that the others use, instead of a second one

    @numba.njit(parallel=True, fastmath=True, error_model="numpy")
    def adam(p, g, m, v, beta1, one_minus_beta1, beta2, one_minus_beta2, root_scale, eps, lr):  # type: ignore[no-untyped-def]
        for i in numba.prange(p.size):
            m[i] = beta1 * m[i] + one_minus_beta1 * g[i]
            v[i] = beta2 * v[i] + one_minus_beta2 * g[i] * g[i]
            p[i] -= lr * m[i] / (np.sqrt(v[i]) * root_scale + eps)

    return adam


def numba_adam(params: Arrays, grads: Arrays) -> Running:
    """Build a loop over the arrays that calls the compiled one."""
    import numba

    kernel = numba_kernel()
    numba.set_num_threads(pyadam.get_num_threads())
    arrays = [(p.copy(), g.copy(), np.zeros_like(p), np.zeros_like(p)) for p, g in zip(params, grads, strict=True)]
    scalar_type = params[0].dtype.type
    beta1, beta2 = BETAS
    t = 0

    def step() -> None:
        nonlocal t
        t += 1
        lr, root_scale = LR / (1 - beta1**t), (1 - beta2**t) ** -0.5
        scalars = [scalar_type(x) for x in (beta1, 1 - beta1, beta2, 1 - beta2, root_scale, EPS, lr)]
        for row in arrays:
            kernel(*row, *scalars)

    return Running(step, lambda: [row[0] for row in arrays])


def byte_floor(params: Arrays, grads: Arrays) -> Running:
    """Build the loop that only moves an Adam step's bytes."""
    p, g = [p.copy() for p in params], [g.copy() for g in grads]
    m, v = ([np.zeros_like(p) for p in params] for _ in range(2))
    return Running(floor.Mover(p, g, m, v, pyadam.get_num_threads()), lambda: p)


PYADAM = Contender("pyadam", pyadam_step, lambda: None)
CONTENDERS = [
    PYADAM,
    Contender("byte floor", byte_floor, floor.missing, answer=sum_answer, memory_bound_only=True),
    Contender("torch fused", torch_fused_adam, package_missing("torch"), tolerance=1e-6),
    Contender("DeepSpeed", deepspeed_adam, package_missing("deepspeed"), tolerance=1e-6),
    Contender("numba", numba_adam, package_missing("numba"), tolerance=1e-6),
    Contender("torch default", torch_adam, package_missing("torch"), tolerance=1e-6),
    Contender("NumPy", numpy_adam, lambda: None),
]
