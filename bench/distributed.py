"""How long a step of `pyadam.distributed` takes beside its communication and update alone, and on larger clusters.

``python bench/distributed.py`` starts ranks of this file with mpiexec. On each number of ranks a bare mpi4py program of
the same bytes (one reduce-scatter of all gradients, one all-gather of all parameters), a plain optimizer of a shard's
elements and the sharded step take turns; every answer is checked first. Two of the points give the constants of a
model, which says how far it is off at the others, and what larger clusters would take. ``--write`` puts the tables into
docs/scaling.md.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from footprint import ROOT
from machine import describe, sentence
from markdown import number_text, rewrite, table, time_text

import pyadam

DOCUMENT = ROOT / "docs/scaling.md"
LARGE = 32 * 2**20
SIZES = (2**10, 2**20, 2**23, LARGE)
QUICK_SIZES = (2**10, 2**16)
RANKS = (2, 3, 4)
VARIANTS: dict[str, dict[str, Any]] = {
    "default": {},
    "`deterministic=True`": {"deterministic": True},
    "`clip_norm=1.0`": {"clip_norm": 1.0},
    "`gradient_dtype`, `parameter_dtype` bfloat16": {"gradient_dtype": "bfloat16", "parameter_dtype": "bfloat16"},
}
BUCKET = 25 * 2**20  # bytes, the default
GOAL = 1.15

# Peak bandwidth of a node's network in bytes per second, and the time that a message takes besides.
NETWORKS = {
    "25 Gb/s Ethernet": (25e9 / 8, 20e-6),
    "100 Gb/s RoCE": (100e9 / 8, 3e-6),
    "200 Gb/s InfiniBand HDR": (200e9 / 8, 1.5e-6),
    "400 Gb/s InfiniBand NDR": (400e9 / 8, 1.5e-6),
}
ATTAINABLE = 0.8  # of the peak; an assumption, not measured here
NODE_MEMORY = 0.8 * 8 * 8 * 4800e6  # bandwidth of a node with 8 channels of DDR5-4800, as the other tables have it
CLUSTERS = (8, 64, 256, 1024)
PARAMETERS = 10**9
STEP_BYTES = 28  # of memory, per element of Adam in float32


def sent_bytes(elements: int, ranks: int, itemsize: int = 4) -> float:
    """Return the bytes that a rank sends in a step, and as many it receives."""
    return 2 * (ranks - 1) / ranks * itemsize * elements


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
    begin = perf_counter()
    work()
    comm.Barrier()
    return perf_counter() - begin


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


def work_as_rank(path: Path, sizes: Sequence[int], rounds: int) -> None:
    """Measure on the ranks that mpiexec has started, and write the results."""
    from mpi4py import MPI

    pyadam.set_num_threads(1)
    points = [(size, variant) for size in sizes for variant in VARIANTS if variant == "default" or size == sizes[-1]]
    results = [measure(size, variant, rounds) for size, variant in points]
    if MPI.COMM_WORLD.rank == 0:
        path.write_text(json.dumps([result.__dict__ for result in results if result is not None]), encoding="utf-8")


def run(ranks: int, sizes: Sequence[int], rounds: int) -> list[Measured]:
    """Start the ranks and return what they measured."""
    beside = Path(sysconfig.get_path("scripts"), "mpiexec")
    mpiexec = str(beside) if beside.exists() else shutil.which("mpiexec")
    if mpiexec is None:
        sys.exit("mpiexec is missing: pip install 'pyadam[mpi]'")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "results.json")
        program = [sys.executable, "-m", "mpi4py", __file__, "--rank", str(path), "--rounds", str(rounds)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYADAM_NUM_THREADS": "1"}
        command = [mpiexec, "-n", str(ranks), *program, "--sizes", *map(str, sizes)]
        subprocess.run(command, env=environment, check=True)
        return [Measured(**entry) for entry in json.loads(path.read_text(encoding="utf-8"))]


def measured_table(results: Sequence[Measured]) -> str:
    """Return the steps of the largest number of ranks and elements beside what they are made of."""
    ranks, elements = max(r.ranks for r in results), max(r.elements for r in results)
    rows = [
        [
            r.variant,
            number_text(sent_bytes(r.elements, r.ranks, 2 if "bfloat16" in r.variant else 4) / 1e6) + " MB",
            time_text(r.step),
            time_text(r.bare),
            time_text(r.update),
            f"{r.ratio:.2f}",
            f"{100 * (r.state_share - 1):.2f}%",
        ]
        for r in results
        if (r.ranks, r.elements) == (ranks, elements)
    ]
    header = ["step", "sent by a rank", "measured", "bare collectives", "shard's update", "ratio", "state over total/N"]
    return table(header, rows)


@dataclass(frozen=True)
class Model:
    """A step on one machine, whose ranks share its memory and take turns on its cores."""

    cores: int
    fixed: dict[int, float]  # seconds, by ranks: what a step takes with next to no elements
    packed: float  # bytes per second: what a rank does to gradients and parameters, however many ranks there are
    copied: float  # bytes per second: what it sends and receives
    moved: float  # bytes per second: what the kernels of all ranks together move

    @classmethod
    def fitted(cls, results: Sequence[Measured]) -> Model:
        """Take `fixed` from the smallest points, the bandwidths from the largest on the fewest and the most ranks."""
        cores = os.cpu_count() or 1
        smallest = min(r.elements for r in results)
        fixed = {r.ranks: r.step for r in defaults(results) if r.elements == smallest}
        given = largest_points(results)
        # Seconds of each rank's turn, for the bytes of all parameters and for those that are sent.
        turns = [(r.step - fixed[r.ranks] - r.update) / -(-r.ranks // cores) for r in given]
        handled = [[4 * r.elements, sent_bytes(r.elements, r.ranks)] for r in given]
        packed, copied = np.linalg.solve(handled, turns)
        moved = STEP_BYTES * given[-1].elements / given[-1].update
        return cls(cores, fixed, float(1 / packed), float(1 / copied), moved)

    def step(self, elements: int, ranks: int) -> float:
        """Return the seconds of a step."""
        turn = 4 * elements / self.packed + sent_bytes(elements, ranks) / self.copied
        return self.fixed[ranks] + -(-ranks // self.cores) * turn + STEP_BYTES * elements / self.moved


def largest_points(results: Sequence[Measured]) -> list[Measured]:
    """Return the points with most elements on the fewest and on the most ranks."""
    elements = max(r.elements for r in results)
    points = sorted((r for r in defaults(results) if r.elements == elements), key=lambda r: r.ranks)
    return [points[0], points[-1]]


def defaults(results: Sequence[Measured]) -> list[Measured]:
    """Return the points with default options."""
    return [r for r in results if r.variant == "default"]


def model_table(results: Sequence[Measured], model: Model) -> str:
    """Return the model beside what was measured."""
    points = defaults(results)
    smallest = min(r.elements for r in points)
    given = largest_points(results)
    rows, errors = [], []
    for r in points:
        predicted = model.step(r.elements, r.ranks)
        gives = r.elements == smallest or r in given
        if not gives:
            errors.append(abs(predicted / r.step - 1))
        error = "gives a constant" if gives else f"{100 * (predicted / r.step - 1):+.0f}%"
        rows.append([str(r.ranks), f"{r.elements:,}", time_text(r.step), time_text(predicted), error])
    text = table(["ranks", "elements", "measured", "model", "model's error"], rows)
    if errors:
        text += f"\n\nOf the {len(errors)} points that give no constant, the model is off by "
        text += f"{100 * np.median(errors):.0f}% in the median and by {100 * max(errors):.0f}% at most."
    return (
        f"`cores` is {model.cores}, `packed` {model.packed / 1e9:.1f} GB/s, `copied` {model.copied / 1e9:.1f} GB/s and "
        f"`moved` {model.moved / 1e9:.1f} GB/s.\n\n{text}"
    )


def predicted_seconds(network: str, ranks: int, bucket: int, itemsize: int = 4) -> tuple[float, float, float]:
    """Return the seconds of messages, bytes and update of a step on a cluster, one rank on each node."""
    peak, latency = NETWORKS[network]
    buckets = -(-PARAMETERS * 4 // bucket)
    messages = 2 * (ranks - 1) * buckets * latency
    sending = sent_bytes(PARAMETERS, ranks, itemsize) / (ATTAINABLE * peak)
    return messages, sending, STEP_BYTES * PARAMETERS / ranks / NODE_MEMORY


def predicted_table() -> str:
    """Return what the model says of clusters."""
    rows = []
    for network in NETWORKS:
        for ranks in CLUSTERS:
            messages, sending, update = predicted_seconds(network, ranks, BUCKET)
            many_messages = predicted_seconds(network, ranks, 8 * BUCKET)[0]
            half = predicted_seconds(network, ranks, 8 * BUCKET, 2)[1]
            rows.append(
                [
                    network,
                    f"{ranks:,}",
                    *map(time_text, (messages, many_messages, sending, update)),
                    time_text(messages + sending + update),
                    time_text(max(messages + sending, update)),
                    time_text(many_messages + half + update),
                ]
            )
    header = [
        "network",
        "ranks",
        "messages, 25 MB",
        "messages, 200 MB",
        "bytes",
        "update",
        "step, 25 MB",
        "the same, all overlapped",
        "step, 200 MB, bfloat16",
    ]
    return table(header, rows)


def main() -> None:
    """Read the command line, measure and print or write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few elements and rounds, to check that all works")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/scaling.md")
    parser.add_argument("--rounds", type=int, default=15, help="of the alternation, default %(default)s")
    parser.add_argument("--sizes", type=int, nargs="+", help=argparse.SUPPRESS)
    parser.add_argument("--rank", type=Path, help=argparse.SUPPRESS)  # where a rank that was started writes to
    args = parser.parse_args()
    if args.rank:
        work_as_rank(args.rank, args.sizes, args.rounds)
        return
    sizes, rounds = (QUICK_SIZES, 2) if args.quick else (SIZES, args.rounds)
    results = [result for ranks in RANKS for result in run(ranks, sizes, rounds)]
    facts = sentence(describe(1))
    texts = {
        "distributed measured": f"{measured_table(results)}\n\n{facts}",
        "distributed model": model_table(results, Model.fitted(results)),
        "distributed predicted": predicted_table(),
    }
    for name, text in texts.items():
        print(f"\n{text}" if not args.write else f"{name} written")
        if args.write:
            rewrite(DOCUMENT, name, text)
    for r in results:
        if r.elements == LARGE:
            assert r.state_share < 1.02
            if r.variant == "default" and r.ratio > GOAL:
                print(f"{r.ranks} ranks: the ratio is {r.ratio:.2f}, more than {GOAL}")


if __name__ == "__main__":
    main()
