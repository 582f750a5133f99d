"""Equality with the reference for hyperparameters and numbers that nobody would think of."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from oracle import check_steps

import pyadam

SPECIAL = [0.0, -0.0, np.inf, -np.inf, np.nan, 1e-45, -1e-40, 5e-324, 1e-310, 1e-20, 3e38, -1e300, 1.0]

betas = st.floats(0, 1, exclude_max=True)
non_negative = st.floats(0, 1e6)
options = st.fixed_dictionaries(
    {
        "lr": non_negative,
        "betas": st.tuples(betas, betas),
        "eps": non_negative,
        "weight_decay": non_negative,
        "amsgrad": st.booleans(),
        "maximize": st.booleans(),
        "decoupled_weight_decay": st.booleans(),
        "epsilon_hat": st.booleans(),
    }
)


def vectors(dtype: Any) -> st.SearchStrategy[tuple[np.ndarray, list[np.ndarray]]]:
    width = np.dtype(dtype).itemsize * 8
    with np.errstate(over="ignore"):
        special = [float(dtype(x)) for x in SPECIAL]
    element = st.one_of(st.sampled_from(special), st.floats(width=width))
    return st.integers(1, 40).flatmap(
        lambda n: st.tuples(
            hnp.arrays(dtype, n, elements=element),
            st.lists(hnp.arrays(dtype, n, elements=element), min_size=1, max_size=4),
        )
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@settings(max_examples=300, deadline=None)
@given(data=st.data(), options=options)
def test_any_options_and_any_numbers(dtype: Any, data: st.DataObject, options: dict[str, Any]) -> None:
    p, gradients = data.draw(vectors(dtype))
    check_steps(pyadam.Adam(p, **options), gradients)
