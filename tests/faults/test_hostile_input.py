"""Wrong files, states and gradients give a clean error and change nothing, or they load and step rightly."""

from __future__ import annotations

import copy
import os
import random
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import mutations
import numpy as np
import pytest
from refusals import snapshot

import pyadam

TRIES = 100_000 if os.environ.get("PYADAM_FAULTS") == "full" else 1_500
SEEDS = range(0, TRIES, 500)  # in parts, so that a failure says where to look


@contextmanager
def memory_limit(more: int) -> Iterator[None]:
    """Let the process ask for only so many more bytes: memory by the size that a file claims would be a MemoryError."""
    import resource

    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + more, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def check_whole(opt: pyadam.Optimizer) -> None:
    """Check that an optimizer, however it was made, is one: it steps, and its state is taken by its like."""
    with np.errstate(all="ignore"):
        opt.step(copy.deepcopy(opt.params))
    opt.load_state_dict(opt.state_dict())


needs_proc = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="this system does not tell memory in use")


@needs_proc
@pytest.mark.parametrize("start", SEEDS)
def test_a_damaged_or_forged_file_is_refused_or_loaded(start: int, opt: pyadam.Optimizer, tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    opt.save(path)
    content = path.read_bytes()
    loaded = refused = 0
    with memory_limit(2**28), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for seed in range(start, start + SEEDS.step):
            rng = random.Random(seed)
            is_forged = rng.random() < 0.7
            path.write_bytes(found := (mutations.forged if is_forged else mutations.damaged)(content, rng))
            before = snapshot(opt)
            try:
                if rng.random() < 0.5:
                    opt.load(path)
                else:
                    check_whole(pyadam.load(path))
            except pyadam.CheckpointError:
                refused += 1
                assert snapshot(opt) == before, seed
            else:
                loaded += 1
                assert is_forged or found == content, seed
    assert refused > loaded > 0


@pytest.mark.parametrize("start", SEEDS)
def test_a_state_with_random_objects_is_refused_or_loaded(start: int, opt: pyadam.Optimizer) -> None:
    saved = opt.state_dict()
    refused = 0
    for seed in range(start, start + SEEDS.step):
        rng = random.Random(seed)
        given = mutations.with_random_objects(saved, rng)
        before = snapshot(opt)
        try:
            opt.load_state_dict(given)
        except (TypeError, ValueError):
            refused += 1
            assert snapshot(opt) == before, seed
        else:
            check_whole(copy.deepcopy(opt))
    assert refused > 0


@pytest.mark.parametrize("start", SEEDS)
def test_a_step_with_random_objects_is_refused_or_taken(start: int, opt: pyadam.Optimizer) -> None:
    grads = copy.deepcopy(opt.params)
    refused = taken = 0
    for seed in range(start, start + SEEDS.step):
        rng = random.Random(seed)
        given = mutations.with_random_objects(grads, rng)
        before = snapshot(opt)
        try:
            with np.errstate(all="ignore"):
                opt.step(given)
        except (TypeError, ValueError):
            refused += 1
            assert snapshot(opt) == before, seed
        else:
            taken += 1
    assert refused > taken > 0
