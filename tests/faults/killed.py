"""A run that saves after every step and goes on from its file: `test_crashes.py` kills it at random moments."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

import pyadam

SIZE = 100_000  # elements of each of two parameters: a file of more than one piece


def fresh() -> tuple[pyadam.Optimizer, Any]:
    """Return the optimizer at the beginning of the run, and the gradients of a step."""
    params = {"a": np.linspace(-1, 1, SIZE), "b": [np.asfortranarray(np.ones((SIZE // 10, 10), np.float32))]}
    grads = {"a": np.linspace(-2, 1, SIZE), "b": [np.full((SIZE // 10, 10), 0.5, np.float32)]}
    return pyadam.Adam(params), grads


def main(path: Path) -> None:
    """Step and save until killed; say which step is safe."""
    opt, grads = fresh()
    if path.exists():
        opt.load(path)
    while True:
        opt.step(grads)
        opt.save(path)
        print(opt.step_count, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
