"""The speed of `pyadam.torch` beside torch.optim and DeepSpeed, as ratios.

``python bench/torch_optimizers.py`` runs every case as run.py does: each optimizer in a process of its own, its answer
asserted, then in turn with `pyadam.torch`. If DeepSpeed lives in another environment, run this with its interpreter;
pyadam must be there too. ``--busy N`` lets N other processes keep cores busy meanwhile.
"""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from harness.cases import Case, arrays, model
from harness.contenders import DEFAULT, FOREACH, TORCH_CONTENDERS
from harness.contest import Contest, confine, within
from harness.machine import describe
from harness.program import Section
from harness.report import notes, speed_table
from harness.timing import BATCH, QUICK_BATCH

import pyadam

SECTION = Section("README.md", "table of pyadam.torch")
CASES = [
    Case("one of 32M", ((2**25,),)),
    replace(arrays(1, 100, is_quick=True), name="one of 100"),
    replace(arrays(1000, 100, is_quick=True), name="1,000 of 100"),
    replace(arrays(160, 10_000), name="160 of 10,000"),
    model("GPT-2 small"),
]
TRAINING = Case("small transformer", ((100,),))  # its own parameters are the transformer's
# What the worker measures of a contender, and how the table calls it.
STEP_MEASURES = {"step": "step", "beginning": "construction and first step"}
TRAINING_MEASURES = {"training": "forward, backward, step", "step after backward": "step alone, after backward"}


def main() -> None:
    """Measure and print."""
    parser = SECTION.parser(__doc__, rounds=21)
    names = [case.name for case in [*CASES, TRAINING]]
    parser.add_argument("--case", action="append", choices=names, help="only this case; may be given again")
    parser.add_argument("--busy", type=int, default=0, metavar="N", help="processes that keep a core busy each")
    args = SECTION.parse(parser)
    facts = describe()
    confine(pyadam.get_num_threads())
    contest = Contest(pyadam.get_num_threads(), QUICK_BATCH if args.quick else BATCH)
    present = contest.present(TORCH_CONTENDERS)
    rows: list[tuple[str, dict[str, Any]]] = []
    with ExitStack() as stack:
        for _ in range(args.busy):
            stack.callback(subprocess.Popen([sys.executable, "-c", "while True: pass"]).kill)
        for case in [*CASES, TRAINING]:
            if case.name not in args.case if args.case else args.quick and not case.is_quick and case is not TRAINING:
                continue
            # The slow ones would take minutes over GPT-2's parameters.
            chosen = [c for c in present if case.name != "GPT-2 small" or c not in (FOREACH, DEFAULT)]
            print(case.name, file=sys.stderr, flush=True)
            words = TRAINING_MEASURES if case is TRAINING else STEP_MEASURES
            found = contest.run(case, chosen, within(args.rounds), list(words))
            rows += [(f"{case.name}: {words[measure]}", results) for measure, results in found.items()]
    text = speed_table("float32 elements", rows, [contender.name for contender in TORCH_CONTENDERS])
    parts = [text, *notes(contest.missing, contest.wrong)]
    SECTION.publish(args, {**facts, **contest.versions}, parts, dict(rows))
    sys.exit(1 if contest.wrong else 0)


if __name__ == "__main__":
    main()
