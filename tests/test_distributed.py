"""`pyadam.distributed` on 1 to 4 ranks of a real MPI library."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

pytest.importorskip("mpi4py", reason="pyadam.distributed needs mpi4py and an MPI library: pip install 'pyadam[mpi]'")
pytest.importorskip("ml_dtypes")

PROGRAM = Path(__file__).with_name("mpi_ranks.py")
SCENARIOS = [
    "same_as_one_process",
    "storage",
    "options",
    "mixed_dtypes",
    "any_order_of_sums",
    "sent_in_bfloat16",
    "averages",
    "accumulated",
    "shards_are_equal",
    "first_values",
    "own_communicator",
    "differences_at_construction",
    "faults_within_step",
    "checkpoints",
]
HANG = 300  # seconds, after which a run that waits for ever is killed


def mpiexec() -> str:
    """Return the launcher beside this Python, where the wheel of mpich puts it, or the system's."""
    beside = Path(sysconfig.get_path("scripts"), "mpiexec")
    found = str(beside) if beside.exists() else shutil.which("mpiexec")
    assert found, "mpi4py is installed without an MPI library's mpiexec: pip install 'pyadam[mpi]'"
    return found


def run(ranks: int, folder: Path, *scenarios: str, runner: tuple[str, ...] = ("-m", "mpi4py")) -> tuple[int, str]:
    """Return the exit code and the output of scenarios on so many ranks."""
    program = [mpiexec(), "-n", str(ranks), sys.executable, *runner, str(PROGRAM), str(folder), *scenarios]
    environment = {**os.environ, "PYADAM_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    result = subprocess.run(
        program, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=HANG, check=False
    )
    return result.returncode, result.stdout


@pytest.fixture(scope="module", params=[1, 2, 3, 4])
def outcome(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[int, str]:
    """All scenarios in one run, since to start ranks takes longer than most of them."""
    return run(request.param, tmp_path_factory.mktemp("ranks"), *SCENARIOS)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_scenario(outcome: tuple[int, str], scenario: str) -> None:
    code, output = outcome
    assert f"passed {scenario}\n" in output, output
    assert code == 0 or scenario != SCENARIOS[-1], output


def test_a_checkpoint_goes_to_other_numbers_of_ranks(tmp_path: Path) -> None:
    for ranks, scenario in [(4, "save"), (1, "resume"), (3, "resume"), (2, "resume"), (4, "resume")]:
        code, output = run(ranks, tmp_path, scenario)
        assert code == 0, output


def test_a_rank_that_is_killed_while_it_saves_leaves_the_older_checkpoint(tmp_path: Path) -> None:
    assert run(4, tmp_path, "save")[0] == 0
    assert run(4, tmp_path, "killed_while_saving")[0] != 0
    code, output = run(2, tmp_path, "resume")
    assert code == 0, output


@pytest.mark.parametrize("runner", [(), ("-m", "mpi4py")], ids=["python", "python -m mpi4py"])
@pytest.mark.parametrize(
    ("scenario", "message"),
    [("dies_within_step", "RuntimeError: the network is gone"), ("uncaught", "params['w']")],
)
def test_a_rank_that_fails_brings_all_down(
    tmp_path: Path, runner: tuple[str, ...], scenario: str, message: str
) -> None:
    code, output = run(3, tmp_path, scenario, runner=runner)
    assert code != 0
    assert message in output


def test_a_missing_package_is_named_in_one_line() -> None:
    program = "import sys; sys.modules['mpi4py'] = None; import pyadam; import pyadam.distributed"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert result.stderr.splitlines()[-1] == "ModuleNotFoundError: mpi4py is missing: pip install 'pyadam[mpi]'"


def test_pyadam_alone_imports_no_mpi() -> None:
    program = "import sys, pyadam; assert not [name for name in sys.modules if 'mpi4py' in name]"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
