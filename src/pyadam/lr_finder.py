"""Find a learning rate: the range test, in which the rate grows step by step until the loss diverges."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._extras import require
from ._hyperparameters import decay_rate, flag, positive
from ._interrupts import restoring
from ._param_group import ParamGroup
from .optimizer import Optimizer
from .schedules._checks import count_from, one_of
from .schedules._decays import Exponential, Linear

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class RangeTest:
    """What `range_test` found: the loss at every learning rate, and the rates that it suggests.

    Attributes
    ----------
    lrs : ndarray
        The learning rate of every step.
    losses : ndarray
        The loss before that step, as it was returned.
    smoothed : ndarray
        Its exponential average, with bias correction.
    stopped : {"", "diverged", "non-finite loss"}
        Why it stopped early, if it did. A loss that is not finite is not among the losses.
    num_steps : int
        The number of steps asked for.

    Notes
    -----
    Suggestions are made on the smoothed losses without the first tenth of the steps asked for and the last 5, as fastai
    makes them.
    """

    lrs: Floats
    losses: Floats
    smoothed: Floats
    stopped: str
    num_steps: int

    @property
    def suggestion(self) -> float:
        """The suggestion to begin with: `valley`.

        Raises
        ------
        ValueError
            As for `valley`.
        """
        return self.valley

    @property
    def valley(self) -> float:
        """The rate in the middle of the longest valley, as ``fastai``'s ``valley``.

        The valley is as many steps long as the longest falling subsequence of the losses, and ends where that ends. It
        is the more careful of the two suggestions.

        Raises
        ------
        ValueError
            If there are fewer than ``num_steps // 10 + 7`` losses.
        """
        lrs, losses = self._trimmed("valley")
        falls = np.ones(len(losses), int)
        for i in range(1, len(losses)):
            falls[i] = 1 + max(falls[:i][losses[:i] > losses[i]], default=0)
        end = int(falls.argmax())
        third = falls[end] / 3
        return float(lrs[max(end - falls[end] + int(third) + int(third / 2), 0)])

    @property
    def steepest(self) -> float:
        """The rate at which the loss falls most for a step of the sweep, as ``torch-lr-finder`` suggests.

        The slope is the central difference of the losses over the steps, which for an exponential sweep is the slope
        over the logarithm of the rate, as in fastai's ``steep``.

        Raises
        ------
        ValueError
            If there are fewer than ``num_steps // 10 + 7`` losses.
        """
        lrs, losses = self._trimmed("steepest")
        return float(lrs[np.gradient(losses).argmin()])

    @property
    def _needed(self) -> int:
        return self.num_steps // 10 + 7

    def _trimmed(self, what: str) -> tuple[Floats, Floats]:
        if len(self.lrs) < self._needed:
            found = len(self.lrs)
            raise ValueError(f"{what} needs at least {self._needed} steps, found {found}: sweep slower or from less")
        part = slice(self.num_steps // 10, -5)
        return self.lrs[part], self.smoothed[part]

    def plot(self, *, axes: Any = None) -> Any:
        """Draw the losses over the learning rates, and the suggestions where there are any.

        Parameters
        ----------
        axes : matplotlib Axes, optional
            Where to draw; a new figure by default.

        Returns
        -------
        matplotlib Axes
            What was drawn on; ``axes.figure.savefig(path)`` writes it.

        Raises
        ------
        ModuleNotFoundError
            If matplotlib is missing: ``pip install 'pyadam[plot]'``.
        """
        if axes is None:
            axes = require("matplotlib.pyplot", "plot").subplots(layout="constrained")[1]
        axes.plot(self.lrs, self.losses, color="C0", alpha=0.3, label="loss")
        axes.plot(self.lrs, self.smoothed, color="C0", label="smoothed")
        if len(self.lrs) >= self._needed:
            for name, color, lr in (("valley", "C2", self.valley), ("steepest", "C1", self.steepest)):
                at = self.smoothed[np.searchsorted(self.lrs, lr)]
                axes.plot(lr, at, "o", color=color, label=f"{name}: {lr:.2g}")
        # The last losses of a divergence would press all others flat.
        low, high = self.losses.min(), self.smoothed[: max(self.num_steps // 10, 1)].max()
        margin = 0.1 * (high - low) or 1.0
        axes.set(xscale="log", xlabel="learning rate", ylabel="loss", ylim=(low - margin, high + margin))
        axes.grid(alpha=0.3)
        axes.legend()
        return axes


def range_test(
    optimizer: Optimizer,
    loss_and_grads: Callable[[Any, Any], tuple[Any, Any]],
    batches: Iterable[Any],
    *,
    start_lr: float = 1e-7,
    end_lr: float = 10.0,
    num_steps: int = 100,
    mode: str = "exp",
    smoothing: float = 0.98,
    diverge_factor: float = 4.0,
    progress: bool = True,
) -> RangeTest:
    r"""Train for some steps with a learning rate that grows at each, and watch the loss (Smith, 2017).

    The smoothed loss is :math:`s_t / (1 - β^{t})` with :math:`s_t = β s_{t-1} + (1-β) loss_t`. The test stops when it
    exceeds `diverge_factor` times its least so far, or when the loss is not finite.

    The steps change the optimizer's own arrays, and work on a copy of its state. Whatever happens, Ctrl-C too, the
    arrays have the same bits at the end as before; the optimizer's state, hyperparameters and schedules are not
    touched.

    Parameters
    ----------
    optimizer : Optimizer
        The optimizer to test, with any state.
    loss_and_grads : function of (params, batch)
        Returns the loss, a number, and the gradients as `Optimizer.step` takes them. `params` are
        ``optimizer.params``, the same at every step.
    batches : iterable
        What `loss_and_grads` takes. One that is shorter than the test is read again from its beginning.
    start_lr, end_lr : float, default 1e-7 and 10.0
        First and last rate, > 0. With groups, the rate of the group whose own is largest; the others keep their ratio
        to it.
    num_steps : int, default 100
        Number of steps, >= 2.
    mode : {"exp", "linear"}, default "exp"
        Whether each rate is a multiple of the one before, or more by a constant.
    smoothing : float, default 0.98
        The β of the average, in [0, 1).
    diverge_factor : float, default 4.0
        Stop when the smoothed loss exceeds ``best + (diverge_factor - 1) * |best|``, where `best` is its least so far;
        must be > 1.
    progress : bool, default True
        Show a progress bar, if tqdm is installed: ``pip install 'pyadam[progress]'``.

    Returns
    -------
    RangeTest
        Rates, losses and suggestions.

    Raises
    ------
    TypeError
        If an argument is of the wrong type, or the loss is no number.
    ValueError
        If an argument is out of range, the first loss is not finite, there are no batches or too few that can be read
        but once, or several groups all have a rate of 0.

    Notes
    -----
    Defaults, smoothing and stopping are fastai's. torch-lr-finder smooths with 0.95, without bias correction, and stops
    at a factor of 5.

    References
    ----------
    Smith, "Cyclical Learning Rates for Training Neural Networks", WACV 2017, https://arxiv.org/abs/1506.01186.

    Examples
    --------
    >>> import numpy as np, pyadam
    >>> from pyadam.lr_finder import range_test
    >>> w = np.array([3.0, -2.0])
    >>> opt = pyadam.Adam(w)
    >>> found = range_test(opt, lambda w, batch: (w @ w, 2 * w), [None], progress=False)
    >>> 1e-3 < found.suggestion < 1
    True
    >>> w
    array([ 3., -2.])
    """
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"optimizer must be an Optimizer, found {type(optimizer).__name__}")
    num_steps = count_from(2)("num_steps", num_steps)
    start_lr, end_lr = positive("start_lr", start_lr), positive("end_lr", end_lr)
    if start_lr >= end_lr:
        raise ValueError(f"start_lr must be less than end_lr, found {start_lr} and {end_lr}")
    smoothing = decay_rate("smoothing", smoothing)
    if not diverge_factor > 1:
        raise ValueError(f"diverge_factor must be > 1, found {diverge_factor}")
    one_of("exp", "linear")("mode", mode)
    flag("progress", progress)
    ratios = _lr_ratios(optimizer.param_groups)
    sweep = (
        Exponential(start_lr, end_lr / start_lr, num_steps - 1)
        if mode == "exp"
        else Linear(start_lr, end_lr, num_steps - 1)
    )

    trial = deepcopy(optimizer)
    params, live, saved = optimizer.params, optimizer._core.arrays, trial._core.arrays

    def restore() -> None:
        for array, values in zip(live, saved, strict=True):
            array[...] = values

    losses, smoothed, average, stopped = [], [], 0.0, ""
    with restoring(restore):
        for step, batch in zip(_steps(num_steps, progress), _cycled(batches, num_steps), strict=False):
            with np.errstate(over="ignore", invalid="ignore"):  # to diverge is what the test is for
                loss, grads = loss_and_grads(params, batch)
            loss = _number(loss)
            if not math.isfinite(loss):
                if step == 0:
                    raise ValueError(f"the first loss must be finite, found {loss}")
                stopped = "non-finite loss"
                break
            average = smoothing * average + (1 - smoothing) * loss
            losses.append(loss)
            smoothed.append(average / (1 - smoothing ** (step + 1)))
            best = min(smoothed)
            if smoothed[-1] > best + (diverge_factor - 1) * abs(best):
                stopped = "diverged"
                break
            for group, ratio in zip(trial.param_groups, ratios, strict=True):
                group["lr"] = sweep(step) * ratio
            trial.step(grads, params=params)
    lrs = np.array([sweep(step) for step in range(len(losses))])
    return RangeTest(lrs, np.array(losses), np.array(smoothed), stopped, num_steps)


def _lr_ratios(groups: Sequence[ParamGroup]) -> list[float]:
    lrs = [group.current["lr"] for group in groups]
    largest = max(lrs)
    if largest == 0 and len(lrs) > 1:
        raise ValueError("lr is 0 in all groups, so it has no ratios to keep; set those of the sweep first")
    return [lr / largest if largest > 0 else 1.0 for lr in lrs]


def _steps(num_steps: int, progress: bool) -> Iterable[int]:
    if progress and find_spec("tqdm") is not None:
        steps: Iterable[int] = require("tqdm", "progress").trange(num_steps, desc="lr range test", unit="step")
        return steps
    return range(num_steps)


def _cycled(batches: Iterable[Any], num_steps: int) -> Iterator[Any]:
    """Yield batches without end, or raise ValueError where there are no more."""
    read = 0
    while True:
        before = read
        for batch in batches:
            yield batch
            read += 1
        if read == before:
            what = "batches are empty" if read == 0 else f"batches ended after {read} of {num_steps} steps"
            raise ValueError(f"{what} and cannot be read again: pass a list, or what can be iterated over twice")


def _number(loss: Any) -> float:
    try:
        return float(loss)
    except (TypeError, ValueError):
        raise TypeError(f"loss_and_grads must return (loss, grads) with a number as the loss, found {loss!r}") from None
