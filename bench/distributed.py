"""How long a step of `pyadam.distributed` takes beside its communication and update alone.

``python bench/distributed.py`` starts ranks of this file with mpiexec. On each number of ranks a bare mpi4py program of
the same bytes (one reduce-scatter of all gradients, one all-gather of all parameters), a plain optimizer of a shard's
elements and the sharded step take turns; every answer is checked first.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from harness.contest import environment
from harness.machine import describe
from harness.program import Section, save
from harness.tables import number_text, table, time_text
from harness.timing import time_batch

import pyadam

SECTION = Section("docs/scaling.md", "distributed")
SIZES = (2**10, 2**20, 2**23, 2**25)
QUICK_SIZES = (2**10, 2**16)
RANKS = (2, 3, 4)
BFLOAT16 = {"gradient_dtype": "bfloat16", "parameter_dtype": "bfloat16"}
VARIANTS: dict[str, dict[str, Any]] = {
    "default": {},
    "`deterministic=True`": {"deterministic": True},
    "`clip_norm=1.0`": {"clip_norm": 1.0},
    "`gradient_dtype`, `parameter_dtype` bfloat16": BFLOAT16,
}


@dataclass(frozen=True)
class Measured:
    """Seconds of a point, which are medians of rounds, and the median of the rounds' ratios."""

    ranks: int
    elements: int
    variant: str
    step: float
    bare: float
    update: float
    ratio: float
    state_share: float  # the largest of all ranks, over total / ranks


