"""Threads: how many there are, several that step, processes that fork, and interrupts."""

from __future__ import annotations

import _thread
import hashlib
import multiprocessing
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from inside import TILE, steps_of
from makers import Maker
from oracle import assert_same_bits, reference_run, reference_runs
from refusals import refused, snapshot, stepped, unchanged

import pyadam
from pyadam import _threads

Array = np.ndarray
TIMEOUT = 60.0  # of what would otherwise hang
LARGE = 64 * TILE  # a step of this many elements releases the GIL

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
needs_timer = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no interval timer")
# Python 3.12 and later warn of every fork beside other threads, which is what these tests are about.
forks = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

UseThreads = Callable[[int], None]


# The number of threads


@pytest.mark.parametrize(
    ("environ", "cpus", "threads"),
    [
        ({}, 6, 6),
        ({"OMP_NUM_THREADS": ""}, 6, 6),
        ({"OMP_NUM_THREADS": "3"}, 6, 3),
        ({"OMP_NUM_THREADS": "9"}, 6, 9),
        ({"OMP_NUM_THREADS": " 4 "}, 6, 4),
        ({"OMP_NUM_THREADS": "4,2,1"}, 6, 4),
        ({"OMP_NUM_THREADS": "0"}, 6, 6),
        ({"OMP_NUM_THREADS": "-1"}, 6, 6),
        ({"OMP_NUM_THREADS": "many"}, 6, 6),
        ({"OMP_NUM_THREADS": "1.5"}, 6, 6),
        ({"OMP_NUM_THREADS": ","}, 6, 6),
        ({"PYADAM_NUM_THREADS": ""}, 6, 6),
        ({"PYADAM_NUM_THREADS": "2"}, 6, 2),
        ({"PYADAM_NUM_THREADS": " 2 "}, 6, 2),
        ({"PYADAM_NUM_THREADS": "8"}, 6, 6),
        ({"OMP_NUM_THREADS": "4", "PYADAM_NUM_THREADS": "2"}, 6, 2),
        ({"OMP_NUM_THREADS": "2", "PYADAM_NUM_THREADS": "4"}, 6, 2),
        ({"OMP_NUM_THREADS": "8", "PYADAM_NUM_THREADS": "7"}, 6, 7),
    ],
)
def test_the_environment_sets_the_number_of_threads(environ: dict[str, str], cpus: int, threads: int) -> None:
    assert _threads.default_num_threads(environ, cpus) == threads


@pytest.mark.parametrize("cap", ["0", "-1", "two", "1.5", "4,2"])
def test_a_wrong_cap_is_an_error(cap: str) -> None:
    with pytest.raises(ImportError, match=rf"PYADAM_NUM_THREADS.*'{cap}'"):
        _threads.default_num_threads({"PYADAM_NUM_THREADS": cap}, 6)


def run_python(code: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env={**os.environ, **environ}
    )


def test_the_import_uses_the_environment() -> None:
    code = "import pyadam; print(pyadam.get_num_threads())"
    done = run_python(code, OMP_NUM_THREADS="5", PYADAM_NUM_THREADS="3")
    assert done.stdout == "3\n", done.stderr
    done = run_python(code, PYADAM_NUM_THREADS="none")
    assert done.returncode != 0
    assert "ImportError: PYADAM_NUM_THREADS must be a whole number >= 1, found 'none'" in done.stderr


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


