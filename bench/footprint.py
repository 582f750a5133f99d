"""What pyadam costs before its first step: import time and wheel size."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parents[1]

# Timed inside a process that has NumPy already: the difference of two whole processes would be noisier.
IMPORT = "import numpy, time; start = time.perf_counter(); import pyadam; print(time.perf_counter() - start)"


def import_seconds(repetitions: int) -> float:
    """Return the median seconds that ``import pyadam`` takes, in new processes, after ``import numpy``."""
    run = [sys.executable, "-c", IMPORT]
    return median(
        float(subprocess.run(run, capture_output=True, text=True, check=True).stdout) for _ in range(repetitions)
    )


def wheel_bytes() -> int:
    """Return the size of a wheel built from this source tree."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, str(ROOT)]
        subprocess.run(command, check=True)
        (wheel,) = Path(folder).glob("*.whl")
        return wheel.stat().st_size
