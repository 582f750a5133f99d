"""Results as Markdown."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from cases import IMPORT_TARGET, RATIO_TARGETS, TIME_TARGETS, WHEEL_TARGET
from contenders import CONTENDERS, PYADAM

import pyadam
from pyadam import _core

BEGIN, END = "<!-- speed table: begin -->", "<!-- speed table: end -->"


@dataclass(frozen=True)
class Measurement:
    """Medians over the rounds: a call's seconds, and those seconds over pyadam's in the same round."""

    seconds: float
    ratio: float


@dataclass
class Results:
    """All that a run measured, and what it could not."""

    cases: dict[str, dict[str, Measurement]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    import_seconds: float | None = None
    wheel_bytes: int | None = None


def time_text(seconds: float) -> str:
    """Return seconds with three digits, in the unit that suits.

    >>> time_text(0.0123), time_text(1.25e-6)
    ('12.3 ms', '1.25 us')
    """
    for unit, scale in (("s", 1.0), ("ms", 1e3)):
        if seconds * scale >= 1:
            return f"{seconds * scale:.3g} {unit}"
    return f"{seconds * 1e6:.3g} us"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def cpu_model() -> str:
    """Return the CPU's name, or else the architecture's."""
    cpuinfo = Path("/proc/cpuinfo")
    names = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    found = [line.split(":", 1)[1].strip() for line in names if line.startswith("model name")]
    return found[0] if found else platform.processor() or platform.machine()


def machine() -> dict[str, str]:
    """Return what the numbers depend on; the load average says whether other programs were running too."""
    versions = {}
    for package in ("numpy", "torch", "deepspeed", "numba"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return {
        "CPU": cpu_model(),
        "cores": str(os.cpu_count()),
        "threads": str(pyadam.get_num_threads()),
        "load average": f"{os.getloadavg()[0]:.2f}" if hasattr(os, "getloadavg") else "unknown",
        "ISA": _core.isa(),
        "compiler": _core.COMPILER,
        "Python": platform.python_version(),
        "pyadam": pyadam.__version__,
        **versions,
        "date": date.today().isoformat(),
    }


def speed_table(results: Results) -> str:
    """Return a row per case: pyadam's time, and each other contender's time over it."""
    measured = {name for found in results.cases.values() for name in found}
    peers = [contender.name for contender in CONTENDERS if contender.name in measured and contender is not PYADAM]
    rows = [
        [
            case,
            time_text(found[PYADAM.name].seconds),
            *(f"{found[peer].ratio:.3g}" if peer in found else "-" for peer in peers),
        ]
        for case, found in results.cases.items()
    ]
    return table(["float32 elements", PYADAM.name, *peers], rows)


def markdown(results: Results, machine: Mapping[str, str]) -> str:
    """Return the speed table with what is needed to read it."""
    lines = [
        f"{PYADAM.name}: time of a step. Others: their time over {PYADAM.name}'s, so 2 means that pyadam is twice as "
        "fast. The byte floor is a loop that only moves the same bytes.",
        "",
        speed_table(results),
        "",
        ", ".join(f"{key} {value}" for key, value in machine.items()) + ".",
    ]
    if results.missing:
        lines += [f"Not measured: {name} ({reason})." for name, reason in results.missing.items()]
    return "\n".join(lines)


def target_table(results: Results) -> str:
    """Return a row per target of what was run."""
    rows = []

    def add(target: str, measured: str | None, reached: bool) -> None:
        rows.append([target, measured or "not measured", "-" if measured is None else "yes" if reached else "**no**"])

    for case, found in results.cases.items():
        for name, least in RATIO_TARGETS.get(case, {}).items():
            ratio = found[name].ratio if name in found else None
            measured = None if ratio is None else f"{ratio:.3g}"
            add(f"{case}: {name} / pyadam ≥ {least:g}", measured, ratio is not None and ratio >= least)
        if case in TIME_TARGETS:
            seconds, most = found[PYADAM.name].seconds, TIME_TARGETS[case]
            add(f"{case}: ≤ {time_text(most)}", time_text(seconds), seconds <= most)
    if results.import_seconds is not None:
        seconds = results.import_seconds
        add(f"import, over NumPy's: ≤ {time_text(IMPORT_TARGET)}", time_text(seconds), seconds <= IMPORT_TARGET)
    if results.wheel_bytes is not None:
        size = results.wheel_bytes
        add(f"wheel: ≤ {WHEEL_TARGET / 1e6:g} MB", f"{size / 1e6:.2g} MB", size <= WHEEL_TARGET)
    return table(["target", "measured", "reached"], rows)


def with_table(readme: str, text: str, begin: str = BEGIN, end: str = END) -> str:
    """Return the README with `text` in place of what stands between two markers, those of the speed table at first."""
    if readme.count(begin) != 1 or readme.count(end) != 1 or readme.index(begin) > readme.index(end):
        raise ValueError(f"the README must have {begin!r} and, after it, {end!r}, once each")
    head, rest = readme.split(begin)
    return f"{head}{begin}\n{text}\n{end}{rest.split(end)[1]}"
