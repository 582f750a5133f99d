"""The nesting of arrays that a user passes as params, and again as grads: lists, tuples, dicts, or one array."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

# Far below what Python's stack allows, for everything that goes through a structure.
MAX_LEVELS = 100


class Leaf:
    """One array."""

    def __init__(self, path: str) -> None:
        self.path = path

    def paths(self) -> list[str]:
        return [self.path]

    def leaves(self, tree: Any, root: str) -> Sequence[Any]:
        del root
        return (tree,)

    def unflatten(self, leaves: Iterator[Any]) -> Any:
        return next(leaves)


class SequenceNode:
    """A list or tuple."""

    def __init__(self, path: str, kind: type, children: list[Node]) -> None:
        self.path = path
        self.kind = kind
        self.children = children
        self.is_flat = all(isinstance(child, Leaf) for child in children)

    def paths(self) -> list[str]:
        return [path for child in self.children for path in child.paths()]

    def leaves(self, tree: Any, root: str) -> Sequence[Any]:
        if not isinstance(tree, (list, tuple)):
            raise ValueError(
                f"{root}{self.path} must be a list or tuple like params{self.path}, found {type(tree).__name__}"
            )
        if len(tree) != len(self.children):
            raise ValueError(
                f"{root}{self.path} must have {len(self.children)} entries like params{self.path}, found {len(tree)}"
            )
        if self.is_flat:
            return tree
        return _joined(self.children, tree, root)

    def unflatten(self, leaves: Iterator[Any]) -> Any:
        items = [child.unflatten(leaves) for child in self.children]
        is_namedtuple = issubclass(self.kind, tuple) and hasattr(self.kind, "_fields")
        return self.kind(*items) if is_namedtuple else self.kind(items)


class MappingNode:
    """A dict, whose keys may come in any order."""

    def __init__(self, path: str, children: dict[Any, Node]) -> None:
        self.path = path
        self.children = children

    def paths(self) -> list[str]:
        return [path for child in self.children.values() for path in child.paths()]

    def leaves(self, tree: Any, root: str) -> Sequence[Any]:
        if not isinstance(tree, Mapping):
            raise ValueError(f"{root}{self.path} must be a dict like params{self.path}, found {type(tree).__name__}")
        if tree.keys() != self.children.keys():
            missing = [repr(key) for key in self.children if key not in tree]
            extra = [repr(key) for key in tree if key not in self.children]
            found = [f"missing {', '.join(missing)}"] * bool(missing) + [f"extra {', '.join(extra)}"] * bool(extra)
            raise ValueError(f"{root}{self.path} must have the keys of params{self.path}, found {' and '.join(found)}")
        return _joined(self.children.values(), [tree[key] for key in self.children], root)

    def unflatten(self, leaves: Iterator[Any]) -> Any:
        return {key: child.unflatten(leaves) for key, child in self.children.items()}


class GroupListNode(SequenceNode):
    """A list of parameter groups. Gradients come as a list of the groups' structures, or of groups again."""

    def __init__(self, children: list[Node]) -> None:
        super().__init__("", list, children)

    def leaves(self, tree: Any, root: str) -> Sequence[Any]:
        if not isinstance(tree, (list, tuple)) or len(tree) != len(self.children):
            found = f"{len(tree)} entries" if isinstance(tree, (list, tuple)) else type(tree).__name__
            raise ValueError(f"{root} must be a list of {len(self.children)} entries, one per group, found {found}")
        return _joined(self.children, map(_ungrouped, self.children, tree), root)


Node = Leaf | SequenceNode | MappingNode


def _joined(children: Iterable[Node], branches: Iterable[Any], root: str) -> list[Any]:
    return [
        leaf
        for child, branch in zip(children, branches, strict=True)
        for leaf in ((branch,) if isinstance(child, Leaf) else child.leaves(branch, root))
    ]


def _ungrouped(child: Node, branch: Any) -> Any:
    """Return what a group's dict holds under ``"params"``; a dict that has the keys of the structure is no group."""
    is_structure = isinstance(child, MappingNode) and is_group(branch) and branch.keys() == child.children.keys()
    return branch["params"] if is_group(branch) and not is_structure else branch


def structure_of(tree: Any, path: str = "", levels: int = MAX_LEVELS) -> Node:
    """Return the structure of `tree`, where `path` leads to it from params."""
    if levels == 0:
        raise ValueError(f"params{path[:60]}... is more than {MAX_LEVELS} levels deep, or a container holds itself")
    if isinstance(tree, (list, tuple)):
        children = [structure_of(item, f"{path}[{i}]", levels - 1) for i, item in enumerate(tree)]
        return SequenceNode(path, type(tree), children)
    if isinstance(tree, Mapping):
        return MappingNode(
            path, {key: structure_of(item, f"{path}[{key!r}]", levels - 1) for key, item in tree.items()}
        )
    return Leaf(path)


def structure_of_groups(trees: Sequence[Any], has_groups: bool) -> tuple[Node, list[Node]]:
    """Return the structure of the params of all groups together, and of each; without groups there is one tree."""
    structures = [structure_of(tree, f"[{i}]['params']" if has_groups else "") for i, tree in enumerate(trees)]
    return (GroupListNode(structures) if has_groups else structures[0]), structures


def arrays_of_group(structure: Node, tree: Any, name: str) -> tuple[list[Any], list[str]]:
    """Return the arrays of a group and their paths from params, or raise ValueError if it has none."""
    paths = [f"params{path}" for path in structure.paths()]
    if not paths:
        raise ValueError(f"{name} holds no arrays")
    return list(structure.leaves(tree, "params")), paths


def is_group(value: Any) -> bool:
    """Whether `value` is a parameter group: a dict with its parameters under ``"params"``."""
    return isinstance(value, Mapping) and "params" in value


def is_group_list(value: Any) -> bool:
    """Whether `value` is a list of parameter groups, not a structure of arrays."""
    return isinstance(value, (list, tuple)) and len(value) > 0 and all(map(is_group, value))
