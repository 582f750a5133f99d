"""The benchmark's cases, tables and guards: what must hold before anything is timed."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from math import prod
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from oracle import assert_same_bits, reference_run

import pyadam
from pyadam import _core

ROOT = Path(__file__).parents[1]
BENCH = ROOT / "bench"
HARNESS = ("cases", "contenders", "contest", "models", "tables", "worker")
PROGRAMS = ("distributed", "instructions", "one_pass", "rule_costs", "run", "scaling", "torch_optimizers")


@pytest.fixture(scope="module")
def bench() -> Iterator[dict[str, ModuleType]]:
    """Import the benchmark's modules, and forget them afterwards."""
    sys.path.insert(0, str(BENCH))
    try:
        yield {name: import_module(f"harness.{name}") for name in HARNESS} | {n: import_module(n) for n in PROGRAMS}
    finally:
        sys.path.remove(str(BENCH))
        for name in [*PROGRAMS, *(name for name in sys.modules if name.partition(".")[0] == "harness")]:
            sys.modules.pop(name, None)


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
    shapes = bench["models"].MODELS[model]
    assert (len(shapes), sum(map(prod, shapes))) == (tensors, parameters)


def test_every_rule_is_measured_and_counted(bench: dict[str, ModuleType]) -> None:
    ways = bench["rule_costs"].WAYS
    assert [way.name for way in ways] == list(_core.RULES)
    for way in ways:
        assert way.make(np.ones(1, np.float32)).param_groups[0].kernel == way.name
        if way.name != "lamb":  # goes through memory twice
            assert way.moved == 4 * (3 + 2 * len(_core.RULES[way.name][0]))
    recorded = json.loads((BENCH / "instructions.json").read_text(encoding="utf-8"))
    isas, dtypes = ("sse2", "avx2"), ("float32", "float64")
    expected = {f"{rule} {isa} {dtype}" for rule in _core.RULES for isa in isas for dtype in dtypes}
    for compiler, counts in recorded["kernels"].items():
        assert set(counts) <= expected, compiler  # CI counts those that are not there yet


def test_a_worker_answers_in_lines_of_json(bench: dict[str, ModuleType]) -> None:
    """NumPy stands for the peers, since it is always there; a contender that fails says why."""
    case = bench["cases"].Case("some", ((100,),))
    for dtype, keys in (("float64", [set(), {"seconds"}]), ("float13", [{"missing"}])):
        request = {
            "contender": "NumPy",
            "name": case.name,
            "shapes": case.shapes,
            "dtype": dtype,
            "batch_seconds": 1e-5,
        }
        done = subprocess.run(
            [sys.executable, "-m", "harness.worker"],
            input=f'{json.dumps(request)}\n{{"measure": "step"}}\n',
            env=bench["contest"].environment(sys.executable, 1),
            capture_output=True,
            text=True,
            check=True,
        )
        assert [set(json.loads(line)) for line in done.stdout.splitlines()] == keys, done.stderr


def test_tables_come_from_the_json(bench: dict[str, ModuleType], tmp_path: Path) -> None:
    found = {
        "pyadam": {"seconds": [1e-6, 2e-6, 3e-6], "ratio": [1, 1, 1]},
        "NumPy": {"seconds": [8e-6, 9e-6, 9e-6], "ratio": [4, 4.5, 5]},
    }
    rows = [{**case.facts("step"), "results": found} for case in bench["cases"].CASES]
    results = {"contenders": ["pyadam", "numba", "NumPy"], "cases": rows}
    text = bench["tables"].contest_table(results)
    assert "| 1M | 2 us | - | 4.5 |" in text
    assert "| 100M |" not in text
    assert "| 100M | 1 us - 3 us | - | 4 - 5 |" in bench["tables"].contest_table(results, in_detail=True)
    begin, end = (f"<!-- speed table: {border} -->" for border in ("begin", "end"))
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{begin}\nold\n{end}\nafter", encoding="utf-8")
    bench["tables"].rewrite(readme, "speed table", text)
    assert readme.read_text(encoding="utf-8") == f"before\n{begin}\n{text}\n{end}\nafter"
    with pytest.raises(ValueError, match="once each"):
        bench["tables"].rewrite(readme, "another table", text)


def test_documents_have_the_markers_that_programs_rewrite(bench: dict[str, ModuleType]) -> None:
    sections = [bench[name].SECTION for name in PROGRAMS if name != "instructions"]
    for document in ("README.md", "docs/one_pass.md", "docs/scaling.md"):
        text = (ROOT / document).read_text(encoding="utf-8")
        names = [section.name for section in sections if section.document == document]
        assert sorted(re.findall("<!-- (.*): begin -->", text)) == sorted(names)
        assert sorted(re.findall("<!-- (.*): end -->", text)) == sorted(names)


def test_a_contest_names_who_cannot_run(bench: dict[str, ModuleType], monkeypatch: pytest.MonkeyPatch) -> None:
    """NumPy needs more memory than pyadam and there is just enough for pyadam; `true` is no interpreter."""
    contest, contenders = bench["contest"], bench["contenders"]
    case = bench["cases"].Case("some", ((1000,),))
    monkeypatch.setattr(contest, "available_bytes", lambda: 5 * case.array_bytes / contest.MEMORY_SHARE)
    run = contest.Contest(1, 1e-5)
    few = [contenders.PYADAM, contenders.BY_NAME["NumPy"]]
    found = run.run(case, few, 3)["step"]
    assert set(found) == {"pyadam"}
    assert run.missing == {"NumPy, some": "not enough memory"}
    monkeypatch.undo()
    found = run.run(case, few, 3)["step"]
    assert set(found) == {"pyadam", "NumPy"}
    assert found["pyadam"]["ratio"] == [1, 1, 1]
    assert found["NumPy"]["rounds"] == 3
    assert run.present(few) == few
    with pytest.raises(contest.MissingError, match=r"pyadam cannot run: .*it said nothing"):
        contest.Contest(1, 1e-5, {"pyadam": "true"}).present(few)


def test_a_model_is_shown_where_it_fits(bench: dict[str, ModuleType]) -> None:
    scaling = bench["scaling"]

    def seconds(case: Any, threads: int) -> float:
        used = max(1, min(threads, case.elements // _core.get_min_share()))
        return 1e-6 + 1e-7 * (len(case.shapes) - 1) + 5e-10 * case.elements / used + (1e-5 if used > 1 else 0)

    exact = {point: seconds(*point) for point in scaling.points(6, 2)}
    expected = "Short steps: `call` 1e+03 ns, `array` 100 ns, `element` 0.5 ns, `wake` 1e+04 ns; off by 0% at most."
    assert scaling.model_text(exact) == expected
    smallest = next(iter(exact))
    assert "no model, since it would be off by" in scaling.model_text({**exact, smallest: 9 * exact[smallest]})


def test_instructions_that_cannot_be_compared_are_said_to_be(
    bench: dict[str, ModuleType], capsys: pytest.CaptureFixture[str]
) -> None:
    check, recorded = bench["instructions"].check, {"kernels": {"GCC 12": {"adam": 100.0}}}
    assert check(recorded, {"kernels": ("GCC 12", {"adam": 104.0})}) == 0
    assert check(recorded, {"kernels": ("GCC 12", {"adam": 94.0})}) == 1
    assert check(recorded, {"kernels": ("GCC 13", {"adam": 100.0})}) == 3
    assert "NO COMPARISON POSSIBLE" in capsys.readouterr().out
