"""What numbers depend on: the machine, and what pyadam was built with."""

from __future__ import annotations

import os
import platform
from datetime import date
from pathlib import Path

import numpy as np

import pyadam
from pyadam import _core


def cpu_model() -> str:
    """Return the CPU's name, or else the architecture's."""
    cpuinfo = Path("/proc/cpuinfo")
    names = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    found = [line.split(":", 1)[1].strip() for line in names if line.startswith("model name")]
    return found[0] if found else platform.processor() or platform.machine()


def available_bytes() -> int:
    """Return the memory that programs may still take."""
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        (line,) = [line for line in meminfo.read_text().splitlines() if line.startswith("MemAvailable:")]
        return int(line.split()[1]) * 1024
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def describe(threads: int) -> dict[str, str]:
    """Return the facts by name; the load average says whether other programs were running too."""
    return {
        "CPU": cpu_model(),
        "cores": str(os.cpu_count()),
        "threads": str(threads),
        "load average": f"{os.getloadavg()[0]:.2f}" if hasattr(os, "getloadavg") else "unknown",
        "ISA": _core.isa(),
        "compiler": _core.COMPILER,
        "Python": platform.python_version(),
        "pyadam": pyadam.__version__,
        "numpy": np.__version__,
        "date": date.today().isoformat(),
    }


def sentence(facts: dict[str, str]) -> str:
    """Return the facts as a line of text."""
    return ", ".join(f"{name} {value}" for name, value in facts.items()) + "."
