"""`pyadam.distributed` on 1 to 4 ranks of a real MPI library."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

import pytest
from rank_programs import alone, asked_for, declared, failures, together

pytest.importorskip("mpi4py", reason="pyadam.distributed needs mpi4py and an MPI library: pip install 'pyadam[mpi]'")
pytest.importorskip("ml_dtypes")

HERE = Path(__file__).parent
SOURCES = sorted((HERE / "ranks").glob("*.py"))
PROGRAMS = declared(together, SOURCES)
HANG = 300  # seconds, after which a run that waits for ever is killed


def mpiexec() -> str:
    """Return the launcher beside this Python, where the wheel of mpich puts it, or the system's."""
    beside = Path(sysconfig.get_path("scripts"), "mpiexec")
    found = str(beside) if beside.exists() else shutil.which("mpiexec")
    assert found, "mpi4py is installed without an MPI library's mpiexec: pip install 'pyadam[mpi]'"
    return found


def run(
    ranks: int, folder: Path, *programs: str, runner: tuple[str, ...] = ("-m", "mpi4py"), fails: bool = False
) -> str:
    """Run programs on so many ranks, of which the last fails or not, and return the output."""
    code, output = start(ranks, folder, programs, runner)
    assert (code != 0) == fails, output
    return output


def start(
    ranks: int, folder: Path, programs: Sequence[str], runner: tuple[str, ...] = ("-m", "mpi4py")
) -> tuple[int, str]:
    """Return the exit code and the output of programs on so many ranks."""
    command = [mpiexec(), "-n", str(ranks), sys.executable, *runner, HERE / "mpi_ranks.py", folder, *programs]
    environment = {**os.environ, "PYADAM_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    try:
        result = subprocess.run(
            command,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=HANG,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        return 1, f"hangs after {HANG} seconds: {error.stdout!r}"
    return result.returncode, result.stdout


@pytest.fixture(scope="session", params=[1, 2, 3, 4], ids=["1 rank", "2 ranks", "3 ranks", "4 ranks"])
def failed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the programs that failed have written. All go in one run, since to start ranks takes longer than most."""
    folder = tmp_path_factory.mktemp("ranks")
    return failures(
        asked_for(request.session.items, PROGRAMS), lambda names: start(request.param, folder, names), folder
    )


@pytest.mark.parametrize("program", PROGRAMS)
def test_on_ranks(failed: dict[str, str], program: str) -> None:
    if program in failed:
        pytest.fail(failed[program], pytrace=False)


def test_no_program_is_forgotten() -> None:
    tests = Path(__file__).read_text(encoding="utf-8")
    assert [name for name in declared(alone, SOURCES) if f'"{name}"' not in tests] == []


def test_a_checkpoint_goes_to_other_numbers_of_ranks(tmp_path: Path) -> None:
    run(4, tmp_path, "save")
    for ranks in (1, 3, 2, 4):
        run(ranks, tmp_path, "resume")


def test_a_rank_that_is_killed_while_it_saves_leaves_the_older_checkpoint(tmp_path: Path) -> None:
    run(4, tmp_path, "save")
    run(4, tmp_path, "killed_while_saving", fails=True)
    run(2, tmp_path, "resume")


@pytest.mark.parametrize("runner", [(), ("-m", "mpi4py")], ids=["python", "python -m mpi4py"])
@pytest.mark.parametrize(
    ("program", "message"),
    [("dies_within_step", "RuntimeError: the network is gone"), ("uncaught", "params['w']")],
)
def test_a_rank_that_fails_brings_all_down(tmp_path: Path, runner: tuple[str, ...], program: str, message: str) -> None:
    assert message in run(3, tmp_path, program, runner=runner, fails=True)


def test_a_missing_package_is_named_in_one_line() -> None:
    program = "import sys; sys.modules['mpi4py'] = None; import pyadam; import pyadam.distributed"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert result.stderr.splitlines()[-1] == "ModuleNotFoundError: mpi4py is missing: pip install 'pyadam[mpi]'"


def test_pyadam_alone_imports_no_mpi() -> None:
    program = "import sys, pyadam; assert not [name for name in sys.modules if 'mpi4py' in name]"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
