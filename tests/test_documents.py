"""The programs in README.md and docs/ run, each by itself, and print what the comments beside `print` say."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)


def programs() -> list[Any]:
    """Return each program of each document, after as many empty lines as are before it, for tracebacks."""
    found = []
    for document in DOCUMENTS:
        text = document.read_text(encoding="utf-8")
        for block in BLOCK.finditer(text):
            line = text.count("\n", 0, block.start(1))
            found.append(pytest.param(document, "\n" * line + block[1], id=f"{document.name}:{line + 1}"))
    return found


def said_to_print(source: str) -> list[str]:
    """Return the lines of a program's comments on `print`: up to a semicolon, with ", then " between lines."""
    comments = re.findall(r"^ *print\(.*\)  # (.*)$", source, flags=re.MULTILINE)
    return [line for comment in comments for line in comment.partition("; ")[0].split(", then ")]


def other_packages(program: ast.Module) -> set[str]:
    """Return the packages that a program imports besides pyadam, its dependency and the standard library."""
    names = set()
    for node in ast.walk(program):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").partition(".")[0])
    return names - {"numpy", "pyadam"} - set(sys.stdlib_module_names)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_no_block_is_missed(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    assert len(BLOCK.findall(text)) == text.count("```python")


@pytest.mark.parametrize(("document", "source"), programs())
def test_the_program_runs_and_prints_what_it_says(
    document: Path, source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    program = ast.parse(source, str(document))
    for package in sorted(other_packages(program)):
        pytest.importorskip(package)
    exec(compile(program, str(document), "exec"), {"__name__": "program"})
    assert capsys.readouterr().out.splitlines() == said_to_print(source)
