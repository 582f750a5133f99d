"""Train two small models with parameters and state in 16 bits, each beside the same training in float32.

The models compute in float32, on copies of the parameters, and hand bfloat16 gradients to the optimizer; in the row
"float32" nothing is of 16 bits. With the same seed all ways begin at the same numbers and see the same batches. The
step size falls to 0 along half a cosine, so the last updates are far smaller than what bfloat16 can resolve.
"""

import argparse
import math
import platform
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import pyadam

try:
    import characters
    import digits
    import ml_dtypes
    from matplotlib.figure import Figure
    from threadpoolctl import threadpool_limits
    from tqdm import tqdm
except ModuleNotFoundError as error:
    sys.exit(f"{error.name} is missing: pip install 'pyadam[examples]'")

Params = dict[str, NDArray[Any]]
Scores = dict[str, float]

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
BASELINE = "float32"
CHECKPOINTS = 20


@dataclass(frozen=True)
class Way:
    """How parameters, gradients and state are kept."""

    param_dtype: Any
    grad_dtype: Any
    options: dict[str, Any]


WAYS = {
    BASELINE: Way(np.float32, np.float32, {}),
    "float32, bfloat16 state": Way(np.float32, BFLOAT16, {"state_dtype": "bfloat16"}),
    'bfloat16, master="float32"': Way(BFLOAT16, BFLOAT16, {"master": "float32"}),
    'bfloat16, master="split"': Way(BFLOAT16, BFLOAT16, {"master": "split"}),
    'bfloat16, master="split", bfloat16 state': Way(BFLOAT16, BFLOAT16, {"master": "split", "state_dtype": "bfloat16"}),
    'bfloat16, master="stochastic"': Way(BFLOAT16, BFLOAT16, {"master": "stochastic"}),
    'bfloat16, master="nearest"': Way(BFLOAT16, BFLOAT16, {"master": "nearest"}),
}


@dataclass(frozen=True)
class Task:
    """A model with its data."""

    steps: int
    lr: float
    initial_params: Callable[[np.random.Generator], Params]
    gradients: Callable[[Params, np.random.Generator], Params]  # of a batch drawn at random
    scores: Callable[[Params], Scores]

    def lr_at(self, step: int) -> float:
        """Return the step size: half a cosine from `lr` to 0."""
        return self.lr * (1 + math.cos(math.pi * step / self.steps)) / 2


@dataclass(frozen=True)
class Run:
    """What came of one training: bytes kept per parameter, and the scores at the checkpoints."""

    bytes_per_param: float
    steps: list[int]
    scores: list[Scores]


def digits_task(steps: int) -> Task:
    """Return the network of `train_digits.py`."""
    data = digits.Digits.split(seed=0)
    x_train, x_test = data.x_train.astype(np.float32), data.x_test.astype(np.float32)

    def gradients(params: Params, rng: np.random.Generator) -> Params:
        batch = rng.integers(len(x_train), size=digits.BATCH_SIZE)
        return digits.loss_and_grads(params, (x_train[batch], data.y_train[batch]))[1]

    def scores(params: Params) -> Scores:
        tested = digits.forward(params, x_test)[-1]
        return {
            "train loss": digits.cross_entropy(digits.forward(params, x_train)[-1], data.y_train),
            "validation loss": digits.cross_entropy(tested, data.y_test),
            "accuracy": digits.accuracy(tested, data.y_test),
        }

    return Task(steps, 2e-3, digits.initial_params, gradients, scores)


