"""Schedules: hyperparameters as functions of the 0-based step, checked when they are made.

Any hyperparameter of any optimizer takes one, ``pyadam.Adam(params, lr=schedules.Cosine(1e-3, 1000))``, and any of them
can be part of another. They are small frozen values: they can be compared, printed, pickled and copied. Each says which
schedule of PyTorch or optax it equals. `ReduceOnPlateau` alone has state, which the optimizer's `state_dict` holds.
"""

from ._composed import Join, Pair, Warmup, WarmupStableDecay
from ._cycles import Cosine, CosineRestarts, OneCycle, Triangular
from ._decays import Constant, Exponential, InverseSqrt, InverseTime, Linear, PiecewiseConstant, Polynomial, Step
from ._plateau import ReduceOnPlateau
from ._plot import plot
from ._schedule import Schedule

__all__ = [
    "Constant",
    "Cosine",
    "CosineRestarts",
    "Exponential",
    "InverseSqrt",
    "InverseTime",
    "Join",
    "Linear",
    "OneCycle",
    "Pair",
    "PiecewiseConstant",
    "Polynomial",
    "ReduceOnPlateau",
    "Schedule",
    "Step",
    "Triangular",
    "Warmup",
    "WarmupStableDecay",
    "plot",
]
