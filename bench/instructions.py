"""Counts the instructions of steps, which do not depend on how busy the machine is.

``python bench/instructions.py --check`` counts under valgrind's callgrind and compares with instructions.json;
``--update`` rewrites what the file says of this compiler and this Python. Counted are

- the kernel of every rule, for SSE2 and AVX2 (valgrind has no AVX-512), in a program without Python;
- `opt.step` on small arrays, from Python to Python: the difference between N and 2N steps, in which start-up cancels.

Counts depend on the compiler, and those of `opt.step` on Python and NumPy too, so they are kept by these versions.

Exit codes: 0, all are within the tolerance; 1, a count differs by more; 2, the counting itself failed; 3, nothing
differs, but for this compiler or this Python the file has no counts, so that no comparison is possible.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from harness.program import ROOT

from pyadam import _core

RECORD = Path(__file__).with_name("instructions.json")
TOLERANCE = 0.05
ISAS = ("sse2", "avx2")
STEPS = 300

Counts = dict[str, float]

# Steps of several optimizers, as many as the arguments say. Hashes and the number of threads are fixed outside.
STEP_PROGRAM = """
import sys
import numpy, pyadam
one = numpy.ones(100, numpy.float32)
many = [numpy.ones(100, numpy.float32) for _ in range(100)]
opt = pyadam.Adam(one)
opt_many = pyadam.Adam(many)
grad, grads = one * 2, [p * 2 for p in many]
for _ in range(int(sys.argv[1])):
    opt.step(grad)
for _ in range(int(sys.argv[2])):
    opt_many.step(grads)
