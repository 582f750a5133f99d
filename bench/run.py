"""The speed of pyadam beside its peers, as ratios.

``python bench/run.py`` runs every case. Each contender has a process of its own, on the same CPUs and with the same
number of threads; its answer is asserted; then it takes turns with pyadam. A contender whose package is missing, or
that fails, is named with the reason. One that lives in another environment, in which pyadam must be installed too, is
given its interpreter: ``--python DeepSpeed=/path/to/bin/python``.

The exit code is 1 if an answer was wrong.
"""

import sys

from harness.cases import CASES
from harness.contenders import CONTENDERS
from harness.contest import hold
from harness.program import Section

SECTION = Section("README.md", "speed table")

if __name__ == "__main__":
    sys.exit(hold(SECTION, __doc__, 31, CONTENDERS, CASES))
