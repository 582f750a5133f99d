"""Train a small convolutional network on few handwritten digits, with and without augmentation, L1 and L2.

The network sees 359 images and is tested on the other 1,438. Augmentation turns every image by up to 10 degrees, shifts
it by up to half a pixel and crops what is then outside, anew in every epoch. L1 and L2 are `l1` and `weight_decay` of
`pyadam.Adam`, for the weights alone: the biases are a group of their own.
"""

import argparse
import sys
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from statistics import fmean, stdev

import numpy as np
from digits import Array, Digits, Labels, Params, accuracy, cross_entropy, log_softmax
from numpy.lib.stride_tricks import sliding_window_view
from pictures import OUT, save, tidy

import pyadam
from pyadam import schedules

try:
    from matplotlib.figure import Figure
    from scipy.ndimage import affine_transform
    from threadpoolctl import threadpool_limits
    from tqdm import tqdm
except ModuleNotFoundError as error:
    sys.exit(f"{error.name} is missing: pip install 'pyadam[examples]'")

CHANNELS = (1, 16, 32)
CENTRE = np.array([3.5, 3.5])
ANGLE = np.radians(10)  # the largest
SHIFT = 0.5  # pixels, the largest
LR = 2e-2
L1, L2 = 1e-5, 1e-4


def augmented(digits: Digits, rng: np.random.Generator) -> Digits:
    """Return the digits with each training image turned around its centre, shifted and cropped to its size."""
    images = []
    for image in digits.x_train.reshape(-1, 8, 8):
        angle = rng.uniform(-ANGLE, ANGLE)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        offset = CENTRE - turn @ CENTRE + rng.uniform(-SHIFT, SHIFT, 2)
        images.append(affine_transform(image, turn, offset, order=1))
    return replace(digits, x_train=np.reshape(images, (-1, 64)))


def initial_params(rng: np.random.Generator) -> tuple[Params, Params]:
    """Return weights scaled for ReLU (He et al., 2015), and zero biases."""
    weights, biases = {}, {}
    for name, inputs, outputs in (
        ("conv1", 9 * CHANNELS[0], CHANNELS[1]),
        ("conv2", 9 * CHANNELS[1], CHANNELS[2]),
        ("out", 4 * CHANNELS[2], 10),
    ):
        weights[name] = rng.normal(scale=np.sqrt(2 / inputs), size=(inputs, outputs))
        biases[name] = np.zeros(outputs)
    return weights, biases


def patches(images: Array) -> Array:
    """Return the 3x3 patch around every pixel of (image, row, column, channel) as a row; outside is 0."""
    windows = sliding_window_view(np.pad(images, [(0, 0), (1, 1), (1, 1), (0, 0)]), (3, 3), axis=(1, 2))
    return windows.reshape(*images.shape[:3], -1)


def d_images(d_patches: Array, channels: int) -> Array:
    """Return the gradient of the images from that of their patches."""
    n, rows, columns, _ = d_patches.shape
    d = d_patches.reshape(n, rows, columns, channels, 3, 3)
    padded = np.zeros((n, rows + 2, columns + 2, channels))
    for i, j in product(range(3), range(3)):
        padded[:, i : i + rows, j : j + columns] += d[..., i, j]
    return padded[:, 1:-1, 1:-1]


