"""Training over many processes and machines with MPI: each rank keeps the optimizer's state of a shard.

It needs mpi4py and an MPI library: ``pip install 'pyadam[mpi]'`` brings both.
"""

from __future__ import annotations

from .._extras import require

require("mpi4py", "mpi")
try:
    require("mpi4py.MPI", "mpi")
except (ImportError, RuntimeError) as error:
    raise ImportError(f"mpi4py finds no MPI library: pip install 'pyadam[mpi]' brings one ({error})") from None

from ._sharded_step import StepTimes  # noqa: E402
from .optimizer import ZeroRedundancyOptimizer  # noqa: E402

__all__ = ["StepTimes", "ZeroRedundancyOptimizer"]
