"""Train a model of HIPS autograd with `pyadam.Adam`: autograd has the gradients, pyadam the step.

The model is a curve, y = a sin(bx) + c, fitted to noisy points.
"""

import argparse
import sys

import numpy as np

import pyadam

try:
    import autograd.numpy as anp
    from autograd import value_and_grad
    from tqdm import trange
except ModuleNotFoundError as error:
    sys.exit(f"{error.name} is missing: pip install 'pyadam[examples]'")

parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
parser.add_argument("--quick", action="store_true", help="as without: it takes a second")
parser.parse_args()

rng = np.random.default_rng(0)
x = rng.uniform(-3, 3, 200)
y = 2 * np.sin(1.5 * x) + 0.5 + 0.1 * rng.standard_normal(200)


def loss(params: dict[str, np.ndarray]) -> float:
    """Return the mean square of what the curve misses."""
    return anp.mean((params["a"] * anp.sin(params["b"] * x) + params["c"] - y) ** 2)


params = {"a": np.array(1.0), "b": np.array(1.0), "c": np.array(0.0)}
opt = pyadam.Adam(params, lr=0.05)
loss_and_grads = value_and_grad(loss)
for _ in trange(500, unit="step"):
    value, grads = loss_and_grads(params)  # grads are a dict as params
    opt.step(grads)  # params are updated in place

print({name: round(float(p), 2) for name, p in params.items()}, f"loss {value:.4f}")
assert np.allclose([params["a"], params["b"], params["c"]], [2, 1.5, 0.5], atol=0.05)
