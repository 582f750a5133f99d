"""Train the same network on handwritten digits with ten of pyadam's optimizers, and with L-BFGS beside them.

Each optimizer uses the learning rate that its range test suggests. For every seed all begin with the same weights and
see the same batches. L-BFGS (SciPy's) sees all images at once: an evaluation of the loss is an epoch.
"""

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import accumulate, product
from pathlib import Path
from statistics import fmean, median, stdev
from time import perf_counter
from typing import Any

import numpy as np
from digits import Array, Digits, Params, accuracy, cross_entropy, forward, initial_params, loss_and_grads
from pictures import OUT, save, tidy

import pyadam
from pyadam.lr_finder import RangeTest, range_test

try:
    from matplotlib.figure import Figure
    from scipy.optimize import minimize
    from threadpoolctl import threadpool_limits
    from tqdm import tqdm
except ModuleNotFoundError as error:
    sys.exit(f"{error.name} is missing: pip install 'pyadam[examples]'")

OPTIMIZERS: dict[str, Callable[..., pyadam.Optimizer]] = {
    "Adam": pyadam.Adam,
    "AdamW": pyadam.AdamW,
    "NAdam": pyadam.NAdam,
    "RAdam": pyadam.RAdam,
    "Adamax": pyadam.Adamax,
    "Adadelta": pyadam.Adadelta,
    "Adagrad": pyadam.Adagrad,
    "RMSprop": pyadam.RMSprop,
    "SGD, momentum 0.9": lambda params, lr=1e-3: pyadam.SGD(params, lr, momentum=0.9),
    "Lion": pyadam.Lion,
}
TARGET = 0.95
LBFGS_MEMORY = 10  # pairs of vectors; SciPy's default


@dataclass
class Run:
    """What one training run measured: a value per epoch, after the first one at its beginning."""

    losses: list[float] = field(default_factory=list)
    accuracies: list[float] = field(default_factory=list)
    epochs: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    step_time: float = 0.0  # without the gradients
    state_bytes: float = 0.0  # per parameter

    def measure(self, params: Params, digits: Digits, epoch: int, seconds: float) -> None:
        """Add the loss on the training images and the accuracy on the others."""
        self.losses.append(cross_entropy(forward(params, digits.x_train)[-1], digits.y_train))
        self.accuracies.append(accuracy(forward(params, digits.x_test)[-1], digits.y_test))
        self.epochs.append(epoch)
        self.seconds.append(seconds)

    @property
    def epochs_to_target(self) -> float | None:
        """The first epoch after which the accuracy was that of the target, or None."""
        return next((e for e, a in zip(self.epochs, self.accuracies, strict=True) if a >= TARGET), None)


def find_rate(make: Callable[..., pyadam.Optimizer], digits: Digits) -> RangeTest:
    """Return the range test of an optimizer."""
    rng = np.random.default_rng(0)
    optimizer = make(initial_params(rng))
    batches = list(digits.batches(rng))
    return range_test(optimizer, loss_and_grads, batches, start_lr=1e-6, end_lr=100.0, num_steps=200, progress=False)


def train(make: Callable[..., pyadam.Optimizer], lr: float, digits: Digits, epochs: int, seed: int) -> Run:
    """Train with one of pyadam's optimizers."""
    rng = np.random.default_rng(seed)
    params = initial_params(rng)
    optimizer = make(params, lr=lr)
    run, step_times, seconds = Run(), [], 0.0
    run.measure(params, digits, 0, 0.0)
    for epoch in range(1, epochs + 1):
        start = perf_counter()
        for batch in digits.batches(rng):
            _, grads = loss_and_grads(params, batch)
            before = perf_counter()
            optimizer.step(grads)
            step_times.append(perf_counter() - before)
        seconds += perf_counter() - start
        run.measure(params, digits, epoch, seconds)
    run.step_time = median(step_times)
    run.state_bytes = state_bytes(optimizer, params)
    return run


def state_bytes(optimizer: pyadam.Optimizer, params: Params) -> float:
    """Return the bytes of the arrays of the optimizer's state, per parameter."""
    state = optimizer.state_dict()["state"].values()
    arrays = [value for entry in state for value in entry.values() if isinstance(value, np.ndarray)]
    return sum(array.nbytes for array in arrays) / sum(p.size for p in params.values())


def train_lbfgs(digits: Digits, epochs: int, seed: int) -> Run:
    """Train with SciPy's L-BFGS until it has evaluated the loss `epochs` times."""
    start_params = initial_params(np.random.default_rng(seed))
    flat = np.concatenate([p.ravel() for p in start_params.values()])
    ends = list(accumulate(p.size for p in start_params.values()))
    parts = np.split(flat, ends[:-1])  # views, which follow flat
    params = {name: part.reshape(p.shape) for part, (name, p) in zip(parts, start_params.items(), strict=True)}
    run, evaluations, loss_time, apart = Run(), 0, 0.0, 0.0
    run.measure(params, digits, 0, 0.0)

    def loss_and_gradient(x: Array) -> tuple[float, Array]:
        nonlocal evaluations, loss_time
        start = perf_counter()
        flat[:] = x
        loss, grads = loss_and_grads(params, (digits.x_train, digits.y_train))
        gradient = np.concatenate([grads[name].ravel() for name in params])
        evaluations += 1
        loss_time += perf_counter() - start
        return loss, gradient

    def after_iteration(x: Array) -> None:
        nonlocal apart
        now = perf_counter()
        flat[:] = x
        run.measure(params, digits, evaluations, now - begin - apart)
        apart += perf_counter() - now

    begin = perf_counter()
    options = {"maxfun": epochs, "maxiter": epochs, "maxcor": LBFGS_MEMORY, "ftol": 0.0, "gtol": 0.0}
    found = minimize(
        loss_and_gradient, flat.copy(), jac=True, method="L-BFGS-B", callback=after_iteration, options=options
    )
    run.step_time = (perf_counter() - begin - apart - loss_time) / found.nit
    run.state_bytes = 8.0 * (2 * LBFGS_MEMORY + 5)  # the workspace that SciPy's L-BFGS-B documents
    return run


