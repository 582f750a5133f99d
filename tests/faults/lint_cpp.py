"""Build all C++ with Clang and warnings as errors, then run clang-tidy: ``python tests/faults/lint_cpp.py [--quick]``.

It needs Debian's ``clang-19`` and ``clang-tidy-19``, and pybind11.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build" / "lint"


def run(*command: str | Path) -> None:
    """Run a command, shown, and stop at an error."""
    print("+", *command, flush=True)
    subprocess.run([str(part) for part in command], cwd=ROOT, check=True)


def main() -> None:
    """Configure, build, and look."""
    folder = [sys.executable, "-m", "pybind11", "--cmakedir"]
    pybind11 = subprocess.run(folder, capture_output=True, text=True, check=True).stdout.strip()
    options = ["-DCMAKE_CXX_COMPILER=clang++-19", "-DPYADAM_PYTHON=ON", f"-Dpybind11_DIR={pybind11}"]
    run("cmake", "--preset", "strict", "-B", BUILD, *options, f"-DPython_EXECUTABLE={sys.executable}")
    run("cmake", "--build", BUILD, "--parallel", "2")
    # kernel.cpp is compiled once per instruction set; one of them is enough to look at.
    commands = json.loads((BUILD / "compile_commands.json").read_text())
    (BUILD / "tidy").mkdir(exist_ok=True)
    (BUILD / "tidy" / "compile_commands.json").write_text(json.dumps(list({c["file"]: c for c in commands}.values())))
    sources = sorted([*ROOT.glob("src/cpp/**/*.cpp"), *ROOT.glob("tests/native/*.cpp")])
    if "--quick" in sys.argv[1:]:  # the kernel takes as long as all others
        sources = [source for source in sources if source.name != "kernel.cpp"]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(lambda source: run("clang-tidy-19", "-p", BUILD / "tidy", "--quiet", source), sources))


if __name__ == "__main__":
    main()
