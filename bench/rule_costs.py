"""The speed of every update rule beside Adam's, for each byte that it must move.

``python bench/rule_costs.py`` measures each rule in turn with Adam, on one array of 32M float32 elements and on one of
100, after asserting that it does what `pyadam.reference` does. It needs 2 GB of memory.
"""

from __future__ import annotations

from functools import partial

from harness.program import Section
from harness.ways import Columns, Way, main

import pyadam

SECTION = Section("README.md", "rule table")

# A way to ask for each rule of the kernel. Most read p, g and the state, and write p and the state. LAMB has two
# passes: the first reads p, g, m, v and writes m, v; the second reads p, m, v and writes p.
WAYS = [
    Way("adam", 28, pyadam.Adam),
    Way("amsgrad", 36, partial(pyadam.Adam, amsgrad=True)),
    Way("nadam", 28, pyadam.NAdam),
    Way("radam", 28, pyadam.RAdam),
    Way("adamax", 28, pyadam.Adamax),
    Way("adadelta", 28, pyadam.Adadelta),
    Way("adagrad", 20, pyadam.Adagrad),
    Way("rmsprop", 20, pyadam.RMSprop),
    Way("rmsprop_momentum", 28, partial(pyadam.RMSprop, momentum=0.9)),
    Way("rmsprop_centered", 28, partial(pyadam.RMSprop, centered=True)),
    Way("rmsprop_centered_momentum", 36, partial(pyadam.RMSprop, centered=True, momentum=0.9)),
    Way("sgd", 12, pyadam.SGD),
    Way("sgd_momentum", 20, partial(pyadam.SGD, momentum=0.9)),
    Way("sgd_nesterov", 20, partial(pyadam.SGD, momentum=0.9, nesterov=True)),
    Way("lion", 20, pyadam.Lion),
    Way("lamb", 40, pyadam.LAMB),
]
ADAM = WAYS[0]
COLUMNS: Columns = {
    "per byte, over Adam's": lambda way, ratio, _: ratio * ADAM.moved / way.moved,
    "100 elements, over Adam's": lambda way, _, rounds: way.seconds(ADAM, 100, rounds)[1],
}

if __name__ == "__main__":
    main(SECTION, __doc__, "rule, float32", WAYS, ADAM, COLUMNS)