"""


def run(*command: str | Path, **options: Any) -> str:
    """Return what a command prints; raises CalledProcessError if it fails."""
    return subprocess.check_output([str(part) for part in command], text=True, **options)


def callgrind(*command: str | Path, **options: Any) -> tuple[str, list[int]]:
    """Return what a command prints, and the instructions of each of its parts, which end where the next one begins."""
    with tempfile.TemporaryDirectory() as folder:
        counts = f"--callgrind-out-file={folder}/counts"
        output = run(
            "valgrind", "-q", "--tool=callgrind", counts, "--dump-before=pyadam_part_begins", *command, **options
        )
        files = sorted(Path(folder).iterdir(), key=lambda file: int(file.suffix[1:] or 10**9))
        found = (re.search(r"^(?:totals|summary): (\d+)", file.read_text(), re.MULTILINE) for file in files)
        return output, [int(total[1]) for total in found if total]


def build(folder: Path) -> tuple[Path, str]:
    """Return the program of all rules, and the compiler that has built it."""
    options = ["-DPYADAM_PYTHON=OFF", "-DPYADAM_INSTRUCTIONS=ON", "-DCMAKE_BUILD_TYPE=Release"]
    run("cmake", "-S", ROOT, "-B", folder, *options)
    run("cmake", "--build", folder, "--target", "pyadam_instructions", "--parallel", "2")
    (settings,) = folder.glob("CMakeFiles/*/CMakeCXXCompiler.cmake")
    known = dict(re.findall(r'^set\((CMAKE_CXX_COMPILER_\w+) "([^"]*)"\)', settings.read_text(), re.MULTILINE))
    compiler = known["CMAKE_CXX_COMPILER_ID"].replace("GNU", "GCC")
    return folder / "pyadam_instructions", f"{compiler} {known['CMAKE_CXX_COMPILER_VERSION']} {platform.machine()}"


def kernel_counts(program: Path, isa: str) -> Counts:
    """Return the instructions per element of a step of every rule, from one run of the program."""
    output, totals = callgrind(program, isa)
    elements, steps, *rules = output.splitlines()
    taken = int(elements.split()[1]) * int(steps.split()[1])
    # Part 1 ends when the first rule begins; then parts of a rule and of what lies between take turns.
    counts = {}
    for line, total in zip(rules, totals[1::2], strict=True):
        rule, dtype = line.split()
        counts[f"{rule} {isa} {dtype}"] = round(total / taken, 4)
    return counts


def step_program(*steps: int) -> int:
    """Return the instructions of a whole run of Python that takes so many steps."""
    threads = {f"{name}_NUM_THREADS": "1" for name in ("PYADAM", "OMP", "OPENBLAS")}
    environment = {**os.environ, **threads, "PYTHONHASHSEED": "0", "PYADAM_ISA": "avx2"}
    _, (total,) = callgrind(sys.executable, "-c", STEP_PROGRAM, *map(str, steps), env=environment)
    return total


def step_counts() -> Counts:
    """Return the instructions of a call of `opt.step`."""
    base = step_program(STEPS, STEPS)
    return {
        "opt.step of 100": round((step_program(2 * STEPS, STEPS) - base) / STEPS),
        "opt.step of 100 arrays of 100": round((step_program(STEPS, 2 * STEPS) - base) / STEPS),
    }


def python_version() -> str:
    """Return what the instructions of `opt.step` depend on, besides the source."""
    python = f"Python {platform.python_version()} ({platform.python_compiler()})"
    numpy = f"NumPy {'.'.join(version('numpy').split('.')[:2])}"
    return f"{python}, {numpy}, {_core.COMPILER} {platform.machine()}"


def compare(recorded: Mapping[str, float], counted: Mapping[str, float]) -> list[str]:
    """Return a line for each count that differs by more than the tolerance; one that is not there is 0.

    >>> compare({"a": 100, "b": 7, "c": 10}, {"a": 104, "b": 8, "d": 1})
    ['b: 7 -> 8', 'c: 10 -> 0', 'd: 0 -> 1']
    """
    pairs = {name: (recorded.get(name, 0), counted.get(name, 0)) for name in sorted({*recorded, *counted})}
    return [f"{name}: {old:g} -> {new:g}" for name, (old, new) in pairs.items() if abs(new - old) > TOLERANCE * old]


def check(recorded: Mapping[str, Any], counted: Mapping[str, tuple[str, Counts]]) -> int:
    """Print how the counts compare, and return the exit code."""
    code = 0
    for part, (versions, counts) in counted.items():
        if versions not in recorded[part]:
            print(f"{part}: NO COMPARISON POSSIBLE. There are no counts for {versions}, only for")
            print("\n".join(f"  {known}" for known in recorded[part]))
            code = code or 3
        elif lines := compare(recorded[part][versions], counts):
            print(f"{part}: instructions have changed by more than {TOLERANCE:.0%} ({versions})")
            print("\n".join(f"  {line}" for line in lines))
            code = 1
        else:
            print(f"{part}: {len(counts)} counts within {TOLERANCE:.0%} ({versions})")
    return code


def main() -> int:
    """Count, and check or update."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--check", action="store_true", help="compare with what is recorded")
    action.add_argument("--update", action="store_true", help="record what is counted")
    args = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory() as folder:
            program, compiler = build(Path(folder))
            kernels = {name: count for isa in ISAS for name, count in kernel_counts(program, isa).items()}
        counted = {"kernels": (compiler, kernels), "opt.step": (python_version(), step_counts())}
    except (FileNotFoundError, subprocess.CalledProcessError) as error:
        print(error, getattr(error, "stdout", ""), sep="\n")
        return 2
    recorded = json.loads(RECORD.read_text(encoding="utf-8"))
    if args.check:
        return check(recorded, counted)
    for part, (versions, counts) in counted.items():
        recorded[part][versions] = counts
    text = json.dumps(recorded, indent=1, sort_keys=True)
    one_line_per_rule = re.sub(r'("([\w.]+) .*,)\n +(?="\2 )', r"\1 ", text)
    RECORD.write_text(one_line_per_rule + "\n", encoding="utf-8")
    print(f"{RECORD.name} is written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
