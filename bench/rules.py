"""The speed of every update rule beside Adam's, for each byte that it must move.

``python bench/rules.py`` measures each rule in turn with Adam, on one array of 32M float32 elements and on one of 100,
after asserting that it does what `pyadam.reference` does. It needs 2 GB of memory.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from footprint import ROOT
from machine import describe, sentence
from markdown import rewrite, table, time_text
from timing import alternate

import pyadam
from pyadam import _core, reference

NAME = "rule table"
LARGE, SMALL, QUICK = 2**25, 100, 2**18

Make = Callable[[Any], pyadam.Optimizer]

# A way to ask for each rule of the kernel.
RULES: dict[str, Make] = {
    "adam": pyadam.Adam,
    "amsgrad": lambda p: pyadam.Adam(p, amsgrad=True),
    "nadam": pyadam.NAdam,
    "radam": pyadam.RAdam,
    "adamax": pyadam.Adamax,
    "adadelta": pyadam.Adadelta,
    "adagrad": pyadam.Adagrad,
    "rmsprop": pyadam.RMSprop,
    "rmsprop_momentum": lambda p: pyadam.RMSprop(p, momentum=0.9),
    "rmsprop_centered": lambda p: pyadam.RMSprop(p, centered=True),
    "rmsprop_centered_momentum": lambda p: pyadam.RMSprop(p, centered=True, momentum=0.9),
    "sgd": pyadam.SGD,
    "sgd_momentum": lambda p: pyadam.SGD(p, momentum=0.9),
    "sgd_nesterov": lambda p: pyadam.SGD(p, momentum=0.9, nesterov=True),
    "lion": pyadam.Lion,
    "lamb": pyadam.LAMB,
}


def bytes_per_parameter(rule: str, itemsize: int = 4) -> int:
    """Return the bytes that a step reads and writes: p and g in, p out, each state array in and out."""
    if rule == "lamb":
        # The first pass reads p, g, m, v and writes m, v; the second reads p, m, v and writes p.
        return (4 + 2 + 3 + 1) * itemsize
    states = len(_core.RULES[rule][0])
    return (3 + 2 * states) * itemsize


def check(rule: str, make: Make) -> None:
    """Assert that a few steps of the rule are the reference's, to the last bit."""
    rng = np.random.default_rng(0)
    p, g = (rng.standard_normal(5000).astype(np.float32) for _ in range(2))
    opt = make(p)
    expected = reference.Parameter(p, rule, opt.param_groups[0].options)
    for _ in range(3):
        opt.step(g)
        expected.step(g)
    np.testing.assert_array_equal(p, expected.p)


def stepper(make: Make, size: int) -> Callable[[], None]:
    """Return a function that takes a step of the rule on an array of its own."""
    rng = np.random.default_rng(0)
    p, g = (rng.standard_normal(size, dtype=np.float32) for _ in range(2))
    opt = make(p)
    return lambda: opt.step(g)


def ratio_to_adam(make: Make, size: int, rounds: int) -> tuple[float, float]:
    """Return the rule's median seconds per step, and the median of their ratio to Adam's in the same round."""
    seconds = alternate([stepper(pyadam.Adam, size), stepper(make, size)], range(rounds), 5e-3)
    return float(np.median(seconds[:, 1])), float(np.median(seconds[:, 1] / seconds[:, 0]))


def row(rule: str, size: int, rounds: int) -> Sequence[str]:
    """Return a line of the table."""
    make = RULES[rule]
    check(rule, make)
    seconds, ratio = ratio_to_adam(make, size, rounds)
    moved = bytes_per_parameter(rule)
    per_byte = ratio * bytes_per_parameter("adam") / moved
    _, small_ratio = ratio_to_adam(make, SMALL, rounds)
    return [f"`{rule}`", str(moved), time_text(seconds), f"{per_byte:.2f}", f"{small_ratio:.2f}"]


def main() -> None:
    """Measure and print the table, and write it to the README if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small arrays and few rounds, to check that all works")
    parser.add_argument("--rounds", type=int, help="rounds per rule (default: 15, or 3 with --quick)")
    parser.add_argument("--readme", action="store_true", help="rewrite the table of rules in the README")
    args = parser.parse_args()
    size, rounds = (QUICK, 3) if args.quick else (LARGE, 15)
    rows = []
    for rule in _core.RULES:
        rows.append(row(rule, size, args.rounds or rounds))
        print(*rows[-1], sep="  ", flush=True)
    header = ["rule", "bytes per parameter", "32M float32", "per byte, over Adam's", "100 float32, over Adam's"]
    text = f"{table(header, rows)}\n\n{sentence(describe(pyadam.get_num_threads()))}"
    print(text)
    if args.readme:
        rewrite(ROOT / "README.md", NAME, text)


if __name__ == "__main__":
    main()
