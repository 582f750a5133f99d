"""The threads of PyTorch's OpenMP run time, lent to the kernel."""

from __future__ import annotations

from .. import _core
from ._library import addresses_of


def share_threads() -> bool:
    """Let the kernel work on the threads that PyTorch's operators use; False where they cannot be had.

    After a backward pass they spin for some milliseconds, waiting for more work. A step on other threads would have to
    share the cores with them. This holds for all of pyadam in the process. How many threads a step uses stays
    `pyadam.set_num_threads`'s to say; where PyTorch uses another number, the run time ends and starts threads between
    its steps and PyTorch's operators. ``_core.use_host_threads(0, 0)`` undoes it, as a fork does in the child.
    """
    functions = addresses_of("GOMP_parallel", "omp_get_thread_num")  # of the run time that PyTorch was linked with
    if functions is None:
        return False
    _core.use_host_threads(*functions)
    return True
