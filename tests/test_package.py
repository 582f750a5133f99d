"""The package: what it exports, says of itself, documents and imports."""

from __future__ import annotations

import ast
import doctest
import importlib.metadata
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pyadam
from pyadam import _core, reference, rules

PACKAGE = Path(pyadam.__file__).parent
CLASSES = [value for name in pyadam.__all__ if inspect.isclass(value := getattr(pyadam, name))]
OPTIMIZERS = [cls for cls in CLASSES if issubclass(cls, pyadam.Optimizer) and cls is not pyadam.Optimizer]
FUNCTIONS = [
    value for name in pyadam.__all__ if callable(value := getattr(pyadam, name)) and not inspect.isclass(value)
]


def by_name(value: Any) -> str:
    return value.__name__


def run_python(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYADAM_")}
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, check=False, env={**environment, **environ}
    )


def stub_names(body: list[ast.stmt]) -> set[str]:
    """Return the public names that a stub's module or class defines."""
    names = set()
    for node in body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.add(node.name)
    return names


def public(names: list[str], *special: str) -> set[str]:
    return {name for name in names if not name.startswith("_") or name in special}


def test_the_stub_has_the_names_of_the_module() -> None:
    stub = ast.parse((PACKAGE / "_core.pyi").read_text(encoding="utf-8"))
    assert stub_names(stub.body) == public(dir(_core), "__version__")
    for stub_class in (node for node in stub.body if isinstance(node, ast.ClassDef)):
        actual = getattr(_core, stub_class.name)
        assert stub_names(stub_class.body) == public(dir(actual), "__init__")


def test_the_package_is_marked_as_typed() -> None:
    assert (PACKAGE / "py.typed").exists()


def test_the_version_is_the_same_everywhere() -> None:
    assert importlib.metadata.version("pyadam") == _core.__version__ == pyadam.__version__


def test_every_exported_name_exists_and_is_listed_before_it_is_used() -> None:
    assert all(hasattr(pyadam, name) for name in pyadam.__all__)
    done = run_python("-c", "import pyadam; print(set(pyadam.__all__) - set(dir(pyadam)))")
    assert (done.stdout, done.stderr) == ("set()\n", "")


