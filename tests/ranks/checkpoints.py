"""Checkpoints that several ranks write and read, and that other numbers of ranks go on from."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from makers import leaves_of
from rank_programs import alone, together
from ranks.common import (
    COMM,
    IS_LAST,
    LAST,
    RANK,
    RANKS,
    assert_equal_bits,
    assert_same_state,
    gradients_of,
    grouped,
    grouped_grads,
    new_params,
    raises_everywhere,
)

import pyadam
from pyadam.distributed import ZeroRedundancyOptimizer, _checkpoint


def trained(steps: int, **options: Any) -> Any:
    opt = ZeroRedundancyOptimizer(
        grouped(new_params()), pyadam.AdamW, deterministic=True, bucket_cap_mb=0.03, ema_decay=0.9, **options
    )
    for step in range(steps):
        opt.step(grouped_grads(gradients_of(0, step)))
    return opt


@together
def checkpoints(folder: Path) -> None:
    """A checkpoint is there as a whole or not at all, and is refused if it does not fit."""
    opt = trained(2)
    opt.save(folder / "whole")
    before, state = [p.copy() for p in leaves_of(opt.params)], opt.consolidate()
    opt.step(grouped_grads(gradients_of(0, 7)))

    def fails(*arguments: Any) -> None:
        if IS_LAST:
            raise OSError("no space left")
        written(*arguments)

    def manifest_fails(*arguments: Any) -> None:
        raise OSError(f"no manifest of {len(arguments)} arguments")

    written, manifest_written = _checkpoint.write, _checkpoint._write_manifest
    _checkpoint.write = fails
    with raises_everywhere(OSError, "no space left", LAST):
        opt.save(folder / "whole")
    _checkpoint.write, _checkpoint._write_manifest = written, manifest_fails
    with raises_everywhere(OSError, "no manifest", 0):
        opt.save(folder / "whole")
    _checkpoint._write_manifest = manifest_written
    COMM.Barrier()
    assert len(list((folder / "whole").iterdir())) == RANKS + 1

    again = trained(0)
    again.load(folder / "whole")
    assert_equal_bits(leaves_of(again.params), before)
    again_state = again.consolidate()
    if RANK == 0:
        assert_same_state(again_state, state)

    opt.save(folder / "whole")  # replaces the first one
    assert len(list((folder / "whole").iterdir())) == RANKS + 1
    for other, match in [
        (ZeroRedundancyOptimizer(grouped(new_params(np.float64)), pyadam.AdamW, ema_decay=0.9), "dtype float64"),
        (ZeroRedundancyOptimizer(new_params(), pyadam.AdamW, ema_decay=0.9), r"params\[0\] must have"),
        (ZeroRedundancyOptimizer(grouped(new_params()), pyadam.Lion, ema_decay=0.9), "rules"),
        (ZeroRedundancyOptimizer(grouped(new_params()), pyadam.AdamW), "ema"),
    ]:
        values = [p.copy() for p in leaves_of(other.params)]
        with pytest.raises((ValueError, RuntimeError), match=match):
            other.load(folder / "whole")
        assert_equal_bits(leaves_of(other.params), values)
    COMM.Barrier()
    if RANK == 0:
        shard = next((folder / "whole").glob("shard-*-0.safetensors"))
        data = bytearray(shard.read_bytes())
        data[-5] ^= 1
        shard.write_bytes(data)
    COMM.Barrier()
    values = [p.copy() for p in leaves_of(again.params)]
    with pytest.raises((ValueError, RuntimeError), match="the checksum is wrong"):
        again.load(folder / "whole")
    assert_equal_bits(leaves_of(again.params), values)
    with pytest.raises((OSError, RuntimeError), match="manifest"):
        again.load(folder / "nowhere")


@alone
def save(folder: Path) -> None:
    """Write a checkpoint that other numbers of ranks go on from."""
    trained(3, clip_norm=1.0).save(folder / "resharded")


@alone
def resume(folder: Path) -> None:
    """Go on from a checkpoint as the ranks that wrote it would have."""
    opt = trained(0, clip_norm=1.0)
    opt.load(folder / "resharded")
    opt.save(folder / "resharded")
    expected = pyadam.AdamW(grouped(new_params()), ema_decay=0.9, clip_norm=1.0)
    # All ranks give the same gradients, of which 1, 2 and 4 have the exact mean.
    for step in range(5):
        expected.step(grouped_grads(gradients_of(0, step)))
        if step == 2:
            assert_equal_bits(leaves_of(opt.params), leaves_of(expected.params))
            state = opt.consolidate()
            if RANK == 0:
                assert_same_state(state, expected.state_dict())
        if step > 2 and RANKS != 3:
            opt.step(grouped_grads(gradients_of(0, step)))
            assert_equal_bits(leaves_of(opt.params), leaves_of(expected.params))


@alone
def killed_while_saving(folder: Path) -> None:
    """The last rank is gone before its shard is written: the older checkpoint stays."""
    opt = trained(4, clip_norm=1.0)

    def dies(*arguments: Any) -> None:
        if IS_LAST:
            os._exit(9)
        written(*arguments)

    written = _checkpoint.write
    _checkpoint.write = dies
    opt.save(folder / "resharded")
