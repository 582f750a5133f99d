"""Pictures of what run.py measured: ``python bench/plots.py FILE`` draws them again from its JSON into docs/images."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from footprint import ROOT
from markdown import number_text, time_text
from report import PYADAM, measured, median

try:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.ticker import EngFormatter, FuncFormatter
except ModuleNotFoundError as error:
    sys.exit(f"{error.name} is missing: pip install 'pyadam[bench]'")

Results = Mapping[str, Any]

FLOOR = "byte floor"
COLOURS = {
    PYADAM: "#d62728",
    FLOOR: "#222222",
    "torch fused": "#ff7f0e",
    "DeepSpeed": "#2ca02c",
    "numba": "#1f77b4",
    "optax": "#9467bd",
    "numexpr": "#8c564b",
    "torch foreach": "#e8b06a",
    "torch default": "#c9a227",
    "scikit-learn": "#17a2b8",
    "NumPy": "#7f9f7f",
}
# Bars of these cases, those that were run.
PEER_CASES = ("GPT-2 small", "ResNet-50", "6-layer MLP", "1,000 arrays of 100")
PLAIN = FuncFormatter(lambda value, _: f"{value:,g}")
BYTES_PER_STEP = 7  # of an element's size: p, g, m, v read, p, m, v written


def new_figure(width: float, height: float, columns: int, **options: Any) -> tuple[Figure, Sequence[Axes]]:
    """Return a figure with a row of axes, light and without a box."""
    figure = Figure(figsize=(width, height), dpi=120, layout="constrained")
    (row,) = figure.subplots(1, columns, squeeze=False, **options)
    for axes in row:
        axes.grid(alpha=0.25, linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=9)
    return figure, row


def logarithmic(axes: Axes) -> None:
    """Make both scales logarithmic, with numbers that can be read."""
    axes.set(xscale="log", yscale="log")
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.yaxis.set_major_formatter(PLAIN)


def machine_line(results: Results) -> str:
    """Return where and with how many threads this was measured."""
    facts = results["machine"]
    return f"{facts['CPU']}, {facts['threads']} threads, {facts['ISA']}, {facts['date']}"


def draw_lines(axes: Axes, series: Mapping[str, Sequence[tuple[float, float]]]) -> None:
    """Draw a line per contender, pyadam on top and the floor dashed."""
    for name, points in series.items():
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


def series_of(results: Results, cases: Sequence[Any], x: str, y: Any) -> dict[str, list[tuple[float, float]]]:
    """Return points per contender: the number `x` of each case, and what `y` makes of case and result."""
    return {
        name: points
        for name in measured(results)
        if (points := [(case[x], y(case, case["results"][name])) for case in cases if name in case["results"]])
    }


def gigabytes_per_second(case: Mapping[str, Any], found: Mapping[str, Any]) -> float:
    """Return the bandwidth of a step, counting the bytes that Adam must move."""
    itemsize = 8 if case["dtype"] == "float64" else 4
    return float(BYTES_PER_STEP * itemsize * case["elements"] / median(found, "seconds") / 1e9)


def bandwidth(results: Results) -> Figure | None:
    """Draw bytes per second against the size of one array."""
    cases = [case for case in results["cases"] if case["tensors"] == 1]
    dtypes = [dtype for dtype in ("float32", "float64") if sum(case["dtype"] == dtype for case in cases) > 1]
    if not dtypes:
        return None
    figure, row = new_figure(10, 4.4, len(dtypes), sharey=True)
    for axes, dtype in zip(row, dtypes, strict=True):
        draw_lines(
            axes, series_of(results, [c for c in cases if c["dtype"] == dtype], "elements", gigabytes_per_second)
        )
        logarithmic(axes)
        axes.set_xlabel(f"elements of one {dtype} array")
    row[0].set_ylabel("GB/s that Adam must move")
    finish(figure, row, "Bandwidth of a step: higher is better", results)
    return figure


def tensors(results: Results) -> Figure | None:
    """Draw the time of a step against the number of arrays of 100 elements."""
    cases = [c for c in results["cases"] if c["elements"] == 100 * c["tensors"] and c["dtype"] == "float32"]
    if len(cases) < 2:
        return None
    figure, row = new_figure(7.6, 4.4, 1)
    draw_lines(row[0], series_of(results, cases, "tensors", lambda _, found: median(found, "seconds") * 1e6))
    logarithmic(row[0])
    row[0].set(xlabel="arrays of 100 float32 elements", ylabel="µs per step")
    finish(figure, row, "Time of a step over many small arrays: lower is better", results)
    return figure


def peers(results: Results) -> Figure | None:
    """Draw bars: each peer's time over pyadam's."""
    by_name = {case["name"]: case["results"] for case in results["cases"]}
    chosen = [name for name in PEER_CASES if PYADAM in by_name.get(name, {})]
    if not chosen:
        return None
    names = [name for name in measured(results) if any(name in by_name[case] for case in chosen)]
    figure, row = new_figure(3 * len(chosen) + 1, 4.0, len(chosen), sharey=True)
    for axes, case in zip(row, chosen, strict=True):
        found = {name: by_name[case][name] for name in names if name in by_name[case]}
        places = [names.index(name) for name in found]
        medians = [median(row, "ratio") for row in found.values()]
        ends = [[row["ratio"][1] - row["ratio"][0], row["ratio"][2] - row["ratio"][1]] for row in found.values()]
        axes.barh(places, medians, color=[COLOURS[name] for name in found], height=0.7, zorder=2)
        axes.errorbar(medians, places, xerr=list(zip(*ends, strict=True)), fmt="none", ecolor="#333333", elinewidth=1)
        for place, ratio, (_, upper) in zip(places, medians, ends, strict=True):
            axes.annotate(
                number_text(ratio), (ratio + upper, place), (4, 0), textcoords="offset points", va="center", fontsize=8
            )
        axes.axvline(1, color=COLOURS[PYADAM], linewidth=1, zorder=1)
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(PLAIN)
        axes.set_xlim(0.5, 4 * max(medians))
        axes.set_title(f"{case}\npyadam: {time_of(found[PYADAM])}", fontsize=9)
        axes.set_yticks(range(len(names)), names)
        axes.grid(visible=False, axis="y")
    row[0].invert_yaxis()
    figure.supxlabel("time over pyadam's, with quartiles", fontsize=10)
    figure.suptitle(f"Adam in float32 beside its peers: longer is slower\n{machine_line(results)}", fontsize=10)
    return figure


def time_of(found: Mapping[str, Any]) -> str:
    """Return the median time of a step as text."""
    return time_text(median(found, "seconds")).replace("us", "µs")


def finish(figure: Figure, row: Sequence[Axes], title: str, results: Results) -> None:
    """Add the title, the machine and one legend beside the axes."""
    figure.suptitle(f"{title}\n{machine_line(results)}", fontsize=10)
    handles, labels = max((axes.get_legend_handles_labels() for axes in row), key=lambda pair: len(pair[1]))
    figure.legend(handles, labels, loc="outside right center", fontsize=8, frameon=False)


PICTURES = {"bench_bandwidth.png": bandwidth, "bench_tensors.png": tensors, "bench_peers.png": peers}


def main() -> None:
    """Draw all pictures for which there are cases."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, help="what run.py --json wrote")
    parser.add_argument("--out", type=Path, default=ROOT / "docs/images", help="folder; default: %(default)s")
    args = parser.parse_args()
    results = json.loads(args.file.read_text(encoding="utf-8"))
    args.out.mkdir(parents=True, exist_ok=True)
    for name, draw in PICTURES.items():
        figure = draw(results)
        if figure is None:
            print(f"{name}: {args.file} has not the cases for it")
        else:
            figure.savefig(args.out / name)
            print(args.out / name)


if __name__ == "__main__":
    main()
