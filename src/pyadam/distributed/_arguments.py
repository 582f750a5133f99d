"""What the constructor takes: checks, and what ranks must have in common of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real
from typing import Any

import mpi4py
import numpy as np
from mpi4py import MPI

from .. import _core
from .._common_options import SAVED_OPTIONS
from .._request import Request
from ..optimizer import Optimizer
from ..rules import Rule
from ._agreement import description
from ._shards import Whole

_DUPLICATE = MPI.Comm.Create_keyval()


def private(comm: Any) -> Any:
    """Return the duplicate of a communicator that all optimizers on it share."""
    if not isinstance(comm, MPI.Intracomm):
        raise TypeError(f"comm must be an intracommunicator of mpi4py or None, found {type(comm).__name__}")
    duplicate = comm.Get_attr(_DUPLICATE)
    if duplicate is None:
        duplicate = comm.Dup()
        comm.Set_attr(_DUPLICATE, duplicate)
    return duplicate


def versions() -> dict[str, str]:
    """Return the versions that ranks must have in common."""
    return {
        "the version of pyadam": _core.__version__,
        "the version of NumPy": np.__version__,
        "the version of mpi4py": mpi4py.__version__,
        "the MPI library": MPI.Get_library_version(),
    }


def megabytes(value: Any) -> float:
    """Check the size of buckets."""
    if not isinstance(value, Real) or isinstance(value, bool) or not 0 < float(value) < math.inf:
        raise ValueError(f"bucket_cap_mb must be a finite number > 0, found {value!r}")
    return float(value)


def reduced(name: str, value: Any) -> str | None:
    """Check a dtype in which elements are sent."""
    if value is not None and not (isinstance(value, str) and value == "bfloat16"):
        raise ValueError(f"{name} must be None or 'bfloat16', found {value!r}")
    return value


def rule_of(cls: Any) -> type[Rule]:
    """Return the rule of a class of pyadam; raise TypeError or ValueError if it is none, or cannot be cut."""
    if not (isinstance(cls, type) and issubclass(cls, Optimizer) and cls is not Optimizer):
        raise TypeError(f"optimizer_class must be a class of pyadam, such as pyadam.Adam, found {cls!r}")
    if cls._rule.needs_whole_parameters:
        raise ValueError(f"{cls.__name__} takes norms of whole parameters, which are cut between ranks here")
    return cls._rule


def facts_of(asked: Request, wholes: Sequence[Whole]) -> dict[str, Any]:
    """Return what of the arguments ranks must have in common."""
    facts = {whole.path: (whole.shape, whole.dtype.name, f"{whole.order} order") for whole in wholes}
    groups = {f"param_groups[{i}]": description(group.values) for i, group in enumerate(asked.groups)}
    own = {key: description(asked.own_options[key]) for key in SAVED_OPTIONS}
    return {"the number of parameters": len(wholes), **facts, **groups, **own}


def check_rounding(wholes: Sequence[Whole], gradient_dtype: str | None, parameter_dtype: str | None) -> None:
    """Raise ValueError if elements cannot be sent in these dtypes."""
    for whole in wholes:
        if gradient_dtype is not None and whole.dtype == np.float64:
            raise ValueError(f"gradient_dtype must be None, found 'bfloat16': {whole.path} is of float64")
        if parameter_dtype is not None and whole.dtype.name not in ("float32", "bfloat16"):
            raise ValueError(f"parameter_dtype must be None, found 'bfloat16': {whole.path} is of {whole.dtype}")
