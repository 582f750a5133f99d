"""How the time of a step grows, a model of it on paper, and what the model says of larger machines.

``python bench/scaling.py`` measures Adam on float32 over six decades of elements, over numbers of tensors and over
threads up to what the machine has, all points taking turns; it needs 6 GB. A few of the points give the model's
constants; the others say how far the model is off. ``--write`` puts the tables into docs/scaling.md.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from cases import CASES, Case
from contenders import PYADAM
from footprint import ROOT
from machine import describe, sentence
from markdown import rewrite, table, time_text
from timing import Step, batch_size, settle, time_batch
from worker import CHECKED_STEPS, check

import pyadam
from pyadam import _core

DOCUMENT = ROOT / "docs/scaling.md"
BYTES_MOVED = 28  # per parameter and step of Adam in float32: p, g, m, v read, p, m, v written
BYTES_HELD = 16  # p, g, m, v
TENSOR = 100  # elements of each, where their number is what grows

# Peak bandwidth of a socket's memory, in bytes per second: channels times 8 bytes times transfers per second.
MEMORIES = {
    "8 channels of DDR4-3200": 8 * 8 * 3200e6,
    "8 channels of DDR5-4800": 8 * 8 * 4800e6,
    "12 channels of DDR5-6400": 12 * 8 * 6400e6,
}
ATTAINABLE = 0.8  # of the peak; an assumption, not measured here
CORES = (8, 16, 32, 64)
PARAMETERS = (10**9, 10**10, 10**11)


@dataclass(frozen=True)
class Point:
    """A case on some threads."""

    series: str
    case: Case
    threads: int

    @property
    def label(self) -> str:
        """Return what distinguishes the point in the document."""
        threads = f"{self.threads} thread{'s' if self.threads > 1 else ''}"
        return f"{self.case.name}, {threads}"


@dataclass(frozen=True)
class Constants:
    """What the model knows of this machine; times in seconds, bandwidths in bytes per second."""

    call: float
    tensor: float
    element: float
    wake: float
    core_bytes: float
    cache_bytes: float
    cache_core: float
    cache_all: float
    memory_core: float
    memory_all: float


MEANING = {
    "call": "a call of `opt.step` with one small array",
    "tensor": "each further array, without its elements",
    "element": "the arithmetic of an element, on one core",
    "wake": "sharing a step with other threads",
    "core_bytes": "a core's own cache",
    "cache_bytes": "the last-level cache",
    "cache_core": "bandwidth of the last-level cache, one core",
    "cache_all": "bandwidth of the last-level cache, all cores",
    "memory_core": "bandwidth of memory, one core",
    "memory_all": "bandwidth of memory, all cores",
}


def array_case(elements: int) -> Case:
    """Return the case of one array."""
    return Case(f"{elements:,}", ((elements,),))


def tensor_case(count: int) -> Case:
    """Return the case of many small arrays."""
    return Case(f"{count:,} arrays of {TENSOR}", ((TENSOR,),) * count)


def array_sizes(decades: int) -> list[int]:
    """Return the elements of single arrays, up to ``10 ** (2 + decades)``."""
    return [size for k in range(2, 2 + decades) for size in (10**k, 3 * 10**k)] + [10 ** (2 + decades)]


def points(decades: int, threads: int) -> list[Point]:
    """Return all that is measured."""
    sizes = array_sizes(decades)
    largest = sizes[-1]
    found = [Point("elements", array_case(size), threads) for size in sizes]
    found += [Point("elements", array_case(size), 1) for size in sizes] if threads > 1 else []
    found += [
        Point("tensors", tensor_case(count), threads)
        for count in (3, 10, 30, 100, 300, 1000, 3000, 10_000)
        if TENSOR * count <= largest
    ]
    for size in (10**6, 3 * 10**7):
        found += [Point("threads", array_case(size), t) for t in range(2, threads) if size <= largest]
    models = [case for case in CASES if case.name in ("6-layer MLP", "ResNet-50", "GPT-2 small")]
    return found + [Point("models", case, threads) for case in models if case.elements <= 1.3 * largest]


def built(case: Case) -> Step:
    """Return a function that takes a step, after steps with the right answer."""
    params, grads = map(list, zip(*case.arrays(), strict=True))
    running = PYADAM.build(params, grads)
    for _ in range(CHECKED_STEPS):
        running.step()
    check(PYADAM, case, params)
    return running.step


def measure(all_points: Sequence[Point], rounds: Iterable[int], batch_seconds: float) -> dict[Point, float]:
    """Return the lower quartile of every point's seconds: what else runs disturbs it less than the median."""
    steps = {case: built(case) for case in {point.case for point in all_points}}
    sizes = {}
    for point in all_points:
        pyadam.set_num_threads(point.threads)
        sizes[point] = batch_size(steps[point.case], batch_seconds)
    seconds: dict[Point, list[float]] = {point: [] for point in all_points}
    for _ in rounds:
        for point, calls in sizes.items():
            pyadam.set_num_threads(point.threads)
            settle(steps[point.case])
            seconds[point].append(time_batch(steps[point.case], calls) / calls)
    return {point: float(np.percentile(values, 25)) for point, values in seconds.items()}