V2, V1 = "sys/fs/cgroup", "sys/fs/cgroup/cpu,cpuacct"
CGROUPS: dict[str, tuple[dict[str, str], int]] = {
    "no cgroups": ({}, 8),
    "v2, no limit": ({"proc/self/cgroup": "0::/job\n", f"{V2}/job/cpu.max": "max 100000\n"}, 8),
    "v2, limit": ({"proc/self/cgroup": "0::/job\n", f"{V2}/job/cpu.max": "300000 100000\n"}, 3),
    "v2, rounded up": ({"proc/self/cgroup": "0::/job\n", f"{V2}/job/cpu.max": "150000 100000\n"}, 2),
    "v2, less than a CPU": ({"proc/self/cgroup": "0::/job\n", f"{V2}/job/cpu.max": "1000 100000\n"}, 1),
    "v2, more than the affinity": ({"proc/self/cgroup": "0::/job\n", f"{V2}/job/cpu.max": "1600000 100000\n"}, 8),
    "v2, another period": ({"proc/self/cgroup": "0::/job\n", f"{V2}/job/cpu.max": "100000 50000\n"}, 2),
    "v2, in the root": ({"proc/self/cgroup": "0::/\n", f"{V2}/cpu.max": "400000 100000\n"}, 4),
    "v2, limit of an ancestor": (
        {
            "proc/self/cgroup": "0::/slice/pod/job\n",
            f"{V2}/slice/cpu.max": "500000 100000\n",
            f"{V2}/slice/pod/cpu.max": "200000 100000\n",
            f"{V2}/slice/pod/job/cpu.max": "max 100000\n",
        },
        2,
    ),
    "v2, the host's path in a container": (
        {"proc/self/cgroup": "0::/kubepods/pod1/abc\n", f"{V2}/cpu.max": "200000 100000\n"},
        2,
    ),
    "v2, broken file": ({"proc/self/cgroup": "0::/job\n", f"{V2}/job/cpu.max": "fast\n"}, 8),
    "v1, no limit": (
        {
            "proc/self/cgroup": "4:cpu,cpuacct:/job\n",
            f"{V1}/job/cpu.cfs_quota_us": "-1\n",
            f"{V1}/job/cpu.cfs_period_us": "100000\n",
        },
        8,
    ),
    "v1, limit": (
        {
            "proc/self/cgroup": "12:memory:/other\n4:cpu,cpuacct:/job\n1:name=systemd:/init\n",
            f"{V1}/job/cpu.cfs_quota_us": "250000\n",
            f"{V1}/job/cpu.cfs_period_us": "100000\n",
        },
        3,
    ),
    "v1, other mount": (
        {
            "proc/self/cgroup": "4:cpuacct,cpu:/job\n",
            "sys/fs/cgroup/cpu/job/cpu.cfs_quota_us": "250000\n",
            "sys/fs/cgroup/cpu/job/cpu.cfs_period_us": "100000\n",
        },
        3,
    ),
    "v1, quota without period": ({"proc/self/cgroup": "4:cpu:/\n", "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "100\n"}, 8),
    "v1, only the set of CPUs is limited": ({"proc/self/cgroup": "3:cpuset:/job\n"}, 8),
    "v1 beside v2": (
        {
            "proc/self/cgroup": "4:cpu,cpuacct:/job\n0::/job\n",
            f"{V1}/job/cpu.cfs_quota_us": "600000\n",
            f"{V1}/job/cpu.cfs_period_us": "100000\n",
            "sys/fs/cgroup/unified/job/cpu.max": "500000 100000\n",
        },
        5,
    ),
    "a colon in the path": ({"proc/self/cgroup": "0::/a:b\n", f"{V2}/a:b/cpu.max": "200000 100000\n"}, 2),
    "a list that cannot be read": ({"proc/self/cgroup": "garbage\n\n0::/job\n", f"{V2}/cpu.max": "200000 100000\n"}, 2),
}


@pytest.mark.parametrize(("files", "cpus"), CGROUPS.values(), ids=CGROUPS)
def test_the_cpu_quota_of_a_container_counts(
    files: dict[str, str], cpus: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    assert _threads.usable_cpus(write(tmp_path, files)) == cpus


@pytest.mark.parametrize(("count", "cpus"), [(5, 5), (None, 1)])
def test_without_an_affinity_mask_all_cpus_count(
    count: int | None, cpus: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: count)
    assert _threads.usable_cpus(tmp_path) == cpus


def test_num_threads_can_be_set(use_threads: UseThreads) -> None:
    use_threads(1)
    pyadam.set_num_threads(3)
    assert pyadam.get_num_threads() == 3


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        (0, ValueError),
        (-1, ValueError),
        (10**5, ValueError),
        (1.5, TypeError),
        ("2", TypeError),
        (None, TypeError),
        ([2], TypeError),
    ],
)
def test_a_wrong_num_threads_is_refused(bad: Any, error: type[Exception], use_threads: UseThreads) -> None:
    use_threads(3)
    with pytest.raises(error):
        pyadam.set_num_threads(bad)
    assert pyadam.get_num_threads() == 3


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="this system does not list threads")
def test_workers_may_run_wherever_the_process_may(use_threads: UseThreads) -> None:
    use_threads(3)
    opt = pyadam.Adam(np.ones(LARGE, np.float32))
    for _ in range(20):
        time.sleep(2e-3)  # workers fall asleep, wake on some CPU, and may leave it
        opt.step(np.ones(LARGE, np.float32))
    time.sleep(0.1)
    threads = [int(thread.name) for thread in Path("/proc/self/task").iterdir()]
    assert len(threads) >= 3
    assert {frozenset(os.sched_getaffinity(thread)) for thread in threads} == {frozenset(os.sched_getaffinity(0))}


