"""Numbers and tables as Markdown, and how they get into documents. Needs nothing but Python."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any


def time_text(seconds: float) -> str:
    """Return seconds with three digits, in the unit that suits.

    >>> time_text(0.0123), time_text(1.25e-6), time_text(1234.5), time_text(99.96)
    ('12.3 ms', '1.25 us', '1,230 s', '100 s')
    """
    for unit, scale in (("s", 1.0), ("ms", 1e3)):
        if seconds * scale >= 1:
            return f"{number_text(seconds * scale)} {unit}"
    return f"{number_text(seconds * 1e6)} us"


def number_text(value: float) -> str:
    """Return a number with three digits.

    >>> [number_text(value) for value in (0.12345, 3, 1234.5, 123456)]
    ['0.123', '3', '1,230', '123,000']
    """
    return f"{float(f'{value:.3g}'):,.10g}"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    return "\n".join(f"| {' | '.join(line)} |" for line in [header, ["---"] * len(header), *rows])


def contest_table(results: Mapping[str, Any], in_detail: bool = False) -> str:
    """Return a row per case of the README: the first contender's time and the others' ratios to it, as medians.

    In detail it is a row per case of all, and the lower and the upper quartile.
    """

    def cell(found: Mapping[str, Any] | None, key: str, text: Callable[[float], str]) -> str:
        if not found:
            return "-"
        low, middle, high = map(text, found[key])
        return f"{low} - {high}" if in_detail else middle

    first, *peers = results["contenders"]
    rows = []
    for case in results["cases"]:
        if (in_detail or case["in_readme"]) and first in (found := case["results"]):
            ratios = [cell(found.get(peer), "ratio", number_text) for peer in peers]
            rows.append([case["name"], cell(found[first], "seconds", time_text), *ratios])
    return table(["elements, float32 unless said", first, *peers], rows)


def rewrite(path: Path, name: str, text: str) -> None:
    """Put `text` between the two markers of a file; raises ValueError, and changes nothing, if they are not there."""
    document = path.read_text(encoding="utf-8")
    begin, end = (f"<!-- {name}: {border} -->" for border in ("begin", "end"))
    if document.count(begin) != 1 or document.count(end) != 1 or document.index(begin) > document.index(end):
        raise ValueError(f"the document must have {begin!r} and, after it, {end!r}, once each")
    head, rest = document.split(begin)
    path.write_text(f"{head}{begin}\n{text}\n{end}{rest.split(end)[1]}", encoding="utf-8")
