"""What contests have measured, as Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from .cases import CASES, IMPORT_TARGET, RATIO_TARGETS, TIME_TARGETS
from .contenders import CONTENDERS
from .tables import number_text, table, time_text

PYADAM = CONTENDERS[0].name
EXPLANATION = (
    "pyadam: time of a step. Others: their time over pyadam's, so 2 means that pyadam is twice as fast. "
    "The byte floor is a loop that only moves the same bytes."
)

Results = Mapping[str, Any]


def measured(results: Results) -> list[str]:
    """Return the names of all contenders that were measured, pyadam first."""
    found = {name for case in results["cases"] for name in case["results"]}
    return [contender.name for contender in CONTENDERS if contender.name in found]


def speed_table(head: str, rows: Iterable[tuple[str, Results]], names: Sequence[str], spread: bool = False) -> str:
    """Return a row per case: the first contender's time and the others' ratios to it, or the quartiles of these."""

    def cell(found: Results | None, key: str, text: Callable[[float], str]) -> str:
        if not found:
            return "-"
        low, middle, high = map(text, found[key])
        return f"{low} - {high}" if spread else middle

    first, *peers = names
    return table(
        [head, *names],
        [
            [label, cell(found[first], "seconds", time_text)]
            + [cell(found.get(peer), "ratio", number_text) for peer in peers]
            for label, found in rows
            if first in found
        ],
    )


def case_table(results: Results, chosen: Callable[[str], bool], spread: bool = False) -> str:
    """Return the speed table of the cases with these names."""
    rows = [(case["name"], case["results"]) for case in results["cases"] if chosen(case["name"])]
    return speed_table("elements, float32 unless said", rows, measured(results), spread)


def start_table(results: Results) -> str:
    """Return what each contender takes before its second step, and its memory, for the largest model."""
    case = max(results["cases"], key=lambda case: (case["tensors"] > 1, case["elements"]))
    rows = []
    for name, found in case["results"].items():
        seconds = [found[f"{key}_seconds"] for key in ("import", "construction", "first_step")]
        extra = found["extra_bytes_per_parameter"]
        rows.append([name, *("-" if value is None else time_text(value) for value in seconds)])
        rows[-1].append("-" if extra is None else number_text(extra))
    return table([case["name"], "import", "construction", "first step", "peak bytes per parameter"], rows)


def target_table(results: Results) -> str:
    """Return a row per target of what was run."""
    seconds = results["import_seconds"]
    rows = [[f"import ≤ {time_text(IMPORT_TARGET)}", time_text(seconds), seconds <= IMPORT_TARGET]]
    for name, found in ((case["name"], case["results"]) for case in results["cases"]):
        for peer, least in RATIO_TARGETS.get(name, {}).items():
            if peer in found:
                ratio = found[peer]["ratio"][1]
                rows.append([f"{name}: {peer} / pyadam ≥ {least:g}", number_text(ratio), ratio >= least])
        if name in TIME_TARGETS and PYADAM in found:
            seconds, most = found[PYADAM]["seconds"][1], TIME_TARGETS[name]
            rows.append([f"{name}: ≤ {time_text(most)}", time_text(seconds), seconds <= most])
    header = ["target", "measured", "reached"]
    return table(header, [[goal, value, "yes" if reached else "**no**"] for goal, value, reached in rows])


def notes(missing: Mapping[str, str], wrong: Mapping[str, str]) -> list[str]:
    """Return what is not in the tables, and why."""
    lines = [f"Not measured: {name} ({reason})." for name, reason in missing.items()]
    return lines + [f"**Wrong answer**: {name} ({reason})." for name, reason in wrong.items()]


def readme_parts(results: Results) -> list[str]:
    """Return what the README has between its markers."""
    names = {case.name for case in CASES if case.in_readme}
    return [EXPLANATION, case_table(results, names.__contains__), *notes(results["missing"], results["wrong"])]


def details(results: Results) -> list[str]:
    """Return what a run has measured and the README leaves out."""
    return [
        case_table(results, bool),
        "Lower and upper quartiles of the same:",
        case_table(results, bool, spread=True),
        "Before the second step, and the memory beside parameters and gradients at the peak of the first three:",
        start_table(results),
        target_table(results),
    ]