def pool(images: Array) -> Array:
    """Return the mean of every 2x2 pixels."""
    n, rows, columns, channels = images.shape
    return images.reshape(n, rows // 2, 2, columns // 2, 2, channels).mean(axis=(2, 4))


def d_pool(d_pooled: Array) -> Array:
    """Return the gradient of the pixels from that of the means."""
    return d_pooled.repeat(2, axis=1).repeat(2, axis=2) / 4


def forward(weights: Params, biases: Params, images: Array) -> tuple[Array, ...]:
    """Return what each layer makes of the images; the last are the log-probabilities of the digits."""
    patches1 = patches(images.reshape(-1, 8, 8, 1))
    hidden1 = np.maximum(patches1 @ weights["conv1"] + biases["conv1"], 0)
    patches2 = patches(pool(hidden1))
    hidden2 = np.maximum(patches2 @ weights["conv2"] + biases["conv2"], 0)
    features = pool(hidden2).reshape(len(images), -1)
    return patches1, hidden1, patches2, hidden2, features, log_softmax(features @ weights["out"] + biases["out"])


def gradients(weights: Params, biases: Params, images: Array, labels: Labels) -> list[Params]:
    """Return the gradients of the mean cross-entropy with respect to weights and biases."""
    patches1, hidden1, patches2, hidden2, features, log_probabilities = forward(weights, biases, images)
    d_scores = (np.exp(log_probabilities) - np.eye(10)[labels]) / len(labels)
    d_features = (d_scores @ weights["out"].T).reshape(-1, 2, 2, CHANNELS[2])
    d_hidden2 = d_pool(d_features) * (hidden2 > 0)
    d_hidden1 = d_pool(d_images(d_hidden2 @ weights["conv2"].T, CHANNELS[1])) * (hidden1 > 0)
    return [
        {
            "conv1": np.tensordot(patches1, d_hidden1, axes=([0, 1, 2], [0, 1, 2])),
            "conv2": np.tensordot(patches2, d_hidden2, axes=([0, 1, 2], [0, 1, 2])),
            "out": features.T @ d_scores,
        },
        {"conv1": d_hidden1.sum((0, 1, 2)), "conv2": d_hidden2.sum((0, 1, 2)), "out": d_scores.sum(0)},
    ]


@dataclass(frozen=True)
class Result:
    """How well a trained network does."""

    losses: list[float]  # on the test images, after every epoch
    train_accuracy: float
    test_accuracy: float


def train(digits: Digits, seed: int, epochs: int, *, l1: float, l2: float, augment: bool, progress: tqdm) -> Result:
    """Train the network."""
    rng = np.random.default_rng(seed)
    weights, biases = initial_params(rng)
    steps = epochs * len(list(digits.batches(np.random.default_rng(seed))))
    optimizer = pyadam.Adam(
        [{"params": weights, "l1": l1, "weight_decay": l2}, {"params": biases}],
        lr=schedules.Warmup(schedules.Cosine(LR, steps), max(steps // 10, 1)),
    )
    losses = []
    for _ in range(epochs):
        for images, labels in (augmented(digits, rng) if augment else digits).batches(rng):
            optimizer.step(gradients(weights, biases, images, labels))
        losses.append(cross_entropy(forward(weights, biases, digits.x_test)[-1], digits.y_test))
        progress.update()
    train_accuracy = accuracy(forward(weights, biases, digits.x_train)[-1], digits.y_train)
    return Result(losses, train_accuracy, accuracy(forward(weights, biases, digits.x_test)[-1], digits.y_test))


def spread(values: list[float]) -> str:
    """Return mean and standard deviation of fractions as percentages."""
    return f"{100 * fmean(values):.2f} ± {100 * stdev(values):.2f}"


def plot(results: dict[tuple[str, bool], list[Result]], path: Path) -> None:
    """Draw the mean test loss over the epochs."""
    figure = Figure(figsize=(7, 3.2), layout="constrained")
    axes = figure.subplots()
    for i, ((name, augment), runs) in enumerate(results.items()):
        losses = np.mean([run.losses for run in runs], axis=0)
        label = f"{name}, augmented" if augment else name
        axes.plot(range(1, len(losses) + 1), losses, color=f"C{i // 2}", ls="-" if augment else "--", label=label)
    tidy(axes, xlabel="epoch", ylabel="test loss", ylim=(0, 0.6))
    figure.legend(loc="outside right center", frameon=False)
    save(figure, path)


def main() -> None:
    """Read the command line, train all combinations, print the table and draw."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--epochs", type=int, default=40, help="passes over the training images, default %(default)s")
    parser.add_argument("--seeds", type=int, default=3, help="runs of every combination, >= 2, default %(default)s")
    parser.add_argument("--quick", action="store_true", help="two epochs and two seeds")
    parser.add_argument("--out", type=Path, default=OUT / "train_digits_augmented.png", help="the picture")
    args = parser.parse_args()
    if args.epochs < 1 or args.seeds < 2:
        parser.error(f"--epochs must be at least 1 and --seeds 2, found {args.epochs} and {args.seeds}")
    epochs, seeds = (2, range(2)) if args.quick else (args.epochs, range(args.seeds))
    penalties = {"none": (0.0, 0.0), "L1": (L1, 0.0), "L2": (0.0, L2), "L1 and L2": (L1, L2)}
    results: dict[tuple[str, bool], list[Result]] = {}
    total = 2 * len(penalties) * len(seeds) * epochs
    with threadpool_limits(limits=1, user_api="blas"), tqdm(total=total, unit="epoch") as progress:
        for (name, (l1, l2)), augment in product(penalties.items(), (False, True)):
            results[name, augment] = [
                train(Digits.split(seed, 0.2), seed, epochs, l1=l1, l2=l2, augment=augment, progress=progress)
                for seed in seeds
            ]
    print("| penalty | train, % | test, % | train, augmented, % | test, augmented, % |")
    print("| --- | --- | --- | --- | --- |")
    for name in penalties:
        runs = [results[name, augment] for augment in (False, True)]
        accuracies = [([r.train_accuracy for r in run], [r.test_accuracy for r in run]) for run in runs]
        print(f"| {name} | {' | '.join(spread(values) for pair in accuracies for values in pair)} |")
    plot(results, args.out)


if __name__ == "__main__":
    main()
