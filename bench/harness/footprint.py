"""What pyadam costs before its first step: its import. CI weighs the wheel."""

from __future__ import annotations

import subprocess
import sys
from statistics import median

# Timed inside a process that has NumPy already: the difference of two whole processes would be noisier.
IMPORT = "import numpy, time; start = time.perf_counter(); import pyadam; print(time.perf_counter() - start)"


def import_seconds(repetitions: int) -> float:
    """Return the median seconds that ``import pyadam`` takes, in new processes, after ``import numpy``."""
    run = [sys.executable, "-c", IMPORT]
    return median(float(subprocess.check_output(run, text=True)) for _ in range(repetitions))
