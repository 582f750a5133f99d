"""What a user plots: numbers of every step, or of every few, as rows that can be written as CSV and drawn."""

from __future__ import annotations

import csv
import math
import os
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._extras import require
from ._hyperparameters import flag
from .optimizer import Optimizer
from .schedules._checks import count_from

Value = int | float | None


class History:
    """Collects the loss, numbers of the user's and what the optimizer tells of itself.

    Parameters
    ----------
    optimizer : Optimizer, optional
        Whose steps these are. Without one, only what `record` is given is kept, and steps are counted by its calls.
    every : int, default 1
        Keep the steps whose count is a multiple of it, >= 1.
    update_ratio : bool, default False
        Also keep ``||p_new - p_old|| / ||p_old||`` over all parameters, which is about 1e-3 in training that goes well.
        It needs a copy of the parameters: as much memory again, and the time to copy and compare it for every row.

    Attributes
    ----------
    rows : list of dict
        A dict for every recorded step: ``"step"``, the count of steps taken; what `record` was given; ``"grad_norm"``
        if the optimizer knows it; ``"update_ratio"`` if asked for; the hyperparameters of that step, with schedules
        as their values, such as ``"lr"`` and ``"betas[0]"``, or ``"group1/lr"`` where there are several groups.

    Raises
    ------
    TypeError
        If an argument is of the wrong type.
    ValueError
        If `every` is less than 1, or `update_ratio` goes without an optimizer.

    Examples
    --------
    >>> import numpy as np, pyadam
    >>> w = np.array([3.0, -2.0])
    >>> opt = pyadam.Adam(w, lr=pyadam.schedules.Linear(0.5, 0.0, 4))
    >>> history = pyadam.History(opt)
    >>> for _ in range(4):
    ...     _ = opt.step(2 * w)
    ...     history.record(loss=w @ w)
    >>> history["lr"]
    array([0.5  , 0.375, 0.25 , 0.125])
    >>> bool(history["loss"][-1] < history["loss"][0])
    True
    """

    def __init__(self, optimizer: Optimizer | None = None, *, every: int = 1, update_ratio: bool = False) -> None:
        if not isinstance(optimizer, Optimizer | None):
            raise TypeError(f"optimizer must be an Optimizer or None, found {type(optimizer).__name__}")
        self._optimizer = optimizer
        self._every = count_from(1)("every", every)
        self._update_ratio = flag("update_ratio", update_ratio)
        if update_ratio and optimizer is None:
            raise ValueError("update_ratio needs an optimizer")
        self.rows: list[dict[str, Value]] = []
        self._calls = 0
        self._copy: list[NDArray[Any]] = []
        self._copied_at = -1
        self._copy_params()

    def record(self, **numbers: Any) -> None:
        """Keep a row, if the step count is a multiple of `every`: call it after each step.

        Parameters
        ----------
        **numbers : float or int
            What to keep, such as ``loss=loss, accuracy=accuracy``; None leaves it out of this row.

        Raises
        ------
        TypeError
            If a value is no number.
        ValueError
            If a name is one of the history's own. Nothing has been recorded then.
        """
        given = {name: _number(name, value) for name, value in numbers.items()}
        step = self._calls + 1 if self._optimizer is None else self._optimizer.step_count
        own: dict[str, Value] = {"step": step}
        is_kept = step % self._every == 0
        if self._optimizer is not None:
            own["grad_norm"] = self._optimizer.grad_norm
            own.update(_hyperparameters(self._optimizer))
            if self._update_ratio:
                own["update_ratio"] = self._ratio(self._optimizer) if is_kept else None
        if taken := given.keys() & own.keys():
            raise ValueError(f"{', '.join(sorted(taken))} cannot be given: the history records it itself")
        self._calls += 1
        if is_kept:
            row = {"step": step, **given, **own}
            self.rows.append({name: value for name, value in row.items() if value is not None})
        self._copy_params()

    def _copy_params(self) -> None:
        """Copy the parameters if the next step will be recorded."""
        optimizer = self._optimizer if self._update_ratio else None
        if optimizer is not None and (optimizer.step_count + 1) % self._every == 0:
            self._copied_at = optimizer.step_count
            self._copy = [array.copy() for array in optimizer._core.arrays]

    def _ratio(self, optimizer: Optimizer) -> float | None:
        if self._copied_at != optimizer.step_count - 1:
            return None
        pairs = list(zip(optimizer._core.arrays, self._copy, strict=True))
        change = math.hypot(*(_norm(new.astype(np.float64) - old) for new, old in pairs))
        size = math.hypot(*(_norm(old.astype(np.float64)) for _, old in pairs))
        return change / size if size > 0 else math.inf if change > 0 else 0.0

    @property
    def columns(self) -> list[str]:
        """The names of all columns, in the order in which they first came up."""
        return list(dict.fromkeys(name for row in self.rows for name in row))

    def __getitem__(self, column: str) -> NDArray[np.float64]:
        """Return a column as an array, with NaN where a row has no value."""
        if column not in self.columns:
            raise KeyError(f"{column!r} was not recorded; what was is {', '.join(self.columns) or 'nothing'}")
        return np.array([row.get(column, math.nan) for row in self.rows], np.float64)

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        return f"History({len(self)} rows of {', '.join(self.columns) or 'nothing'})"

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write all rows with a line of names; floats so that they are read back with the same bits.

        Parameters
        ----------
        path : path-like
            The file. One that is there is written over.

        Raises
        ------
        OSError
            If the file cannot be written.
        """
        with Path(path).open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, self.columns or ["step"])
            writer.writeheader()
            writer.writerows(self.rows)

    @classmethod
    def from_csv(cls, path: str | os.PathLike[str]) -> History:
        """Read what `to_csv` wrote, into a history without an optimizer.

        Parameters
        ----------
        path : path-like
            The file.

        Returns
        -------
        History
            The rows of the file.

        Raises
        ------
        OSError
            If the file cannot be read.
        ValueError
            If the file has no line of names with ``step``, or a value is no number.
        """
        history = cls()
        with Path(path).open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file, restkey="more values than names", restval=None)
            if "step" not in (reader.fieldnames or ()):
                raise ValueError(f"{path} must begin with a line of names with 'step', found {reader.fieldnames}")
            try:
                for row in reader:
                    where = f"{path}, line {reader.line_num}"
                    values = {name: _parsed(f"{where}: {name}", text) for name, text in row.items()}
                    history.rows.append({name: value for name, value in values.items() if value is not None})
            except csv.Error as error:
                raise ValueError(f"{path}, line {reader.line_num + 1}: {error}") from error
        last = history.rows[-1].get("step") if history.rows else None
        history._calls = last if isinstance(last, int) else len(history.rows)
        return history

    def plot(self, *columns: str) -> Any:
        """Draw columns over the steps, one above the other.

        Parameters
        ----------
        *columns : str
            What to draw; by default all that changes.

        Returns
        -------
        matplotlib Figure
            The picture; ``.savefig(path)`` writes it.

        Raises
        ------
        KeyError
            If a column was not recorded.
        ValueError
            If there is nothing to draw.
        ModuleNotFoundError
            If matplotlib is missing: ``pip install 'pyadam[plot]'``.
        """
        names = columns or [name for name in self.columns if name != "step" and len(np.unique(self[name])) > 1]
        if not names:
            raise ValueError("nothing to draw: no column changes" if self.rows else "nothing to draw: no rows")
        values = {name: self[name] for name in names}
        figure, panels = require("matplotlib.pyplot", "plot").subplots(
            len(names), sharex=True, squeeze=False, figsize=(6, 0.6 + 1.5 * len(names)), layout="constrained"
        )
        for axes, name in zip(panels[:, 0], names, strict=True):
            is_known = ~np.isnan(values[name])
            axes.plot(self["step"][is_known], values[name][is_known])
            axes.set(ylabel=name)
            axes.grid(alpha=0.3)
        panels[-1, 0].set(xlabel="step")
        return figure


def _hyperparameters(optimizer: Optimizer) -> dict[str, Value]:
    """Return the numbers among the hyperparameters of the last step, pairs as two of them."""
    found: dict[str, Value] = {}
    has_groups = len(optimizer.param_groups) > 1
    for i, group in enumerate(optimizer.param_groups):
        for key, value in group.last_values().items():
            name = f"group{i}/{key}" if has_groups else key
            if isinstance(value, float):
                found[name] = value
            elif isinstance(value, tuple) and all(isinstance(item, float) for item in value) and key != "bounds":
                found.update({f"{name}[{j}]": item for j, item in enumerate(value)})
    return found


def _norm(array: NDArray[np.float64]) -> float:
    return float(np.linalg.norm(array))


def _number(name: str, value: Any) -> Value:
    if value is None:
        return None
    try:
        return int(value) if isinstance(value, Integral) else float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a number or None, found {value!r}") from None


def _parsed(where: str, text: Any) -> Value:
    if text in (None, ""):
        return None
    try:
        return float(text) if any(c in ".einEIN" for c in text) else int(text)
    except (TypeError, ValueError):
        raise ValueError(f"{where} must be a number, found {text!r}") from None