def spread(values: list[float], form: str) -> str:
    """Return mean and standard deviation as text."""
    return f"{fmean(values):{form}} ± {stdev(values) if len(values) > 1 else 0.0:{form}}"


def row(name: str, rate: str, runs: list[Run]) -> str:
    """Return a line of the table."""
    reached = [epoch for run in runs if (epoch := run.epochs_to_target) is not None]
    cells = [
        name,
        rate,
        spread([run.losses[-1] for run in runs], ".2g"),
        spread([100 * run.accuracies[-1] for run in runs], ".2f"),
        spread(reached, ".1f") if len(reached) == len(runs) else f"reached by {len(reached)} of {len(runs)}",
        spread([run.seconds[-1] for run in runs], ".2f"),
        f"{median(run.step_time for run in runs) * 1e6:.0f}",
        f"{runs[0].state_bytes:.0f}",
    ]
    return f"| {' | '.join(cells)} |"


def plot(runs: dict[str, list[Run]], epochs: int, path: Path) -> None:
    """Draw the median loss over the epochs and over the seconds."""
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    slowest = 0.0
    for i, (name, seeds) in enumerate(runs.items()):
        length = min(len(run.losses) for run in seeds)
        losses, passes, seconds = (
            np.median([values[:length] for values in curves], axis=0)
            for curves in zip(*((run.losses, run.epochs, run.seconds) for run in seeds), strict=True)
        )
        is_reference = name.startswith("L-BFGS")
        style: dict[str, Any] = {"color": "black", "ls": "--"} if is_reference else {"color": f"C{i}"}
        left.plot(passes, losses, label=name, lw=1.5, **style)
        right.plot(seconds, losses, lw=1.5, **style)
        if not is_reference:
            slowest = max(slowest, seconds[-1])
    tidy(left, xlabel="epoch", ylabel="train loss", yscale="log", xlim=(0, epochs), ylim=(1e-4, 4))
    tidy(right, xlabel="seconds", xlim=(0, 1.5 * slowest))
    figure.legend(loc="outside right center", frameon=False)
    save(figure, path)


def plot_range_test(found: RangeTest, path: Path) -> None:
    """Draw the range test of Adam."""
    figure = Figure(figsize=(6, 3.2), layout="constrained")
    axes = found.plot(axes=figure.subplots())
    tidy(axes, xlabel="learning rate of Adam")
    save(figure, path)


def main() -> None:
    """Read the command line, compare, print the table and draw."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--epochs", type=int, default=30, help="passes over the training images, default %(default)s")
    parser.add_argument("--seeds", type=int, default=5, help="runs of every optimizer, default %(default)s")
    parser.add_argument("--quick", action="store_true", help="two epochs and two seeds")
    parser.add_argument("--out", type=Path, default=OUT, help="folder of the pictures")
    args = parser.parse_args()
    if args.epochs < 1 or args.seeds < 1:
        parser.error(f"--epochs and --seeds must be at least 1, found {args.epochs} and {args.seeds}")
    epochs, seeds = (2, range(2)) if args.quick else (args.epochs, range(args.seeds))
    digits = Digits.split(0)
    with threadpool_limits(limits=1, user_api="blas"):
        tests = {name: find_rate(make, digits) for name, make in OPTIMIZERS.items()}
        trainers: dict[str, Callable[[int], Run]] = {
            name: partial(train, make, tests[name].suggestion, digits, epochs) for name, make in OPTIMIZERS.items()
        }
        for evaluations in (epochs, 10 * epochs):
            trainers[f"L-BFGS, {evaluations} evaluations"] = partial(train_lbfgs, digits, evaluations)
        runs: dict[str, list[Run]] = {name: [] for name in trainers}
        # All take turns, so that what else the machine does slows all of them down.
        for seed, name in tqdm(list(product(seeds, trainers)), unit="run"):
            runs[name].append(trainers[name](seed))

    print("| optimizer | rate | train loss | test accuracy, % | epochs to 95% | seconds | µs per step | state, bytes |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for name in runs:
        print(row(name, f"{tests[name].suggestion:.2g}" if name in tests else "-", runs[name]))
    del runs[f"L-BFGS, {epochs} evaluations"]  # the beginning of the longer runs
    runs["L-BFGS, all images"] = runs.pop(f"L-BFGS, {10 * epochs} evaluations")
    plot(runs, epochs, args.out / "compare_optimizers.png")
    plot_range_test(tests["Adam"], args.out / "lr_finder.png")


if __name__ == "__main__":
    main()