def cache_sizes() -> tuple[float, float]:
    """Return the bytes of a core's own and of the last-level cache; 1 and 32 MiB where the system says nothing."""
    found = {}
    for folder in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*"):
        size = re.fullmatch(r"(\d+)([KM])", (folder / "size").read_text().strip())
        if size:
            found[int((folder / "level").read_text())] = int(size[1]) << {"K": 10, "M": 20}[size[2]]
    return float(found.get(2, 1 << 20)), float(max(found.values(), default=32 << 20))


def threads_used(elements: int, threads: int) -> int:
    """Return how many threads the engine gives a step."""
    return max(1, min(threads, elements // _core.get_min_share()))


def sources(decades: int, threads: int, cache_bytes: float) -> dict[str, Point]:
    """Return the points that give the constants; they are no test of the model."""
    sizes = array_sizes(decades)
    in_cache, in_memory = max(size for size in sizes if BYTES_HELD * size <= cache_bytes), sizes[-1]
    return {
        "call": Point("elements", array_case(100), threads),
        "tensor": Point("tensors", tensor_case(100), threads),
        "element": Point("elements", array_case(10**4), 1),
        "wake": Point("elements", array_case(10**5), threads),
        "cache_core": Point("elements", array_case(in_cache), 1),
        "cache_all": Point("elements", array_case(in_cache), threads),
        "memory_core": Point("elements", array_case(in_memory), 1),
        "memory_all": Point("elements", array_case(in_memory), threads),
    }


def constants(seconds: Mapping[Point, float], known: Mapping[str, Point], caches: tuple[float, float]) -> Constants:
    """Return the constants, with those of `cache_sizes`, that make the model right at the points of `sources`."""
    least, more = known["call"], known["element"]
    element = (seconds[more] - seconds[least]) / (more.case.elements - least.case.elements)
    call = seconds[least] - element * least.case.elements
    arrays = known["tensor"].case
    tensor = (seconds[known["tensor"]] - call - element * arrays.elements) / (len(arrays.shapes) - 1)
    shared = known["wake"]
    working = threads_used(shared.case.elements, shared.threads)
    wake = max(0.0, seconds[shared] - call - element * shared.case.elements / working)

    def bandwidth(name: str, wake: float) -> float:
        return BYTES_MOVED * known[name].case.elements / (seconds[known[name]] - call - wake)

    return Constants(
        call,
        tensor,
        element,
        wake,
        *caches,
        bandwidth("cache_core", 0),
        bandwidth("cache_all", wake),
        bandwidth("memory_core", 0),
        bandwidth("memory_all", wake),
    )


def predicted(c: Constants, case: Case, threads: int) -> float:
    """Return the seconds of a step, by the model of docs/scaling.md."""
    used = threads_used(case.elements, threads)
    held = BYTES_HELD * case.elements
    arithmetic = c.element * case.elements / used
    if held <= used * c.core_bytes:
        moving = 0.0
    else:
        core, everything = (c.cache_core, c.cache_all) if held <= c.cache_bytes else (c.memory_core, c.memory_all)
        moving = BYTES_MOVED * case.elements / min(used * core, everything)
    wake = c.wake if used > 1 else 0.0
    return c.call + c.tensor * (len(case.shapes) - 1) + wake + max(arithmetic, moving)


def constant_table(c: Constants, known: Mapping[str, Point]) -> str:
    """Return a row per constant."""
    rows = []
    for name, value in asdict(c).items():
        if name in ("core_bytes", "cache_bytes"):
            text, source = f"{value / 2**20:.0f} MiB", "the system"
        elif name.startswith(("cache", "memory")):
            text, source = f"{value / 1e9:.1f} GB/s", known[name].label
        else:
            text, source = f"{value * 1e9:.3g} ns", known[name].label
        rows.append([f"`{name}`", MEANING[name], text, source])
    return table(["constant", "meaning", "value", "from the point"], rows)


def measured_table(seconds: Mapping[Point, float], c: Constants, known: Mapping[str, Point]) -> str:
    """Return a row per point: measured, predicted, and the error unless the point gave a constant."""
    rows, errors = [], []
    given = {(point.case, point.threads) for point in known.values()}
    for point, taken in seconds.items():
        said = predicted(c, point.case, point.threads)
        error = said / taken - 1
        is_given = (point.case, point.threads) in given
        if not is_given:
            errors.append(abs(error))
        per_second = f"{BYTES_MOVED * point.case.elements / taken / 1e9:.1f} GB/s"
        ending = "gives a constant" if is_given else f"{error:+.0%}"
        rows.append([point.label, time_text(taken), per_second, time_text(said), ending])
    lines = table(["elements", "measured", "bytes moved", "model", "model's error"], rows)
    summary = (
        f"Of the {len(errors)} points that give no constant, the model is off by {np.median(errors):.0%} in the median "
        f"and by {max(errors):.0%} at most."
    )
    return f"{lines}\n\n{summary}"


def prediction_table(c: Constants) -> str:
    """Return a row per memory and number of cores: what the model says of machines that were not measured."""
    rows = []
    for name, peak in MEMORIES.items():
        for cores in CORES:
            bandwidth = min(cores * c.memory_core, ATTAINABLE * peak)
            limit = "cores" if cores * c.memory_core < ATTAINABLE * peak else "memory"
            times = [
                time_text(max(c.element * n / cores, BYTES_MOVED * n / bandwidth) + c.wake * (cores - 1))
                for n in PARAMETERS
            ]
            rows.append([name, str(cores), f"{bandwidth / 1e9:.0f} GB/s", limit, *times])
    header = ["memory of the socket", "cores", "bandwidth", "limited by", *(f"{n / 1e9:g}B" for n in PARAMETERS)]
    return table(header, rows)


def memory_table() -> str:
    """Return a row per number of parameters: bytes held, and moved by a step."""
    header = [
        "parameters",
        "p, g, m, v in float32",
        "of that, pyadam's state",
        "moved by a step",
        "in float64: held",
        "moved",
    ]
    units = (BYTES_HELD, 8, BYTES_MOVED, 2 * BYTES_HELD, 2 * BYTES_MOVED)
    return table(header, [[f"{n / 1e9:g}B", *(f"{unit * n / 1e9:,.0f} GB" for unit in units)] for n in PARAMETERS])


def main() -> None:
    """Measure, print the tables, and write what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="four decades and few rounds, to check that all works")
    parser.add_argument("--rounds", type=int, help="rounds (default: 15, or 2 with --quick)")
    parser.add_argument("--threads", type=int, default=pyadam.get_num_threads(), help="at most; default: %(default)s")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the times and constants to FILE too")
    parser.add_argument("--write", action="store_true", help=f"rewrite the tables of {DOCUMENT.relative_to(ROOT)}")
    args = parser.parse_args()
    if args.write and args.quick:
        parser.error("--write needs the whole measurement, without --quick")
    decades, rounds, batch_seconds = (4, 2, 1e-3) if args.quick else (6, 15, 5e-3)
    facts = describe(args.threads)
    seconds = measure(points(decades, args.threads), range(args.rounds or rounds), batch_seconds)
    caches = cache_sizes()
    known = sources(decades, args.threads, caches[1])
    c = constants(seconds, known, caches)
    parts: dict[str, Callable[[], str]] = {
        "scaling constants": lambda: f"{constant_table(c, known)}\n\n{sentence(facts)}",
        "scaling measured": lambda: measured_table(seconds, c, known),
        "scaling memory": memory_table,
        "scaling predicted": lambda: prediction_table(c),
    }
    texts = {name: make() for name, make in parts.items()}
    print(*texts.values(), sep="\n\n")
    if args.json:
        times = [{"point": point.label, "series": point.series, "seconds": taken} for point, taken in seconds.items()]
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps({"machine": facts, "constants": asdict(c), "times": times}, indent=1) + "\n")
    if args.write:
        for name, text in texts.items():
            rewrite(DOCUMENT, name, text)


if __name__ == "__main__":
    main()
