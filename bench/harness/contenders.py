"""pyadam and its peers, each built from the same arrays and stepped by the same call.

A contender runs in a process of its own (worker.py), and may keep and change the arrays that it is given.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from pkgutil import resolve_name
from time import perf_counter
from typing import Any

import numpy as np

import pyadam
from pyadam import reference

from . import floor
from .cases import Array, Case
from .timing import time_batch

Arrays = Sequence[Array]

LR, BETAS, EPS = 1e-3, (0.9, 0.999), 1e-8


@dataclass(frozen=True)
class Running:
    """A contender with its arrays: `step` updates them, `params` returns them as they are now.

    What else can be measured of it is in `measures`, as functions that return seconds.
    """

    step: Callable[[], object]
    params: Callable[[], Arrays]
    measures: Mapping[str, Callable[[], float]] = field(default_factory=dict)


def adam_answer(p: Array, g: Array, steps: int) -> Array:
    """Return a parameter after Adam's steps, all with the same gradient."""
    m, v = np.zeros_like(p), np.zeros_like(p)
    for t in range(1, steps + 1):
        p, m, v = reference.adam(p, g, m, v, t, lr=LR, betas=BETAS, eps=EPS)
    return p


def sum_answer(p: Array, g: Array, steps: int) -> Array:
    """Return a parameter after the byte floor's additions."""
    for _ in range(steps):
        p = p + g
    return p


@dataclass(frozen=True)
class Contender:
    """How to build a contender, and what its parameters must be after some steps.

    With `exact` they must be equal to the last bit. `modules` are those that must be there, `arrays` how many of the
    parameters' size it needs at once, with parameters and gradients: it decides which contenders fit into memory.
    """

    name: str
    build: Callable[[Arrays, Arrays], Running]
    modules: tuple[str, ...] = ()
    exact: bool = False
    answer: Callable[[Array, Array, int], Array] = adam_answer
    dtypes: tuple[str, ...] = ("float32", "float64")
    memory_bound_only: bool = False
    arrays: int = 4

    def runs(self, case: Case) -> bool:
        """Return whether there is something to measure."""
        return case.dtype in self.dtypes and (case.memory_bound or not self.memory_bound_only)


def pyadam_adam(params: Arrays, grads: Arrays) -> Running:
    """Build pyadam's Adam: over an array where there is one, else over a list."""
    opt = pyadam.Adam(params[0] if len(params) == 1 else params, lr=LR, betas=BETAS, eps=EPS)
    given = grads[0] if len(grads) == 1 else grads
    return Running(lambda: opt.step(given), lambda: params)


def numpy_adam(params: Arrays, grads: Arrays) -> Running:
    """Build the rule in plain NumPy, the expressions that most loops write by hand."""
    arrays: list[Arrays] = [(p, np.zeros_like(p), np.zeros_like(p)) for p in params]
    t = 0

    def step() -> None:
        nonlocal t
        t += 1
        for i, ((p, m, v), g) in enumerate(zip(arrays, grads, strict=True)):
            arrays[i] = reference.adam(p, g, m, v, t, lr=LR, betas=BETAS, eps=EPS)

    return Running(step, lambda: [row[0] for row in arrays])


def torch_adam(path: str, params: Arrays, grads: Arrays, **options: Any) -> Running:
    """Build an optimizer of PyTorch tensors over the arrays; `path` is its module and class."""
    import torch

    torch.set_num_threads(pyadam.get_num_threads())
    build = partial(resolve_name(path), lr=LR, betas=BETAS, eps=EPS, **options)
    tensors = [torch.from_numpy(p) for p in params]
    for tensor, g in zip(tensors, grads, strict=True):
        tensor.grad = torch.from_numpy(g)

    def beginning() -> float:
        """Return the seconds of construction and first step, on the heap as the one before has left it."""
        build(tensors).step()
        gc.collect()
        return time_batch(lambda: build(tensors).step())

    training = cache(lambda: Training(build))  # made when it is first asked for
    measures = {
        "construction and first step": beginning,
        "forward, backward, step": lambda: training().seconds()[0],
        "step alone, after backward": lambda: training().seconds()[1],
    }
    return Running(build(tensors).step, lambda: params, measures)


