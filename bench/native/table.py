"""The JSON of pyadam_bench as Markdown: ``python bench/native/table.py FILE``. It needs nothing but Python."""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from harness.tables import table, time_text

ROW = re.compile(r"(?P<work>\w+)/(?P<isa>\w+)/(?P<dtype>\w+)/elements:(?P<elements>\d+)/threads:(?P<threads>\d+)")
ARITHMETIC = "divide_and_root"


def least(benchmarks: list[dict[str, Any]]) -> dict[tuple[str, str, int, int, str], dict[str, Any]]:
    """Return what was measured by work, dtype, elements, threads and ISA: the least where there are repetitions."""
    found = {}
    for row in benchmarks:
        if row.get("aggregate_name", "least") == "least" and (name := ROW.match(row["name"])):
            assert row["time_unit"] == "ns"
            found[name["work"], name["dtype"], int(name["elements"]), int(name["threads"]), name["isa"]] = row
    return found


def rows(benchmarks: list[dict[str, Any]]) -> list[list[str]]:
    """Return a line per rule, dtype, size, threads and ISA, with its time as a part of what limits it."""
    found = least(benchmarks)
    lines = []
    for (work, dtype, elements, threads, isa), row in sorted(found.items(), key=lambda pair: pair[0]):
        if not (floor_name := row.get("label")):
            continue
        limits = {}
        if floor := found.get((floor_name, dtype, elements, threads, "native")):
            limits["bytes"] = floor["real_time"]
        if work == "adam" and (arithmetic := found.get((ARITHMETIC, dtype, elements, 1, "native"))):
            limits["division"] = arithmetic["real_time"] / threads
        limit = max(limits, key=lambda name: limits[name], default="-")
        part = f"{limits[limit] / row['real_time']:.2f}" if limits else "-"
        speed = f"{row['bytes'] / row['real_time']:.1f} GB/s"
        time = time_text(row["real_time"] * 1e-9)
        lines.append([work, dtype, f"{elements:,}", str(threads), isa, time, speed, limit, part])
    return lines


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, help="what --benchmark_out wrote")
    results = json.loads(parser.parse_args().file.read_text(encoding="utf-8"))
    header = ["rule", "dtype", "elements", "threads", "ISA", "time", "bytes moved", "limit", "of the limit"]
    print(table(header, rows(results["benchmarks"])))
    context = results["context"]
    print(f"\n{context['num_cpus']} CPUs, load average {context['load_avg']}, {context['date']}; {context['answers']}.")


if __name__ == "__main__":
    main()