def test_show_config_prints_every_field(capsys: pytest.CaptureFixture[str]) -> None:
    pyadam.show_config()
    lines = dict(re.split(r":\s+", line, maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert list(lines) == ["pyadam", "ISA in use", "ISAs available", "threads", "compiler"]
    assert lines["pyadam"] == pyadam.__version__
    assert lines["ISA in use"].split()[0] == _core.isa()
    assert lines["ISAs available"].split(", ") == _core.available_isas()
    assert int(lines["threads"].split()[0]) == pyadam.get_num_threads()
    assert lines["compiler"] == _core.COMPILER


def test_the_package_run_as_a_program_prints_the_same() -> None:
    done = run_python("-c", "import pyadam; pyadam.show_config()")
    assert (done.returncode, done.stderr) == (0, "")
    as_program = run_python("-m", "pyadam")
    assert (as_program.returncode, as_program.stdout, as_program.stderr) == (0, done.stdout, "")


PRINT_ISA = "import pyadam; from pyadam import _core; print(_core.isa())"


@pytest.mark.parametrize("isa", _core.available_isas())
def test_the_environment_selects_the_isa(isa: str) -> None:
    done = run_python("-c", PRINT_ISA, PYADAM_ISA=isa)
    assert done.stdout == f"{isa}\n", done.stderr


@pytest.mark.parametrize("environ", [{}, {"PYADAM_ISA": ""}], ids=["unset", "empty"])
def test_without_a_choice_the_fastest_isa_is_used(environ: dict[str, str]) -> None:
    done = run_python("-c", PRINT_ISA, **environ)
    assert done.stdout == f"{_core.available_isas()[0]}\n", done.stderr


@pytest.mark.parametrize("isa", ["mmx", "AVX2", "avx2,sse2"])
def test_an_unknown_isa_is_an_import_error_that_lists_those_available(isa: str) -> None:
    done = run_python("-c", PRINT_ISA, PYADAM_ISA=isa)
    assert done.returncode != 0
    message = done.stderr.splitlines()[-1]
    assert message.startswith(f"ImportError: PYADAM_ISA: ISA '{isa}'")
    assert message.endswith(f"available: {', '.join(_core.available_isas())}")


def test_selecting_an_unknown_isa_changes_nothing() -> None:
    before = _core.isa()
    with pytest.raises(ValueError, match="'mmx'"):
        _core.select_isa("mmx")
    assert _core.isa() == before


def test_the_import_brings_in_numpy_and_the_standard_library_alone() -> None:
    code = """if True:
        import sys, numpy
        before = set(sys.modules)
        import pyadam
        print(*{name.partition(".")[0] for name in set(sys.modules) - before})
    """
    done = run_python("-c", code)
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) - set(sys.stdlib_module_names) <= {"numpy", "pyadam"}


def test_no_module_imports_the_package_from_within() -> None:
    """Imports are relative, so that `lint-imports` sees which module they mean."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) and node.level == 0 else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            assert not any(name.partition(".")[0] == "pyadam" for name in names), f"{path}:{node.lineno}"


@pytest.mark.parametrize("cls", OPTIMIZERS, ids=by_name)
def test_a_signature_has_the_hyperparameters_and_defaults_of_its_rule(cls: type[pyadam.Optimizer]) -> None:
    rule = getattr(rules, cls.__name__)
    signature = inspect.signature(cls).parameters.values()
    declared = {p.name: p.default for p in signature if p.name != "params" and p.kind is not p.VAR_KEYWORD}
    fixed = {"decoupled_weight_decay": True} if cls is pyadam.AdamW else {}
    assert {**declared, **fixed} == rule.defaults
    assert cls(np.ones(1)).param_groups[0].kernel == rule().kernel()


@pytest.mark.parametrize("rule", [getattr(rules, name) for name in rules.__all__ if name != "Rule"], ids=by_name)
def test_only_deciding_hyperparameters_change_what_state_there_is(rule: type[rules.Rule]) -> None:
    """The others are set without a look at it."""
    kept = rule().kernel(), rule().initial_state()
    for name in rule.fields.keys() - rule.deciding:
        value = (0.25, 0.5) if name == "betas" else 0.25
        changed = rule().replaced({name: value})
        assert (changed.kernel(), changed.initial_state()) == kept, name


@pytest.mark.parametrize("rule", _core.RULES)
def test_every_rule_has_a_reference_that_takes_its_state(rule: str) -> None:
    assert rule in reference.__all__
    function = getattr(reference, rule)
    positional = [
        name
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind is parameter.POSITIONAL_OR_KEYWORD
    ]
    state_names, _ = _core.RULES[rule]
    assert positional[:2] == ["p", "g"]
    assert positional[-1] == "t"
    assert len(positional) - 3 == len(state_names)
    assert function.__doc__


def sections(value: Any) -> list[str]:
    return re.findall(r"^(\w[\w ]*)\n-{3,}$", inspect.getdoc(value) or "", flags=re.MULTILINE)


@pytest.mark.parametrize("cls", OPTIMIZERS, ids=by_name)
def test_every_optimizer_documents_its_rule_with_sources_and_an_example(cls: type[pyadam.Optimizer]) -> None:
    assert {"Notes", "References", "Examples"} <= set(sections(cls))


@pytest.mark.parametrize("cls", OPTIMIZERS, ids=by_name)
def test_every_option_is_documented_by_its_class_or_the_one_it_extends(cls: type[pyadam.Optimizer]) -> None:
    documents = "\n".join(inspect.getdoc(base) or "" for base in cls.__mro__ if issubclass(base, pyadam.Optimizer))
    for name in ("params", *cls(np.ones(1)).param_groups[0].options):
        assert re.search(rf"^{name} : ", documents, flags=re.MULTILINE), name


@pytest.mark.parametrize("value", [*CLASSES, *FUNCTIONS], ids=by_name)
def test_everything_public_has_a_docstring_that_begins_with_a_sentence(value: Any) -> None:
    methods = [member for name, member in vars(value).items() if not name.startswith("_")] if value in CLASSES else []
    for documented in (value, *methods):
        assert re.match(r"[A-Z`].*[.:]$", (inspect.getdoc(documented) or "").partition("\n")[0])


@pytest.mark.parametrize(
    "value",
    [*(cls for cls in CLASSES if not issubclass(cls, Exception)), *FUNCTIONS],
    ids=by_name,
)
def test_the_examples_in_the_docstring_are_right(value: Any) -> None:
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    examples = [test for test in doctest.DocTestFinder().find(value, value.__name__) if test.examples]
    assert examples
    for test in examples:
        assert runner.run(test).failed == 0
