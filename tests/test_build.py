"""What compilers make of the kernel: vectorised, nothing fused, one symbol per ISA, the same bits on every target."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest

from pyadam import _core

ROOT = Path(__file__).parents[1]

# How each ISA writes its widest registers in the operands of an instruction. Of SVE, GCC takes NEON's where it finds
# them cheaper.
NEON = r"v\d+\.(4s|2d)"
WIDEST = {"sse2": "%xmm", "avx2": "%ymm", "avx512": "%zmm", "neon": NEON, "sve": rf"{NEON}|z\d+\.[sd]"}
FUSED = re.compile(r"\b(vfn?m(add|sub)|fn?m(add|sub|la|ls|ad|sb)\b)")
OPERATION = re.compile(r"^v?f?(mul|add|sub|div|sqrt)(?:([ps])[sd])?$")


def run(*command: str | Path) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


class Build:
    """The engine without Python, built by CMake for one target."""

    def __init__(self, folder: Path, prefix: str = "", *options: str) -> None:
        self.folder = folder
        self.prefix = prefix
        run("cmake", "-S", ROOT, "-B", folder, "-DPYADAM_PYTHON=OFF", "-DPYADAM_NATIVE_TESTS=ON", *options)
        run("cmake", "--build", folder, "--parallel", "2")

    def objects(self) -> dict[str, Path]:
        found = self.folder.glob("CMakeFiles/pyadam_kernel_*.dir/src/cpp/kernel/kernel.cpp.o")
        return {path.parents[3].name.removeprefix("pyadam_kernel_").removesuffix(".dir"): path for path in found}

    def exported(self, path: Path) -> list[str]:
        """Return global and weak symbols that the object defines."""
        lines = run(f"{self.prefix}nm", "-C", "--defined-only", "--extern-only", path).splitlines()
        return [line.split(maxsplit=2)[2] for line in lines]

    def instructions(self, path: Path) -> dict[str, list[tuple[str, str]]]:
        """Return (mnemonic, operands) of all code, by the rule and type that its function is for."""
        code: dict[str, list[tuple[str, str]]] = defaultdict(list)
        rule = ""
        for line in run(f"{self.prefix}objdump", "-dC", "--no-show-raw-insn", path).splitlines():
            if header := re.match(r"[0-9a-f]+ <(.*)>:$", line):
                name = re.search(r"<\(anonymous namespace\)::(\w+<(?:float|double)>)", header[1])
                rule = name[1] if name else ""
            elif instruction := re.match(r"\s*[0-9a-f]+:\s+(\S+)\s*(.*)", line):
                code[rule].append((instruction[1], instruction[2]))
        return code


@pytest.fixture(scope="module")
def native(tmp_path_factory: pytest.TempPathFactory) -> Build:
    return Build(tmp_path_factory.mktemp("native"))


@pytest.fixture(scope="module")
def aarch64(tmp_path_factory: pytest.TempPathFactory) -> Build:
    prefix = "aarch64-linux-gnu-"
    if not (shutil.which(f"{prefix}g++") and shutil.which("qemu-aarch64")):
        pytest.skip("needs Debian's g++-aarch64-linux-gnu and qemu-user")
    options = ["SYSTEM_NAME=Linux", "SYSTEM_PROCESSOR=aarch64", f"CXX_COMPILER={prefix}g++"]
    return Build(tmp_path_factory.mktemp("aarch64"), prefix, *(f"-DCMAKE_{option}" for option in options))


@pytest.fixture(params=["native", "aarch64"])
def build(request: pytest.FixtureRequest) -> Build:
    return request.getfixturevalue(request.param)


def test_each_isa_exports_its_table_and_nothing_else(build: Build) -> None:
    assert build.objects()
    for isa, path in build.objects().items():
        assert build.exported(path) == [f"pyadam::kernel_table_{isa}"]


def test_nothing_is_fused(build: Build) -> None:
    for path in build.objects().values():
        for mnemonic, operands in [line for code in build.instructions(path).values() for line in code]:
            assert not FUSED.search(mnemonic), f"{path}: {mnemonic} {operands}"


def test_every_rule_is_vectorised_in_full_width(build: Build) -> None:
    """Every kind of operation that a rule's loop does for single elements, it also does for full registers."""
    for isa, path in build.objects().items():
        if isa not in WIDEST:
            continue
        code = {rule: lines for rule, lines in build.instructions(path).items() if rule}
        assert len(code) == 2 * len(_core.RULES), f"rules found in the object: {sorted(code)}"
        for rule, lines in code.items():
            wide, all_kinds = set(), set()
            for mnemonic, operands in lines:
                if operation := OPERATION.match(mnemonic):
                    is_packed = operation[2] != "s"
                    if operation[2] is None and not re.search(r"\b[vzsd]\d", operands):
                        continue  # an integer instruction
                    all_kinds.add(operation[1])
                    if is_packed and re.search(WIDEST[isa], operands):
                        wide.add(operation[1])
            assert "mul" in wide, f"{rule} on {isa} has no packed multiplication"
            assert wide == all_kinds, f"{rule} on {isa}: {all_kinds - wide} for single elements only"


def hashes(output: str) -> dict[str, list[str]]:
    parts = re.split(r"\[(\w+)\]\n", output)[1:]
    return {isa: lines.splitlines() for isa, lines in zip(parts[::2], parts[1::2], strict=True)}


def test_the_same_bits_on_every_isa(native: Build) -> None:
    found = hashes(run(native.folder / "pyadam_bits"))
    expected = next(iter(found.values()))
    assert len(expected) >= 8
    assert all(lines == expected for lines in found.values()), found


def test_the_same_bits_on_aarch64(native: Build, aarch64: Build) -> None:
    here = hashes(run(native.folder / "pyadam_bits"))
    there = hashes(run("qemu-aarch64", "-L", "/usr/aarch64-linux-gnu", "-cpu", "max", aarch64.folder / "pyadam_bits"))
    assert set(there) == {"neon", "sve"}
    expected = next(iter(here.values()))
    assert all(lines == expected for lines in there.values()), (here, there)


@pytest.mark.skipif(shutil.which("clang++-19") is None, reason="needs Debian's clang-19")
def test_the_same_bits_with_another_compiler(native: Build, tmp_path: Path) -> None:
    clang = Build(tmp_path, "", "-DCMAKE_CXX_COMPILER=clang++-19")
    assert hashes(run(clang.folder / "pyadam_bits")) == hashes(run(native.folder / "pyadam_bits"))
    test_every_rule_is_vectorised_in_full_width(clang)
    test_nothing_is_fused(clang)
    test_each_isa_exports_its_table_and_nothing_else(clang)
