"""The arrows between the parts of the C++ code, read from its #include lines."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "src" / "cpp"
FILES = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.?pp"))
INCLUDE = re.compile(r'^\s*#\s*include\s+(?:"([^"]+)"|<([^>]+)>)', re.MULTILINE)

#: What the kernel's table is made of: plain data that engine and kernel both include.
TABLE = {"engine/dtypes.hpp", "engine/limits.hpp", "engine/step.hpp", "kernel/kernel_table.hpp"}


def may_include(source: str, target: str) -> bool:
    """Whether an include leads down: python/ to engine/ to the kernel's table, kernel/ to its rules/ and storage/."""
    if source in TABLE:
        return target in TABLE
    folder, other = source.rsplit("/", 1)[0], target.rsplit("/", 1)[0]
    if target in TABLE or target == "isa_list.inc":
        return True
    if folder == "python":
        return other in ("python", "engine")
    if folder == "engine":
        return other in ("engine", "kernel/storage")  # formats are decoded, and keys are mixed, in one way everywhere
    if folder == "kernel":
        return other in ("kernel", "kernel/rules", "kernel/storage")
    # What rules and storage share with the loop is how memory is asked for ahead of time.
    return other == folder or target == "kernel/prefetch.hpp"


def resolved(source: str, target: str) -> str:
    beside = (ROOT / source).parent / target
    return beside.resolve().relative_to(ROOT).as_posix() if beside.is_file() else target


@pytest.mark.parametrize("source", FILES)
def test_includes_lead_down(source: str) -> None:
    found = INCLUDE.findall((ROOT / source).read_text(encoding="utf-8"))
    upwards = [own for own, _ in found if own and not may_include(source, resolved(source, own))]
    assert not upwards, f"{source} includes {upwards}"
    if not source.startswith("python/"):
        python = [name for name in (own or system for own, system in found) if "pybind11" in name or name == "Python.h"]
        assert not python, f"{source} includes {python}, which only python/ may know"


@pytest.mark.parametrize("source", FILES)
def test_files_are_small_and_say_what_they_are(source: str) -> None:
    lines = (ROOT / source).read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 450
    # A source says it in its header.
    header = (ROOT / source).with_suffix(".hpp")
    assert lines[0].startswith("// ") or (source.endswith(".cpp") and header.is_file())


def test_the_arrows_are_told_apart() -> None:
    assert may_include("python/arrays.cpp", "engine/ranges.hpp")
    assert may_include("kernel/stages.hpp", "engine/step.hpp")
    assert not may_include("engine/ranges.hpp", "python/arrays.hpp")
    assert not may_include("engine/ranges.hpp", "kernel/kernel.cpp")
    assert not may_include("python/module.cpp", "kernel/storage/random.hpp")
    assert not may_include("kernel/rules/adam.hpp", "kernel/stages.hpp")
    assert not may_include("engine/step.hpp", "engine/parallel.hpp")
