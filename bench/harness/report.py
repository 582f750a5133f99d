"""What contests have measured, as Markdown."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .tables import number_text, table, time_text


def table_of(results: Mapping[str, Any], all_cases: bool = False, spread: bool = False) -> str:
    """Return a row per case, of the README or all: the first contender's time and the others' ratios to it.

    These are medians, or with `spread` the lower and the upper quartile.
    """

    def cell(found: Mapping[str, Any] | None, key: str, text: Callable[[float], str]) -> str:
        if not found:
            return "-"
        low, middle, high = map(text, found[key])
        return f"{low} - {high}" if spread else middle

    first, *peers = results["contenders"]
    rows = []
    for case in results["cases"]:
        if (all_cases or case["in_readme"]) and first in (found := case["results"]):
            ratios = [cell(found.get(peer), "ratio", number_text) for peer in peers]
            rows.append([case["name"], cell(found[first], "seconds", time_text), *ratios])
    return table(["elements, float32 unless said", first, *peers], rows)


def notes(missing: Mapping[str, str], wrong: Mapping[str, str]) -> list[str]:
    """Return what is not in the tables, and why."""
    lines = [f"Not measured: {name} ({reason})." for name, reason in missing.items()]
    return lines + [f"**Wrong answer**: {name} ({reason})." for name, reason in wrong.items()]
