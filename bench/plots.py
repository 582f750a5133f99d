"""Pictures of what run.py measured: ``python bench/plots.py FILE`` draws them again from its JSON into docs/images."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.program import ROOT
from harness.tables import number_text, time_text
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, FuncFormatter

Results = Mapping[str, Any]

PYADAM, FLOOR = "pyadam", "byte floor"
COLOURS = {
    PYADAM: "#d62728",
    FLOOR: "#222222",
    "torch fused": "#ff7f0e",
    "DeepSpeed": "#2ca02c",
    "numba": "#1f77b4",
    "optax": "#9467bd",
    "torch foreach": "#e8b06a",
    "torch default": "#c9a227",
    "NumPy": "#7f9f7f",
}
# Bars of these cases, those that were run.
PEER_CASES = ("GPT-2 small", "ResNet-50", "6-layer MLP", "1,000 arrays of 100")
PLAIN = FuncFormatter(lambda value, _: f"{value:,g}")


def new_figure(width: float, columns: int, title: str, results: Results) -> tuple[Figure, list[Axes]]:
    """Return a figure with a row of axes, light and without a box, and with the machine below its title."""
    figure = Figure(figsize=(width, 4.4), dpi=120, layout="constrained")
    (row,) = figure.subplots(1, columns, squeeze=False, sharey=True)
    for axes in row:
        axes.grid(alpha=0.25, linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=9)
    facts = results["machine"]
    machine = f"{facts['CPU']}, {facts['threads']} threads, {facts['ISA']}, {facts['date']}"
    figure.suptitle(f"{title}\n{machine}", fontsize=10)
    return figure, list(row)


def draw_lines(axes: Axes, results: Results, cases: Sequence[Any], x: str, y: Callable[[Any, float], float]) -> None:
    """Draw a line per contender, pyadam on top and the floor dashed: what `y` makes of each case and its seconds."""
    for name in results["contenders"]:
        points = [(case[x], y(case, case["results"][name]["seconds"][1])) for case in cases if name in case["results"]]
        if points:
            is_own = name == PYADAM
            axes.plot(
                *zip(*sorted(points), strict=True),
                label=name,
                color=COLOURS[name],
                linestyle="--" if name == FLOOR else "-",
                linewidth=2.4 if is_own else 1.3,
                marker="o",
                markersize=5 if is_own else 3,
                zorder=4 if name == FLOOR else 3 if is_own else 2,
            )
    axes.set(xscale="log", yscale="log")
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.yaxis.set_major_formatter(PLAIN)


def bandwidth(results: Results) -> Figure:
    """Draw bytes per second against the size of one array."""
    figure, row = new_figure(10, 2, "Bandwidth of a step: higher is better", results)
    for axes, (dtype, moved) in zip(row, {"float32": 28, "float64": 56}.items(), strict=True):
        cases = [case for case in results["cases"] if case["tensors"] == 1 and case["dtype"] == dtype]
        draw_lines(axes, results, cases, "elements", lambda case, s, moved=moved: moved * case["elements"] / s / 1e9)
        axes.set_xlabel(f"elements of one {dtype} array")
    row[0].set_ylabel("GB/s that Adam must move")
    figure.legend(*row[0].get_legend_handles_labels(), loc="outside right center", fontsize=8, frameon=False)
    return figure


def tensors(results: Results) -> Figure:
    """Draw the time of a step against the number of arrays of 100 elements."""
    cases = [c for c in results["cases"] if c["elements"] == 100 * c["tensors"] and c["dtype"] == "float32"]
    figure, (axes,) = new_figure(7.6, 1, "Time of a step over many small arrays: lower is better", results)
    draw_lines(axes, results, cases, "tensors", lambda _, seconds: seconds * 1e6)
    axes.set(xlabel="arrays of 100 float32 elements", ylabel="µs per step")
    figure.legend(loc="outside right center", fontsize=8, frameon=False)
    return figure


def peers(results: Results) -> Figure:
    """Draw bars: each peer's time over pyadam's."""
    by_name = {case["name"]: case["results"] for case in results["cases"]}
    chosen = [name for name in PEER_CASES if PYADAM in by_name.get(name, {})]
    names = results["contenders"]
    title = "Adam in float32 beside its peers: longer is slower"
    figure, row = new_figure(3 * len(chosen) + 1, len(chosen), title, results)
    for axes, case in zip(row, chosen, strict=True):
        found = {name: by_name[case][name] for name in names if name in by_name[case]}
        places = [names.index(name) for name in found]
        lower, middle, upper = zip(*(entry["ratio"] for entry in found.values()), strict=True)
        axes.barh(places, middle, color=[COLOURS[name] for name in found], height=0.7, zorder=2)
        axes.hlines(places, lower, upper, color="#333333", linewidth=1, zorder=3)
        for place, ratio, end in zip(places, middle, upper, strict=True):
            axes.annotate(f" {number_text(ratio)}", (end, place), va="center", fontsize=8)
        axes.axvline(1, color=COLOURS[PYADAM], linewidth=1, zorder=1)
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(PLAIN)
        axes.set_xlim(0.5, 4 * max(middle))
        own = time_text(found[PYADAM]["seconds"][1]).replace("us", "µs")
        axes.set_title(f"{case}\npyadam: {own}", fontsize=9)
        axes.set_yticks(range(len(names)), names)
        axes.grid(visible=False, axis="y")
    row[0].invert_yaxis()
    figure.supxlabel("time over pyadam's, with quartiles", fontsize=10)
    return figure


def main() -> None:
    """Draw all pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, help="what run.py --json wrote")
    parser.add_argument("--out", type=Path, default=ROOT / "docs/images", help="folder; default: %(default)s")
    args = parser.parse_args()
    results = json.loads(args.file.read_text(encoding="utf-8"))
    args.out.mkdir(parents=True, exist_ok=True)
    for draw in (bandwidth, tensors, peers):
        file = args.out / f"bench_{draw.__name__}.png"
        draw(results).savefig(file)
        print(file)


if __name__ == "__main__":
    main()
