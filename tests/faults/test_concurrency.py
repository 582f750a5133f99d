"""Threads, processes and the end of the interpreter, as far as `tests/test_threads.py` does not go."""

from __future__ import annotations

import concurrent.futures
import gc
import multiprocessing
import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from inside import TILE, arrays_of, optimizers_alive, state_of

import pyadam

TIMEOUT = 120.0  # of what would otherwise hang
LARGE = 64 * TILE  # a step of this many elements releases the GIL

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
forks = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


def trained(steps: int) -> pyadam.Optimizer:
    opt = pyadam.Adam(np.linspace(-1, 1, LARGE))
    for _ in range(steps):
        opt.step(np.linspace(1, 2, LARGE))
    return opt


def go_on(opt: pyadam.Optimizer, steps: int) -> bytes:
    """Take steps, and return the parameters and the state."""
    for _ in range(steps):
        opt.step(np.linspace(1, 2, LARGE))
    return bits(opt)


def bits(opt: pyadam.Optimizer) -> bytes:
    return b"".join(array.tobytes() for array in (*arrays_of(opt), *state_of(opt).values()))


def load_and_go_on(path: Path, steps: int) -> bytes:
    return go_on(pyadam.load(path), steps)


# Processes


@forks
@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_a_pool_of_processes_gives_the_same_bits(method: str, use_threads: Callable[[int], None]) -> None:
    """Optimizers go to the workers and come back as pickles."""
    use_threads(3)
    opt = trained(2)
    context = multiprocessing.get_context(method)
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
        found = [pool.submit(go_on, opt, steps).result(TIMEOUT) for steps in (0, 1, 3)]
    assert found == [bits(trained(2 + steps)) for steps in (0, 1, 3)]


@pytest.mark.parametrize("method", ["spawn"])
def test_a_spawned_process_goes_on_from_a_file(method: str, tmp_path: Path) -> None:
    trained(2).save(tmp_path / "run")
    with multiprocessing.get_context(method).Pool(1) as pool:
        found = pool.apply_async(load_and_go_on, (tmp_path / "run", 2)).get(TIMEOUT)
    assert found == bits(trained(4))


@needs_fork
@forks
def test_a_child_forked_while_another_thread_saves_can_save(tmp_path: Path) -> None:
    opt = trained(1)
    stop = threading.Event()

    def save_until_stopped() -> None:
        while not stop.is_set():
            opt.save(tmp_path / "parent")

    thread = threading.Thread(target=save_until_stopped)
    thread.start()
    try:
        for _ in range(5):
            pid = os.fork()
            if pid == 0:
                try:
                    opt.save(tmp_path / "child")
                    opt.step(np.ones(LARGE))
                finally:
                    os._exit(0)
            assert os.waitpid(pid, 0)[1] == 0
            assert bits(pyadam.load(tmp_path / "child")) == bits(opt)
            (tmp_path / "child").unlink()
    finally:
        stop.set()
        thread.join(TIMEOUT)
    assert not thread.is_alive()


# Threads


def in_threads(*functions: Callable[[], Any]) -> list[Any]:
    """Run functions at once and return their results."""
    with concurrent.futures.ThreadPoolExecutor(len(functions)) as pool:
        return [future.result(TIMEOUT) for future in [pool.submit(function) for function in functions]]


def test_what_is_saved_while_another_thread_steps_is_that_of_one_step(
    tmp_path: Path, use_threads: Callable[[int], None]
) -> None:
    use_threads(2)
    opt = trained(0)
    wanted = {steps: bits(trained(steps)) for steps in range(21)}

    def save() -> list[tuple[int, bytes]]:
        found = []
        for i in range(10):
            opt.save(tmp_path / str(i))
            saved = pyadam.load(tmp_path / str(i))
            found.append((saved.step_count, bits(saved)))
        return found

    _, found = in_threads(lambda: go_on(opt, 20), save)
    assert all(wanted[steps] == saved for steps, saved in found)


def test_threads_that_save_to_one_path_leave_one_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "run"
    wanted = {bits(trained(steps)) for steps in (1, 2, 3)}

    def save(opt: pyadam.Optimizer) -> None:
        for _ in range(10):
            opt.save(path)
            assert bits(pyadam.load(path)) in wanted

    in_threads(*(partial(save, trained(steps)) for steps in (1, 2, 3)))
    assert os.listdir(tmp_path) == [path.name]


