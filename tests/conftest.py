"""Fixtures that set what is global in the kernel or in PyTorch, and set it back."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from pyadam import _core


@pytest.fixture(params=_core.available_isas())
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each instruction set that this CPU has."""
    before = _core.isa()
    _core.select_isa(request.param)
    yield request.param
    _core.select_isa(before)


@pytest.fixture
def use_threads() -> Iterator[Callable[[int], None]]:
    """A function that makes every step of more than a tile run on that many threads."""
    before = _core.get_num_threads(), _core.get_min_share()

    def use(threads: int) -> None:
        _core.set_num_threads(threads)
        _core.set_min_share(1)

    yield use
    _core.set_num_threads(before[0])
    _core.set_min_share(before[1])


@pytest.fixture
def float64_scalars() -> Iterator[None]:
    """PyTorch's scalar state, such as NAdam's mu_product, in float64 too: it follows the default dtype."""
    torch = pytest.importorskip("torch")
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)
