"""Train scikit-learn's `MLPClassifier` with `pyadam.Adam` in place of its own Adam: the same weights to the last bit.

`MLPClassifier` keeps what takes its steps in the attribute `_optimizer`; a subclass puts pyadam there.
"""

import argparse
import sys
import warnings
from time import perf_counter
from typing import Any

import numpy as np

import pyadam

try:
    from sklearn.datasets import load_digits
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier
    from threadpoolctl import threadpool_limits
    from tqdm import tqdm
except ModuleNotFoundError as error:
    sys.exit(f"{error.name} is missing: pip install 'pyadam[examples]'")


class Stepper:
    """What scikit-learn asks of an optimizer, done by `pyadam.Adam`."""

    def __init__(self, params: list[np.ndarray], theirs: Any) -> None:
        betas = (theirs.beta_1, theirs.beta_2)
        self.adam = pyadam.Adam(params, theirs.learning_rate_init, betas, theirs.epsilon, epsilon_hat=True)
        self.iteration_ends, self.trigger_stopping = theirs.iteration_ends, theirs.trigger_stopping

    def update_params(self, params: list[np.ndarray], grads: list[np.ndarray]) -> None:
        """Take a step."""
        self.adam.step(grads, params=params)


class PyadamMLPClassifier(MLPClassifier):
    """`MLPClassifier` with ``solver="adam"``, whose steps are pyadam's."""

    @property
    def _optimizer(self) -> Stepper:
        return self._stepper

    @_optimizer.setter
    def _optimizer(self, theirs: Any) -> None:
        self._stepper = Stepper(self.coefs_ + self.intercepts_, theirs)


def main() -> None:
    """Train with both, and compare."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="two epochs only")
    epochs = 2 if parser.parse_args().quick else 50
    warnings.simplefilter("ignore", ConvergenceWarning)  # the number of epochs is fixed
    images, labels = load_digits(return_X_y=True)
    models = []
    with threadpool_limits(limits=1, user_api="blas"):
        for cls in tqdm([MLPClassifier, PyadamMLPClassifier]):
            start = perf_counter()
            models.append(cls((256, 128), max_iter=epochs, random_state=0).fit(images[:1200] / 16, labels[:1200]))
            accuracy = models[-1].score(images[1200:] / 16, labels[1200:])
            tqdm.write(f"{cls.__name__:<20} test accuracy {accuracy:.2%}, {perf_counter() - start:.2f} s")
    for ours, theirs in zip(models[0].coefs_, models[1].coefs_, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    print("the weights are equal to the last bit")


if __name__ == "__main__":
    main()