def characters_task(steps: int, evaluated: int) -> Task:
    """Return the language model of `characters.py`, with losses over about `evaluated` characters."""
    train, validation, alphabet = characters.load_windows()
    train_part, validation_part = (
        np.ascontiguousarray(windows[:: max(1, len(windows) // evaluated)]) for windows in (train, validation)
    )

    def initial_params(rng: np.random.Generator) -> Params:
        return characters.initial_params(rng, alphabet)

    def gradients(params: Params, rng: np.random.Generator) -> Params:
        return characters.backward(params, train[rng.integers(len(train), size=256)])

    def scores(params: Params) -> Scores:
        return {
            "train loss": characters.mean_loss(params, train_part),
            "validation loss": characters.mean_loss(params, validation_part),
        }

    return Task(steps, 5e-3, initial_params, gradients, scores)


def cast(params: Params, dtype: Any) -> Params:
    """Return the arrays in another dtype, or those that have it already as they are."""
    return {name: p.astype(dtype, copy=False) for name, p in params.items()}


def train(task: Task, way: Way, seed: int) -> Run:
    """Train once."""
    rng = np.random.default_rng(seed)
    params = cast(cast(task.initial_params(rng), np.float32), way.param_dtype)
    optimizer = pyadam.Adam(params, lr=task.lr_at, seed=seed, **way.options)
    steps, scores = [], []
    for step in range(1, task.steps + 1):
        grads = cast(task.gradients(cast(params, np.float32), rng), way.grad_dtype)
        optimizer.step(grads)
        if step % max(10, task.steps // CHECKPOINTS) == 0 or step == task.steps:
            steps.append(step)
            scores.append(task.scores(cast(params, np.float32)))
    kept = [
        entry for state in optimizer.state_dict()["state"].values() for name, entry in state.items() if name != "step"
    ]
    arrays = [*params.values(), *grads.values(), *kept]
    return Run(sum(x.nbytes for x in arrays) / sum(p.size for p in params.values()), steps, scores)


def mean_and_spread(values: list[float], decimals: int) -> str:
    """Return the mean and the standard deviation of a sample."""
    return f"{np.mean(values):.{decimals}f} ± {np.std(values, ddof=1):.{decimals}f}"


def table(runs: dict[str, list[Run]]) -> str:
    """Return a row per way: means and standard deviations over the seeds, and the difference from float32's loss."""
    columns = list(runs[BASELINE][0].scores[-1])
    lines = [["kept as", "bytes", *columns, "validation loss minus float32's"]]
    lines.append(["---"] * len(lines[0]))
    for name, of_seeds in runs.items():
        final = [run.scores[-1] for run in of_seeds]
        differences = [
            run.scores[-1]["validation loss"] - base.scores[-1]["validation loss"]
            for run, base in zip(of_seeds, runs[BASELINE], strict=True)
        ]
        lines.append(
            [
                f"`{name}`" if "=" in name else name,
                f"{of_seeds[0].bytes_per_param:.0f}",
                *(mean_and_spread([scores[column] for scores in final], 4) for column in columns),
                "" if name == BASELINE else mean_and_spread(differences, 4),
            ]
        )
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def plot(runs: dict[str, list[Run]], path: Path) -> None:
    """Draw the validation loss, and its difference from that of the same seeds in float32."""
    steps = runs[BASELINE][0].steps
    losses = {
        name: np.array([[scores["validation loss"] for scores in run.scores] for run in of_seeds])
        for name, of_seeds in runs.items()
    }
    figure = Figure(figsize=(9, 4), dpi=120, layout="constrained")
    left, right = figure.subplots(1, 2, gridspec_kw={"wspace": 0.08})
    for i, (name, values) in enumerate(losses.items()):
        # Dashes that begin at different places show lines that lie on one another.
        style = {"color": f"C{i}", "linestyle": "-" if i in (0, len(losses) - 1) else (4 * i, (4, 16)), "label": name}
        left.plot(steps, values.mean(axis=0), **style)
        right.plot(steps, (values - losses[BASELINE]).mean(axis=0), **style)
    spread = losses[BASELINE].std(axis=0, ddof=1)
    right.fill_between(steps, -spread, spread, color="0.92", label="deviation between seeds of float32")
    left.set(xlabel="step", ylabel="validation loss (nats per character)")
    right.set(xlabel="step", ylabel="difference from float32, same seeds")
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    legend = figure.legend(*right.get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
    for line in legend.get_lines():
        line.set_linestyle("-")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def main() -> None:
    """Read the command line, train, print the tables and plot."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--quick", action="store_true", help="a few seconds, to see that it runs; no training to speak of"
    )
    out = Path(__file__).parent / "out/low_precision.png"
    parser.add_argument("--out", type=Path, default=out, help="the picture")
    args = parser.parse_args()
    seeds = range(2 if args.quick else 3)
    steps, evaluated = (40, 500) if args.quick else (1000, 4000)
    tasks = {"digits": digits_task(steps), "characters": characters_task(steps, evaluated)}
    results = {task: {way: [] for way in WAYS} for task in tasks}
    with threadpool_limits(limits=1, user_api="blas"), tqdm(total=len(tasks) * len(WAYS) * len(seeds)) as progress:
        for task in tasks:
            for way in WAYS:
                for seed in seeds:
                    results[task][way].append(train(tasks[task], WAYS[way], seed))
                    progress.update()
    for task, runs in results.items():
        print(f"\n{task}\n\n{table(runs)}")
    print(
        f"\n{len(seeds)} seeds, {platform.machine()}, Python {platform.python_version()}, NumPy {np.__version__}, "
        f"pyadam {pyadam.__version__}"
    )
    plot(results["characters"], args.out)
    print(f"curves: {args.out}")


if __name__ == "__main__":
    main()
