"""CONTRIBUTING's recipe for a rule, followed in a copy of the tree: eight files, and it is in NumPy and in PyTorch."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

HEADER = """
// Steps of a momentum that is cut off softly.
template <class T>
struct Softsign {
  static constexpr const char* name = "softsign";
  static constexpr auto state_names = names("exp_avg");
  static constexpr auto scalar_names = names("beta", "one_minus_beta", "eps", "lr");

  T beta, one_minus_beta, eps, lr;

  void operator()(T& p, T g, T& m) const {
    m = beta * m + one_minus_beta * g;
    p = p - (lr * m) / (std::abs(m) + eps);
  }
};

}  // namespace
"""

RULE = '''

class Softsign(Rule):
    r"""Softsign: steps of a momentum that is cut off softly.

    .. math:: p_t = p_{t-1} - lr m_t / (|m_t| + ε), \\quad m_t = a m_{t-1} + (1-a) g_t

    Parameters
    ----------
    alpha : float
        Decay rate of `m`, in [0, 1].

    Notes
    -----
    No library has it.

    References
    ----------
    The recipe in CONTRIBUTING.md.
    """

    name = "softsign"

    lr: NonNegative = 1e-2
    alpha: Fraction = 0.5
    eps: NonNegative = 1.0
    weight_decay: NonNegative = 0.0
    decoupled_weight_decay: Flag = False

    def scalars(self, t: int) -> tuple[float, ...]:
        del t
        return self.alpha, 1.0 - self.alpha, self.eps, self.lr
'''

CLASS = '''

class Softsign(Optimizer):
    """Softsign.

    Examples
    --------
    >>> import numpy as np, pyadam
    >>> pyadam.Softsign(np.ones(1)).step(np.ones(1))
    True
    """

    _rule = rules.Softsign
    {torch}
    @declares_options
    def __init__(
        self,
        params: Any,
        lr: Any = 1e-2,
        alpha: Any = 0.5,
        eps: Any = 1.0,
        weight_decay: Any = 0.0,
        *,
        {maximize}decoupled_weight_decay: bool = False,
        **others: Any,
    ) -> None: ...
'''

REFERENCE = '''

@_staged
def softsign(
    p: Array, g: Array, m: Array, t: int, *, lr: float = 1e-2, alpha: float = 0.5, eps: float = 1.0
) -> tuple[Array, Array]:
    """Return p and m after a step of Softsign."""
    T = p.dtype.type
    m = T(alpha) * m + T(1.0 - alpha) * g
    p = p - (T(lr) * m) / (np.abs(m) + T(eps))
    return p, m
'''

# Where each piece goes: the file, the text that it goes before (or, if empty, its end), and the piece.
PIECES = [
    ("src/cpp/kernel/rules/lion.hpp", "}  // namespace\n", HEADER),
    ("src/cpp/kernel/rules/lion.hpp", "#include", "#include <cmath>\n\n"),
    ("src/cpp/kernel/rules/all.hpp", "LAMB>", "Softsign, "),
    ("src/pyadam/rules/sgd.py", "", RULE),
    ("src/pyadam/rules/sgd.py", '"Lion"]', '"Softsign", '),
    ("src/pyadam/sgd.py", "", CLASS.format(torch="", maximize="")),
    ("src/pyadam/sgd.py", '"Lion"]', '"Softsign", '),
    (
        "src/pyadam/torch/sgd.py",
        "",
        CLASS.format(torch="_torch = None\n", maximize="maximize: bool = False,\n        "),
    ),
    ("src/pyadam/torch/sgd.py", '"Lion"]', '"Softsign", '),
    ("src/pyadam/reference/rules.py", "", REFERENCE),
    ("src/pyadam/reference/rules.py", '    "sgd_nesterov",', '    "softsign",\n'),
    ("tests/rule_rows.py", "    Case(pyadam.Lion", '    Case(pyadam.Softsign, {"weight_decay": 0.1}),\n'),
    ("docs/conventions.md", "## PyTorch\n", "Softsign is nowhere else.\n\n"),
]


def insert(path: Path, before: str, piece: str) -> None:
    """Put `piece` before every place of `before` that a recipe means, or at the end."""
    text = path.read_text(encoding="utf-8")
    if not before:
        path.write_text(text.rstrip("\n") + "\n" + piece, encoding="utf-8")
        return
    assert before in text, f"{path} has no {before!r}"
    if piece is HEADER:
        head, _, _ = text.rpartition(before)
        path.write_text(head.rstrip("\n") + "\n" + piece, encoding="utf-8")
    else:
        every = path.name == "rule_rows.py"  # which has a list of all rows and one with a row for each rule
        path.write_text(text.replace(before, piece + before, -1 if every else 1), encoding="utf-8")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the tree that has the rule, built."""
    pybind11 = pytest.importorskip("pybind11", reason="builds the module: pip install pybind11")
    folder = tmp_path_factory.mktemp("recipe") / "pyadam"
    ignored = shutil.ignore_patterns(".git", "build", "out", "__pycache__", "*.so", ".*_cache", ".hypothesis", ".venv")
    shutil.copytree(ROOT, folder, ignore=ignored)
    for name, before, piece in PIECES:
        insert(folder / name, before, piece)
    options = [f"-Dpybind11_DIR={pybind11.get_cmake_dir()}", f"-DPython_EXECUTABLE={sys.executable}"]
    run("cmake", "-S", ".", "-B", "build", "-DCMAKE_BUILD_TYPE=Release", *options, folder=folder)
    run("cmake", "--build", "build", "--parallel", "2", folder=folder)
    module = f"_core{sysconfig.get_config_var('EXT_SUFFIX')}"
    shutil.copy(folder / "build" / module, folder / "src" / "pyadam" / module)
    return folder


def run(*command: str, folder: Path) -> str:
    environment = {**os.environ, "PYTHONPATH": str(folder / "src")}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


def test_a_rule_touches_eight_files() -> None:
    assert len({name for name, _, _ in PIECES}) <= 8


def test_it_passes_the_tests_of_every_rule(tree: Path) -> None:
    tests = ["tests/test_oracle.py", "tests/test_rules.py", "tests/test_package.py", "tests/test_storage.py"]
    found = run(sys.executable, "-m", "pytest", "-q", "-k", "Softsign or softsign", *tests, folder=tree)
    assert " passed" in found
    assert " skipped" not in found


@pytest.mark.parametrize("front_end", ["pyadam", "pyadam.torch"])
def test_it_appears_in_the_front_end(tree: Path, front_end: str) -> None:
    if front_end == "pyadam.torch" and importlib.util.find_spec("torch") is None:
        pytest.skip("needs PyTorch")
    program = (
        f"import {front_end} as f; assert f.Softsign in vars(f).values() and 'Softsign' in f.__all__; help(f.Softsign)"
    )
    assert "Steps of a momentum" in run(sys.executable, "-c", program, folder=tree).replace("steps", "Steps")
