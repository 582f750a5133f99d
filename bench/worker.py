"""One contender in a process of its own: contest.py starts it, and tells it by lines of JSON what to do.

So memory and the time of the first step are the contender's alone, and the threads of one library are not in the way
of another's: while one contender is timed, the others wait for a line.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import packages_distributions, version
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from cases import Array, Case
from contenders import CONTENDERS, Contender, Running
from missing import reason_of
from timing import batch_size, settle, time_batch

CHECKED_STEPS = 3
TOLERANCES = {"float32": 1e-6, "float64": 1e-12}
STATUS = Path("/proc/self/status")
ENOUGH_FOR_MEMORY = 10**7  # elements: below, compilers and allocators weigh more than arrays


def resident_bytes(name: str) -> int | None:
    """Return VmRSS (now) or VmHWM (the peak), where the system tells."""
    if not STATUS.exists():
        return None
    (line,) = [line for line in STATUS.read_text().splitlines() if line.startswith(f"{name}:")]
    return int(line.split()[1]) * 1024


def forget_peak() -> None:
    """Let the peak of resident memory begin at what is resident now."""
    if STATUS.exists():
        Path("/proc/self/clear_refs").write_text("5")


def check(contender: Contender, case: Case, params: list[Array]) -> None:
    """Raise AssertionError unless the parameters are right."""
    tolerance = 0.0 if contender.exact else TOLERANCES[case.dtype]
    assert [p.shape for p in params] == list(case.shapes)
    for index, p in enumerate(params):
        assert p.dtype == case.dtype
        expected = contender.answer(*case.period(index), CHECKED_STEPS)
        for i in range(0, p.size, expected.size):
            found = p.reshape(-1)[i : i + expected.size]
            np.testing.assert_allclose(found, expected[: found.size], rtol=tolerance, atol=tolerance)


def versions(contender: Contender) -> dict[str, str]:
    """Return the versions of the distributions that the contender needs."""
    distributions = packages_distributions()
    return {name: version(name) for module in contender.modules for name in distributions[module][:1]}


def build(contender: Contender, case: Case) -> tuple[Running, dict[str, Any]]:
    """Return the contender after its first steps, and what they took; raises AssertionError if they are wrong."""
    start = perf_counter()
    for module in contender.modules:
        import_module(module)
    imported = perf_counter() - start if contender.modules else None
    params, grads = map(list, zip(*case.arrays(), strict=True))
    forget_peak()
    before = resident_bytes("VmRSS")
    start = perf_counter()
    running = contender.build(params, grads)
    constructed = perf_counter() - start
    first = time_batch(running.step, 1)
    time_batch(running.step, CHECKED_STEPS - 1)
    peak = resident_bytes("VmHWM")
    check(contender, case, list(running.params()))
    facts = {
        "import_seconds": imported,
        "construction_seconds": constructed,
        "first_step_seconds": first,
        "extra_bytes_per_parameter": None
        if before is None or peak is None or case.elements < ENOUGH_FOR_MEMORY
        else (peak - before) / case.elements,
        "versions": versions(contender),
    }
    return running, facts


def serve(requests: Any, reply: Callable[[dict[str, Any]], None]) -> None:
    """Build what the first line asks for, and time a batch for every other line."""
    request = json.loads(requests.readline())
    contender = next(c for c in CONTENDERS if c.name == request["contender"])
    case = Case(request["name"], tuple(map(tuple, request["shapes"])), request["dtype"])
    try:
        running, facts = build(contender, case)
    except AssertionError as error:
        return reply({"wrong": str(error).strip()})
    except Exception as error:  # whatever a peer's import or build raises is reported, and the others go on
        return reply({"missing": reason_of(error)})
    settle(running.step)
    calls = batch_size(running.step, request["batch_seconds"])
    reply(facts)
    for _ in requests:
        settle(running.step)
        reply({"seconds": time_batch(running.step, calls) / calls})
    return None


def main() -> None:
    """Serve on what are standard input and output now; what libraries print goes to standard error."""
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def reply(message: dict[str, Any]) -> None:
        replies.write(json.dumps(message) + "\n")
        replies.flush()

    serve(sys.stdin, reply)


if __name__ == "__main__":
    main()
