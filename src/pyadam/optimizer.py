"""The front end for NumPy: parameters and gradients of any nesting, the step, state and files."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ._array_optimizer import ACCUMULATED, ArrayOptimizer, expose, refuse_nothing
from ._common_options import GROUP_FIELDS
from ._documentation import docstring_of
from ._hyperparameters import positive
from ._interrupts import all_or_nothing
from ._request import Request, request, requested
from ._swapping import swapped
from .rules import Rule


class Optimizer(ArrayOptimizer):
    """Base of all optimizers: holds parameters, updates them in place and keeps their state.

    Every class takes `params`, its own hyperparameters, and those named here.

    Parameters
    ----------
    params : ndarray, or list, tuple or dict of params, or list of group dicts
        Arrays of float64, float32, bfloat16 (of ``ml_dtypes``) or float16, contiguous in C or Fortran order, writeable,
        sharing no memory. A group is a dict with its arrays under ``"params"`` and any hyperparameters beside it,
        but for `clip_norm`, `skip_nonfinite`, `flush_denormals`, `seed` and `state_dir`: these the optimizer has as a
        whole.
    maximize : bool, default False
        Climb along the gradient.
    l1 : float or function, default 0.0
        Coefficient of ``sign(p)`` added to the gradient, >= 0; ``sign(0)`` is 0.
    bounds : (lo, hi) or None, default None
        Box that `p` is kept in: after the update it is clamped. Each of the two is a number, an array of the
        parameter's shape, or None; they are rounded to the parameter's dtype, for 16 bits inwards. NaN stays NaN.
    clip_norm : float, function or None, default None
        Greatest L2 norm, > 0, of all gradients of all groups together. They are multiplied by
        ``min(1, clip_norm / (grad_norm + 1e-6))`` on their way; the arrays are not written to.
    clip_value : float, function or None, default None
        Each element of the gradient is clamped to ``[-clip_value, clip_value]``, after `clip_norm`.
    skip_nonfinite : bool, default False
        Skip the whole step if any element of any gradient is infinite or NaN: `step` changes nothing and returns False.
    flush_denormals : bool, default False
        Count numbers below the least normal one as zero, in all threads and for the step alone. Where gradients stay
        zero for hundreds of steps, moments decay to such numbers and stay there, and steps are slower, on some
        processors by more than ten times. This leaves the arithmetic of `pyadam.reference`; the bits are the same on
        all x86 instruction sets.
    ema_decay : float, function or None, default None
        Decay, in [0, 1), of an exponential moving average of the parameters, kept by the same pass: see `ema`.
        Whether there is one is fixed at construction.
    ema_warmup : bool, default False
        Let the average follow faster at first: its decay at step t (from 1) is ``min(ema_decay, (1 + t) / (10 + t))``.
    master : {None, "float32", "split", "stochastic", "nearest"}, default None
        What keeps the precision of parameters of bfloat16 or float16, whose arithmetic is that of float32; it must be
        chosen for them, and means nothing to others. ``"float32"``: a full copy beside the parameter. ``"split"``, for
        bfloat16: the 16 bits that it lacks of a float32. ``"stochastic"``: nothing, but random rounding. ``"nearest"``:
        nothing; updates below half a unit in the last place are lost. Fixed at construction.
    state_dtype : {None, "bfloat16"}, default None
        Keep the rule's state in bfloat16, rounded at random; None is the type of the arithmetic. Fixed at construction.
    seed : int, default 0
        Of random rounding, which depends on the seed, the step and the element's place alone.
    state_dir : path-like or None, default None
        Directory in which to keep state in files, which may be larger than memory: it is mapped, and read and written
        from one end to the other in a step. The files have no name and go with the optimizer; `save` keeps what is in
        them. Together with parameters in ``np.memmap``, nothing of the size of the model is in memory. A forked child
        is refused to step on its parent's files.

    Raises
    ------
    TypeError
        If a parameter is not an array of these dtypes, or a hyperparameter is unknown or of the wrong type.
    ValueError
        If a parameter is read-only, not contiguous, shares memory with another or, having 16 bits, has no `master`; if
        a hyperparameter is out of range; if params are nested too deeply or hold themselves.
    OSError
        If `state_dir` cannot hold the state.

    Notes
    -----
    `weight_decay` is added to the gradient, times `p` (L2), or with ``decoupled_weight_decay=True`` shrinks `p` by
    ``1 - lr * weight_decay`` before the update. A number may be a schedule: a function of the 0-based step.

    The gradient is scaled and clipped by norm, then by value; then come `weight_decay`, `l1`, the rule, `bounds`, the
    average and rounding. Arithmetic is in float64 for float64 parameters and in float32 for all others, one rounding
    per operation, the same on every CPU and for any number of threads; `pyadam.reference` states it in NumPy.

    Hyperparameters that decide what state there is, or what it begins with, are fixed at construction.
    """

    _rule: ClassVar[type[Rule]]

    def __init_subclass__(cls) -> None:
        if "_rule" in vars(cls):
            expose(cls, (*cls._rule.fields, *GROUP_FIELDS))
        if "_rule" in vars(cls) and cls.__doc__ is not None:
            cls.__doc__ = docstring_of(cls, cls._rule)

    def _construct(self, params: Any, options: Mapping[str, Any], common: Mapping[str, Any]) -> None:
        self._begin(requested(self._rule, type(self).__name__, params, {**options, **common}))

    def _begin(self, asked: Request) -> None:
        self._lock = threading.RLock()
        _alive.add(self)
        self._shares_files = False
        self._structure, self._has_groups = asked.structure, asked.has_groups
        self._bind(asked)

    def step(
        self, grads: Any = ACCUMULATED, *, params: Any = None, grad_scale: float = 1.0, zero_grad: bool = False
    ) -> bool:
        """Update the parameters in place.

        Everything is checked before anything is written: a step that raises has changed nothing.

        Parameters
        ----------
        grads : same structure as params, optional
            Gradients of the parameters' shapes, of any floating dtype and memory layout. A None in place of an array
            skips that parameter, whose step count and state stay as they are. With parameter groups, a list with an
            entry per group. Without `grads`, the mean of what `accumulate` was given is used.
        params : same structure as params, optional
            Arrays of the same shapes, dtypes and memory order, which replace the parameters from this step on.
        grad_scale : float, default 1.0
            The loss scale, > 0: gradients are divided by it on their way; the arrays are not written to.
        zero_grad : bool, default False
            Set the gradients to zero once they are used, also if the step is skipped. It is the one thing that writes
            to them.

        Returns
        -------
        bool
            False if `skip_nonfinite` is set and the step was skipped, else True.

        Raises
        ------
        TypeError
            If a gradient is not an array of a floating dtype.
        ValueError
            If a structure, shape or dtype does not fit, if a gradient shares memory with a parameter, or with
            `zero_grad` with another gradient, if a schedule returns a value out of range, or if every gradient is None.
        RuntimeError
            Within `swap_ema`; in a forked child, if there is a `state_dir`, whose files are the parent's.
        """
        with self._lock:
            if self._is_swapped or self._shares_files:
                self._check_usable("step")
            flat_grads = None if grads is ACCUMULATED else self._structure.leaves(grads, "grads")
            # `_flat_gradients`, without a call where there is a first gradient, as there nearly always is.
            if flat_grads is not None and flat_grads[0] is None:
                refuse_nothing(flat_grads)
            new_arrays = None if params is None else self._structure.leaves(params, "params")
            if grad_scale != 1.0:
                grad_scale = positive("grad_scale", grad_scale)
            try:
                if self._has_clip_schedule:
                    self._core.clip_norm = self._clip_norm_at(self._core.step_count)
                has_stepped = self._core.step(flat_grads, self._plans, new_arrays, grad_scale, zero_grad)
            except BaseException:
                self._forget_evaluated()
                raise
            if not has_stepped:
                self._forget_evaluated()
            return has_stepped

    def accumulate(self, grads: Any) -> None:
        """Add gradients to those of which the next `step()`, called without gradients, takes the mean.

        The sums are kept in float64 where the first gradient of a parameter is, else in float32. Their number is the
        number of calls: a parameter whose gradient is None adds nothing in that one. Like gradients, the sums are no
        part of `state_dict`.

        Parameters
        ----------
        grads : same structure as params
            As for `step`.

        Raises
        ------
        TypeError, ValueError
            As for `step`.

        Examples
        --------
        >>> import numpy as np, pyadam
        >>> w = np.ones(2)
        >>> opt = pyadam.SGD(w, lr=0.5)
        >>> for micro_batch in (1.0, 3.0):
        ...     opt.accumulate(np.full(2, micro_batch))
        >>> _ = opt.step()
        >>> w
        array([0., 0.])
        """
        with self._lock:
            self._check_usable("accumulate")
            self._core.accumulate(self._flat_gradients(grads))

    def zero_grad(self) -> None:
        """Forget the gradients given to `accumulate` since the last step."""
        with self._lock:
            self._core.clear_accumulated()

    @property
    def accumulated(self) -> int:
        """Number of times that `accumulate` was called since the last step."""
        return self._core.accumulated

    @property
    def ema(self) -> Any:
        """The averages of the parameters, live, in the structure of params; None where a group has no `ema_decay`.

        They are of float32 for parameters of bfloat16 and float16, and are averages of the unrounded values if there
        is a master. A parameter that a step skips leaves its average as it is.

        Raises
        ------
        ValueError
            If no group has an `ema_decay`.
        """
        return self._structure.unflatten(iter(self._averages()))

    @contextmanager
    def swap_ema(self) -> Iterator[Any]:
        """Put the averages in the place of the parameters for as long as the `with` block lasts, as for evaluation.

        Yields
        ------
        same structure as params
            The parameters, which hold their averages. They are set back to the last bit at the end, whatever happens.

        Raises
        ------
        RuntimeError
            Within the block of another `swap_ema`.
        ValueError
            If no group has an `ema_decay`.

        Notes
        -----
        Within the block, `step` and whatever else would save or change the parameters raises RuntimeError.

        Examples
        --------
        >>> import numpy as np, pyadam
        >>> w = np.array([1.0])
        >>> opt = pyadam.SGD(w, lr=1.0, ema_decay=0.75)
        >>> _ = opt.step(np.array([4.0]))
        >>> with opt.swap_ema():
        ...     print(w)
        [0.]
        >>> w
        array([-3.])
        """

        def begin() -> tuple[list[NDArray[Any]], Callable[[], None]]:
            self._check_usable("swap_ema")
            params, averages = self._core.arrays, self._averages()
            return params, lambda: write_all(params, averages)

        def write_all(params: list[NDArray[Any]], averages: list[NDArray[Any] | None]) -> None:
            for p, average in zip(params, averages, strict=True):
                if average is not None:
                    p[...] = average

        with swapped(self, begin, lambda p: p.copy(order="K"), np.copyto, self._lock):
            yield self.params

    def _check_usable(self, what: str) -> None:
        if self._shares_files:
            raise RuntimeError(
                f"{what}: this process was forked and its state is in files of the parent's; make an optimizer here"
            )
        super()._check_usable(what)

    @property
    def params(self) -> Any:
        """The parameters in the structure they were given in; with groups, a list with an entry per group."""
        return self._structure.unflatten(iter(self._core.arrays))

    def state_dict(self) -> dict[str, Any]:
        """Return a copy of the state, in the form of PyTorch's.

        Returns
        -------
        dict
            ``"state"`` maps the index of a parameter that has taken a step to its ``"step"`` and its arrays
            (``"exp_avg"``, ...). ``"param_groups"`` has the hyperparameters, with schedules as their values at the
            last step, the indices under ``"params"`` and their paths under ``"param_names"``; also, where a schedule
            has state, as `schedules.ReduceOnPlateau` has, ``"schedule_state"``. ``"step_count"``, ``"rules"``,
            ``"skipped"`` and ``"options"``, which has what the optimizer has as a whole, are pyadam's own.

        Notes
        -----
        PyTorch returns its live tensors, which the next step changes. These arrays are copies.
        """
        with self._lock:
            return self._exported(copy=True)

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over a state that `state_dict`, or PyTorch's optimizer of the same name, returned.

        A hyperparameter that is a schedule here stays one. All is checked first: if this raises, nothing has changed.
        Ctrl-C comes before or after.

        Raises
        ------
        TypeError
            If an entry is of the wrong type.
        ValueError
            If groups, parameters, shapes, dtypes, rules or state names differ, or a hyperparameter is out of range.
        """
        with self._lock:
            self._check_usable("load_state_dict")
            all_or_nothing(self._checked(state_dict))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write parameters, state and hyperparameters to a safetensors file.

        Parameters
        ----------
        path : path-like
            The file. One that is there is replaced when the new one is complete and on disk: whatever happens, there is
            the old file or the new one.

        Raises
        ------
        OSError
            If the file cannot be written; the old one is still there.
        TypeError
            If a key of `params` is no string, integer or tuple of them.
        ValueError
            If the names of the arrays take more than 100 MB, which is the format's limit.

        Notes
        -----
        Steps of other threads wait until the file is written. Parameters are named by their paths, state by theirs and
        its own, as in ``params['encoder'][0].exp_avg``. Arrays are written in pieces and in C order; schedules as their
        values at the last step. A process that is killed while it saves may leave a file that begins with a dot and
        ends with ``.tmp``; the next one that saves to `path` removes it.

        See Also
        --------
        pyadam.load : makes an optimizer of the file.

        Examples
        --------
        >>> import os, tempfile, numpy as np, pyadam
        >>> w = np.ones(3)
        >>> opt = pyadam.Adam(w, lr=0.1)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = os.path.join(folder, "run.safetensors")
        ...     opt.save(path)
        ...     _ = opt.step(np.full(3, 2.0))
        ...     opt.load(path)
        >>> w
        array([1., 1., 1.])
        """
        from . import _array_files

        with self._lock:
            self._check_usable("save")
            _array_files.save(self, self.params, self._has_groups, path)

    def load(self, path: str | os.PathLike[str]) -> None:
        """Read what `save` wrote into the parameters, in place, and the state.

        A hyperparameter that is a schedule here stays one. All is checked first, the file's checksum too: if this
        raises one of the errors below, nothing has changed. Ctrl-C waits until all is read.

        Raises
        ------
        CheckpointError
            If the file is no checkpoint, is truncated or altered, or does not fit the parameters' paths, shapes and
            dtypes or the rules. It is a ValueError.
        OSError
            If the file cannot be read.
        RuntimeError
            If the file fails or is altered after it has been checked, while it is read in: what is read until then has
            replaced what was there.
        """
        from . import _array_files

        with self._lock:
            self._check_usable("load")
            _array_files.restore(self, path)

    def __getstate__(self) -> dict[str, Any]:
        with self._lock:
            self._check_usable("pickle")
            return self._parts(copy=True)

    def _parts(self, copy: bool) -> dict[str, Any]:
        """Return all that the optimizer is made of, with its live state or a copy."""
        return {
            "trees": self.params if self._has_groups else [self.params],
            "options": [dict(group.options) for group in self.param_groups],
            "own_options": self._own_options(),
            "has_groups": self._has_groups,
            "state_dict": self._exported(copy),
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        own_options = state.get("own_options", {})
        self._begin(request(self._rule, state["trees"], state["options"], state["has_groups"], own_options))
        self.load_state_dict(state["state_dict"])

    def __repr__(self) -> str:
        groups = "".join(f"\n  {i}: {group!r}" for i, group in enumerate(self.param_groups))
        return f"{type(self).__name__}({groups}\n)"


_alive: weakref.WeakSet[Optimizer] = weakref.WeakSet()


def _begin_in_child() -> None:
    """Give a forked child new locks: a thread that held one when the parent forked is not there to release it.

    State in files is left to the parent.
    """
    for optimizer in _alive:
        optimizer._lock = threading.RLock()
        optimizer._shares_files = optimizer._core.state_dir != ""


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_in_child)