# Python threads


@pytest.fixture
def undisturbed() -> Iterator[None]:
    """Python code keeps the GIL: another thread runs only where this one gives it up of itself."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1000)
    yield
    sys.setswitchinterval(before)


@pytest.fixture
def hasty() -> Iterator[None]:
    """Python threads alternate as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def run_together(*functions: Callable[[], None]) -> None:
    """Run functions in threads that start together; raise what one of them raises."""
    start = threading.Barrier(len(functions))
    errors: list[BaseException] = []

    def run(function: Callable[[], None]) -> None:
        try:
            start.wait(TIMEOUT)
            function()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(function,), daemon=True) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIMEOUT)
        assert not thread.is_alive(), "a thread hangs"
    if errors:
        raise errors[0]


@pytest.mark.usefixtures("undisturbed")
def test_other_threads_run_during_a_step() -> None:
    opt = pyadam.Adam(np.ones(LARGE, np.float32))
    g = np.ones(LARGE, np.float32)
    go, ran = threading.Event(), threading.Event()
    thread = threading.Thread(target=lambda: (go.wait(TIMEOUT), ran.set()))
    thread.start()
    go.set()
    sum(range(100_000))
    assert not ran.is_set()  # so far only this thread has had the GIL
    # A step may end before the system has woken the other thread; not every step does.
    for _ in range(10_000):
        opt.step(g)
        if ran.is_set():
            break
    assert ran.is_set()
    thread.join(TIMEOUT)


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("size", [3, LARGE], ids=["with the GIL", "without the GIL"])
def test_two_threads_that_step_one_optimizer_take_turns(size: int, use_threads: UseThreads) -> None:
    use_threads(2)
    p, g = Maker(0).arrays([size] * 2)
    opt = pyadam.Adam(p)
    expected = reference_run(opt, p)

    def step() -> None:
        for _ in range(20):
            opt.step(g)

    run_together(step, step, step)
    for _ in range(60):
        expected.step(g)
    assert opt.step_count == 60
    assert_same_bits(opt, 0, expected)


@pytest.mark.usefixtures("hasty")
def test_optimizers_in_several_threads_do_not_disturb_each_other(use_threads: UseThreads) -> None:
    use_threads(3)
    start, g = Maker(1).arrays([LARGE] * 2)
    params = [start.copy() for _ in range(3)]
    opts = [pyadam.Adam(p) for p in params]
    expected = reference_run(opts[0], start)

    def step(opt: pyadam.Adam) -> None:
        for _ in range(20):
            opt.step(g)

    run_together(*(lambda opt=opt: step(opt) for opt in opts))
    for _ in range(20):
        expected.step(g)
    for opt in opts:
        assert_same_bits(opt, 0, expected)


@pytest.mark.usefixtures("hasty")
def test_a_state_saved_while_another_thread_steps_is_that_of_one_step(use_threads: UseThreads) -> None:
    use_threads(2)
    make = Maker(2)
    params, grads = make.arrays([LARGE] * 2), make.arrays([LARGE] * 2)
    opt = pyadam.Adam(params)
    runs = reference_runs(opt)
    saved = []

    def step() -> None:
        for _ in range(20):
            opt.step(grads)

    def save() -> None:
        for _ in range(20):
            saved.append(opt.state_dict())

    run_together(step, save)
    saved.append(opt.state_dict())
    states = [[tuple(run.kept.values()) for run in runs]]
    for _ in range(20):
        for run, g in zip(runs, grads, strict=True):
            run.step(g)
        states.append([tuple(run.kept.values()) for run in runs])
    for state_dict in saved:
        t = state_dict["step_count"]
        entries = list(state_dict["state"].values())
        assert [entry["step"] for entry in entries] == ([t, t] if t > 0 else [])
        for entry, state in zip(entries, states[t], strict=t > 0):
            np.testing.assert_array_equal((entry["exp_avg"], entry["exp_avg_sq"]), state)


