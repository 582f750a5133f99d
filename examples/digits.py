"""What the digits examples share: the data, a network with two hidden layers, and its gradients by hand."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

try:
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split
except ModuleNotFoundError as error:
    sys.exit(f"{error.name} is missing: pip install 'pyadam[examples]'")

Array = NDArray[np.float64]
Labels = NDArray[np.int64]
Params = dict[str, Array]

LAYERS = (64, 128, 64, 10)  # 8x8 pixels, two hidden layers, ten digits
BATCH_SIZE = 32


@dataclass(frozen=True)
class Digits:
    """1,797 images of 8x8 pixels from 0 to 1, some of them for testing."""

    x_train: Array
    x_test: Array
    y_train: Labels
    y_test: Labels

    @classmethod
    def split(cls, seed: int, train_size: float = 0.75) -> "Digits":
        """Return the images, split at random, with that fraction for training."""
        images, labels = load_digits(return_X_y=True)
        return cls(*train_test_split(images / 16, labels, train_size=train_size, stratify=labels, random_state=seed))

    def batches(self, rng: np.random.Generator) -> Iterator[tuple[Array, Labels]]:
        """Yield every training image once, in batches in random order."""
        for batch in np.array_split(rng.permutation(len(self.x_train)), len(self.x_train) // BATCH_SIZE):
            yield self.x_train[batch], self.y_train[batch]


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
    return hidden1, hidden2, log_softmax(hidden2 @ params["w3"] + params["b3"])


def log_softmax(scores: Array) -> Array:
    """Return the logarithms of the probabilities that the scores of each row stand for."""
    scores = scores - scores.max(axis=1, keepdims=True)
    return scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))


def cross_entropy(log_probabilities: Array, labels: Labels) -> float:
    """Return the mean cross-entropy."""
    return float(-log_probabilities[np.arange(len(labels)), labels].mean())


def accuracy(log_probabilities: Array, labels: Labels) -> float:
    """Return the fraction of the images whose likeliest digit is the right one."""
    return float(np.mean(log_probabilities.argmax(axis=1) == labels))


def loss_and_grads(params: Params, batch: tuple[Array, Labels]) -> tuple[float, Params]:
    """Return the mean cross-entropy and its gradients, in the structure of the parameters."""
    images, labels = batch
    hidden1, hidden2, log_probabilities = forward(params, images)
    d_scores = (np.exp(log_probabilities) - np.eye(10, dtype=images.dtype)[labels]) / len(labels)
    d_hidden2 = d_scores @ params["w3"].T * (hidden2 > 0)
    d_hidden1 = d_hidden2 @ params["w2"].T * (hidden1 > 0)
    return cross_entropy(log_probabilities, labels), {
        "w1": images.T @ d_hidden1,
        "b1": d_hidden1.sum(axis=0),
        "w2": hidden1.T @ d_hidden2,
        "b2": d_hidden2.sum(axis=0),
        "w3": hidden2.T @ d_scores,
        "b3": d_scores.sum(axis=0),
    }
