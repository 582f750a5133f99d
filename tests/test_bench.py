"""The benchmark's cases, tables and guards: what must hold before anything is timed."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from math import prod
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from rules import assert_same_bits, reference_run

import pyadam
from pyadam import _core

ROOT = Path(__file__).parents[1]
BENCH = ROOT / "bench"
MODULES = (
    "cases", "contenders", "floor", "instructions", "markdown", "missing", "report", "rules", "scaling", "timing",
    "worker",
)  # fmt: skip


@pytest.fixture(scope="module")
def bench() -> Iterator[dict[str, ModuleType]]:
    """Import the benchmark's modules; one of them is called rules, as one of the tests' is."""
    hidden = {name: sys.modules.pop(name) for name in MODULES if name in sys.modules}
    sys.path.insert(0, str(BENCH))
    try:
        yield {name: __import__(name) for name in MODULES}
    finally:
        sys.path.remove(str(BENCH))
        for name in MODULES:
            sys.modules.pop(name, None)
        sys.modules.update(hidden)


def test_pyadam_gives_the_reference_s_bits_in_every_case(bench: dict[str, ModuleType]) -> None:
    cases = [case for case in bench["cases"].CASES if case.elements <= 10**5]
    assert {case.dtype for case in cases} == {"float32", "float64"}
    for case in cases:
        params, grads = map(list, zip(*case.arrays(), strict=True))
        opt = pyadam.Adam(params)
        expected = [reference_run(opt, p) for p in params]
        for _ in range(3):
            opt.step(grads)
            for run, g in zip(expected, grads, strict=True):
                run.step(g)
        for i, run in enumerate(expected):
            assert_same_bits(opt, i, run)


def test_a_wrong_answer_is_refused(bench: dict[str, ModuleType]) -> None:
    worker, case = bench["worker"], bench["cases"].Case("some", ((1000,), (3, 5)))
    params, grads = map(list, zip(*case.arrays(), strict=True))
    running = bench["contenders"].PYADAM.build(params, grads)
    for _ in range(worker.CHECKED_STEPS):
        running.step()
    worker.check(bench["contenders"].PYADAM, case, params)
    params[1][2, 4] = np.nextafter(params[1][2, 4], np.float32(9))
    with pytest.raises(AssertionError, match="Mismatched elements: 1 / 15"):
        worker.check(bench["contenders"].PYADAM, case, params)


@pytest.mark.parametrize(
    ("model", "tensors", "parameters"), [("ResNet-50", 161, 25557032), ("GPT-2 small", 148, 124439808)]
)
def test_models_have_their_published_size(
    bench: dict[str, ModuleType], model: str, tensors: int, parameters: int
) -> None:
    known = bench["cases"].MODELS[model]
    assert (len(known["shapes"]), sum(map(prod, known["shapes"]))) == (tensors, parameters)
    assert (known["tensors"], known["parameters"]) == (tensors, parameters)


def test_every_rule_is_measured_and_counted(bench: dict[str, ModuleType]) -> None:
    assert set(bench["rules"].RULES) == set(_core.RULES)
    recorded = json.loads((BENCH / "instructions.json").read_text(encoding="utf-8"))
    expected = {
        f"{isa} {rule} {dtype}" for isa in ("sse2", "avx2") for rule in _core.RULES for dtype in ("float32", "float64")
    }
    for compiler, counts in recorded["kernels"].items():
        assert set(counts) == expected, compiler


def test_a_worker_answers_in_lines_of_json(bench: dict[str, ModuleType]) -> None:
    """NumPy stands for the peers, since it is always there; a contender that fails says why."""
    case = bench["cases"].Case("some", ((100,),))
    for contender, dtype, key in (("NumPy", "float64", "construction_seconds"), ("NumPy", "float13", "missing")):
        request = {
            "contender": contender,
            "name": case.name,
            "shapes": case.shapes,
            "dtype": dtype,
            "batch_seconds": 1e-5,
        }
        done = subprocess.run(
            [sys.executable, BENCH / "worker.py"],
            input=f"{json.dumps(request)}\n{{}}\n",
            capture_output=True,
            text=True,
            check=True,
        )
        first, *rest = map(json.loads, done.stdout.splitlines())
        assert key in first, done.stderr
        assert len(rest) == (key != "missing")


def test_tables_come_from_the_json(bench: dict[str, ModuleType], tmp_path: Path) -> None:
    own = {"seconds": [1e-6, 2e-6, 3e-6], "ratio": [1, 1, 1]}
    peer = {"seconds": [8e-6, 9e-6, 9e-6], "ratio": [4, 4.5, 5]}
    results = {
        "machine": {"CPU": "some"},
        "versions": {"numpy": "2"},
        "missing": {"numba": "ModuleNotFoundError: No module named 'numba'"},
        "wrong": {},
        "cases": [
            {
                "name": case.name,
                "dtype": case.dtype,
                "tensors": 1,
                "elements": 1,
                "results": {"pyadam": own, "NumPy": peer},
            }
            for case in bench["cases"].CASES
        ],
    }
    text = bench["report"].readme_text(results)
    assert "| 1M | 2 us | 4.5 |" in text
    assert "Not measured: numba (ModuleNotFoundError: No module named 'numba')." in text
    begin, end = bench["markdown"].markers(bench["report"].NAME)
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{begin}\nold\n{end}\nafter", encoding="utf-8")
    bench["markdown"].rewrite(readme, bench["report"].NAME, text)
    assert readme.read_text(encoding="utf-8") == f"before\n{begin}\n{text}\n{end}\nafter"
    with pytest.raises(ValueError, match="once each"):
        bench["markdown"].with_text("no markers", bench["report"].NAME, text)


def test_documents_have_the_markers_that_scripts_rewrite(bench: dict[str, ModuleType]) -> None:
    written = {
        "README.md": {bench["report"].NAME, bench["rules"].NAME, "table of pyadam.torch"},
        "docs/one_pass.md": {"one pass"},
        "docs/scaling.md": {f"scaling {part}" for part in ("constants", "measured", "memory", "predicted")}
        | {f"distributed {part}" for part in ("measured", "model", "predicted")},
    }
    for document, names in written.items():
        text = (ROOT / document).read_text(encoding="utf-8")
        assert set(re.findall("<!-- (.*): begin -->", text)) == names
        for name in names:
            bench["markdown"].with_text(text, name, "")


def test_contenders_share_memory_in_groups_with_pyadam(bench: dict[str, ModuleType]) -> None:
    sys.path.insert(0, str(BENCH))
    try:
        from contest import groups
    finally:
        sys.path.remove(str(BENCH))
    contenders = bench["contenders"]
    case = bench["cases"].Case("some", ((1000,),))
    names = [[c.name for c in group] for group in groups(case, contenders.CONTENDERS, 14 * case.array_bytes)]
    assert all(group[0] == "pyadam" for group in names)
    assert all(sum(c.arrays for c in contenders.CONTENDERS if c.name in group) <= 14 for group in names)
    assert sorted(name for group in names for name in group[1:]) == sorted(c.name for c in contenders.CONTENDERS[1:])


@pytest.mark.parametrize("last_level_bytes", [2**23, 2**25, 2**28])
def test_the_model_is_right_where_it_was_fitted(last_level_bytes: int, bench: dict[str, ModuleType]) -> None:
    scaling = bench["scaling"]
    caches = 2**20, last_level_bytes
    known = scaling.sources(6, 2, last_level_bytes)
    truth = scaling.Constants(1e-6, 1e-7, 5e-10, 1e-5, *caches, 30e9, 55e9, 20e9, 35e9)
    seconds = {point: scaling.predicted(truth, point.case, point.threads) for point in known.values()}
    found = scaling.constants(seconds, known, caches)
    for point, taken in seconds.items():
        assert scaling.predicted(found, point.case, point.threads) == pytest.approx(taken)


def test_instructions_that_cannot_be_compared_are_said_to_be(
    bench: dict[str, ModuleType], capsys: pytest.CaptureFixture[str]
) -> None:
    check, recorded = bench["instructions"].check, {"kernels": {"GCC 12": {"adam": 100.0}}}
    assert check(recorded, {"kernels": ("GCC 12", {"adam": 104.0})}) == 0
    assert check(recorded, {"kernels": ("GCC 12", {"adam": 94.0})}) == 1
    assert check(recorded, {"kernels": ("GCC 13", {"adam": 100.0})}) == 3
    assert "NO COMPARISON POSSIBLE" in capsys.readouterr().out
