"""Whatever happens while a checkpoint is written, there is the old one or the new one, whole."""

from __future__ import annotations

import copy
import errno
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import killed
import numpy as np
import pytest
from refusals import refused

import pyadam

HERE = Path(__file__).parent


def assert_same(found: pyadam.Optimizer, wanted: pyadam.Optimizer) -> None:
    np.testing.assert_equal(found.params, wanted.params)
    np.testing.assert_equal(found.state_dict(), wanted.state_dict())


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_a_run_killed_again_and_again_is_the_run_that_nobody_killed(tmp_path: Path, full: bool) -> None:
    """Every file is that of the last step reported or of the one after it, and in the end no bit is lost."""
    path = tmp_path / "run.safetensors"
    delays = random.Random(0)
    kills = 200 if full else 8
    during_save = 0
    opt, grads = killed.fresh()
    for _ in range(kills):
        process = subprocess.Popen(
            [sys.executable, HERE / "killed.py", path],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYADAM_NUM_THREADS": "1"},
        )
        assert process.stdout is not None
        first = process.stdout.readline()
        time.sleep(delays.uniform(0, 0.03))
        process.kill()
        reported = int((first + process.stdout.read()).split()[-1])
        process.wait()
        process.stdout.close()
        during_save += any(file.suffix == ".tmp" for file in tmp_path.iterdir())
        found = pyadam.load(path)
        assert found.step_count in (reported, reported + 1)
        while opt.step_count < found.step_count:
            opt.step(grads)
        assert_same(found, opt)
    print(f"{kills} kills, {during_save} of them in the middle of a save, {opt.step_count} steps, no bit lost")
    opt.save(path)
    assert os.listdir(tmp_path) == [path.name]  # what the killed processes left is gone
    assert during_save > 0


# Disks that are full or broken


@pytest.fixture
def saved(opt: pyadam.Optimizer, tmp_path: Path) -> tuple[Path, pyadam.Optimizer]:
    """A file, and a copy of the optimizer as it was then; the optimizer has gone on."""
    path = tmp_path / "run.safetensors"
    opt.save(path)
    old = copy.deepcopy(opt)
    opt.step([{"w": np.ones((3, 4)), "b": [None]}, np.ones(2)])
    return path, old


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.skipif(os.name != "posix", reason="this system has no limit of file sizes")
def test_a_file_that_would_be_too_large_leaves_the_old_one(
    opt: pyadam.Optimizer, saved: tuple[Path, pyadam.Optimizer], full: bool
) -> None:
    path, old = saved
    size = path.stat().st_size
    for limit in [*range(0, size, 1 if full else 97), size - 1]:
        with file_size_limit(limit), pytest.raises(OSError, match="File too large"):
            opt.save(path)
        assert os.listdir(path.parent) == [path.name]
        assert_same(pyadam.load(path), old)
    opt.save(path)
    assert_same(pyadam.load(path), opt)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(tmp_path)], capture_output=True, text=True, check=False
    )
    if mount.returncode != 0:
        pytest.skip(f"needs the right to mount a file system: {mount.stderr.strip()}")
    yield tmp_path
    subprocess.run(["umount", str(tmp_path)], check=True)


def test_a_full_disk_leaves_the_old_file(small_disk: Path) -> None:
    path = small_disk / "run.safetensors"
    opt = pyadam.Adam(np.ones(30_000))  # 720 kB with its state, so that two files do not fit
    opt.step(np.ones(30_000))
    opt.save(path)
    old = copy.deepcopy(opt)
    opt.step(np.ones(30_000))
    for _ in range(3):
        with pytest.raises(OSError, match="No space left"):
            opt.save(path)
        assert os.listdir(small_disk) == [path.name]
        assert_same(pyadam.load(path), old)


CALLS = ("open", "write", "lseek", "fsync", "replace")


class Failing:
    """Makes the n-th call of one of os's functions fail, and counts them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, name: str, error: Callable[[], BaseException]) -> None:
        self.calls = 0
        self.failing = -1
        real = getattr(os, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            self.calls += 1
            if self.calls == self.failing:
                raise error()
            return real(*args, **kwargs)

        monkeypatch.setattr(os, name, call)


@pytest.mark.parametrize(
    "error", [lambda: OSError(errno.EIO, "Input/output error"), KeyboardInterrupt], ids=["broken disk", "Ctrl-C"]
)
@pytest.mark.parametrize("name", CALLS)
def test_an_error_of_any_call_leaves_the_old_file_or_the_new_one(
    name: str,
    error: Callable[[], BaseException],
    opt: pyadam.Optimizer,
    saved: tuple[Path, pyadam.Optimizer],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path, old = saved
    with monkeypatch.context() as patch:
        probe = Failing(patch, name, error)
        opt.save(path.with_name("other"))
    path.with_name("other").unlink()
    assert probe.calls > 0
    was_new = False
    for n in range(1, probe.calls + 1):
        with monkeypatch.context() as patch:
            Failing(patch, name, error).failing = n
            with pytest.raises(type(error())):
                opt.save(path)
        assert os.listdir(path.parent) == [path.name]
        found = pyadam.load(path)
        # Only where the folder could not be opened or synced is the new file there already.
        was_new = was_new or found.step_count == opt.step_count
        assert not was_new or (name in ("open", "fsync") and n == probe.calls)
        assert_same(found, opt if was_new else old)


def test_writes_that_take_only_a_part_are_continued(
    opt: pyadam.Optimizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:7]))
    opt.save(tmp_path / "run")
    assert_same(pyadam.load(tmp_path / "run"), opt)


def test_a_folder_that_cannot_be_synced_is_no_error(
    opt: pyadam.Optimizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsync = os.fsync

    def fsync_of_files(descriptor: int) -> None:
        if os.path.isdir(f"/proc/self/fd/{descriptor}"):
            raise OSError(errno.EINVAL, "Invalid argument")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", fsync_of_files)
    opt.save(tmp_path / "run")
    assert_same(pyadam.load(tmp_path / "run"), opt)


# Reading


def test_a_file_that_fails_while_it_is_checked_changes_nothing(
    opt: pyadam.Optimizer, saved: tuple[Path, pyadam.Optimizer], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = saved

    def verify(_: Any) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("pyadam.checkpoint._safetensors.Reader.verify", verify)
    with refused(opt, OSError, "Input/output error"):
        opt.load(path)


@pytest.mark.parametrize("change", ["fails", "is written to"])
def test_a_file_that_fails_after_it_was_checked_is_told_apart(
    change: str, opt: pyadam.Optimizer, saved: tuple[Path, pyadam.Optimizer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one case in which an error leaves a mix: it has an error of its own, and loading again mends it."""
    from pyadam.checkpoint._safetensors import Reader

    path, old = saved
    read_into = Reader.read_into

    def read_badly(self: Reader, name: str, array: Any) -> None:
        if name.endswith("exp_avg_sq"):
            if change == "fails":
                raise OSError(errno.EIO, "Input/output error")
            os.utime(path, ns=(1, 1))
        read_into(self, name, array)

    with monkeypatch.context() as patch:
        patch.setattr(Reader, "read_into", read_badly)
        with pytest.raises(RuntimeError, match="in part"):
            opt.load(path)
    opt.load(path)
    assert_same(opt, old)
