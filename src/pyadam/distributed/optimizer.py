"""ZeRO stage 1 over MPI: gradients are averaged into shards, which are updated, and gathered as parameters."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from mpi4py import MPI
from numpy.typing import NDArray

from .. import _core
from .._array_optimizer import ACCUMULATED, ArrayOptimizer, expose
from .._common_options import GROUP_FIELDS, SAVED_OPTIONS
from .._group import as_dict
from .._hyperparameters import positive
from .._request import Request, requested
from .._swapping import swapped
from ..adam import Adam
from ..rules import Rule
from ._agreement import Agreement, description
from ._arguments import check_rounding, facts_of, megabytes, private, reduced, rule_of, versions
from ._collectives import Collectives
from ._shard import Shard, wholes
from ._sharded_step import ShardedStep, StepTimes
from ._shards import buckets, shards


class ZeroRedundancyOptimizer(ArrayOptimizer):
    """An optimizer whose state is cut into equal parts over the ranks of MPI: ZeRO, stage 1.

    Every rank has all parameters and computes gradients of its own data. A step averages the gradients, and each rank
    updates its shard, of which alone it keeps state. Then all ranks have the same parameters, to the last bit. Methods
    are collective, so that every rank must call them, but for `accumulate` and `zero_grad`.

    Parameters
    ----------
    params : ndarray, or list, tuple or dict of params, or list of group dicts
        As for the plain optimizer, of the same shapes, dtypes and memory orders on all ranks. All ranks get the values
        of rank 0.
    optimizer_class : class, default pyadam.Adam
        Any of pyadam's but `LAMB`, whose norms are of whole parameters.
    comm : mpi4py.MPI.Comm or None, default None
        The ranks; None is ``MPI.COMM_WORLD``. A duplicate is used, so that other messages are not mixed up with it.
    bucket_cap_mb : float, default 25
        Megabytes (2**20 bytes) of parameters that are sent together, > 0: the collectives of one bucket overlap the
        update of another. Beside the state, a rank needs memory for about four buckets; with `clip_norm` or
        `skip_nonfinite`, for the gradients of its shard also.
    deterministic : bool, default False
        Fix the order of summation: see Notes.
    gradient_dtype : {None, "bfloat16"}, default None
        Send gradients in bfloat16, rounded to nearest, half the bytes of float32. They are summed in float32, in the
        order of ranks. None is the type of the parameter's arithmetic. Of parameters of float64, an error.
    parameter_dtype : {None, "bfloat16"}, default None
        Send parameters of float32 in bfloat16, which then are numbers of bfloat16 on all ranks. The owner of a shard
        keeps a copy in float32, which steps go on from: what is written to the parameters between steps is lost.
    **options
        What the plain optimizer takes, with the same meaning: norms are of all averaged gradients.

    Raises
    ------
    TypeError, ValueError
        As the plain optimizer; also if shapes, dtypes, options or versions differ between ranks, or for a class that
        cannot be cut.
    RuntimeError
        If another rank raised: the message says which and what.

    Notes
    -----
    With ``deterministic=True`` the gradient of a step is

        ((g0 + g1) + g2 + ... ) / N

    for the gradients ``gr`` of N ranks, each first converted to the parameter's arithmetic (float64, else float32), in
    which all of it is computed. The parameters are, to the last bit, those of a plain optimizer in one process that is
    given this mean. Otherwise the MPI library chooses the order of the sum, which may differ between numbers of ranks
    and libraries, not between ranks. With one rank no gradient is sent or converted, and the result is the plain
    optimizer's.

    Shards are cut where they take equally many bytes of state, at the nearest border of 1,024 elements of a parameter;
    the norm is a sum over these blocks in one order, whatever the number of ranks.

    `torch.distributed.optim.ZeroRedundancyOptimizer` gives whole parameters to ranks; here they are cut, so that one
    large array is no burden. It leaves averaging to `DistributedDataParallel`, which has `bucket_cap_mb`.

    A rank that ends outside of these methods leaves the others waiting: run programs by ``python -m mpi4py``, which
    ends all.

    References
    ----------
    Rajbhandari, Rasley, Ruwase & He, "ZeRO: Memory optimizations toward training trillion parameter models", SC 2020,
    arXiv:1910.02054.

    Examples
    --------
    >>> import numpy as np
    >>> from pyadam.distributed import ZeroRedundancyOptimizer
    >>> w = np.ones(3)
    >>> opt = ZeroRedundancyOptimizer(w, lr=0.1)
    >>> opt.step(np.full(3, 2.0))
    True
    >>> w
    array([0.9, 0.9, 0.9])
    """

    def __init__(
        self,
        params: Any,
        optimizer_class: Any = Adam,
        comm: Any = None,
        *,
        bucket_cap_mb: float = 25.0,
        deterministic: bool = False,
        gradient_dtype: Any = None,
        parameter_dtype: Any = None,
        **options: Any,
    ) -> None:
        self._comm = private(MPI.COMM_WORLD if comm is None else comm)
        self._agreement = Agreement(self._comm)
        facts: dict[str, Any] = {}
        with self._agreement.checked("ZeroRedundancyOptimizer()", facts):
            facts.update(versions())
            facts.update(bucket_cap_mb=megabytes(bucket_cap_mb), deterministic=bool(deterministic))
            facts["gradient_dtype"] = reduced("gradient_dtype", gradient_dtype)
            facts["parameter_dtype"] = reduced("parameter_dtype", parameter_dtype)
            asked = requested(rule_of(optimizer_class), optimizer_class.__name__, params, options)
            self._arrays = [array for group in asked.groups for array in group.arrays]
            self._checks = _core.GradientArrays(self._arrays, [path for group in asked.groups for path in group.paths])
            self._wholes = wholes(asked)
            facts["optimizer_class"] = f"{optimizer_class.__module__}.{optimizer_class.__qualname__}"
            facts.update(facts_of(asked, self._wholes))
            check_rounding(self._wholes, facts["gradient_dtype"], facts["parameter_dtype"])
            self._collectives = Collectives(
                self._comm, self._wholes, deterministic, facts["gradient_dtype"], facts["parameter_dtype"]
            )
        self._optimizer_class = optimizer_class
        self._structure, self._has_groups = asked.structure, asked.has_groups
        self._flat_params = [whole.flat(array) for whole, array in zip(self._wholes, self._arrays, strict=True)]
        self._has_masters = facts["parameter_dtype"] is not None
        with self._agreement.vital():
            for flat in self._flat_params:
                self._comm.Bcast(flat.view(np.uint8))
        with self._agreement.checked("ZeroRedundancyOptimizer(), state", {}):
            self._cut(asked, int(facts["bucket_cap_mb"] * 2**20))
        self._is_evaluating = False
        self._bounds_seen: dict[int, tuple[Any, Any]] = {}

    def _cut(self, asked: Request, cap: int) -> None:
        self._shards = shards(self._wholes, self._comm.size)
        self._buckets = buckets(self._wholes, self._shards, cap)
        before = [piece.size for shard in self._shards[: self._comm.rank] for piece in shard]
        self._shard = Shard(asked, self._wholes, self._buckets, self._comm.rank, self._has_masters)
        self._bind(self._shard.asked, self._shard.parts)
        self._core.first_element = sum(before)
        self._shard.core = self._core
        self._steps = ShardedStep(
            self._collectives,
            self._shard,
            self._shards,
            self._buckets,
            self._flat_params,
            self._plans,
            self._has_masters,
        )

    def step(self, grads: Any = ACCUMULATED, *, grad_scale: float = 1.0) -> bool:
        """Average the gradients of all ranks and update the parameters in place, on all of them.

        Everything is checked on all ranks before anything is sent: a step that raises has changed nothing. What goes
        wrong after that, such as a lost connection, ends all ranks with its message.

        Parameters
        ----------
        grads : same structure as params, optional
            Gradients of this rank's data, as for the plain optimizer. A None skips the parameter, and must be there on
            all ranks; a rank whose data do not touch a parameter gives zeros. Without `grads`, the mean of what
            `accumulate` was given on all ranks is used.
        grad_scale : float, default 1.0
            The loss scale, > 0, the same on all ranks: gradients are divided by it.

        Returns
        -------
        bool
            False if `skip_nonfinite` is set and the step was skipped, on all ranks, else True.

        Raises
        ------
        TypeError, ValueError
            As the plain optimizer. Also if hyperparameters, the loss scale, or which gradients are None differ between
            ranks.
        RuntimeError
            If another rank raised, or within `swap_ema`.
        """
        facts: dict[str, Any] = {}
        try:
            with self._agreement.checked("step", facts):
                self._check_usable("step")
                count = self._checks.accumulated
                flat_grads = self._accumulated(count) if grads is ACCUMULATED else self._given(grads, count)
                scale = positive("grad_scale", grad_scale)
                facts["the number of accumulated gradients"] = count
                self._evaluate_schedules()
                facts.update(self._facts_of_step(flat_grads, scale))
        except BaseException:
            self._forget_evaluated()
            raise
        with self._agreement.vital():
            needs_norm = self.clip_norm is not None or self.skip_nonfinite
            is_taken = self._steps.take(flat_grads, scale * max(count, 1), needs_norm)
        self._checks.clear_accumulated()
        if not is_taken:
            self._forget_evaluated()
        return is_taken

    def _evaluate_schedules(self) -> None:
        """Use the values that schedules have at the next step, which ranks compare before they take it."""
        if self._is_evaluating:
            raise RuntimeError("a step of this optimizer is already running: a schedule called step()")
        self._is_evaluating = True
        try:
            if self._has_clip_schedule:
                self._core.clip_norm = self._clip_norm_at(self.step_count)
            for group in self.param_groups:
                group.evaluate(self.step_count)
        finally:
            self._is_evaluating = False

    def _given(self, grads: Any, accumulated: int) -> list[Any]:
        """Return the gradients, checked, each in its parameter's memory order."""
        if accumulated > 0:
            raise ValueError(
                f"step() was given gradients while {accumulated} are accumulated: add these with accumulate() and call "
                "step() without any, or forget the others with zero_grad()"
            )
        checked = self._checks.checked(self._flat_gradients(grads))
        return [None if grad is None else whole.flat(grad) for whole, grad in zip(self._wholes, checked, strict=True)]

    def _accumulated(self, count: int) -> list[Any]:
        if count == 0:
            raise ValueError(
                "step() without gradients takes the mean of those given to accumulate(), and there are none"
            )
        return self._checks.accumulated_sums()

    def accumulate(self, grads: Any) -> None:
        """Add gradients to those of which the next `step()`, called without gradients, takes the mean.

        As `Optimizer.accumulate`. Nothing is sent until then, and this is not collective; but all ranks must have
        called it equally often, for the same parameters. A rank's sums go in the place of its gradients, and their mean
        over the ranks is divided by the number of calls. They take the memory of all gradients.

        Parameters
        ----------
        grads : same structure as params
            As for `step`.

        Raises
        ------
        TypeError, ValueError
            As for the plain optimizer.
        RuntimeError
            Within `swap_ema`.
        """
        self._check_usable("accumulate")
        self._checks.accumulate(self._flat_gradients(grads))

    def zero_grad(self) -> None:
        """Forget the gradients given to `accumulate` since the last step; not collective."""
        self._checks.clear_accumulated()

    @property
    def accumulated(self) -> int:
        """Number of times that `accumulate` was called since the last step."""
        return self._checks.accumulated

    def _described(self, group: int, bounds: Any) -> Any:
        """Return what of the bounds can be compared, found anew only where they are others: arrays may be large."""
        known, text = self._bounds_seen.get(group, (None, None))
        if known is not bounds:
            text = description(bounds)
            self._bounds_seen[group] = bounds, text
        return text

    def _facts_of_step(self, flat_grads: Sequence[Any], scale: float) -> dict[str, Any]:
        facts: dict[str, Any] = {
            "the number of steps": self.step_count,
            "grad_scale": scale,
            **{key: getattr(self._core, key) for key in SAVED_OPTIONS},
        }
        for i, group in enumerate(self.param_groups):
            values = as_dict(group.last_settings(self.step_count + 1))  # of the step to come, already evaluated
            facts[f"param_groups[{i}]"] = {**values, "bounds": self._described(i, values["bounds"])}
        missing = [whole.path for whole, grad in zip(self._wholes, flat_grads, strict=True) if grad is None]
        facts["what has None as gradient"] = missing
        return facts

    @property
    def times(self) -> StepTimes:
        """Where the time of steps went."""
        return self._steps.times

    @times.setter
    def times(self, value: StepTimes) -> None:
        self._steps.times = value

    @property
    def params(self) -> Any:
        """The parameters in the structure they were given in; with groups, a list with an entry per group."""
        return self._structure.unflatten(iter(self._arrays))

    @property
    def state_bytes(self) -> int:
        """Bytes that this rank keeps beside the parameters: about 1/N of what one process would."""
        return self._shard.state_bytes

    @contextmanager
    def swap_ema(self) -> Iterator[Any]:
        """Put the averages in the place of the parameters, on all ranks, for as long as the `with` block lasts.

        As `Optimizer.swap_ema`; with ``parameter_dtype="bfloat16"`` the averages are rounded to it, too.

        Yields
        ------
        same structure as params
            The parameters, which hold their averages. They are set back to the last bit at the end.

        Raises
        ------
        ValueError
            If no group has an `ema_decay`.
        """

        def begin() -> tuple[list[NDArray[Any]], Callable[[], None]]:
            with self._agreement.checked("swap_ema", {}):
                self._check_usable("swap_ema")
                self._averages()
            return self._flat_params, put

        def put() -> None:
            with self._agreement.vital():
                self._steps.gather_all(self._shard.averages)

        with swapped(self, begin, np.copy, np.copyto):
            yield self.params

    def consolidate(self) -> dict[str, Any] | None:
        """Return on rank 0 the state of the whole, as `state_dict` of the plain optimizer has it; None on others.

        The plain optimizer's `load_state_dict` takes it. Rank 0 needs the memory for all of the state.
        """
        from . import _checkpoint

        return _checkpoint.consolidate(self)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write parameters, state and hyperparameters to a directory that all ranks see.

        Each rank writes a file with its shard; rank 0 then writes the manifest, which names them. Until the manifest is
        there, the directory holds what was saved before, whatever happens; after that, files of older savings go.

        Parameters
        ----------
        path : path-like
            The directory, made if it is not there; the same on all ranks.

        Raises
        ------
        OSError
            If a file cannot be written, or if rank 0 does not see the files of others: the directory is not shared.
        RuntimeError
            If another rank raised, or within `swap_ema`.
        """
        from . import _checkpoint

        _checkpoint.save(self, path)

    def load(self, path: str | os.PathLike[str]) -> None:
        """Read what `save` wrote, on this or another number of ranks, into the parameters and the state.

        As `Optimizer.load`: all is checked first, checksums too, and a hyperparameter that is a schedule here stays
        one. Each rank reads what it needs of the shards.

        Raises
        ------
        CheckpointError
            If there is no whole checkpoint, or it does not fit. It is a ValueError.
        OSError
            If a file cannot be read.
        RuntimeError
            If another rank raised, or within `swap_ema`.
        """
        from . import _checkpoint

        _checkpoint.load(self, path)

    def __repr__(self) -> str:
        groups = "".join(f"\n  {i}: {group!r}" for i, group in enumerate(self.param_groups))
        shard = f"shard of {self._optimizer_class.__name__}({groups}\n)"
        return f"ZeroRedundancyOptimizer(rank {self._comm.rank} of {self._comm.size}, {shard})"


for _rule in Rule.__subclasses__():
    expose(ZeroRedundancyOptimizer, (*_rule.fields, *GROUP_FIELDS))
