"""Ranks that raise, in a step that can be refused and in one that cannot be undone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rank_programs import alone, together
from ranks.common import IS_LAST, LAST, RANK, RANKS, raises_everywhere

from pyadam.distributed import ZeroRedundancyOptimizer


@together
def faults_within_step(folder: Path) -> None:
    """A rank that raises brings the others down with its message, and nothing has changed."""
    params = {"w": np.ones((40, 50)), "b": np.ones(7)}
    opt = ZeroRedundancyOptimizer(params, lr=0.5, deterministic=True)
    good = {"w": np.ones((40, 50)), "b": np.ones(7)}

    def unchanged() -> None:
        assert opt.step_count == 0
        assert (params["w"] == 1).all()
        assert (params["b"] == 1).all()

    for bad, error, match in [
        ({**good, "w": np.ones((50, 40))}, ValueError, r"params\['w'\]"),
        ({**good, "b": np.ones(7, int)}, TypeError, r"params\['b'\]"),
        ({"w": good["w"]}, ValueError, "missing 'b'"),
        ({**good, "b": params["b"]}, ValueError, "shares memory"),
    ]:
        with raises_everywhere(error, match, LAST):
            opt.step(bad if IS_LAST else good)
        unchanged()
    with raises_everywhere(ValueError, "grad_scale", 0):
        opt.step(good, grad_scale=-1.0 if RANK == 0 else 1.0)
    opt.clip_norm = (lambda step: -1.0 - step) if IS_LAST else (lambda step: 1.0 + step)
    with raises_everywhere(ValueError, "clip_norm", LAST):
        opt.step(good)
    opt.clip_norm = None
    if RANKS > 1:
        with pytest.raises(ValueError, match=rf"None as gradient must be .* \[\] on rank 0 and .*'b'.* on rank {LAST}"):
            opt.step({**good, "b": None if IS_LAST else good["b"]})
        with pytest.raises(
            ValueError, match=r"grad_scale must be the same on all ranks, found 1\.0 on rank 0 and 2\.0"
        ):
            opt.step(good, grad_scale=1.0 + IS_LAST)
        opt.param_groups[0]["lr"] = 0.25 if IS_LAST else 0.5
        with pytest.raises(ValueError, match=r"'lr': 0\.5.* on rank 0 and .*'lr': 0\.25"):
            opt.step(good)
        opt.param_groups[0]["lr"] = 0.5
        opt.param_groups[0]["bounds"] = (0.95, None) if IS_LAST else None
        with pytest.raises(ValueError, match=r"'bounds': None.* on rank 0 and .*'bounds': \(0\.95"):
            opt.step(good)
        opt.param_groups[0]["bounds"] = None
        with pytest.raises(ValueError, match=f"the same method: rank 0 called save, rank {LAST} step"):
            opt.step(good) if IS_LAST else opt.save(folder / "never")
    unchanged()
    assert opt.step(good)
    np.testing.assert_allclose(params["b"], 0.5)


@together
def schedules_that_part() -> None:
    """Ranks whose schedules differ at the step to come do not take it, though those of the last one agreed."""
    params = {"w": np.ones((40, 50)), "b": np.ones(7)}
    good = {"w": np.ones((40, 50)), "b": np.ones(7)}
    opt = ZeroRedundancyOptimizer(params, lr=lambda step: 0.5 if step == 0 or not IS_LAST else 0.25)
    assert opt.step(good)
    before = {path: p.copy() for path, p in params.items()}
    if RANKS > 1:
        with pytest.raises(ValueError, match=r"'lr': 0\.5.* on rank 0 and .*'lr': 0\.25"):
            opt.step(good)
        assert opt.step_count == 1
        for path, p in params.items():
            np.testing.assert_array_equal(p, before[path])
    opt.param_groups[0]["lr"] = 0.5
    assert opt.step(good)


@alone
def dies_within_step() -> None:
    """What cannot be undone ends all ranks, with the message of the first."""
    opt = ZeroRedundancyOptimizer(np.ones(5000))

    def fails(*arguments: Any) -> None:
        if IS_LAST:
            raise RuntimeError("the network is gone")
        updated(*arguments)

    updated = opt._steps._update
    opt._steps._update = fails
    opt.step(np.ones(5000))


@alone
def uncaught() -> None:
    """A wrong gradient on one rank, and nobody who catches the error."""
    ZeroRedundancyOptimizer({"w": np.ones(5000)}).step({"w": np.ones(5000 + (IS_LAST))})
