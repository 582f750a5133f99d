"""Runs contenders side by side, each in a process of its own, taking turns."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from cases import Case
from contenders import PYADAM, Contender
from machine import available_bytes

WORKER = Path(__file__).with_name("worker.py")

# The part of the free memory that contenders may take together; the rest is for the check of the answer.
MEMORY_SHARE = 0.6


class MissingError(Exception):
    """Raised if a contender cannot run here."""


class WrongAnswerError(Exception):
    """Raised if a contender's parameters are not what they must be."""


def environment(python: str, threads: int) -> dict[str, str]:
    """Return what makes every library use this number of threads."""
    names = ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "NUMEXPR_MAX", "NUMBA", "PYADAM")
    return {
        **os.environ,
        **{f"{name}_NUM_THREADS": str(threads) for name in names},
        "NUMEXPR_MAX_THREADS": str(threads),
        "NUMBA_THREADING_LAYER": "omp",
        "NPROC": str(threads),  # XLA's pool of threads
        "JAX_PLATFORMS": "cpu",
        "DS_ACCELERATOR": "cpu",
        "PATH": f"{Path(python).parent}{os.pathsep}{os.environ.get('PATH', '')}",  # DeepSpeed looks for ninja there
    }


class Process:
    """A contender that has given the right answer and waits to be timed."""

    def __init__(self, contender: Contender, case: Case, python: str, threads: int, batch_seconds: float) -> None:
        self.name = contender.name
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 (closed with the process)
        self._process = subprocess.Popen(
            [python, str(WORKER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env=environment(python, threads),
        )
        request = {"contender": contender.name, "name": case.name, "shapes": case.shapes, "dtype": case.dtype}
        try:
            self.facts = self._ask({**request, "batch_seconds": batch_seconds})
        except BaseException:
            self.close()
            raise

    def _ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            self._errors.seek(0)
            last = self._errors.read().strip().splitlines()[-1:] or ["it said nothing"]
            raise MissingError(f"ended with {self._process.wait()}: {last[0]}")
        answer: dict[str, Any] = json.loads(line)
        if "missing" in answer:
            raise MissingError(answer["missing"])
        if "wrong" in answer:
            raise WrongAnswerError(answer["wrong"])
        return answer

    def seconds(self) -> float:
        """Return the seconds per step of a batch."""
        return float(self._ask({})["seconds"])

    def close(self) -> None:
        """End the process and give its memory back."""
        self._process.kill()
        self._process.communicate()
        self._errors.close()


def confine(threads: int) -> None:
    """Keep this process, and those that it starts, on as many CPUs as they may have threads."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


def groups(case: Case, contenders: Sequence[Contender], memory: float) -> Iterator[list[Contender]]:
    """Yield contenders that fit into memory together; pyadam is in every group, since ratios are to it.

    A contender that does not fit beside pyadam is not yielded.
    """
    fitting: list[Contender] = []
    needed = base = PYADAM.arrays * case.array_bytes
    for contender in contenders:
        own = contender.arrays * case.array_bytes
        if contender is PYADAM or base + own > memory:
            continue
        if needed + own > memory:
            yield [PYADAM, *fitting]
            fitting, needed = [], base
        fitting.append(contender)
        needed += own
    yield [PYADAM, *fitting]


def quartiles(values: Sequence[float]) -> list[float]:
    """Return the lower quartile, the median and the upper quartile."""
    return [float(value) for value in np.percentile(values, [25, 50, 75])]


class Contest:
    """Runs cases; keeps what could not run in `missing` and what went wrong in `wrong`, by contender and case."""

    def __init__(self, pythons: Mapping[str, str], threads: int, batch_seconds: float) -> None:
        self.pythons = pythons
        self.threads = threads
        self.batch_seconds = batch_seconds
        self.versions: dict[str, str] = {}
        self.missing: dict[str, str] = {}
        self.wrong: dict[str, str] = {}

    def start(self, contender: Contender, case: Case) -> Process | None:
        """Return the contender, ready to be timed, or None if it cannot run; pyadam must."""
        try:
            python = self.pythons.get(contender.name, sys.executable)
            process = Process(contender, case, python, self.threads, self.batch_seconds)
        except MissingError as error:
            if contender is PYADAM:
                raise
            self.missing[f"{contender.name}, {case.name}"] = str(error)
        except WrongAnswerError as error:
            self.wrong[f"{contender.name}, {case.name}"] = str(error)
        else:
            self.versions.update(process.facts.pop("versions"))
            return process
        return None

    def present(self, contenders: Sequence[Contender], case: Case) -> list[Contender]:
        """Return contenders that can run a small case; so what is compiled on first use is compiled here."""
        found = []
        for contender in contenders:
            if process := self.start(contender, case):
                process.close()
                found.append(contender)
            elif reason := self.missing.pop(f"{contender.name}, {case.name}", None):
                self.missing[contender.name] = reason
        return found

    def run(
        self, case: Case, contenders: Sequence[Contender], rounds: Callable[[float], Iterable[int]]
    ) -> dict[str, dict[str, Any]]:
        """Return what was measured of each contender; `rounds` says how many, given the seconds of one."""
        contenders = [
            c for c in contenders if case.dtype in c.dtypes and (case.memory_bound or not c.memory_bound_only)
        ]
        results: dict[str, dict[str, Any]] = {}
        placed = set()
        for group in groups(case, contenders, MEMORY_SHARE * available_bytes()):
            placed.update(c.name for c in group)
            with ExitStack() as stack:
                running = []
                for contender in group:
                    if process := self.start(contender, case):
                        stack.callback(process.close)
                        running.append(process)
                results = {**self._measure(running, case, rounds), **results}
        for contender in contenders:
            if contender.name not in placed:
                self.missing[f"{contender.name}, {case.name}"] = "not enough memory"
        return results

    def _measure(
        self, running: list[Process], case: Case, rounds: Callable[[float], Iterable[int]]
    ) -> dict[str, dict[str, Any]]:
        if not running or running[0].name != PYADAM.name:
            return {}  # pyadam's answer was wrong, and without it there is nothing to compare with
        uncounted = self._round(running, case)
        seconds = []
        for i in rounds(sum(uncounted.values())):
            turn = i % len(running)
            seconds.append(self._round([*running[turn:], *running[:turn]], case))
        survivors = [process for process in running if all(process.name in row for row in [uncounted, *seconds])]
        return {
            process.name: {
                **process.facts,
                "rounds": len(seconds),
                "seconds": quartiles([row[process.name] for row in seconds]),
                "ratio": quartiles([row[process.name] / row[PYADAM.name] for row in seconds]),
            }
            for process in survivors
        }

    def _round(self, running: Sequence[Process], case: Case) -> dict[str, float]:
        """Return the seconds of each contender's batch; of one that has ended, only why."""
        seconds = {}
        for process in running:
            try:
                seconds[process.name] = process.seconds()
            except MissingError as error:
                if process.name == PYADAM.name:
                    raise
                self.missing[f"{process.name}, {case.name}"] = str(error)
        return seconds
