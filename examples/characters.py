"""A language model in plain NumPy: the next character of Python's manual from an embedding of those before it."""

from pydoc_data.topics import topics

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Array = NDArray[np.float32]
Codes = NDArray[np.int64]
Params = dict[str, Array]

CONTEXT = 12  # characters that the model sees
EMBEDDING = 16  # numbers that stand for each of them
HIDDEN = 192


def load_windows() -> tuple[Codes, Codes, int]:
    """Return windows of a context and the next character, to train on and to validate with, and the alphabet's size.

    The last tenth of the text is for validation.
    """
    text = "".join(topics.values())
    alphabet, codes = np.unique(list(text), return_inverse=True)
    windows = sliding_window_view(codes, CONTEXT + 1)
    end = len(windows) * 9 // 10
    return windows[: end - CONTEXT], windows[end:], len(alphabet)


def initial_params(rng: np.random.Generator, alphabet: int) -> Params:
    """Return weights of a variance that keeps that of what they are multiplied by, and zero biases."""

    def normal(inputs: int, outputs: int) -> Array:
        return (rng.standard_normal((inputs, outputs)) / np.sqrt(inputs)).astype(np.float32)

    return {
        "embedding": rng.standard_normal((alphabet, EMBEDDING)).astype(np.float32),
        "w1": normal(CONTEXT * EMBEDDING, HIDDEN),
        "b1": np.zeros(HIDDEN, np.float32),
        "w2": normal(HIDDEN, alphabet),
        "b2": np.zeros(alphabet, np.float32),
    }


def forward(params: Params, contexts: Codes) -> tuple[Array, Array, Array]:
    """Return the embedded contexts, the hidden layer and the log-probabilities of the next character."""
    embedded = params["embedding"][contexts].reshape(len(contexts), -1)
    hidden = np.tanh(embedded @ params["w1"] + params["b1"])
    scores = hidden @ params["w2"] + params["b2"]
    scores -= scores.max(axis=1, keepdims=True)
    scores -= np.log(np.exp(scores).sum(axis=1, keepdims=True))
    return embedded, hidden, scores


def backward(params: Params, windows: Codes) -> Params:
    """Return the gradients of the mean cross-entropy, in the structure of the parameters."""
    contexts, characters = windows[:, :-1], windows[:, -1]
    embedded, hidden, log_probabilities = forward(params, contexts)
    d_scores = np.exp(log_probabilities)
    d_scores[np.arange(len(windows)), characters] -= 1
    d_scores /= len(windows)
    d_hidden = d_scores @ params["w2"].T * (1 - hidden * hidden)
    d_embedding = np.zeros_like(params["embedding"])
    np.add.at(d_embedding, contexts, (d_hidden @ params["w1"].T).reshape(*contexts.shape, EMBEDDING))
    return {
        "embedding": d_embedding,
        "w1": embedded.T @ d_hidden,
        "b1": d_hidden.sum(axis=0),
        "w2": hidden.T @ d_scores,
        "b2": d_scores.sum(axis=0),
    }


def mean_loss(params: Params, windows: Codes) -> float:
    """Return the mean cross-entropy, in nats per character."""
    log_probabilities = forward(params, windows[:, :-1])[-1]
    return float(-log_probabilities[np.arange(len(windows)), windows[:, -1]].mean())
