"""Arrays of more elements than 32 bits count, and arrays that live in files. The former need the long form."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from makers import Maker

import pyadam
from pyadam import reference

GIB = 2**30
MANY = 2**31 + 3


def available_bytes() -> int:
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))


needs_long_form = pytest.mark.skipif(
    os.environ.get("PYADAM_FAULTS") != "full", reason="takes 9 GiB: set PYADAM_FAULTS=full"
)


def require_memory() -> None:
    if available_bytes() < 11 * GIB:
        pytest.skip(f"needs 11 GiB of memory, {available_bytes() / GIB:.1f} are available")


@needs_long_form
def test_more_elements_than_32_bits_count() -> None:
    require_memory()
    p = np.zeros(MANY, np.float32)
    g = np.zeros(MANY, np.float16)  # memory that is only read stays the one page of zeros
    places = [0, 1, 2**31 - 1, 2**31, MANY - 1]
    g[places] = [1, -2, 3, -4, 5]
    opt = pyadam.SGD(p, lr=0.5)
    opt.step(g)
    wanted = reference.sgd(np.zeros(5, np.float32), g[places].astype(np.float32), 1, lr=0.5)[0]
    np.testing.assert_array_equal(p[places], wanted)
    assert np.count_nonzero(p) == 5


@needs_long_form
def test_more_elements_than_32_bits_count_are_saved_and_loaded(tmp_path: Path) -> None:
    require_memory()
    p = np.zeros(MANY, np.float32)
    places = [0, 1, 2**31 - 1, 2**31, MANY - 1]
    wanted = p[places] = [1, -2, 3, -4, 5]
    opt = pyadam.SGD(p)
    opt.save(tmp_path / "run")
    p[places] = 7
    p[12345] = 7
    opt.load(tmp_path / "run")
    np.testing.assert_array_equal(p[places], wanted)
    assert np.count_nonzero(p) == 5
    (tmp_path / "run").unlink()


def in_child(code: str, folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


needs_data_limit = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux limits private memory")


@needs_data_limit
@pytest.mark.parametrize("limited", [True, False], ids=["enough for the state", "not enough for a copy"])
def test_parameters_in_a_file_are_updated_there_without_a_copy(limited: bool, tmp_path: Path) -> None:
    """Shared maps do not count in RLIMIT_DATA, private memory does: state, and what a copy would take."""
    in_child(
        f"""
        import resource
        from pathlib import Path
        import numpy as np, pyadam
        pyadam.set_num_threads(1)
        MIB, SIZE = 2**20, 64 * 2**20
        p = np.memmap("p", np.float32, "w+", shape=SIZE // 4)
        g = np.memmap("g", np.float32, "w+", shape=SIZE // 4)
        p[:], g[:] = 1, 2
        status = Path("/proc/self/status").read_text()
        private = next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmData"))
        states = 0 if not {limited} else 2
        resource.setrlimit(resource.RLIMIT_DATA, (private + states * SIZE + 16 * MIB,) * 2)
        try:
            np.ones(states * SIZE // 4 + SIZE // 4, np.float32)
        except MemoryError:
            pass
        else:
            raise AssertionError("the limit does not limit")
        opt = pyadam.Adam(p, lr=0.1) if states else pyadam.SGD(p, lr=0.1)
        assert opt.params is p
        opt.step(g)
        opt.save("run")
        opt.load("run")
        opt.step(g)
        wanted = [np.ones(1, np.float32)]
        small = pyadam.Adam(wanted[0], lr=0.1) if states else pyadam.SGD(wanted[0], lr=0.1)
        small.step(np.full(1, 2, np.float32)), small.step(np.full(1, 2, np.float32))
        p.flush()
        on_disk = np.memmap("p", np.float32, "r")
        assert all((part == wanted[0]).all() for part in np.split(on_disk, 64))
        """,
        tmp_path,
    )


@needs_data_limit
def test_parameters_and_state_in_files_may_be_larger_than_memory(tmp_path: Path) -> None:
    """The limit of private memory is less than any one of the arrays, of which there are five."""
    in_child(
        """
        import resource
        from pathlib import Path
        import numpy as np, pyadam
        pyadam.set_num_threads(1)
        MIB, SIZE = 2**20, 64 * 2**20
        p = np.memmap("p", np.float32, "w+", shape=SIZE // 4)
        g = np.memmap("g", np.float32, "w+", shape=SIZE // 4)
        p[:], g[:] = 1, 2
        status = Path("/proc/self/status").read_text()
        private = next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmData"))
        resource.setrlimit(resource.RLIMIT_DATA, (private + 32 * MIB,) * 2)
        try:
            pyadam.Adam(p)
        except MemoryError:
            pass
        else:
            raise AssertionError("the limit does not limit")
        opt = pyadam.AdamW(p, lr=0.1, state_dir=".", ema_decay=0.5)
        assert sorted(path.name for path in Path(".").iterdir()) == ["g", "p"]
        for _ in range(2):
            opt.step(g)
        opt.save("run")
        opt.load("run")
        opt.step(g)
        wanted = np.ones(1, np.float32)
        small = pyadam.AdamW(wanted, lr=0.1, ema_decay=0.5)
        for _ in range(3):
            small.step(np.full(1, 2, np.float32))
        assert all((part == wanted).all() for part in np.split(p, 64))
        assert all((part == small.ema).all() for part in np.split(opt.ema, 64))
        """,
        tmp_path,
    )


def test_state_in_files_has_the_same_bits_and_goes_with_the_optimizer(tmp_path: Path) -> None:
    make = Maker(0)
    in_memory = make.arrays([5000, (3, 2)])
    in_files = [p.copy() for p in in_memory]
    kept, plain = pyadam.Adam(in_files, state_dir=tmp_path), pyadam.Adam(in_memory)
    for _ in range(3):
        grads = make.like(in_memory)
        kept.step(grads)
        plain.step(grads)
    np.testing.assert_equal(kept.state_dict(), plain.state_dict())
    copied = copy.deepcopy(kept)
    np.testing.assert_equal(copied.state_dict(), plain.state_dict())
    assert list(tmp_path.iterdir()) == []


def test_directories_that_cannot_hold_state(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="state_dir must be the path of a directory"):
        pyadam.Adam(np.ones(2), state_dir=tmp_path / "none")
    with pytest.raises(TypeError, match="state_dir must be the path of a directory"):
        pyadam.Adam(np.ones(2), state_dir=1)
    with pytest.raises(OSError, match="cannot make a file for state in /proc/self/fdinfo"):
        pyadam.Adam(np.ones(2), state_dir="/proc/self/fdinfo")


@pytest.mark.parametrize("mode", ["r", "c"])
def test_a_map_that_cannot_be_written_to_is_refused_and_a_private_one_is_not(mode: str, tmp_path: Path) -> None:
    np.ones(3).tofile(tmp_path / "p")
    p = np.memmap(tmp_path / "p", np.float64, mode)
    if mode == "r":
        with pytest.raises(ValueError, match="writeable"):
            pyadam.Adam(p)
    else:
        pyadam.Adam(p, lr=0.1).step(np.ones(3))
        np.testing.assert_array_equal(
            p, pyadam.reference.adam(np.ones(3), np.ones(3), *[np.zeros(3)] * 2, 1, lr=0.1)[0]
        )
        np.testing.assert_array_equal(np.fromfile(tmp_path / "p"), np.ones(3))