def test_a_schedule_cannot_step_its_own_optimizer() -> None:
    nested = [False]

    def lr(step: int) -> float:
        if nested[0]:
            nested[0] = False
            opt.step([np.ones(3)])
        return 0.1 * (step + 1)

    opt = pyadam.Adam([np.ones(3)], lr=lr)
    opt.step([np.ones(3)])
    nested[0] = True
    with refused(opt, RuntimeError, "already running"):
        opt.step([np.ones(3)])
    opt.step([np.ones(3)])
    assert opt.step_count == 2


def test_a_gradient_whose_attributes_step_the_optimizer_is_refused_that() -> None:
    errors = []

    class Sneaky(np.ndarray):
        @property
        def mask(self) -> None:
            try:
                opt.step([np.ones(3)])
            except RuntimeError as error:
                errors.append(str(error))
            raise AttributeError("mask")

    p = np.ones(3)
    opt = pyadam.Adam([p])
    expected = reference_run(opt, p)
    opt.step([np.ones(3).view(Sneaky)])
    expected.step(np.ones(3))
    assert "already running" in errors[0]
    assert_same_bits(opt, 0, expected)


# Forked processes


def digest(params: Array) -> bytes:
    return hashlib.sha256(params.tobytes()).digest()


Run = Callable[[Callable[[], bytes]], bytes]


def in_os_fork(work: Callable[[], bytes]) -> bytes:
    """Return what `work` returns in a child process; fail if the child dies or hangs."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(writer, work())
        finally:
            os._exit(0)
    os.close(writer)
    ready, _, _ = select.select([reader], [], [], TIMEOUT)
    if not ready:
        os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    result = os.read(reader, 1000)
    os.close(reader)
    assert ready, "the child hangs"
    return result


def in_multiprocessing_fork(work: Callable[[], bytes]) -> bytes:
    """As `in_os_fork`, by the standard library's means."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=lambda: sender.send_bytes(work()))
    process.start()
    sender.close()
    ready = receiver.poll(TIMEOUT)
    if not ready:
        process.kill()
    process.join(TIMEOUT)
    assert ready, "the child hangs"
    return receiver.recv_bytes()


in_child = pytest.mark.parametrize(
    "run", [in_os_fork, in_multiprocessing_fork] if hasattr(os, "fork") else [], ids=lambda run: run.__name__
)


class Training:
    """An optimizer, and what the reference makes of the same steps."""

    def __init__(self) -> None:
        self.p, self.g = Maker(3).arrays([LARGE] * 2)
        self.opt = pyadam.Adam(self.p)
        self._reference = reference_run(self.opt, self.p)
        self._expected = [digest(self.p)]

    def run(self, steps: int) -> bytes:
        for _ in range(steps):
            self.opt.step(self.g)
        return digest(self.p)

    def expected_after(self, steps: int) -> bytes:
        while len(self._expected) <= steps:
            self._reference.step(self.g)
            self._expected.append(digest(self._reference.p))
        return self._expected[steps]


@needs_fork
@forks
def test_a_forked_child_leaves_state_in_files_to_its_parent(tmp_path: Path) -> None:
    opt = pyadam.Adam(np.ones(5), state_dir=tmp_path)
    opt.step(np.ones(5))
    before = snapshot(opt)
    child = os.fork()
    if child == 0:
        try:
            opt.step(np.ones(5))
        except RuntimeError as error:
            os._exit(0 if "its state is in files of the parent's" in str(error) else 2)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert snapshot(opt) == before
    opt.step(np.ones(5))


@needs_fork
@forks
@in_child
def test_a_child_forked_after_steps_goes_on_with_the_same_bits(run: Run, use_threads: UseThreads) -> None:
    use_threads(4)
    training = Training()
    assert training.run(3) == training.expected_after(3)
    for steps in (1, 40):
        assert run(lambda steps=steps: training.run(steps)) == training.expected_after(3 + steps)
    assert training.run(2) == training.expected_after(5)