def test_loading_while_another_thread_steps_comes_before_or_after_a_step(tmp_path: Path) -> None:
    trained(3).save(tmp_path / "run")
    opt = trained(3)
    in_threads(lambda: go_on(opt, 8), lambda: [opt.load(tmp_path / "run") for _ in range(4)])
    assert bits(opt) == bits(trained(opt.step_count))


# Many, deep, and at the end


def test_a_thousand_optimizers_live_at_once_and_leave_nothing_behind() -> None:
    def open_files() -> int:
        return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0

    before = len(threading.enumerate()), open_files()
    for _ in range(2):
        opts = [pyadam.Adam([np.ones(10), np.ones((3, 2))]) for _ in range(1000)]
        for opt in opts:
            opt.step([np.ones(10), np.ones((3, 2))])
        assert all(np.array_equal(opt.params[0], opts[0].params[0]) for opt in opts)
        del opt, opts
        gc.collect()
    assert len(optimizers_alive) == 0
    assert (len(threading.enumerate()), open_files()) == before


def nested(levels: int, kind: type = list) -> Any:
    value: Any = np.ones(2)
    for _ in range(levels):
        value = {"k": value} if kind is dict else kind([value])
    return value


@pytest.mark.parametrize("kind", [list, tuple, dict])
def test_parameters_nested_too_deeply_are_refused(kind: type, tmp_path: Path) -> None:
    for levels in (101, 10_000):
        with pytest.raises(ValueError, match="more than 100 levels deep"):
            pyadam.Adam(nested(levels, kind))
    opt = pyadam.Adam(nested(99, kind))
    opt.step(nested(99, kind))
    with pytest.raises((TypeError, ValueError)):
        opt.step(nested(10_000, kind))
    opt.save(tmp_path / "run")
    assert bits(pyadam.load(tmp_path / "run")) == bits(opt)


def test_a_container_that_holds_itself_is_refused() -> None:
    params: list[Any] = []
    params.append(params)
    with pytest.raises(ValueError, match="holds itself"):
        pyadam.Adam(params)


ENDINGS = {
    "a thread in the middle of a step": """
        threading.Thread(target=lambda: [opt.step(g) for _ in iter(int, 1)], daemon=True).start()
        time.sleep(0.05)
    """,
    "a thread in the middle of a save": """
        threading.Thread(target=lambda: [opt.save("run") for _ in iter(int, 1)], daemon=True).start()
        time.sleep(0.05)
    """,
    "a last step and a last save": """
        opt.step(g)
        atexit.register(lambda: (opt.step(g), opt.save("run"), opt.load("run")))
    """,
    "a thread that accumulates": """
        threading.Thread(target=lambda: [opt.accumulate(g) for _ in iter(int, 1)], daemon=True).start()
        time.sleep(0.05)
    """,
    "a thread that works on addresses": """
        from pyadam import _core
        core, memory = _core.TensorParameters(), [np.zeros_like(g) for _ in range(4)]
        p, grad, *kept = [array.ctypes.data for array in memory]
        core.add_group("adam", None, None, False, ())
        core.add("p", 0, p, g.size, "float64", kept, 0, (0, "float32"), (), (), 0)
        grads, plans = _core.GivenGradients([grad], [_core.GRADIENT_DTYPES["float64"]]), (opt.param_groups[0].plan,)
        work = lambda core=core, memory=memory: [core.step(grads, plans) for _ in iter(int, 1)]
        threading.Thread(target=work, daemon=True).start()
        time.sleep(0.05)
    """,
    "a thread that zeroes memory": """
        from pyadam import _core
        work = lambda g=g: [_core.zero_new_memory([g.ctypes.data], [g.nbytes]) for _ in iter(int, 1)]
        threading.Thread(target=work, daemon=True).start()
        time.sleep(0.05)
    """,
    "an optimizer in a cycle": """
        opt.step(g)
        opt._itself = opt
    """,
    "an optimizer that a module holds": """
        opt.step(g)
        sys.opt = opt
        class Late:
            def __del__(self, step=opt.step, g=g): step(g)
        sys.late = Late()
    """,
}


@pytest.mark.parametrize("ending", ENDINGS.values(), ids=ENDINGS)
def test_the_interpreter_ends_in_peace(ending: str, tmp_path: Path, full: bool) -> None:
    code = textwrap.dedent(
        f"""
        import atexit, sys, threading, time
        import numpy as np, pyadam
        pyadam.set_num_threads(3)
        opt, g = pyadam.Adam(np.ones({4 * LARGE})), np.ones({4 * LARGE})
        """
    ) + textwrap.dedent(ending)
    for _ in range(20 if full else 2):
        done = subprocess.run(
            [sys.executable, "-X", "dev", "-c", code],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
