"""Runs contenders side by side, each in a process of its own, taking turns."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import numpy as np

import pyadam

from .cases import Case
from .contenders import Contender
from .machine import available_bytes
from .program import Section
from .tables import contest_table
from .timing import BATCH, QUICK_BATCH
from .worker import WRONG_ANSWER

BENCH = Path(__file__).parents[1]

# The part of the free memory that a contender may take; the rest is for the check of the answer.
MEMORY_SHARE = 0.6

# What every contender must be able to do, to take part.
TRIAL = Case("trial", ((1000,),))

BUDGET_SECONDS = 20.0  # for a case, a peer and a measure
QUARTILES = (25, 50, 75)

Turns = list[tuple[float, float]]  # seconds of the leader and of a peer


class MissingError(Exception):
    """Raised if a contender cannot run here, or gives a wrong answer."""


def environment(python: str, threads: int) -> dict[str, str]:
    """Return what makes every library use this number of threads."""
    names = ("OMP", "OPENBLAS", "MKL", "NUMBA", "PYADAM")
    return {
        **os.environ,
        **{f"{name}_NUM_THREADS": str(threads) for name in names},
        "NUMBA_THREADING_LAYER": "omp",
        "NPROC": str(threads),  # XLA's pool of threads
        "JAX_PLATFORMS": "cpu",
        "DS_ACCELERATOR": "cpu",
        "PATH": f"{Path(python).parent}{os.pathsep}{os.environ.get('PATH', '')}",  # DeepSpeed looks for ninja there
        "PYTHONPATH": os.pathsep.join(filter(None, (str(BENCH), os.environ.get("PYTHONPATH")))),
    }


class Process:
    """A contender that has given the right answer and waits to be timed."""

    def __init__(self, contender: Contender, case: Case, python: str, threads: int, batch_seconds: float) -> None:
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 (closed with the process)
        self._process = subprocess.Popen(
            [python, "-m", "harness.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env=environment(python, threads),
        )
        request = {"contender": contender.name, "name": case.name, "shapes": case.shapes, "dtype": case.dtype}
        try:
            self.versions = self._ask({**request, "batch_seconds": batch_seconds})
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
        return answer

    @property
    def has_ended(self) -> bool:
        """Whether it can no longer be timed."""
        return self._process.poll() is not None

    def seconds(self, measure: str = "step") -> float:
        """Return the seconds per step of a batch, or of what else its contender measures."""
        return float(self._ask({"measure": measure})["seconds"])

    def close(self) -> None:
        """End the process and give its memory back."""
        self._process.kill()
        self._process.communicate()
        self._errors.close()


class Contest:
    """Runs cases, and keeps in `missing` why something could not be measured, by contender and case."""

    def __init__(self, threads: int, batch_seconds: float, pythons: Mapping[str, str] | None = None) -> None:
        self.threads = threads
        self.batch_seconds = batch_seconds
        self.pythons = pythons or {}
        self.versions: dict[str, str] = {}
        self.missing: dict[str, str] = {}

    def start(self, contender: Contender, case: Case) -> Process | None:
        """Return the contender, ready to be timed, or None if it cannot run, which is kept with the reason."""
        label = contender.name if case is TRIAL else f"{contender.name}, {case.name}"
        try:
            if contender.arrays * case.array_bytes > MEMORY_SHARE * available_bytes():
                raise MissingError("not enough memory")
            python = self.pythons.get(contender.name, sys.executable)
            process = Process(contender, case, python, self.threads, self.batch_seconds)
        except MissingError as error:
            self.missing[label] = str(error)
            return None
        self.versions.update(process.versions)
        return process

    def present(self, contenders: Sequence[Contender]) -> list[Contender]:
        """Return contenders that can run a small case; what is compiled on first use is compiled here."""
        found = []
        for contender in contenders:
            if process := self.start(contender, TRIAL):
                process.close()
                found.append(contender)
        if found[:1] != [*contenders[:1]]:
            raise MissingError(f"{contenders[0].name} cannot run: {self.missing}")
        return found

    def run(self, case: Case, contenders: Sequence[Contender], rounds: int) -> dict[str, dict[str, dict[str, Any]]]:
        """Return for each measure what was found of each contender.

        The first contender, with which all others are compared, takes turns with one of them after the other, so that
        no more than two must fit into memory.
        """
        leader, *peers = (contender for contender in contenders if contender.runs(case))
        turns: dict[str, dict[str, Turns]] = {measure: {} for measure in case.measures}
        if (own := self.start(leader, case)) is None:
            return {measure: {} for measure in turns}  # without it there is nothing to compare with
        with closing(own):
            for peer in peers:
                if (other := self.start(peer, case)) is None:
                    continue
                with closing(other):
                    try:
                        for measure, found in turns.items():
                            found[peer.name] = take_turns(own, other, rounds, measure)
                    except MissingError as error:
                        if own.has_ended:
                            raise
                        self.missing[f"{peer.name}, {case.name}"] = str(error)
            for measure, found in turns.items():
                if not found:
                    found[leader.name] = take_turns(own, own, rounds, measure)
        return {measure: summary(found, leader.name) for measure, found in turns.items()}


def summary(turns: Mapping[str, Turns], leader: str) -> dict[str, dict[str, Any]]:
    """Return the quartiles of each contender's seconds, and of their ratio to the leader's in the same round."""
    own = [(first, first) for pairs in turns.values() for first, _ in pairs]
    return {
        name: {
            "rounds": len(pairs),
            "seconds": np.percentile([second for _, second in pairs], QUARTILES).tolist(),
            "ratio": np.percentile([second / first for first, second in pairs], QUARTILES).tolist(),
        }
        for name, pairs in {leader: own, **turns}.items()
    }


def take_turns(own: Process, other: Process, rounds: int, measure: str) -> Turns:
    """Return the seconds of both in each round, after an uncounted one; who begins changes from round to round.

    There are as many rounds as fit into the budget, 3 at least.
    """
    turns = []
    # A round of slow steps takes twice its timed part, since each is preceded by an untimed one.
    possible = BUDGET_SECONDS / (2 * (own.seconds(measure) + other.seconds(measure)))
    for i in range(min(rounds, max(3, int(possible)))):
        if i % 2:
            second = other.seconds(measure)
            turns.append((own.seconds(measure), second))
        else:
            turns.append((own.seconds(measure), other.seconds(measure)))
    return turns


def hold(section: Section, doc: str | None, rounds: int, contenders: Sequence[Contender], cases: Sequence[Case]) -> int:
    """Run what the command line asks for, show and write the tables, and return the exit code."""
    peers = [contender.name for contender in contenders[1:]]
    options: dict[str, Any] = {
        "--case": {"choices": [case.name for case in cases], "help": "only this case; may be given again"},
        "--only": {"choices": peers, "help": "only this peer; may be given again"},
        "--python": {"default": [], "metavar": "NAME=PATH", "help": "a contender's interpreter; may be given again"},
    }
    options = {name: {"action": "append", **keywords} for name, keywords in options.items()}
    options["--busy"] = {"type": int, "default": 0, "metavar": "N", "help": "processes that keep a core busy each"}
    args = section.parse(doc, rounds, options=options)
    if hasattr(os, "sched_setaffinity"):  # as many CPUs as each contender may have threads
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: pyadam.get_num_threads()])
    pythons = dict(pair.partition("=")[::2] for pair in args.python)
    contest = Contest(pyadam.get_num_threads(), QUICK_BATCH if args.quick else BATCH, pythons)
    present = contest.present([contenders[0], *(c for c in contenders[1:] if c.name in (args.only or peers))])
    rows: list[dict[str, Any]] = []
    results = {"contenders": [c.name for c in present], "cases": rows, "missing": contest.missing}
    with ExitStack() as stack:
        for _ in range(args.busy):
            stack.callback(subprocess.Popen([sys.executable, "-c", "while True: pass"]).kill)
        for case in cases:
            if case.name in args.case if args.case else case.is_quick or not args.quick:
                print(case.name, file=sys.stderr, flush=True)
                rows += [
                    case.facts(m) | {"results": found} for m, found in contest.run(case, present, args.rounds).items()
                ]
    args.machine |= contest.versions
    args.json = args.json or BENCH / f"out/{Path(sys.argv[0]).stem}.json"
    print(contest_table(results, in_detail=True))
    notes = [f"Not measured: {name} ({reason})." for name, reason in contest.missing.items()]
    section.publish(args, [contest_table(results), *notes], results)
    return 1 if any(reason.startswith(WRONG_ANSWER) for reason in contest.missing.values()) else 0
