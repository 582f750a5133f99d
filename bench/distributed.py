"""How long a step of `pyadam.distributed` takes beside its communication and update alone.

``python bench/distributed.py`` starts ranks of this file with mpiexec. On each number of ranks a bare mpi4py program of
the same bytes (one reduce-scatter of all gradients, one all-gather of all parameters), a plain optimizer of a shard's
elements and the sharded step take turns; every answer is checked first.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from harness.contest import environment
from harness.program import Section, save
from harness.tables import number_text, table, time_text
from harness.timing import time_batch

import pyadam

SECTION = Section("docs/scaling.md", "distributed")
SIZES = (2**10, 2**20, 2**23, 2**25)
QUICK_SIZES = (2**10, 2**16)
RANKS = (2, 3, 4)
VARIANTS: dict[str, dict[str, Any]] = {
    "default": {},
    "`deterministic=True`": {"deterministic": True},
    "`clip_norm=1.0`": {"clip_norm": 1.0},
    "`gradient_dtype`, `parameter_dtype` bfloat16": {"gradient_dtype": "bfloat16", "parameter_dtype": "bfloat16"},
}


def numbers(rank: int, size: int) -> Any:
    """Return a rank's gradient."""
    return np.random.default_rng([1, rank]).standard_normal(size, np.float32)


def measure(size: int, variant: str, rounds: int) -> dict[str, Any]:
    """Measure a point, on all ranks: medians of the rounds' seconds and of their ratios."""
    from mpi4py import MPI

    from pyadam.distributed import ZeroRedundancyOptimizer

    comm = MPI.COMM_WORLD
    options = VARIANTS[variant]
    param, grad = np.ones(size, np.float32), numbers(comm.rank, size)
    optimizer = ZeroRedundancyOptimizer(param, pyadam.Adam, **options)
    optimizer.step(grad)
    check(comm, param, options)
    kept = 3 if "parameter_dtype" in options else 2  # with the copies in float32
    state = comm.allgather(optimizer.state_bytes)
    assert sum(state) == kept * 4 * size
    assert max(state) < 1.02 * sum(state) / comm.size or size < SIZES[-1]

    # The same bytes: where they are of bfloat16, half as many elements of float32.
    sent = size // 2 if "gradient_dtype" in options else size
    counts = [(sent * (r + 1)) // comm.size - (sent * r) // comm.size for r in range(comm.size)]
    source, gathered = np.ones(sent, np.float32), np.ones(sent, np.float32)
    mean = np.empty(counts[comm.rank], np.float32)

    def bare() -> None:
        comm.Reduce_scatter(source, mean, counts)
        comm.Allgatherv(MPI.IN_PLACE, [gathered, counts])

    def together(work: Callable[[], object]) -> float:
        comm.Barrier()
        return time_batch(lambda: (work(), comm.Barrier()))

    own = np.ones(size // comm.size, np.float32)
    plain, own_grad = pyadam.Adam(own), np.ones_like(own)
    works = (lambda: optimizer.step(grad), bare, lambda: plain.step(own_grad))
    seconds = np.array([[together(work) for work in works] for _ in range(rounds + 1)])[1:]
    step, alone, update = np.median(seconds, axis=0).tolist()
    ratio = float(np.median(seconds[:, 0] / (seconds[:, 1] + seconds[:, 2])))
    point = {"ranks": comm.size, "elements": size, "variant": variant}
    return {**point, "step": step, "bare": alone, "update": update, "ratio": ratio}


def check(comm: Any, param: Any, options: dict[str, Any]) -> None:
    """Check a step on all ranks: the same bits, and what one process makes of the mean."""
    assert len(set(comm.allgather(hashlib.sha256(param.tobytes()).hexdigest()))) == 1
    total = np.zeros_like(param)
    for rank in range(comm.size):
        total += numbers(rank, param.size)
    expected = np.ones_like(param)
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
        save(Path(path), {"results": results})


def run(ranks: int, sizes: Sequence[int], rounds: int) -> list[dict[str, Any]]:
    """Start the ranks, with the mpiexec beside Python if it is there, and return what they measured."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "results.json")
        program = f"import distributed; distributed.work_as_rank({str(path)!r}, {sizes}, {rounds})"
        command = ["mpiexec", "-n", str(ranks), sys.executable, "-m", "mpi4py", "-c", program]
        subprocess.run(command, env=environment(sys.executable, 1), check=True)
        return list(json.loads(path.read_text(encoding="utf-8"))["results"])


def parts(results: Sequence[dict[str, Any]], sizes: Sequence[int]) -> list[str]:
    """Return the steps of most ranks and elements beside what they are made of, and the steps of all default points."""
    ranks, elements = RANKS[-1], sizes[-1]
    rows = []
    for r in results:
        if (r["ranks"], r["elements"]) == (ranks, elements):
            itemsize = 2 if "bfloat16" in r["variant"] else 4
            sent = f"{number_text(2 * (ranks - 1) / ranks * itemsize * elements / 1e6)} MB"
            times = (time_text(r[key]) for key in ("step", "bare", "update"))
            rows.append([r["variant"], sent, *times, f"{r['ratio']:.2f}"])
    header = ["step", "sent by a rank", "measured", "bare collectives", "shard's update", "ratio"]
    steps = {(r["ranks"], r["elements"]): time_text(r["step"]) for r in results if r["variant"] == "default"}
    lines = [[str(n), *(steps[n, size] for size in sizes)] for n in RANKS]
    default = table(["ranks, a default step of", *(f"{size:,} elements" for size in sizes)], lines)
    return [table(header, rows), default]


def main() -> None:
    """Read the command line, measure and print or write the tables."""
    args = SECTION.parse(__doc__, rounds=15)
    args.machine["threads"] = "1"
    sizes = QUICK_SIZES if args.quick else SIZES
    results = [result for ranks in RANKS for result in run(ranks, sizes, args.rounds)]
    SECTION.publish(args, parts(results, sizes), {"results": results})


if __name__ == "__main__":
    main()
