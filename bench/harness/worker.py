"""One contender in a process of its own: contest.py starts it, and tells it by lines of JSON what to do.

So memory and the time of the first step are the contender's alone, and the threads of one library are not in the way
of another's: while one contender is timed, the others wait for a line.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from .cases import Array, Case
from .contenders import BY_NAME, Contender, Running
from .machine import lines_of
from .timing import batch_size, settle, time_batch

CHECKED_STEPS = 3
TOLERANCES = {"float32": 1e-6, "float64": 1e-12}
ENOUGH_FOR_MEMORY = 10**7  # elements: below, compilers and allocators weigh more than arrays


def resident_bytes(name: str) -> float:
    """Return VmRSS (now) or VmHWM (the peak), or NaN where the system does not tell."""
    found = lines_of("/proc/self/status", f"{name}:")
    return int(found[0].split()[0]) * 1024 if found else np.nan


def forget_peak() -> None:
    """Let the peak of resident memory begin at what is resident now."""
    if (file := Path("/proc/self/clear_refs")).exists():
        file.write_text("5")


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
    first = time_batch(running.step)
    time_batch(running.step, CHECKED_STEPS - 1)
    extra = (resident_bytes("VmHWM") - before) / case.elements
    check(contender, case, list(running.params()))
    return running, {
        "import_seconds": imported,
        "construction_seconds": constructed,
        "first_step_seconds": first,
        "extra_bytes_per_parameter": None if np.isnan(extra) or case.elements < ENOUGH_FOR_MEMORY else extra,
        "versions": {module: import_module(module).__version__ for module in contender.modules},
    }


def serve(requests: Iterable[str], reply: Callable[[dict[str, Any]], None]) -> None:
    """Build what the first line asks for, and measure what every other line names."""
    lines = iter(requests)
    request = json.loads(next(lines))
    case = Case(request["name"], tuple(map(tuple, request["shapes"])), request["dtype"])
    try:
        running, facts = build(BY_NAME[request["contender"]], case)
    except AssertionError as error:
        return reply({"wrong": str(error).strip()})
    except Exception as error:  # whatever a peer's import or build raises is reported, and the others go on
        return reply({"missing": f"{type(error).__name__}: {str(error).strip()}".splitlines()[0]})
    settle(running.step)
    calls = batch_size(running.step, request["batch_seconds"])
    reply(facts)
    for line in lines:
        if (measure := json.loads(line)["measure"]) == "step":
            settle(running.step)
            reply({"seconds": time_batch(running.step, calls) / calls})
        else:
            reply({"seconds": running.measures[measure]()})
    return None


def main() -> None:
    """Serve on what are standard input and output now; what libraries print goes to standard error."""
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def reply(message: dict[str, Any]) -> None:
        print(json.dumps(message), file=replies, flush=True)

    serve(iter(sys.stdin.readline, ""), reply)


if __name__ == "__main__":
    main()
