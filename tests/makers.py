"""Parameters and gradients of the tests: normal numbers from a seed, as arrays or tensors, alone or nested."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray
Shape = int | tuple[int, ...]


class Maker:
    """Makes new numbers at each call, the same ones for the same seed."""

    def __init__(self, *seed: int) -> None:
        self.rng = np.random.default_rng(seed)

    def array(
        self,
        shape: Shape,
        dtype: Any = np.float64,
        order: Any = "C",
        *,
        powers: tuple[int, int] | None = None,
        scale: float = 1.0,
        offset: int = 0,
    ) -> Array:
        """Return an array that starts `offset` elements past an aligned address.

        With `powers`, elements are of very different sizes: each is multiplied by 10 to a power from this range.
        """
        values = np.asarray(self.rng.standard_normal(shape)) * scale
        if powers is not None:
            values = values * 10.0 ** self.rng.integers(*powers, shape)
        array = np.empty(values.size + offset, dtype)[offset:].reshape(values.shape, order=order)
        with np.errstate(over="ignore"):
            array[...] = values
        return array

    def arrays(self, shapes: Iterable[Shape], dtype: Any = np.float64, **how: Any) -> list[Array]:
        """Return an array of each shape."""
        return [self.array(shape, dtype, **how) for shape in shapes]

    def like(self, tree: Any, dtype: Any = None, **how: Any) -> Any:
        """Return arrays in the nesting, with the shapes and dtypes of others: gradients for parameters."""
        return mapped(lambda leaf: self.array(leaf.shape, dtype or leaf.dtype, **how), tree)

    def parameters(self, shapes: Iterable[Shape], dtype: Any) -> list[Any]:
        """Return parameters of PyTorch."""
        import torch

        return [torch.nn.Parameter(self.tensor(shape, dtype)) for shape in shapes]

    def tensor(self, shape: Shape, dtype: Any) -> Any:
        """Return a tensor of PyTorch."""
        import torch

        return torch.from_numpy(self.array(shape)).to(dtype)


def mapped(function: Callable[[Any], Any], tree: Any) -> Any:
    """Return a nesting with what the function makes of each leaf."""
    if isinstance(tree, Mapping):
        return {key: mapped(function, branch) for key, branch in tree.items()}
    if isinstance(tree, (list, tuple)):
        branches = [mapped(function, branch) for branch in tree]
        return type(tree)(*branches) if hasattr(tree, "_fields") else type(tree)(branches)
    return function(tree)


def leaves_of(tree: Any) -> list[Any]:
    """Return the leaves of a nesting in order."""
    leaves: list[Any] = []
    mapped(leaves.append, tree)
    return leaves


class Layer(NamedTuple):
    """A container with names."""

    weight: Any
    bias: Any


# Each nests the leaves that it is given one by one; `leaf` takes what `Maker.array` takes.
Nesting = Callable[[Callable[..., Any]], Any]
NESTINGS: dict[str, Nesting] = {
    "one array": lambda leaf: leaf(3),
    "no dimensions": lambda leaf: leaf(()),
    "empty": lambda leaf: [leaf((0, 3)), leaf(2)],
    "Fortran order": lambda leaf: [leaf((3, 4), order="F"), leaf((2, 3, 4), np.float32, "F")],
    "list": lambda leaf: [leaf(3), leaf(2), leaf(3)],
    "list of one": lambda leaf: [leaf(3)],
    "tuple": lambda leaf: (leaf(3), leaf(2)),
    "namedtuple": lambda leaf: Layer(leaf(3), leaf(2)),
    "dict": lambda leaf: {"w": leaf((3, 2), order="F"), "b": leaf((), np.float32)},
    "keys of many kinds": lambda leaf: {
        **{key: leaf(1) for key in ("$array", 7, "7")},
        ("a", 1, ("b",)): leaf(3),
        "": leaf(4),
    },
    "nested": lambda leaf: {
        "encoder": [Layer(leaf(3), leaf(2)), (leaf(1), {"norm": leaf(2)}), ((leaf(1),),)],
        "head": leaf(1, np.float32),
    },
    "with empty branches": lambda leaf: [[], leaf(3), {"none": ()}, (leaf(2),)],
    "groups": lambda leaf: [
        {"params": leaf(3), "lr": 0.1, "bounds": (np.full(3, -2.0), None)},
        {"params": {"w": [leaf(2)], "b": leaf(4)}, "amsgrad": True, "l1": 0.1, "bounds": (-np.inf, 4.0)},
    ],
    "one group": lambda leaf: [{"params": [leaf(3), leaf(2)]}],
    "tuple of groups": lambda leaf: ({"params": (leaf(3),)}, {"params": Layer(leaf(3), leaf(2))}),
}


def without_options(params: Any) -> Any:
    """Return what an optimizer keeps of `params`: of groups, a list of the nestings of their arrays."""
    is_groups = isinstance(params, (list, tuple)) and all(
        isinstance(entry, dict) and "params" in entry for entry in params
    )
    return [group["params"] for group in params] if is_groups else params
