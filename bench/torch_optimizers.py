"""The speed of `pyadam.torch` beside torch.optim and DeepSpeed, as ratios.

``python bench/torch_optimizers.py`` runs every case as run.py does, and has its options.
"""

import sys
from dataclasses import replace

from harness.cases import Case, arrays, model
from harness.contenders import TORCH_CONTENDERS
from harness.contest import hold
from harness.program import Section

SECTION = Section("README.md", "table of pyadam.torch")
CASES = [
    replace(case, in_readme=True, measures=("step", "construction and first step"))
    for case in (
        Case("one of 32M", ((2**25,),)),
        replace(arrays(1, 100, is_quick=True), name="one of 100"),
        replace(arrays(1000, 100, is_quick=True), name="1,000 of 100"),
        replace(arrays(160, 10_000), name="160 of 10,000"),
        model("GPT-2 small"),
    )
]
TRAINING = ("forward, backward, step", "step alone, after backward")
# Its own parameters are the transformer's, not these.
CASES.append(Case("small transformer", ((100,),), in_readme=True, is_quick=True, measures=TRAINING))

if __name__ == "__main__":
    sys.exit(hold(SECTION, __doc__, 21, TORCH_CONTENDERS, CASES))
