"""`pyadam.torch` in two processes that train together."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")

RANKS = 2
PROGRAM = Path(__file__).with_name("torch_ranks.py")
SCENARIOS = ["data_parallel", "zero_redundancy", "fully_sharded", "sharded_checkpoint", "refused_on_parts"]


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_two_processes(scenario: str, tmp_path: Path) -> None:
    program = [sys.executable, str(PROGRAM), scenario]
    processes = [
        subprocess.Popen(
            [*program, str(rank), str(RANKS), str(tmp_path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(RANKS)
    ]
    try:
        outputs = [process.communicate()[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    assert [process.returncode for process in processes] == [0] * RANKS, "\n".join(outputs)
