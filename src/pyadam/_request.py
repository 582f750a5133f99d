"""What a user asks of an optimizer of arrays: parameters, groups and options, before anything is bound."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ._common_options import GROUP_DEFAULTS, GROUP_FIELDS, OPTIMIZER_DEFAULTS, OPTIMIZER_FIELDS
from ._group import merged
from ._hyperparameters import Field
from ._structure import Node, arrays_of_group, is_group_list, structure_of_groups
from .rules import Rule


class GroupRequest(NamedTuple):
    """The arrays of a group, their paths from params, and its hyperparameters."""

    arrays: list[NDArray[Any]]
    paths: list[str]
    values: Mapping[str, Any]


class Request(NamedTuple):
    """What an optimizer is to be made of."""

    rule: type[Rule]
    structure: Node
    has_groups: bool
    groups: list[GroupRequest]
    own_options: Mapping[str, Any]  # of the optimizer as a whole


def request(
    rule: type[Rule],
    trees: list[Any],
    group_values: Iterable[Mapping[str, Any]],
    has_groups: bool,
    own_options: Mapping[str, Any],
) -> Request:
    """Return what is asked for, of the params of each group and its hyperparameters."""
    structure, structures = structure_of_groups(trees, has_groups)
    groups = []
    for i, (node, tree, values) in enumerate(zip(structures, trees, group_values, strict=True)):
        groups.append(GroupRequest(*arrays_of_group(node, tree, f"params{f'[{i}]' if has_groups else ''}"), values))
    return Request(rule, structure, has_groups, groups, {**OPTIMIZER_DEFAULTS, **own_options})


def requested(rule: type[Rule], name: str, params: Any, options: Mapping[str, Any]) -> Request:
    """Return what the arguments of a constructor ask for; raise TypeError or ValueError, with the class's `name`."""
    fields: dict[str, Field] = {**rule.fields, **GROUP_FIELDS, **OPTIMIZER_FIELDS}
    given = merged({**rule.defaults, **GROUP_DEFAULTS, **OPTIMIZER_DEFAULTS}, options, name)
    given = {key: fields[key].setting(key, value) for key, value in given.items()}
    own_options = {key: given.pop(key) for key in OPTIMIZER_DEFAULTS}
    params = _materialised(params)
    has_groups = is_group_list(params)
    trees, group_values = [], []
    for i, group in enumerate(params if has_groups else [{"params": params}]):
        trees.append(_materialised(group["params"]))
        own = {key: group[key] for key in group if key != "params"}
        group_values.append(merged(given, own, f"params[{i}]: {name}"))
    return request(rule, trees, group_values, has_groups, own_options)


def _materialised(params: Any) -> Any:
    """Turn an iterator into a list; containers and arrays stay what they are."""
    if isinstance(params, Iterable) and not isinstance(params, (np.ndarray, list, tuple, Mapping)):
        return list(params)
    return params
