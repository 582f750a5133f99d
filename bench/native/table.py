"""The JSON of pyadam_bench as Markdown: ``python bench/native/table.py FILE``. It needs nothing but Python."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from harness.tables import table, time_text

HEADER = ["rule", "dtype", "elements", "threads", "ISA", "time", "bytes moved", "limit", "of the limit"]


def rows(benchmarks: list[dict[str, Any]]) -> list[list[str]]:
    """Return a line per rule, dtype, size, threads and ISA, with its speed as a part of what limits it."""
    found = {}
    for row in benchmarks:
        if row.get("aggregate_name", "least") == "least":
            assert row["time_unit"] == "ns"
            work, isa, dtype, elements, threads = row["name"].split("/")[:5]
            place = dtype, int(elements.partition(":")[2]), int(threads.partition(":")[2])
            found[(work, *place, isa)] = row["bytes"] / row["real_time"], row["real_time"]
    lines = []
    for (work, dtype, elements, threads, isa), (speed, time) in sorted(found.items()):
        if isa != "native":
            limits = {"-": 0.0}
            if floor := found.get(("byte_floor", dtype, elements, threads, "native")):
                limits["bytes"] = speed / floor[0]
            if work == "adam" and (division := found.get(("divide_and_root", dtype, elements, 1, "native"))):
                limits["division"] = division[1] / threads / time
            limit = max(limits, key=limits.__getitem__)
            ending = [time_text(time * 1e-9), f"{speed:.1f} GB/s", limit, f"{limits[limit]:.2f}"]
            lines.append([work, dtype, f"{elements:,}", str(threads), isa, *ending])
    return lines


def main() -> None:
    """Print the table."""
    results = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    print(table(HEADER, rows(results["benchmarks"])))
    context = results["context"]
    print(f"\n{context['num_cpus']} CPUs, load average {context['load_avg']}, {context['date']}; {context['answers']}.")


if __name__ == "__main__":
    main()
