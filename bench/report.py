"""What a JSON file of run.py says, as Markdown: ``python bench/report.py FILE``; ``--readme`` rewrites the README's."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import contenders
from cases import CASES, IMPORT_TARGET, RATIO_TARGETS, TIME_TARGETS, WHEEL_TARGET
from footprint import ROOT
from machine import sentence
from markdown import number_text, rewrite, table, time_text

NAME = "speed table"
PYADAM = contenders.PYADAM.name
EXPLANATION = (
    "pyadam: time of a step. Others: their time over pyadam's, so 2 means that pyadam is twice as fast. "
    "The byte floor is a loop that only moves the same bytes."
)

Results = Mapping[str, Any]


def median(found: Mapping[str, Any], key: str) -> float:
    """Return the median of the quartiles under `key`."""
    return float(found[key][1])


def measured(results: Results) -> list[str]:
    """Return the names of all contenders that were measured, pyadam first."""
    found = {name for case in results["cases"] for name in case["results"]}
    return [contender.name for contender in contenders.CONTENDERS if contender.name in found]


def case_table(
    results: Results, cell: Callable[[Mapping[str, Any]], str], first: Callable[..., str], names: set[str]
) -> str:
    """Return a row per case, a column per contender; `first` makes pyadam's cell, `cell` the others'."""
    peers = [name for name in measured(results) if name != PYADAM]
    rows = []
    for case in results["cases"]:
        found = case["results"]
        if case["name"] in names and PYADAM in found:
            cells = [cell(found[peer]) if peer in found else "-" for peer in peers]
            rows.append([case["name"], first(found[PYADAM]), *cells])
    return table(["elements, float32 unless said", PYADAM, *peers], rows)


def speed_table(results: Results, names: set[str]) -> str:
    """Return pyadam's time, and the ratio of each other contender's to it."""
    return case_table(
        results,
        lambda found: number_text(median(found, "ratio")),
        lambda found: time_text(median(found, "seconds")),
        names,
    )


def spread_table(results: Results, names: set[str]) -> str:
    """Return the quartiles of what `speed_table` has the medians of."""
    return case_table(
        results,
        lambda found: "-".join(number_text(found["ratio"][i]) for i in (0, 2)),
        lambda found: " - ".join(time_text(found["seconds"][i]) for i in (0, 2)),
        names,
    )


def start_table(results: Results) -> str:
    """Return what each contender takes before its second step, and its memory, for the largest model."""
    models = [case for case in results["cases"] if case["tensors"] > 1]
    if not models:
        return "No case of many tensors was run."
    case = max(models, key=lambda case: case["elements"])
    rows = []
    for name in measured(results):
        if found := case["results"].get(name):
            extra = found["extra_bytes_per_parameter"]
            seconds = [found[f"{key}_seconds"] for key in ("import", "construction", "first_step")]
            times = ["-" if value is None else time_text(value) for value in seconds]
            rows.append([name, *times, "-" if extra is None else number_text(extra)])
    header = [case["name"], "import", "construction", "first step", "peak bytes per parameter"]
    return table(header, rows)


def notes(results: Results) -> list[str]:
    """Return what is needed to read the tables: the machine, and what is not in them."""
    lines = [sentence({**results["machine"], **results["versions"]})]
    lines += [f"Not measured: {name} ({reason})." for name, reason in results["missing"].items()]
    return lines + [f"**Wrong answer**: {name} ({reason})." for name, reason in results["wrong"].items()]


def readme_text(results: Results) -> str:
    """Return what the README has between its markers."""
    names = {case.name for case in CASES if case.in_readme}
    return "\n\n".join([EXPLANATION, speed_table(results, names), "\n".join(notes(results))])


def target_table(results: Results) -> str:
    """Return a row per target of what was run."""
    rows = []

    def add(target: str, measured: str | None, reached: bool) -> None:
        rows.append([target, measured or "not measured", "-" if measured is None else "yes" if reached else "**no**"])

    for case in results["cases"]:
        name, found = case["name"], case["results"]
        for peer, least in RATIO_TARGETS.get(name, {}).items():
            ratio = median(found[peer], "ratio") if peer in found else None
            measured = None if ratio is None else number_text(ratio)
            add(f"{name}: {peer} / pyadam ≥ {least:g}", measured, ratio is not None and ratio >= least)
        if name in TIME_TARGETS and PYADAM in found:
            seconds, most = median(found[PYADAM], "seconds"), TIME_TARGETS[name]
            add(f"{name}: ≤ {time_text(most)}", time_text(seconds), seconds <= most)
    seconds = results["import_seconds"]
    add(f"import, over NumPy's: ≤ {time_text(IMPORT_TARGET)}", time_text(seconds), seconds <= IMPORT_TARGET)
    if (size := results["wheel_bytes"]) is not None:
        add(f"wheel: ≤ {WHEEL_TARGET / 1e6:g} MB", f"{size / 1e6:.2g} MB", size <= WHEEL_TARGET)
    return table(["target", "measured", "reached"], rows)


def everything(results: Results) -> str:
    """Return all that a run measured."""
    names = {case["name"] for case in results["cases"]}
    parts = [
        EXPLANATION,
        speed_table(results, names),
        "Lower and upper quartiles of the same:",
        spread_table(results, names),
        "Before the second step, and the memory beside parameters and gradients at the peak of the first three:",
        start_table(results),
        target_table(results),
        *notes(results),
    ]
    return "\n\n".join(parts)


def main() -> None:
    """Print the tables, or rewrite the README's."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, help="what run.py --json wrote")
    parser.add_argument("--readme", action="store_true", help="rewrite the speed table in the README")
    parser.add_argument("--into", type=Path, default=ROOT / "README.md", help="another file to rewrite it in")
    args = parser.parse_args()
    results = json.loads(args.file.read_text(encoding="utf-8"))
    if not args.readme:
        print(everything(results))
        return
    measured = {case["name"] for case in results["cases"]}
    if missing := [case.name for case in CASES if case.in_readme and case.name not in measured]:
        parser.error(f"the README's table has cases that {args.file} has not: {', '.join(missing)}")
    rewrite(args.into, NAME, readme_text(results))


if __name__ == "__main__":
    main()
