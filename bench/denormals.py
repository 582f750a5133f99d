"""How much slower a step gets when the moments have decayed into subnormal numbers.

``python bench/denormals.py`` steps an Adam of 1M float32 elements once with gradients of size 1, then with gradients of
zero for thousands of steps, on each instruction set, and prints the time of a step at some of them over that of a step
with normal moments on the same instruction set, which takes turns with it. beta1 is 0.9 and beta2 0.999.
"""

from __future__ import annotations

import argparse

import numpy as np
from machine import describe, sentence
from markdown import table
from timing import alternate

import pyadam
from pyadam import _core

SIZE = 10**6
# After n steps m is 0.9**n of the first one: subnormal from about step 830 on. It stays so for ever, since 0.9 times
# the least subnormals rounds to themselves. v would take 81,000 steps, so that the last line sets it.
STEPS = (0, 500, 900, 2000)
QUICK_STEPS = (0, 900)
SUBNORMAL = 1e-40


def subnormal_share(array: np.ndarray) -> float:
    """Return the share of elements that are subnormal."""
    return float(np.mean((array != 0) & (np.abs(array) < np.finfo(array.dtype).tiny)))


def rows(size: int, steps: tuple[int, ...], rounds: int) -> list[list[str]]:
    """Return a line per number of steps: shares of subnormal elements, and the ratios on each instruction set.

    The second ratio is with ``flush_denormals=True``.
    """
    rng = np.random.default_rng(0)
    g = rng.uniform(-1, 1, size).astype(np.float32)
    zero = np.zeros_like(g)
    usual = pyadam.Adam(np.ones(size, np.float32))
    decayed = pyadam.Adam(np.ones(size, np.float32))
    flushed = pyadam.Adam(np.ones(size, np.float32), flush_denormals=True)
    usual.step(g)
    decayed.step(g)
    lines = []
    for goal in (*steps, None):
        while goal is not None and decayed.step_count <= goal:
            decayed.step(zero)
        saved = decayed.state_dict()
        if goal is None:
            saved["state"][0]["exp_avg_sq"][:] = SUBNORMAL
            decayed.load_state_dict(saved)
        shares = [f"{subnormal_share(array):.2f}" for array in decayed._core.state(0).values()]
        ratios = []
        for isa in _core.available_isas():
            _core.select_isa(isa)
            # A step here and there moves the moments on by little; what is measured starts from the same ones.
            decayed.load_state_dict(saved)
            flushed.load_state_dict({**saved, "options": flushed.state_dict()["options"]})
            steps_in_turn = [lambda: usual.step(g), lambda: decayed.step(zero), lambda: flushed.step(zero)]
            seconds = alternate(steps_in_turn, range(rounds), 5e-3)
            ratios.append(", ".join(f"{ratio:.2f}" for ratio in np.median(seconds / seconds[:, :1], axis=0)[1:]))
        _core.select_isa(_core.available_isas()[0])
        decayed.load_state_dict(saved)
        lines.append([f"{goal:,}" if goal is not None else "and v set", *shares, *ratios])
        print(*lines[-1], sep="  ", flush=True)
    return lines


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few steps and elements, to check that all works")
    args = parser.parse_args()
    lines = rows(*((2**16, QUICK_STEPS, 3) if args.quick else (SIZE, STEPS, 15)))
    print(table(["steps of zero gradients", "m subnormal", "v subnormal", *_core.available_isas()], lines))
    print("\n" + sentence(describe(pyadam.get_num_threads())))


if __name__ == "__main__":
    main()
