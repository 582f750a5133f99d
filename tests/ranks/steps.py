"""Steps on several ranks: the bits of one process that is given the mean of all gradients."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rank_programs import together
from ranks.common import (
    BFLOAT16,
    COMM,
    RANK,
    RANKS,
    assert_equal_bits,
    assert_same_on_all_ranks,
    compare,
    gradients_of,
    mean_of,
    means,
    new_params,
)
from rule_rows import KERNEL_CASES

import pyadam
from pyadam.distributed import ZeroRedundancyOptimizer


@together
def same_as_one_process() -> None:
    """Every rule of the kernel, in all dtypes, with what the kernel does around it."""
    for case in KERNEL_CASES:
        if case.cls is not pyadam.LAMB:
            compare(case.cls, np.float32, **case.options)
            compare(case.cls, np.float64, clip_norm=20.0, **case.options)


@together
def storage() -> None:
    """Parameters and state of 16 bits: random rounding counts elements as one process does."""
    for dtype, master in [
        (BFLOAT16, "float32"),
        (BFLOAT16, "split"),
        (BFLOAT16, "stochastic"),
        (np.float16, "stochastic"),
        (np.float16, "float32"),
    ]:
        for more in ({}, {"state_dtype": "bfloat16", "clip_norm": 5.0, "seed": 3, "ema_decay": 0.9}):
            compare(pyadam.AdamW, dtype, lr=0.01, master=master, **more)
            compare(pyadam.AdamW, dtype, np.float32, lr=0.01, master=master, **more)
    compare(pyadam.Adam, state_dtype="bfloat16", skip_nonfinite=True)


@together
def options() -> None:
    """What a user sets means what it means on one machine."""

    def without_some(step: int, grads: list[Any]) -> list[Any]:
        return [None if (i + step) % 3 == 0 or (step == 2 and i > 0) else grad for i, grad in enumerate(grads)]

    def with_infinity(step: int, grads: list[Any]) -> list[Any]:
        if step == 1:
            grads[1][4321] = np.inf
        return grads

    def new_rates(opt: Any, step: int) -> None:
        for group in opt.param_groups:
            group["lr"] = 0.01 / (1 + step)

    def other_settings(opt: Any, _: int) -> None:
        opt.clip_norm, opt.skip_nonfinite, opt.flush_denormals = 2.0, True, True

    every = {"lr": 0.01, "weight_decay": 0.1, "clip_norm": 1.0, "clip_value": 0.05, "l1": 0.01}
    every.update(ema_decay=0.9, ema_warmup=True)
    bounded = np.linspace(-1, 0, 3500).reshape(70, 50), np.linspace(0, 2, 3500).reshape(70, 50)
    for groups in (False, True):
        compare(pyadam.AdamW, groups=groups, **every)
        compare(pyadam.AdamW, groups=groups, edit=without_some, **every)
        compare(pyadam.Adam, groups=groups, edit=with_infinity, skip_nonfinite=True)
        compare(pyadam.Adam, np.float64, groups=groups, edit=with_infinity, skip_nonfinite=True, clip_norm=0.1)
        compare(pyadam.Adam, groups=groups, step_options={"grad_scale": 128.0}, clip_norm=0.5)
        compare(pyadam.Adam, groups=groups, prepare=new_rates)
        compare(pyadam.Adam, groups=groups, prepare=other_settings)  # which the states tell, too
        compare(pyadam.Adam, groups=groups, lr=pyadam.schedules.Cosine(0.1, 4), clip_norm=lambda step: 1.0 + step)
    compare(pyadam.Adam, distributed={"bucket_cap_mb": 25})
    compare(pyadam.Adam, edit=lambda _, grads: [np.asmatrix(grad) if grad.ndim == 2 else grad for grad in grads])
    compare(pyadam.Adam, grad_dtype=np.float64, clip_norm=1.0)
    compare(pyadam.Adam, grad_dtype=np.float16)
    # One array alone is sent from where it lies; its bounds are arrays, of which each rank has a part.
    ours, theirs = np.asfortranarray(np.ones((70, 50))), np.asfortranarray(np.ones((70, 50)))
    for box in ((None, None), bounded):
        sharded = ZeroRedundancyOptimizer(ours, lr=0.5, bounds=box, deterministic=True)
        plain = pyadam.Adam(theirs, lr=0.5, bounds=box)
        for step in range(3):
            grads = [gradients_of(rank, step, np.float64)[0] for rank in range(RANKS)]
            sharded.step(np.ascontiguousarray(grads[RANK])[::1])
            plain.step(mean_of(grads, np.float64))
            assert_equal_bits([ours], [theirs])


@together
def mixed_dtypes(folder: Path) -> None:
    """Parameters of two dtypes, of which each goes in buckets of its own."""
    ours, theirs = ([*new_params(np.float64)[:2], *new_params()[2:], np.ones(2000, np.float32)] for _ in range(2))
    sharded = ZeroRedundancyOptimizer(ours, deterministic=True, clip_norm=1.0, bucket_cap_mb=0.02)
    plain = pyadam.Adam(theirs, clip_norm=1.0)
    shapes = [p.shape for p in ours]
    for step in range(3):
        ranks = [gradients_of(rank, step, np.float64, shapes) for rank in range(RANKS)]
        sharded.step(ranks[RANK])
        if RANKS == 1:
            plain.step(ranks[0])
        else:
            plain.step([mean_of([grads[i] for grads in ranks], p.dtype) for i, p in enumerate(theirs)])
        assert_equal_bits(ours, theirs)
    sizes = COMM.allgather(sharded.state_bytes)
    assert max(sizes) - min(sizes) <= 2 * 1024 * 16
    sharded.save(folder / "mixed")
    again = ZeroRedundancyOptimizer([np.zeros_like(p) for p in ours], clip_norm=1.0)
    again.load(folder / "mixed")
    assert_equal_bits(again.params, ours)


@together
def any_order_of_sums() -> None:
    """The MPI library sums in its order: equal on all ranks, and to rounding the mean."""
    for more in ({}, {"clip_norm": 1.0}):
        ours, theirs = new_params(), new_params()
        sharded = ZeroRedundancyOptimizer(ours, pyadam.SGD, lr=0.1, bucket_cap_mb=0.03, **more)
        plain = pyadam.SGD(theirs, lr=0.1, **more)
        for step in range(5):
            sharded.step(gradients_of(RANK, step))
            plain.step(means(step))
            assert_same_on_all_ranks(ours)
            for p, q in zip(ours, theirs, strict=True):
                np.testing.assert_allclose(p, q, rtol=1e-5, atol=1e-6)
        if RANKS == 1:
            assert_equal_bits(ours, theirs)


@together
def sent_in_bfloat16(folder: Path) -> None:
    """Gradients are rounded before they are summed in float32; parameters when they are gathered."""
    for clip_norm in (None, 1.0):
        ours, theirs = new_params(), new_params()
        sharded = ZeroRedundancyOptimizer(ours, gradient_dtype="bfloat16", bucket_cap_mb=0.03, clip_norm=clip_norm)
        plain = pyadam.Adam(theirs, clip_norm=clip_norm)
        for step in range(3):
            ranks = [gradients_of(rank, step) for rank in range(RANKS)]
            sharded.step(ranks[RANK])
            rounded = [[grad.astype(BFLOAT16).astype(np.float32) for grad in grads] for grads in ranks]
            plain.step([mean_of(list(grads)) for grads in zip(*(rounded if RANKS > 1 else ranks), strict=True)])
            assert_equal_bits(ours, theirs)

    ours, theirs = new_params(), new_params()
    wanted = {"parameter_dtype": "bfloat16", "deterministic": True, "bucket_cap_mb": 0.03}
    sharded = ZeroRedundancyOptimizer(ours, **wanted)
    plain = pyadam.Adam(theirs)
    for step in range(6):
        if step == 3:
            sharded.save(folder / "rounded")
            ours = [np.zeros_like(p) for p in ours]
            sharded = ZeroRedundancyOptimizer(ours, **wanted)
            sharded.load(folder / "rounded")
        sharded.step(gradients_of(RANK, step))
        plain.step(means(step))
        assert_equal_bits(ours, [p.astype(BFLOAT16).astype(np.float32) for p in theirs])
    for key in ("gradient_dtype", "parameter_dtype"):
        with pytest.raises(ValueError, match=rf"{key} must be None, found 'bfloat16': params is of float64"):
            ZeroRedundancyOptimizer(np.ones(3), **{key: "bfloat16"})
        with pytest.raises(ValueError, match=f"{key} must be None or 'bfloat16', found 'int8'"):
            ZeroRedundancyOptimizer(np.ones(3), **{key: "int8"})


@together
def averages() -> None:
    """swap_ema puts the averages in place of the parameters of all ranks."""
    sharded, plain = compare(pyadam.Adam, ema_decay=0.5, lr=0.1)
    before = [p.copy() for p in sharded.params]
    with sharded.swap_ema() as ours, plain.swap_ema() as theirs:
        assert_equal_bits(ours, theirs)
        with pytest.raises(RuntimeError, match="step: the parameters hold their averages"):
            sharded.step(gradients_of(RANK, 0))
    assert_equal_bits(sharded.params, before)
    with pytest.raises(ValueError, match="construct the optimizer with ema_decay"), compare(pyadam.SGD)[0].swap_ema():
        pass


@together
def accumulated() -> None:
    """What ranks accumulate is averaged once, by the step."""
    for clip_norm in (None, 0.5):
        ours, theirs = new_params(), new_params()
        sharded = ZeroRedundancyOptimizer(ours, deterministic=True, bucket_cap_mb=0.03, clip_norm=clip_norm)
        plain = pyadam.Adam(theirs, clip_norm=clip_norm)
        for step in range(3):
            sums = []
            for rank in range(RANKS):
                first, second = (gradients_of(rank, 2 * step + i) for i in range(2))
                sums.append([None if i == step else a + b for i, (a, b) in enumerate(zip(first, second, strict=True))])
            for i in range(2):
                grads = gradients_of(RANK, 2 * step + i)
                grads[step] = None
                sharded.accumulate(grads)
            assert sharded.accumulated == 2
            with pytest.raises(ValueError, match="while 2 are accumulated"):
                sharded.step(gradients_of(RANK, step))
            assert sharded.step(grad_scale=4.0)
            assert sharded.accumulated == 0
            whole = [None if i == step else mean_of(list(every)) for i, every in enumerate(zip(*sums, strict=True))]
            plain.step(whole, grad_scale=8.0)
            assert_equal_bits(ours, theirs)
    with pytest.raises(ValueError, match="there are none"):
        sharded.step()
    sharded.accumulate(gradients_of(RANK, 0))
    sharded.zero_grad()
    assert sharded.accumulated == 0
    if RANKS > 1:
        sharded.accumulate(gradients_of(RANK, 0))
        if RANK == 1:
            sharded.accumulate(gradients_of(RANK, 1))
        with pytest.raises(ValueError, match="the number of accumulated gradients must be the same"):
            sharded.step()
