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
from typing import Any

import numpy as np

from .cases import Array, Case
from .contenders import BY_NAME, Contender, Running
from .timing import batch_size, settle, time_batch

CHECKED_STEPS = 3
WRONG_ANSWER = "wrong answer"
TOLERANCES = {"float32": 1e-6, "float64": 1e-12}


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


def build(contender: Contender, case: Case) -> Running:
    """Return the contender after its first steps; raises AssertionError if they are wrong."""
    params, grads = map(list, zip(*case.arrays(), strict=True))
    running = contender.build(params, grads)
    time_batch(running.step, CHECKED_STEPS)
    check(contender, case, list(running.params()))
    return running


def serve(requests: Iterable[str], reply: Callable[[dict[str, Any]], None]) -> None:
    """Build what the first line asks for, and measure what every other line names."""
    lines = iter(requests)
    request = json.loads(next(lines))
    case = Case(request["name"], tuple(map(tuple, request["shapes"])), request["dtype"])
    contender = BY_NAME[request["contender"]]
    try:
        versions = {module: import_module(module).__version__ for module in contender.modules}
        running = build(contender, case)
    except AssertionError as error:
        return reply({"missing": f"{WRONG_ANSWER}: {str(error).strip()}"})
    except Exception as error:  # whatever a peer's import or build raises is reported, and the others go on
        return reply({"missing": f"{type(error).__name__}: {str(error).strip()}".splitlines()[0]})
    settle(running.step)
    calls = batch_size(running.step, request["batch_seconds"])
    reply(versions)
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
    serve(iter(sys.stdin.readline, ""), lambda message: print(json.dumps(message), file=replies, flush=True))


if __name__ == "__main__":
    main()
