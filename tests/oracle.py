"""Steps beside `pyadam.reference`, and the comparison of all bits with it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from inside import arrays_of, initial_state_of, state_of
from makers import Array, leaves_of

import pyadam
from pyadam import reference


def reference_run(opt: pyadam.Optimizer, p: Array, first: int = 0, group: int = 0) -> reference.Parameter:
    """Return what `pyadam.reference` makes of `p` with the options of a group, `first` elements after others."""
    options, kernel = opt.param_groups[group].options, opt.param_groups[group].kernel
    initial_state = initial_state_of(opt, group)
    return reference.Parameter(p, kernel, options, initial_state=initial_state, seed=opt.seed, first=first)


def reference_runs(opt: pyadam.Optimizer) -> list[reference.Parameter]:
    """Return `reference_run` of every parameter, each with the options of its group."""
    runs, first = [], 0
    for index, group in enumerate(opt.param_groups):
        for p in group["params"]:
            runs.append(reference_run(opt, p, first, index))
            first += p.size
    return runs


def change_options(run: reference.Parameter, **options: Any) -> None:
    """Give the reference other hyperparameters from its next step on."""
    run._options.update(options)


def step_together(opt: pyadam.Optimizer, runs: Sequence[reference.Parameter], grads: Any) -> None:
    """Take a step with the optimizer and with the reference, and check that it leaves the gradients alone."""
    given = leaves_of(grads)
    before = [None if g is None else g.tobytes() for g in given]
    opt.step(grads)
    assert [None if g is None else g.tobytes() for g in given] == before
    for run, g in zip(runs, given, strict=True):
        if g is not None:
            run.step(g)


def check_steps(opt: pyadam.Optimizer, gradients: Iterable[Any]) -> None:
    """Take a step with each of `gradients` beside the reference; parameters and state must have its bits."""
    runs = reference_runs(opt)
    for grads in gradients:
        step_together(opt, runs, grads)
    assert_same_runs(opt, runs)


def assert_same_runs(opt: pyadam.Optimizer, runs: Sequence[reference.Parameter]) -> None:
    """Compare every parameter with its run by `assert_same_bits`."""
    assert len(runs) == len(arrays_of(opt))
    for i, run in enumerate(runs):
        assert_same_bits(opt, i, run)


def assert_same_bits(opt: pyadam.Optimizer, index: int, expected: reference.Parameter) -> None:
    """Compare a parameter and what is kept beside it with the reference's, NaN with NaN and +0 with +0."""
    kept = state_of(opt, index)
    assert list(kept) == list(expected.kept)
    pairs = [(arrays_of(opt)[index], expected.p), *((kept[name], expected.kept[name]) for name in kept)]
    for found, wanted in pairs:
        assert found.dtype == wanted.dtype
        if found.dtype.itemsize == 2:  # widened, since NumPy does not compare NaNs of ml_dtypes
            found, wanted = found.astype(np.float32), wanted.astype(np.float32)
        np.testing.assert_array_equal(found, wanted)
        number = ~np.isnan(wanted)
        np.testing.assert_array_equal(np.signbit(found)[number], np.signbit(wanted)[number])
