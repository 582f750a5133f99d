"""Train a network on handwritten digits in several processes, each with images and a share of the state of its own.

``mpiexec -n 4 python examples/train_distributed.py`` starts four ranks. Each turns, shifts and crops its part of the
images anew in every epoch and computes gradients of them; `pyadam.distributed.ZeroRedundancyOptimizer` averages these
and updates the parameters of all ranks.
"""

import argparse
import sys
from dataclasses import replace
from time import perf_counter

import numpy as np
from digits import Digits, accuracy, forward, initial_params, loss_and_grads
from train_digits_augmented import augmented

import pyadam
from pyadam import schedules

try:
    from mpi4py import MPI
    from threadpoolctl import threadpool_limits

    from pyadam.distributed import ZeroRedundancyOptimizer
except ModuleNotFoundError as error:
    sys.exit(f"{error.name} is missing: pip install 'pyadam[examples,mpi]'")

LR = 4e-3


def part_of(digits: Digits, rank: int, ranks: int) -> Digits:
    """Return the digits with every `ranks`-th training image: as many on each rank, so that all take as many steps."""
    own = slice(rank, len(digits.x_train) // ranks * ranks, ranks)
    return replace(digits, x_train=digits.x_train[own], y_train=digits.y_train[own])


def main() -> None:
    """Read the command line, train, and print what rank 0 is told."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--epochs", type=int, default=80, help="passes over the training images, default %(default)s")
    parser.add_argument("--quick", action="store_true", help="two epochs")
    args = parser.parse_args()
    if args.epochs < 1:
        parser.error(f"--epochs must be at least 1, found {args.epochs}")
    epochs = 2 if args.quick else args.epochs

    comm = MPI.COMM_WORLD
    pyadam.set_num_threads(1)  # the ranks share the cores
    digits = Digits.split(seed=0)
    own = part_of(digits, comm.rank, comm.size)
    rng = np.random.default_rng([0, comm.rank])
    params = initial_params(rng)  # all ranks get those of rank 0
    steps = epochs * len(list(own.batches(np.random.default_rng(0))))
    optimizer = ZeroRedundancyOptimizer(
        params, pyadam.AdamW, lr=schedules.Warmup(schedules.Cosine(LR, steps), max(steps // 10, 1)), clip_norm=1.0
    )
    begin = perf_counter()
    with threadpool_limits(limits=1, user_api="blas"):
        for _ in range(epochs):
            for batch in augmented(own, rng).batches(rng):
                loss, grads = loss_and_grads(params, batch)
                optimizer.step(grads)
    seconds, times = perf_counter() - begin, optimizer.times

    state = comm.gather(optimizer.state_bytes)
    is_same = len(set(comm.allgather(b"".join(p.tobytes() for p in params.values())))) == 1
    if comm.rank == 0:
        total = sum(state)
        for rank, size in enumerate(state):
            print(f"rank {rank}: {size:,} bytes of state, {size / total:.1%} of {total:,}")
        print(f"all ranks have the same parameters: {is_same}")
        print(f"loss of the last batch of rank 0: {loss:.4f}")
        print(f"test accuracy: {accuracy(forward(params, digits.x_test)[-1], digits.y_test):.2%}")
        print(
            f"time of rank 0: {seconds:.2f} s for {steps} steps, of them communication {times.communication:.2f} s, "
            f"update {times.update:.2f} s, images and gradients {seconds - times.communication - times.update:.2f} s"
        )


if __name__ == "__main__":
    main()
