"""What test_distributed.py starts with mpiexec on several ranks: ``mpi_ranks.py FOLDER PROGRAM...``."""

from __future__ import annotations

import sys
from pathlib import Path

from rank_programs import run
from ranks import checkpoints, construction, faults, steps  # noqa: F401
from ranks.common import COMM, RANK

if __name__ == "__main__":
    folder, *names = sys.argv[1:]
    run(names, Path(folder), RANK, COMM.Barrier)
