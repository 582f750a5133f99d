"""Train a small neural network on handwritten digits, in plain NumPy with `pyadam.Adam`.

Every step is also taken by the same rule in pure NumPy, `pyadam.reference.adam`, which must give the same parameters to
the last bit. On one machine the final loss is the same in every run, whatever PYADAM_ISA and the numbers of threads.
"""

import argparse
import sys
from itertools import pairwise
from pathlib import Path
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

import pyadam

try:
    from matplotlib.figure import Figure
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split
    from threadpoolctl import threadpool_limits
    from tqdm import trange
except ModuleNotFoundError as error:
    sys.exit(f"{error.name} is missing: pip install 'pyadam[examples]'")

Array = NDArray[np.float64]
Params = dict[str, Array]

LAYERS = (64, 128, 64, 10)  # 8x8 pixels, two hidden layers, ten digits
BATCH_SIZE = 32
SEED = 0


def initial_params(rng: np.random.Generator) -> Params:
    """Return weights scaled for ReLU (He et al., 2015) and zero biases."""
    params = {}
    for i, (inputs, outputs) in enumerate(pairwise(LAYERS), start=1):
        params[f"w{i}"] = rng.normal(scale=np.sqrt(2 / inputs), size=(inputs, outputs))
        params[f"b{i}"] = np.zeros(outputs)
    return params


def forward(params: Params, images: Array) -> tuple[Array, Array, Array]:
    """Return the hidden layers and the log-probabilities of the digits."""
    hidden1 = np.maximum(images @ params["w1"] + params["b1"], 0)
    hidden2 = np.maximum(hidden1 @ params["w2"] + params["b2"], 0)
    scores = hidden2 @ params["w3"] + params["b3"]
    scores -= scores.max(axis=1, keepdims=True)
    return hidden1, hidden2, scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))


def backward(params: Params, images: Array, labels: NDArray[np.int64]) -> Params:
    """Return the gradients of the mean cross-entropy, in the structure of the parameters."""
    hidden1, hidden2, log_probabilities = forward(params, images)
    d_scores = (np.exp(log_probabilities) - np.eye(10)[labels]) / len(labels)
    d_hidden2 = d_scores @ params["w3"].T * (hidden2 > 0)
    d_hidden1 = d_hidden2 @ params["w2"].T * (hidden1 > 0)
    return {
        "w1": images.T @ d_hidden1,
        "b1": d_hidden1.sum(axis=0),
        "w2": hidden1.T @ d_hidden2,
        "b2": d_hidden2.sum(axis=0),
        "w3": hidden2.T @ d_scores,
        "b3": d_scores.sum(axis=0),
    }


def evaluate(params: Params, images: Array, labels: NDArray[np.int64]) -> tuple[float, float]:
    """Return the mean cross-entropy and the accuracy."""
    log_probabilities = forward(params, images)[-1]
    loss = -log_probabilities[np.arange(len(labels)), labels].mean()
    return float(loss), float(np.mean(log_probabilities.argmax(axis=1) == labels))


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
    figure = Figure(figsize=(8, 3), dpi=120, layout="constrained")
    left, right = figure.subplots(1, 2, gridspec_kw={"wspace": 0.1})
    left.plot(range(1, len(losses) + 1), losses)
    left.set(ylabel="train loss", yscale="log")
    right.plot(range(1, len(accuracies) + 1), [100 * accuracy for accuracy in accuracies])
    right.set(ylabel="test accuracy (%)")
    for axes in (left, right):
        axes.set(xlabel="epoch")
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def train(epochs: int) -> tuple[list[float], list[float]]:
    """Train, print what came of it, and return the train loss and test accuracy after every epoch."""
    images, labels = load_digits(return_X_y=True)
    x_train, x_test, y_train, y_test = train_test_split(
        images / 16, labels, test_size=0.25, stratify=labels, random_state=SEED
    )
    rng = np.random.default_rng(SEED)
    params = initial_params(rng)
    optimizer, reference = pyadam.Adam(params), ReferenceAdam(params)
    losses, accuracies, times, reference_times = [], [], [], []

    with trange(epochs, unit="epoch") as progress:
        for _ in progress:
            for batch in np.array_split(rng.permutation(len(x_train)), len(x_train) // BATCH_SIZE):
                grads = backward(params, x_train[batch], y_train[batch])
                times.append(timed_step(optimizer, grads))
                reference_times.append(timed_step(reference, grads))
            for name, p in params.items():
                np.testing.assert_array_equal(p, reference.params[name])
            losses.append(evaluate(params, x_train, y_train)[0])
            accuracies.append(evaluate(params, x_test, y_test)[1])
            progress.set_postfix(loss=losses[-1], accuracy=accuracies[-1])

    print(f"test accuracy  {accuracies[-1]:.2%}")
    print(f"time per step  {np.median(times):.0f} us; NumPy {np.median(reference_times):.0f} us, equal to the last bit")
    print(f"train loss     {losses[-1]!r} = {losses[-1].hex()}")
    return losses, accuracies


def main() -> None:
    """Read the command line, train and plot."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--epochs", type=int, default=40, help="passes over the training images, default %(default)s")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "out/train_digits.png", help="the picture")
    args = parser.parse_args()
    if args.epochs < 1:
        parser.error(f"--epochs must be at least 1, found {args.epochs}")
    # Matrix products of NumPy's BLAS differ in their last bits between numbers of threads.
    with threadpool_limits(limits=1, user_api="blas"):
        losses, accuracies = train(args.epochs)
    plot(losses, accuracies, args.out)
    print(f"curves         {args.out}")


if __name__ == "__main__":
    main()
