"""Train a small neural network on handwritten digits, in plain NumPy with `pyadam.Adam`.

Every step is also taken by the same rule in pure NumPy, `pyadam.reference.adam`, which must give the same parameters to
the last bit. On one machine the final loss is the same in every run, whatever PYADAM_ISA and the numbers of threads.
"""

import argparse
import sys
from pathlib import Path
from time import perf_counter

import numpy as np
from digits import Digits, Params, accuracy, cross_entropy, forward, initial_params, loss_and_grads
from pictures import OUT, save, tidy

import pyadam

try:
    from matplotlib.figure import Figure
    from threadpoolctl import threadpool_limits
    from tqdm import trange
except ModuleNotFoundError as error:
    sys.exit(f"{error.name} is missing: pip install 'pyadam[examples]'")

SEED = 0


class ReferenceAdam:
    """`pyadam.Adam` in pure NumPy, on its own copy of the parameters."""

    def __init__(self, params: Params) -> None:
        self.params = {name: p.copy() for name, p in params.items()}
        self._moments = {name: (np.zeros_like(p), np.zeros_like(p)) for name, p in params.items()}
        self._t = 0

    def step(self, grads: Params) -> None:
        """Replace the parameters by new ones."""
        self._t += 1
        for name, p in self.params.items():
            new_p, m, v = pyadam.reference.adam(p, grads[name], *self._moments[name], self._t)
            self.params[name], self._moments[name] = new_p, (m, v)


def timed_step(optimizer: pyadam.Adam | ReferenceAdam, grads: Params) -> float:
    """Take a step and return its time in microseconds."""
    start = perf_counter()
    optimizer.step(grads)
    return (perf_counter() - start) * 1e6


def plot(losses: list[float], accuracies: list[float], path: Path) -> None:
    """Draw the curves over the epochs."""
    figure = Figure(figsize=(8, 3), layout="constrained")
    left, right = figure.subplots(1, 2, gridspec_kw={"wspace": 0.1})
    left.plot(range(1, len(losses) + 1), losses)
    tidy(left, xlabel="epoch", ylabel="train loss", yscale="log")
    right.plot(range(1, len(accuracies) + 1), [100 * accuracy for accuracy in accuracies])
    tidy(right, xlabel="epoch", ylabel="test accuracy (%)")
    save(figure, path)


def train(epochs: int) -> tuple[list[float], list[float]]:
    """Train, print what came of it, and return the train loss and test accuracy after every epoch."""
    digits = Digits.split(SEED)
    rng = np.random.default_rng(SEED)
    params = initial_params(rng)
    optimizer, reference = pyadam.Adam(params), ReferenceAdam(params)
    losses, accuracies, times, reference_times = [], [], [], []

    with trange(epochs, unit="epoch") as progress:
        for _ in progress:
            for batch in digits.batches(rng):
                _, grads = loss_and_grads(params, batch)
                times.append(timed_step(optimizer, grads))
                reference_times.append(timed_step(reference, grads))
            for name, p in params.items():
                np.testing.assert_array_equal(p, reference.params[name])
            losses.append(cross_entropy(forward(params, digits.x_train)[-1], digits.y_train))
            accuracies.append(accuracy(forward(params, digits.x_test)[-1], digits.y_test))
            progress.set_postfix(loss=losses[-1], accuracy=accuracies[-1])

    print(f"test accuracy  {accuracies[-1]:.2%}")
    print(f"time per step  {np.median(times):.0f} us; NumPy {np.median(reference_times):.0f} us, equal to the last bit")
    print(f"train loss     {losses[-1]!r} = {losses[-1].hex()}")
    return losses, accuracies


def main() -> None:
    """Read the command line, train and plot."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--epochs", type=int, default=40, help="passes over the training images, default %(default)s")
    parser.add_argument("--quick", action="store_true", help="two epochs only")
    parser.add_argument("--out", type=Path, default=OUT / "train_digits.png", help="the picture")
    args = parser.parse_args()
    if args.epochs < 1:
        parser.error(f"--epochs must be at least 1, found {args.epochs}")
    # Matrix products of NumPy's BLAS differ in their last bits between numbers of threads.
    with threadpool_limits(limits=1, user_api="blas"):
        losses, accuracies = train(2 if args.quick else args.epochs)
    plot(losses, accuracies, args.out)


if __name__ == "__main__":
    main()
