"""Build pyadam with sanitizers and run its tests: ``python tests/faults/sanitize.py [--full]``.

The native programs run under AddressSanitizer with UndefinedBehaviorSanitizer, and under ThreadSanitizer; so do tests
in Python, on a module built the same way. It needs GCC's sanitizers and the packages of ``pip install '.[test]'``.
Builds stay in ``build/`` and are used again.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
HERE = ROOT / "tests" / "faults"


@dataclass(frozen=True)
class Sanitizer:
    """A preset, what must be loaded before Python, options, and the tests in Python of the short and the full form."""

    preset: str
    flags: str
    library: str
    environ: dict[str, str]
    quick: tuple[str, ...]
    full: tuple[str, ...]


# Tests that measure memory see the sanitizer's, those of compilers build without it, and those of crashes and of large
# arrays are about files; a limit of address space (hostile files) is less than the sanitizer's shadow.
NOT_UNDER_ASAN = (
    *("--ignore=tests/test_memory.py", "--ignore=tests/test_build.py", "--ignore=tests/test_package.py"),
    *(
        "--ignore=tests/faults/test_large.py",
        "--deselect=tests/faults/test_hostile_input.py::test_a_damaged_or_forged_file_is_refused_or_loaded",
    ),
)

SANITIZERS = [
    Sanitizer(
        "asan",
        "address,undefined",
        "libasan.so",
        # Python itself leaves memory behind on purpose. What cannot be allocated shall be a MemoryError, as ever.
        {"ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=1:detect_stack_use_after_return=1"},
        ("tests/test_errors.py", "tests/test_structures.py", "tests/faults/test_hostile_callbacks.py"),
        ("tests", *NOT_UNDER_ASAN),
    ),
    Sanitizer(
        "tsan",
        "thread",
        "libtsan.so",
        {"TSAN_OPTIONS": f"suppressions={HERE / 'tsan.supp'}:halt_on_error=1:die_after_fork=0"},
        (),
        # Not test_concurrency.py: the lock between a save's reads, which are NumPy's and OpenSSL's, and a step is one
        # of CPython's that GCC 12's ThreadSanitizer does not see (sem_clockwait), so that it calls every save a race.
        ("tests/test_threads.py",),
    ),
]


def run(*command: str | Path, **environ: str) -> None:
    """Run a command, shown, and stop at an error."""
    print("+", *command, flush=True)
    subprocess.run([str(part) for part in command], cwd=ROOT, env={**os.environ, **environ}, check=True)


def native(sanitizer: Sanitizer) -> None:
    """Build and run the programs that need no Python."""
    run("cmake", "--preset", sanitizer.preset)
    run("cmake", "--build", "--preset", sanitizer.preset, "--parallel", "2")
    for program in ("pyadam_bits", "pyadam_threads"):
        run(ROOT / "build" / sanitizer.preset / program, **sanitizer.environ)


def python(sanitizer: Sanitizer, is_full: bool) -> None:
    """Build the Python module, and run tests with it in place of the one that is installed."""
    build = ROOT / "build" / f"python-{sanitizer.preset}"
    run(
        *(sys.executable, "-m", "pip", "install", "--quiet", "--upgrade", "--no-deps", "--target", build / "site"),
        *("-C", f"build-dir={build}", "-C", f"cmake.define.PYADAM_SANITIZE={sanitizer.flags}", ROOT),
    )
    compiler = os.environ.get("CXX", "g++")
    names = (sanitizer.library, "libstdc++.so")  # the latter, so that the sanitizer finds its functions to intercept
    libraries = [
        subprocess.run(
            [compiler, f"-print-file-name={name}"], capture_output=True, text=True, check=True
        ).stdout.strip()
        for name in names
    ]
    tests = sanitizer.full if is_full else sanitizer.quick
    run(
        *(sys.executable, "-m", "pytest", "-q", "--capture=sys", "-p", "no:cacheprovider", *tests),
        **sanitizer.environ,
        LD_PRELOAD=":".join(libraries),
        PYTHONPATH=str(build / "site"),
        PYTHONMALLOC="malloc",
        UBSAN_OPTIONS="print_stacktrace=1",
    )


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="all tests in Python that make sense, not a choice of them")
    parser.add_argument("--only", choices=[sanitizer.preset for sanitizer in SANITIZERS])
    parser.add_argument("--part", choices=["native", "python"])
    args = parser.parse_args()
    for sanitizer in SANITIZERS:
        if args.only in (None, sanitizer.preset):
            if args.part != "python":
                native(sanitizer)
            if args.part != "native" and (args.full or sanitizer.quick):
                python(sanitizer, args.full)


if __name__ == "__main__":
    main()