class Training:
    """A small transformer that an optimizer trains."""

    def __init__(self, build: Callable[[Any], Any]) -> None:
        import torch

        torch.manual_seed(0)
        layer = torch.nn.TransformerEncoderLayer(256, 4, 1024, dropout=0.0, batch_first=True)
        self._model = torch.nn.TransformerEncoder(layer, 4, enable_nested_tensor=False)
        self._optimizer = build(self._model.parameters())
        self._x = torch.randn(4, 64, 256)

    def seconds(self) -> tuple[float, float]:
        """Return the seconds of the third of three steps of training, and of the optimizer's part of it."""
        for _ in range(3):
            start = perf_counter()
            self._optimizer.zero_grad()
            self._model(self._x).square().mean().backward()
            middle = perf_counter()
            self._optimizer.step()
            end = perf_counter()
        return end - start, end - middle


def numba_adam(params: Arrays, grads: Arrays) -> Running:
    """Build a loop over the arrays that calls a fused, parallel one, compiled in the first step."""
    import numba

    @numba.njit(parallel=True, fastmath=True, error_model="numpy")
    def adam(p, g, m, v, beta1, one_minus_beta1, beta2, one_minus_beta2, root_scale, eps, lr):  # type: ignore[no-untyped-def]
        for i in numba.prange(p.size):
            m[i] = beta1 * m[i] + one_minus_beta1 * g[i]
            v[i] = beta2 * v[i] + one_minus_beta2 * g[i] * g[i]
            p[i] -= lr * m[i] / (np.sqrt(v[i]) * root_scale + eps)

    numba.set_num_threads(pyadam.get_num_threads())
    arrays = [(p.ravel(), g.ravel()) for p, g in zip(params, grads, strict=True)]
    rows = [(p, g, np.zeros_like(p), np.zeros_like(p)) for p, g in arrays]
    scalar_type = params[0].dtype.type
    beta1, beta2 = BETAS
    t = 0

    def step() -> None:
        nonlocal t
        t += 1
        corrections = (1 - beta2**t) ** -0.5, EPS, LR / (1 - beta1**t)
        scalars = [scalar_type(x) for x in (beta1, 1 - beta1, beta2, 1 - beta2, *corrections)]
        for row in rows:
            adam(*row, *scalars)

    return Running(step, lambda: params)


def optax_adam(params: Arrays, grads: Arrays) -> Running:
    """Build optax's adam under jax.jit, with donated buffers so that it may update in place."""
    import jax
    import optax

    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_enable_x64", params[0].dtype == np.float64)
    transformation = optax.adam(LR, *BETAS, eps=EPS)

    @partial(jax.jit, donate_argnums=(0, 1))
    def update(p: Any, state: Any, g: Any) -> tuple[Any, Any]:
        updates, state = transformation.update(g, state, p)
        return optax.apply_updates(p, updates), state

    p, g = ([jax.numpy.array(x) for x in arrays] for arrays in (params, grads))
    state = transformation.init(p)

    def step() -> None:
        nonlocal p, state
        p, state = jax.block_until_ready(update(p, state, g))

    return Running(step, lambda: [np.asarray(x) for x in p])


def byte_floor(params: Arrays, grads: Arrays) -> Running:
    """Build the loop that only moves an Adam step's bytes."""
    return Running(floor.mover(params, grads, pyadam.get_num_threads()), lambda: params)


TORCH, TORCH_ADAM = ("torch",), partial(torch_adam, "torch.optim:Adam")

PYADAM = Contender("pyadam", pyadam_adam, exact=True)
FUSED = Contender("torch fused", partial(TORCH_ADAM, fused=True), TORCH)
DEEPSPEED = Contender(
    "DeepSpeed",  # compiles its kernel on first use
    partial(torch_adam, "deepspeed.ops.adam:DeepSpeedCPUAdam", adamw_mode=False),
    ("deepspeed", "torch"),
    dtypes=("float32",),
)
FOREACH = Contender("torch foreach", partial(TORCH_ADAM, foreach=True), TORCH, arrays=6)
DEFAULT = Contender("torch default", TORCH_ADAM, TORCH, arrays=6)

# The first is who the others are compared with.
CONTENDERS = [
    PYADAM,
    Contender("byte floor", byte_floor, exact=True, answer=sum_answer, memory_bound_only=True),
    FUSED,
    DEEPSPEED,
    Contender("numba", numba_adam, ("numba",)),
    Contender("optax", optax_adam, ("jax", "optax"), arrays=6),
    FOREACH,
    DEFAULT,
    Contender("NumPy", numpy_adam, exact=True, arrays=9),
]
PYADAM_TORCH = Contender("pyadam.torch", partial(torch_adam, "pyadam.torch:Adam"), TORCH, exact=True)
TORCH_CONTENDERS = [PYADAM_TORCH, FUSED, DEEPSPEED, FOREACH, DEFAULT]
BY_NAME = {contender.name: contender for contender in [*CONTENDERS, *TORCH_CONTENDERS]}
