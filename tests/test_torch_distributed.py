"""`pyadam.torch` in two processes that train together."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from rank_programs import asked_for, declared, failures, together

pytest.importorskip("torch")

RANKS = 2
SOURCE = Path(__file__).with_name("torch_ranks.py")
PROGRAMS = declared(together, [SOURCE])


def start(folder: Path, programs: Sequence[str]) -> tuple[int, str]:
    """Return the first exit code that is not 0, and the output, of programs in new processes."""
    processes = [
        subprocess.Popen(
            [sys.executable, SOURCE, folder, str(rank), str(RANKS), *programs],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(RANKS)
    ]
    try:
        output = "\n".join(process.communicate()[0] for process in processes)
    finally:
        for process in processes:
            process.kill()
            process.wait()
    return next((process.returncode for process in processes if process.returncode), 0), output


@pytest.fixture(scope="session")
def failed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the programs that failed have written. All go in one run, since to import PyTorch takes longer than most."""
    folder = tmp_path_factory.mktemp("ranks")
    return failures(asked_for(request.session.items, PROGRAMS), lambda names: start(folder, names), folder)


@pytest.mark.parametrize("program", PROGRAMS)
def test_two_processes(failed: dict[str, str], program: str) -> None:
    if program in failed:
        pytest.fail(failed[program], pytrace=False)