def measure(size: int, variant: str, rounds: int) -> Measured | None:
    """Measure a point, on all ranks; rank 0 gets the result."""
    from mpi4py import MPI

    from pyadam.distributed import ZeroRedundancyOptimizer

    comm = MPI.COMM_WORLD
    options = VARIANTS[variant]
    rng = np.random.default_rng([1, comm.rank])
    grad = rng.standard_normal(size, np.float32)
    param = np.ones(size, np.float32)
    optimizer = ZeroRedundancyOptimizer(param, pyadam.Adam, **options)
    check(optimizer, param, grad, size, options)
    state = comm.allgather(optimizer.state_bytes)
    kept = 3 if "parameter_dtype" in options else 2  # with the copies in float32
    assert sum(state) == kept * 4 * size

    # The same bytes: where they are of bfloat16, half as many elements of float32.
    sent = size // 2 if "gradient_dtype" in options else size
    counts = [(sent * (r + 1)) // comm.size - (sent * r) // comm.size for r in range(comm.size)]
    source, gathered = np.ones(sent, np.float32), np.ones(sent, np.float32)
    mean = np.empty(counts[comm.rank], np.float32)

    def bare() -> None:
        comm.Reduce_scatter(source, mean, counts)
        comm.Allgatherv(MPI.IN_PLACE, [gathered, counts])

    own = np.ones(size // comm.size, np.float32)
    plain, own_grad = pyadam.Adam(own), np.ones_like(own)
    works = (lambda: optimizer.step(grad), bare, lambda: plain.step(own_grad))
    seconds = np.array([[together(comm, work) for work in works] for _ in range(rounds + 1)])[1:]
    if comm.rank != 0:
        return None
    step, alone, update = np.median(seconds, axis=0)
    ratio = np.median(seconds[:, 0] / (seconds[:, 1] + seconds[:, 2]))
    share = max(state) / (sum(state) / comm.size)
    return Measured(comm.size, size, variant, float(step), float(alone), float(update), float(ratio), share)


def together(comm: Any, work: Callable[[], object]) -> float:
    """Return the seconds until the last rank is done."""
    comm.Barrier()
    return time_batch(lambda: (work(), comm.Barrier()))


def check(optimizer: Any, param: Any, grad: Any, size: int, options: dict[str, Any]) -> None:
    """Check a step on all ranks: one hash, and on rank 0 what one process makes of the mean."""
    comm = optimizer._comm
    optimizer.step(grad)
    assert len(set(comm.allgather(hashlib.sha256(param.tobytes()).hexdigest()))) == 1
    total = np.zeros(size, np.float32)
    for rank in range(comm.size):
        total += np.random.default_rng([1, rank]).standard_normal(size, np.float32)
    expected = np.ones(size, np.float32)
    pyadam.Adam(expected, clip_norm=options.get("clip_norm")).step(total / np.float32(comm.size))
    if options == {"deterministic": True}:
        np.testing.assert_array_equal(param, expected)
    elif "gradient_dtype" not in options:
        far = np.abs(param - expected) > 1e-5  # where a gradient of nearly 0 has another sign
        assert far.mean() < 1e-4
    else:
        assert np.abs(param - expected).max() < 0.01


def work_as_rank(path: str, sizes: Sequence[int], rounds: int) -> None:
    """Measure on the ranks that mpiexec has started, and write the results."""
    from mpi4py import MPI

    pyadam.set_num_threads(1)
    points = [(size, variant) for size in sizes for variant in VARIANTS if variant == "default" or size == sizes[-1]]
    results = [measure(size, variant, rounds) for size, variant in points]
    if MPI.COMM_WORLD.rank == 0:
        save(Path(path), {"results": [asdict(result) for result in results if result is not None]})


def run(ranks: int, sizes: Sequence[int], rounds: int) -> list[Measured]:
    """Start the ranks and return what they measured."""
    beside = Path(sysconfig.get_path("scripts"), "mpiexec")
    mpiexec = str(beside) if beside.exists() else shutil.which("mpiexec")
    if mpiexec is None:
        sys.exit("mpiexec is missing: pip install 'pyadam[mpi]'")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "results.json")
        program = f"import distributed; distributed.work_as_rank({str(path)!r}, {sizes}, {rounds})"
        command = [mpiexec, "-n", str(ranks), sys.executable, "-m", "mpi4py", "-c", program]
        subprocess.run(command, env=environment(sys.executable, 1), check=True)
        return [Measured(**entry) for entry in json.loads(path.read_text(encoding="utf-8"))["results"]]


def parts(results: Sequence[Measured]) -> list[str]:
    """Return the steps of most ranks and elements beside what they are made of, and the steps of all default points."""
    ranks, elements = max(r.ranks for r in results), max(r.elements for r in results)
    rows = []
    for r in results:
        if (r.ranks, r.elements) == (ranks, elements):
            itemsize = 2 if "bfloat16" in r.variant else 4
            sent = f"{number_text(2 * (ranks - 1) / ranks * itemsize * elements / 1e6)} MB"
            shares = f"{r.ratio:.2f}", f"{r.state_share - 1:.2%}"
            rows.append([r.variant, sent, *map(time_text, (r.step, r.bare, r.update)), *shares])
    header = ["step", "sent by a rank", "measured", "bare collectives", "shard's update", "ratio", "state over total/N"]
    sizes = sorted({r.elements for r in results})
    steps = {(r.ranks, r.elements): time_text(r.step) for r in results if r.variant == "default"}
    lines = [[str(n), *(steps[n, size] for size in sizes)] for n in sorted({r.ranks for r in results})]
    default = table(["ranks, a default step of", *(f"{size:,} elements" for size in sizes)], lines)
    return [table(header, rows), default]


def main() -> None:
    """Read the command line, measure and print or write the tables."""
    args = SECTION.parse(SECTION.parser(__doc__, rounds=15, quick_rounds=2))
    sizes = QUICK_SIZES if args.quick else SIZES
    results = [result for ranks in RANKS for result in run(ranks, sizes, args.rounds)]
    assert all(r.state_share < 1.02 for r in results if r.elements == SIZES[-1])
    SECTION.publish(args, describe(1), parts(results), [asdict(result) for result in results])


if __name__ == "__main__":
    main()
