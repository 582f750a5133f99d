"""The speed of pyadam beside its peers, as ratios.

``python bench/run.py`` runs every case in one process, all contenders in turn, and first asserts the answer of each.
The case of 32M elements needs 5 GB of memory.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

import footprint
import numpy as np
import report
from cases import CASES, Case
from contenders import CONTENDERS, Contender, Running
from timing import alternate

import pyadam

CHECKED_STEPS = 3


def checked(case: Case, contenders: Sequence[Contender]) -> list[Running]:
    """Return contenders that have taken a few steps with the right answer."""
    params, grads = case.arrays()
    answers = {answer: answer(params, grads, CHECKED_STEPS) for answer in {c.answer for c in contenders}}
    built = []
    for contender in contenders:
        running = contender.build(params, grads)
        for _ in range(CHECKED_STEPS):
            running.step()
        for found, expected in zip(running.params(), answers[contender.answer], strict=True):
            np.testing.assert_allclose(
                found,
                expected,
                rtol=contender.tolerance,
                atol=contender.tolerance,
                err_msg=f"{contender.name}, {case.name}",
            )
        built.append(running)
    return built


def rounds(count: int, name: str) -> Iterable[int]:
    """Return `count` rounds, with a progress bar where tqdm is installed, else after a line."""
    try:
        from tqdm import tqdm
    except ImportError:
        print(f"{name}: {count} rounds", flush=True)
        return range(count)
    return tqdm(range(count), desc=name)


def measure(
    case: Case, contenders: Sequence[Contender], count: int, batch_seconds: float
) -> dict[str, report.Measurement]:
    """Return the measurements of a case by the contenders' names; the ratios are to the first one."""
    contenders = [c for c in contenders if case.memory_bound or not c.memory_bound_only]
    steps = [running.step for running in checked(case, contenders)]
    seconds = alternate(steps, rounds(count, case.name), batch_seconds)
    ratios = seconds / seconds[:, :1]
    return {
        contender.name: report.Measurement(float(np.median(seconds[:, i])), float(np.median(ratios[:, i])))
        for i, contender in enumerate(contenders)
    }


def parse_arguments() -> argparse.Namespace:
    """Return the command line's options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [case.name for case in CASES]
    parser.add_argument("--quick", action="store_true", help="small cases and few rounds, to check that all works")
    parser.add_argument("--case", action="append", choices=names, help="only this case; may be given again")
    parser.add_argument("--rounds", type=int, help="rounds per case (default: 31, or 3 with --quick)")
    parser.add_argument("--threads", type=int, help="threads of all contenders (default: what pyadam uses)")
    parser.add_argument("--wheel", action="store_true", help="also build a wheel and weigh it")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results to FILE too")
    parser.add_argument(
        "--readme",
        type=Path,
        metavar="FILE",
        nargs="?",
        const=footprint.ROOT / "README.md",
        help="rewrite the speed table in FILE (default: the README)",
    )
    args = parser.parse_args()
    if args.readme and (args.quick or args.case):
        parser.error("--readme writes the whole table, so it goes with neither --quick nor --case")
    return args


def main() -> None:
    """Measure, print, and write what was asked for."""
    args = parse_arguments()
    if args.threads:
        pyadam.set_num_threads(args.threads)
    machine = report.machine()
    if args.readme:
        report.with_table(args.readme.read_text(encoding="utf-8"), "")  # markers that are missing end the run here
    count = args.rounds or (3 if args.quick else 31)
    batch_seconds = 1e-3 if args.quick else 5e-3
    cases = [case for case in CASES if case.name in args.case] if args.case else CASES
    if args.quick:
        cases = [case for case in cases if case.is_quick]

    results = report.Results()
    results.missing = {c.name: reason for c in CONTENDERS if (reason := c.missing()) is not None}
    present = [c for c in CONTENDERS if c.name not in results.missing]
    for case in cases:
        results.cases[case.name] = measure(case, present, count, batch_seconds)
    results.import_seconds = footprint.import_seconds(count)
    if args.wheel:
        results.wheel_bytes = footprint.wheel_bytes()

    text = report.markdown(results, machine)
    print(text, report.target_table(results), sep="\n\n")
    if args.json:
        args.json.write_text(json.dumps({"machine": machine, **asdict(results)}, indent=2) + "\n", encoding="utf-8")
    if args.readme:
        # Read again, since it may have been edited during the run.
        args.readme.write_text(report.with_table(args.readme.read_text(encoding="utf-8"), text), encoding="utf-8")


if __name__ == "__main__":
    main()
