"""The speed of pyadam beside its peers, as ratios.

``python bench/run.py`` runs every case. Each contender has a process of its own, on the same CPUs and with the same
number of threads; its answer is asserted; then it takes turns with pyadam. A contender whose package is missing, or
that fails, is named with the reason. ``--from FILE`` shows again what a run has measured.

A contender that lives in another environment, in which pyadam must be installed too, is given its interpreter:
``--python DeepSpeed=/path/to/bin/python``.

The exit code is 1 if an answer was wrong.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Any

from harness import report
from harness.cases import CASES
from harness.contenders import CONTENDERS
from harness.contest import Contest, confine, within
from harness.machine import describe
from harness.program import Section, save
from harness.timing import BATCH, QUICK_BATCH

import pyadam

SECTION = Section("README.md", "speed table")
OUT = Path(__file__).parent / "out/run.json"
# Timed inside a process that has NumPy already: the difference of two whole processes would be noisier.
IMPORT = "import numpy, time; start = time.perf_counter(); import pyadam; print(time.perf_counter() - start)"


def import_seconds(repetitions: int) -> float:
    """Return the median seconds that ``import pyadam`` takes, in new processes, after ``import numpy``."""
    run = [sys.executable, "-c", IMPORT]
    return median(float(subprocess.check_output(run, text=True)) for _ in range(repetitions))


def parse_arguments() -> argparse.Namespace:
    """Return the command line's options."""
    parser = SECTION.parser(__doc__, rounds=31)
    names = [contender.name for contender in CONTENDERS]
    cases = [case.name for case in CASES]
    parser.add_argument("--case", action="append", choices=cases, help="only this case; may be given again")
    parser.add_argument("--only", action="append", choices=names, help="only this peer; may be given again")
    parser.add_argument("--budget", type=float, default=20, help="seconds per case and peer (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=pyadam.get_num_threads(), help="default: %(default)s")
    parser.add_argument("--from", type=Path, dest="file", metavar="FILE", help="measure nothing: show this JSON")
    parser.add_argument("--python", action="append", default=[], metavar="NAME=PATH", help="a contender's interpreter")
    parser.set_defaults(json=OUT)
    args = SECTION.parse(parser)
    args.pythons = dict(pair.partition("=")[::2] for pair in args.python)
    for name, path in args.pythons.items():
        if name not in names or not os.access(path, os.X_OK):
            parser.error(f"--python needs a contender and its interpreter, found {name}={path}")
    return args


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Run the cases that were asked for, and save after each."""
    confine(args.threads)
    results: dict[str, Any] = {
        "machine": describe(args.threads),
        "import_seconds": import_seconds(args.rounds),
        "cases": [],
    }
    contest = Contest(args.threads, QUICK_BATCH if args.quick else BATCH, args.pythons)
    only = {CONTENDERS[0].name, "byte floor", *(args.only or ())}
    present = contest.present([c for c in CONTENDERS if not args.only or c.name in only])
    for case in CASES:
        if case.name in args.case if args.case else case.is_quick or not args.quick:
            print(case.name, file=sys.stderr, flush=True)
            found = contest.run(case, present, within(args.rounds, args.budget))["step"]
            facts = {"name": case.name, "dtype": case.dtype, "tensors": len(case.shapes), "elements": case.elements}
            results["cases"].append({**facts, "results": found})
            results.update(versions=contest.versions, missing=contest.missing, wrong=contest.wrong)
            save(args.json, results)
    return results


def main() -> None:
    """Measure, write the JSON, and print what it says."""
    args = parse_arguments()
    results = json.loads(args.file.read_text(encoding="utf-8")) if args.file else measure(args)
    print(*report.details(results), sep="\n\n")
    SECTION.publish(args, {**results["machine"], **results["versions"]}, report.readme_parts(results), None)
    sys.exit(1 if results["wrong"] else 0)


if __name__ == "__main__":
    main()
