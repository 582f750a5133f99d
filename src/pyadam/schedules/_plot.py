"""A picture of schedules."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .._extras import require
from ._checks import count_from


def plot(schedules: Callable[[int], Any] | Mapping[str, Callable[[int], Any]], steps: int, *, axes: Any = None) -> Any:
    """Draw schedules over the first `steps` steps.

    Parameters
    ----------
    schedules : function of the step, or dict of them
        What to draw; the keys of a dict are the names in the legend.
    steps : int
        Number of steps, >= 1.
    axes : matplotlib Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib Axes
        What was drawn on; ``axes.figure.savefig(path)`` writes it.

    Raises
    ------
    TypeError
        If `steps` is no whole number.
    ValueError
        If `steps` is less than 1.
    ModuleNotFoundError
        If matplotlib is missing: ``pip install 'pyadam[plot]'``.

    Examples
    --------
    >>> from pyadam import schedules
    >>> axes = schedules.plot({"linear": schedules.Linear(1.0, 0.0, 10), "cosine": schedules.Cosine(1.0, 10)}, steps=20)
    >>> [line.get_label() for line in axes.lines]
    ['linear', 'cosine']
    """
    count_from(1)("steps", steps)
    if axes is None:
        axes = require("matplotlib.pyplot", "plot").subplots(layout="constrained")[1]
    named = schedules if isinstance(schedules, Mapping) else {"": schedules}
    for name, schedule in named.items():
        axes.plot(range(steps), [schedule(step) for step in range(steps)], label=name)
    if isinstance(schedules, Mapping):
        axes.legend()
    axes.set(xlabel="step", ylabel="value")
    axes.grid(alpha=0.3)
    return axes
