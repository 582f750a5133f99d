"""What numbers depend on: the machine, and what pyadam was built with."""

from __future__ import annotations

import os
import platform
from datetime import date
from pathlib import Path

import numpy as np

import pyadam
from pyadam import _core


def lines_of(path: str, name: str) -> list[str]:
    """Return what a file of /proc says under a name, of each line that begins with it; nothing on other systems."""
    lines = Path(path).read_text().splitlines() if Path(path).exists() else []
    return [line.partition(":")[2].strip() for line in lines if line.startswith(name)]


def available_bytes() -> int:
    """Return the memory that programs may still take."""
    if found := lines_of("/proc/meminfo", "MemAvailable:"):
        return int(found[0].split()[0]) * 1024
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def describe() -> dict[str, str]:
    """Return the facts by name; the load average says whether other programs were running too."""
    return {
        "CPU": (lines_of("/proc/cpuinfo", "model name") or [platform.processor() or platform.machine()])[0],
        "cores": str(os.cpu_count()),
        "threads": str(pyadam.get_num_threads()),
        "load average": f"{os.getloadavg()[0]:.2f}" if hasattr(os, "getloadavg") else "unknown",
        "ISA": _core.isa(),
        "compiler": _core.COMPILER,
        "Python": platform.python_version(),
        "pyadam": pyadam.__version__,
        "numpy": np.__version__,
        "date": date.today().isoformat(),
    }
