"""The speed of pyadam beside its peers, as ratios.

``python bench/run.py`` runs every case. Each contender has a process of its own, on the same CPUs and with the same
number of threads; its answer is asserted; then all take turns. A contender whose package is missing, or that fails, is
named with the reason. Where not all fit into memory they run in groups, each with pyadam in it.

A contender that lives in another environment, in which pyadam must be installed too, is given its interpreter:
``--python DeepSpeed=/path/to/bin/python``.

The exit code is 1 if an answer was wrong.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from time import perf_counter
from typing import Any

import footprint
import report
from cases import CASES, Case
from contenders import CONTENDERS
from contest import Contest, confine
from machine import describe

import pyadam

OUT = Path(__file__).parent / "out"
LEAST_ROUNDS = 5

# What every contender must be able to do, to take part.
TRIAL = Case("trial", ((1000,),))


def rounds(most: int, budget: float, name: str) -> Callable[[float], Iterable[int]]:
    """Return a function of the seconds of a round that returns the rounds, with a progress bar where tqdm is there."""

    def chosen(seconds: float) -> Iterable[int]:
        # A round of slow steps takes twice its timed part, since each is preceded by an untimed one.
        count = min(most, max(LEAST_ROUNDS, int(budget / (2 * seconds))))
        try:
            from tqdm import tqdm
        except ImportError:
            print(f"{name}: {count} rounds", file=sys.stderr, flush=True)
            return range(count)
        return tqdm(range(count), desc=name, leave=False)

    return chosen


def parse_arguments() -> argparse.Namespace:
    """Return the command line's options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [case.name for case in CASES]
    contenders = [contender.name for contender in CONTENDERS]
    parser.add_argument("--quick", action="store_true", help="small cases and few rounds, to check that all works")
    parser.add_argument("--case", action="append", choices=names, help="only this case; may be given again")
    parser.add_argument("--only", action="append", choices=contenders, help="only this peer; may be given again")
    parser.add_argument("--rounds", type=int, help="rounds per case (default: 31, or 3 with --quick)")
    parser.add_argument("--budget", type=float, default=60, help="seconds per case and group (default: %(default)s)")
    parser.add_argument("--threads", type=int, help="threads of all contenders (default: what pyadam uses)")
    parser.add_argument("--wheel", action="store_true", help="also build a wheel and weigh it")
    parser.add_argument("--json", type=Path, metavar="FILE", default=OUT / "run.json", help="default: %(default)s")
    parser.add_argument(
        "--python", action="append", default=[], metavar="NAME=PATH", help="the interpreter of a contender"
    )
    args = parser.parse_args()
    args.pythons = dict(pair.partition("=")[::2] for pair in args.python)
    for name, path in args.pythons.items():
        if name not in contenders or not os.access(path, os.X_OK):
            parser.error(f"--python needs a contender and its interpreter, found {name}={path}")
    return args


def run_cases(contest: Contest, args: argparse.Namespace, save: Callable[[list[dict[str, Any]]], None]) -> None:
    """Run the cases that were asked for, and save after each."""
    chosen = [c for c in CASES if (c.name in args.case if args.case else c.is_quick or not args.quick)]
    allowed = [c for c in CONTENDERS if not args.only or c.name in ("pyadam", "byte floor", *args.only)]
    present = contest.present(allowed, TRIAL)
    cases = []
    for case in chosen:
        start = perf_counter()
        found = contest.run(case, present, rounds(args.rounds or (3 if args.quick else 31), args.budget, case.name))
        facts = {"name": case.name, "dtype": case.dtype, "tensors": len(case.shapes), "elements": case.elements}
        cases.append({**facts, "results": found})
        print(f"{case.name}: {perf_counter() - start:.0f} s", file=sys.stderr, flush=True)
        save(cases)


def main() -> None:
    """Measure, write the JSON, and print what it says."""
    args = parse_arguments()
    threads = args.threads or pyadam.get_num_threads()
    confine(threads)
    contest = Contest(args.pythons, threads, 1e-3 if args.quick else 5e-3)
    results: dict[str, Any] = {"machine": describe(threads)}
    args.json.parent.mkdir(parents=True, exist_ok=True)

    def save(cases: list[dict[str, Any]]) -> None:
        results.update(cases=cases, versions=contest.versions, missing=contest.missing, wrong=contest.wrong)
        args.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")

    results["import_seconds"] = footprint.import_seconds(3 if args.quick else 31)
    results["wheel_bytes"] = footprint.wheel_bytes() if args.wheel else None
    run_cases(contest, args, save)
    print(report.everything(results))
    sys.exit(1 if contest.wrong else 0)


if __name__ == "__main__":
    main()
