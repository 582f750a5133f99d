"""`pyadam.torch` on the threads of PyTorch's OpenMP run time."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch_cases import assert_same_bits, new_params, take_steps  # noqa: E402

import pyadam.torch  # noqa: E402
from pyadam import _core  # noqa: E402
from pyadam.torch._threads import share_threads  # noqa: E402

SHAPES = [(70_000,), (3, 5), (300, 100)]


@pytest.fixture
def own_threads() -> Iterator[None]:
    """Steps on threads of the kernel's own."""
    _core.use_host_threads(0, 0)
    yield
    share_threads()


def run() -> list[Any]:
    params = new_params(torch.float32, SHAPES)
    take_steps(pyadam.torch.AdamW(params, lr=0.1, clip_norm=1.0), params, range(4))
    return [p.detach() for p in params]


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
def test_the_bits_are_the_same_on_any_threads(threads: int, use_threads: Callable[[int], None]) -> None:
    use_threads(1)
    expected = run()
    use_threads(threads)
    assert share_threads()
    assert_same_bits(run(), expected)


@pytest.mark.usefixtures("own_threads")
def test_the_bits_are_the_same_on_own_threads(use_threads: Callable[[int], None]) -> None:
    use_threads(2)
    found = run()
    share_threads()
    assert_same_bits(found, run())


def bytes_of_run(results: Any) -> None:
    torch.set_num_threads(1)  # PyTorch's own operators would wait for threads that are not here
    results.put([p.numpy().tobytes() for p in run()])


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_a_forked_child_steps_without_the_threads_that_stayed_behind(use_threads: Callable[[int], None]) -> None:
    use_threads(2)
    expected = [p.numpy().tobytes() for p in run()]
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    child = context.Process(target=bytes_of_run, args=(results,))
    child.start()
    found = results.get(timeout=60)
    child.join()
    assert found == expected
