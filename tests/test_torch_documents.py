"""What `pyadam.torch` says of itself: nothing left out, defaults as they are, examples that are right."""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
import re
from typing import Any

import pytest

torch = pytest.importorskip("torch")

import pyadam.torch  # noqa: E402
from pyadam import rules  # noqa: E402
from pyadam._common_options import Extras  # noqa: E402

CLASSES = [getattr(pyadam.torch, name) for name in pyadam.torch.__all__]
# Arguments that say how PyTorch shall compute.
HOW = ("foreach", "fused", "capturable", "differentiable")
RULES = [cls for cls in CLASSES if cls is not pyadam.torch.Optimizer]


def by_name(value: Any) -> str:
    return value.__name__


def sections(cls: type) -> dict[str, str]:
    """Return the sections of the docstring by their titles."""
    _, *parts = re.split(r"^(\w+)\n-{3,}\n", inspect.getdoc(cls) or "", flags=re.MULTILINE)
    return dict(zip(parts[::2], parts[1::2], strict=True))


def entries(cls: type) -> list[tuple[list[str], str]]:
    """Return the names that each entry of Parameters is about, and the rest of its first line."""
    found = re.findall(r"^(\**\w+(?:, \w+)*)(?: : (.*))?$", sections(cls)["Parameters"], flags=re.MULTILINE)
    return [(names.split(", "), rest) for names, rest in found]


def options(cls: type) -> dict[str, inspect.Parameter]:
    """Return the parameters of the constructor but for ``**extras``, which is no name of its own."""
    parameters = inspect.signature(cls).parameters
    return {name: p for name, p in parameters.items() if p.kind is not inspect.Parameter.VAR_KEYWORD}


@pytest.mark.parametrize("cls", CLASSES, ids=by_name)
def test_the_sections_are_there_in_numpydocs_order(cls: type) -> None:
    own = ["Attributes"] if cls is pyadam.torch.Optimizer else []
    sources = ["References"] if cls in RULES else []
    assert list(sections(cls)) == ["Parameters", *own, "Raises", "Notes", *sources, "Examples"]


@pytest.mark.parametrize("cls", RULES, ids=by_name)
def test_every_parameter_is_documented_in_the_order_of_the_signature(cls: type) -> None:
    documented = [name for names, _ in entries(cls) for name in names]
    assert documented[-1] == "**extras"
    assert {name for name in documented if name in HOW} == options(cls).keys() & set(HOW)
    # How PyTorch computes is one entry, wherever it stands.
    assert [n for n in documented[:-1] if n not in HOW] == [name for name in options(cls) if name not in HOW]


@pytest.mark.parametrize("cls", RULES, ids=by_name)
def test_documented_defaults_are_those_of_the_signature(cls: type) -> None:
    for names, rest in entries(cls):
        for name in names:
            if name in HOW:
                assert rest.endswith(", optional")
            elif name not in ("params", "**extras"):
                said, default = ast.literal_eval(rest.partition(", default ")[2]), options(cls)[name].default
                assert (said, said is True or said is False) == (default, default is True or default is False), name


@pytest.mark.parametrize("cls", RULES, ids=by_name)
def test_defaults_are_those_of_the_rule(cls: type) -> None:
    defaults = getattr(rules, cls.__name__).defaults
    for name, parameter in options(cls).items():
        if name not in (*HOW, "params", "maximize"):
            assert parameter.default == defaults[name], name


def test_the_base_documents_the_extras_and_how_pytorch_computes() -> None:
    documented = [name for names, _ in entries(pyadam.torch.Optimizer) for name in names]
    assert sorted(documented) == sorted(["params", *HOW, *Extras.__annotations__])
    for names, rest in entries(pyadam.torch.Optimizer):
        for name in set(names) & set(HOW):
            defaults = {options(cls)[name].default for cls in RULES if name in options(cls)}
            assert defaults == {ast.literal_eval(rest.partition(", default ")[2])}, name


def test_every_attribute_that_the_base_documents_is_there() -> None:
    optimizer = pyadam.torch.Adam([torch.zeros(1)])
    names = re.findall(r"^(\w+(?:, \w+)*) : ", sections(pyadam.torch.Optimizer)["Attributes"], flags=re.MULTILINE)
    for name in ", ".join(names).split(", "):
        assert hasattr(optimizer, name), name


@pytest.mark.parametrize("cls", CLASSES, ids=by_name)
def test_everything_public_has_a_docstring_that_begins_with_a_sentence(cls: type) -> None:
    for documented in (cls, *(member for name, member in vars(cls).items() if not name.startswith("_"))):
        if callable(documented) or isinstance(documented, property):
            assert re.match(r"[A-Z`].*\.$", (inspect.getdoc(documented) or "").partition("\n")[0])


@pytest.mark.parametrize("cls", CLASSES, ids=by_name)
def test_the_examples_in_the_docstring_are_right(cls: type) -> None:
    examples = [test for test in doctest.DocTestFinder().find(cls, cls.__name__) if test.examples]
    assert examples
    for test in examples:
        assert doctest.DocTestRunner().run(test).failed == 0


def test_the_program_in_the_docstring_of_the_module_runs() -> None:
    result = doctest.testmod(pyadam.torch)
    assert result.attempted
    assert result.failed == 0


@pytest.mark.parametrize("cls", CLASSES, ids=by_name)
def test_pickles_find_the_class_where_it_says_it_is(cls: type) -> None:
    assert getattr(importlib.import_module(cls.__module__), cls.__name__) is cls