@needs_fork
@forks
@in_child
def test_a_child_forked_before_the_first_step_has_the_same_bits(run: Run, use_threads: UseThreads) -> None:
    use_threads(4)
    training = Training()
    assert run(lambda: training.run(5)) == training.expected_after(5)


@needs_fork
@forks
@in_child
def test_a_grandchild_goes_on_with_the_same_bits(run: Run, use_threads: UseThreads) -> None:
    use_threads(4)
    training = Training()
    training.run(2)

    def child() -> bytes:
        training.run(2)
        return run(lambda: training.run(2))

    assert run(child) == training.expected_after(6)


@needs_fork
@forks
@in_child
def test_a_child_forked_during_a_step_of_another_thread_has_the_same_bits(run: Run, use_threads: UseThreads) -> None:
    use_threads(4)
    training, other = Training(), Training()
    stop = threading.Event()

    def step_until_stopped() -> None:
        while not stop.is_set():
            other.run(1)

    thread = threading.Thread(target=step_until_stopped, daemon=True)
    thread.start()
    try:
        for steps in range(1, 6):
            assert run(lambda steps=steps: training.run(steps)) == training.expected_after(steps)
    finally:
        stop.set()
        thread.join(TIMEOUT)


@needs_fork
@forks
def test_a_child_forked_during_a_step_of_the_same_optimizer_does_not_hang(use_threads: UseThreads) -> None:
    """Its copy of the parameters may be half updated, so that the child may be refused a step, and told why."""
    use_threads(2)
    training = Training()
    stop = threading.Event()

    def step_until_stopped() -> None:
        while not stop.is_set():
            training.run(1)

    def try_to_step() -> bytes:
        try:
            training.run(1)
        except RuntimeError as error:
            return str(error).encode()
        return b"stepped"

    thread = threading.Thread(target=step_until_stopped, daemon=True)
    thread.start()
    try:
        answers = {in_os_fork(try_to_step) for _ in range(10)}
    finally:
        stop.set()
        thread.join(TIMEOUT)
    assert answers <= {b"stepped", b"a step of these parameters is already running"}


# Interrupts


@needs_timer
@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["read in place", "converted first"])
def test_an_interrupt_comes_before_or_after_a_step_never_within(dtype: Any, use_threads: UseThreads) -> None:
    use_threads(2)
    make = Maker(4)
    p = make.array((LARGE // 64, 64), np.float32)
    g = make.like(p, dtype, order="F" if dtype == np.float64 else "C")
    opt = pyadam.Adam(p)
    expected = reference_run(opt, p)

    def step_until_alarm(seconds: float) -> None:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        while True:
            opt.step(g)

    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        for attempt in range(40):
            with pytest.raises(KeyboardInterrupt):
                step_until_alarm(1e-3 + 1e-5 * attempt)
            while expected.t < opt.step_count:
                expected.step(g)
            assert steps_of(opt) == [expected.t]
            assert_same_bits(opt, 0, expected)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert opt.step_count > 0


@pytest.fixture
def interrupts() -> Iterator[None]:
    """Interrupts that are let in: a job in the background of a shell has them ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interrupts")
def test_an_interrupt_in_the_middle_of_a_step_waits_for_its_end() -> None:
    opt = pyadam.Adam(np.ones(LARGE, np.float32))
    g = np.ones(LARGE, np.float32)
    expected = reference_run(opt, opt.params)
    go = threading.Event()
    thread = threading.Thread(target=lambda: (go.wait(TIMEOUT), _thread.interrupt_main()))
    thread.start()
    go.set()

    def step_until_interrupted() -> None:
        for _ in range(10_000):
            opt.step(g)
        thread.join(TIMEOUT)  # the interrupt comes here, if no step has let it in

    with pytest.raises(KeyboardInterrupt):
        step_until_interrupted()
    thread.join(TIMEOUT)
    assert 0 < opt.step_count < 10_000
    for _ in range(opt.step_count):
        expected.step(g)
    assert_same_bits(opt, 0, expected)


def test_an_interrupt_in_a_schedule_comes_before_the_step() -> None:
    def lr(step: int) -> float:
        if step == 2:
            raise KeyboardInterrupt
        return 0.1

    opt = stepped([np.ones(3)], lr=lr)
    with unchanged(opt), pytest.raises(KeyboardInterrupt):
        opt.step([np.ones(3)])
