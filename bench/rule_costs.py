"""The speed of every update rule beside Adam's, for each byte that it must move.

``python bench/rule_costs.py`` measures each rule in turn with Adam, on one array of 32M float32 elements and on one of
100, after asserting that it does what `pyadam.reference` does. It needs 2 GB of memory.
"""

from __future__ import annotations

from functools import partial

from harness.program import Section
from harness.ways import Columns, Way, main

import pyadam
from pyadam import _core, rules

SECTION = Section("README.md", "rule table")


def _ways() -> list[Way]:
    """Return a way to ask for each rule of the kernel, and the bytes that it moves.

    Most rules read p, g and the state, and write p and the state. Those of two passes read p, g and the state and write
    the state, then read p and the state and write p.
    """
    ways = {}
    for name in set(rules.__all__) - {"Rule"}:
        rule = getattr(rules, name)
        for values in rule.variants:
            kernel = rule(**values).kernel()
            states = len(_core.RULES[kernel][0])
            numbers = 4 + 3 * states if rule.needs_whole_parameters else 3 + 2 * states
            ways[kernel] = Way(kernel, 4 * numbers, partial(getattr(pyadam, name), **values))
    return [ways[kernel] for kernel in _core.RULES]


WAYS = _ways()
ADAM = WAYS[0]
COLUMNS: Columns = {
    "per byte, over Adam's": lambda way, ratio, _: ratio * ADAM.moved / way.moved,
    "100 elements, over Adam's": lambda way, _, rounds: way.seconds(ADAM, 100, rounds)[1],
}

if __name__ == "__main__":
    main(SECTION, __doc__, "rule, float32", WAYS, ADAM, COLUMNS)
