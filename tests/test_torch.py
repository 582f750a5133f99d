"""Agreement with torch.optim in float64: the mathematics is what the names promise."""

from __future__ import annotations

import numpy as np
import pytest
from makers import Maker
from rule_rows import CASES, Case

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.usefixtures("float64_scalars")

TORCH_CASES = [case for case in CASES if case.torch]
STEPS = 200


@pytest.mark.parametrize("case", TORCH_CASES, ids=str)
def test_the_same_as_torch_in_float64(case: Case) -> None:
    make = Maker(0)
    params = make.arrays([7, (3, 5), ()])
    tensors = [torch.tensor(p, requires_grad=True) for p in params]
    ours = case.cls(params, **case.options)
    theirs = getattr(torch.optim, case.torch)(tensors, **case.options)
    for step in range(STEPS):
        lr = ours.param_groups[0]["lr"] * (0.99 if step % 10 == 0 else 1.0)
        ours.param_groups[0]["lr"] = theirs.param_groups[0]["lr"] = lr
        # The second parameter misses some gradients, and must not age then.
        grads = make.like(params)
        if step % 3 == 0:
            grads[1] = None
        ours.step(grads)
        for tensor, g in zip(tensors, grads, strict=True):
            tensor.grad = None if g is None else torch.tensor(g)
        theirs.step()
    for p, tensor in zip(params, tensors, strict=True):
        np.testing.assert_allclose(p, tensor.detach().numpy(), rtol=1e-12, atol=1e-12)
