"""Programs that several processes run together: declared, found by name, run, and told apart where they fail."""

from __future__ import annotations

import ast
import inspect
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

PROGRAMS: dict[str, Callable[..., None]] = {}
RESULTS = "results.jsonl"  # in the folder of a run: a line for each program that has passed


def together(program: Callable[..., None]) -> Callable[..., None]:
    """Declare a program that must pass, in a run with others. It may take the folder of the run."""
    PROGRAMS[program.__name__] = program
    return program


def alone(program: Callable[..., None]) -> Callable[..., None]:
    """Declare a program that a test starts by its name, for what comes before, behind or of it."""
    PROGRAMS[program.__name__] = program
    return program


def run(names: Iterable[str], folder: Path, rank: int, barrier: Callable[[], Any]) -> None:
    """Run programs in one of the processes; what a program raises ends the run."""
    for name in names:
        program = PROGRAMS[name]
        program(*[folder] * len(inspect.signature(program).parameters))
        barrier()
        if rank == 0:
            with (folder / RESULTS).open("a") as results:
                results.write(json.dumps({"program": name, "passed": True}) + "\n")


def declared(decorator: Callable[..., Any], sources: Iterable[Path]) -> list[str]:
    """Return the names of the programs with a decorator, of files that only the processes can import."""
    return [
        node.name
        for source in sources
        for node in ast.parse(source.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef)
        and decorator.__name__ in [name.id for name in node.decorator_list if isinstance(name, ast.Name)]
    ]


def asked_for(items: Iterable[Any], names: Iterable[str]) -> list[str]:
    """Return the programs of which pytest is to run the test: not all with ``-k``."""
    wanted = {item.callspec.params.get("program") for item in items if hasattr(item, "callspec")}
    return [name for name in names if name in wanted]


def failures(names: Sequence[str], start: Callable[[Sequence[str]], tuple[int, str]], folder: Path) -> dict[str, str]:
    """Return what the processes wrote of each program that failed.

    `start` runs programs in new processes, and returns the exit code and the output. It is called once if all pass: a
    program that fails ends its processes, so that those behind it need new ones.
    """
    found = {}
    while names:
        code, output = start(names)
        lines = (folder / RESULTS).read_text().splitlines() if (folder / RESULTS).exists() else []
        passed = {json.loads(line)["program"] for line in lines}
        rest = [name for name in names if name not in passed]
        if rest:
            found[rest[0]] = output
        elif code:
            found[names[-1]] = output
        names = rest[1:]
    return found
