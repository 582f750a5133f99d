"""Checkpoints: what is saved comes back to the last bit, and what does not fit is refused with nothing changed."""

from __future__ import annotations

import copy
import hashlib
import json
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy
from inside import arrays_of, own_options_of, state_dir_of, state_of, steps_of
from makers import NESTINGS, Layer, Maker, Nesting
from refusals import refused
from rule_rows import CASES, Case

import pyadam
from pyadam.checkpoint import _json_values, _safetensors

Array = np.ndarray
DATA = Path(__file__).parent / "data"


def seeded(shape: Any, dtype: Any = np.float64, order: Any = "C") -> Array:
    return Maker(5).array(shape, dtype, order)


# What a file could get wrong beside the nestings of all tests.
MORE_NESTINGS: dict[str, Nesting] = {
    "keys that need escapes": lambda leaf: {"\ud800": leaf(1), '"\\\n': leaf(2), "é.exp_avg": leaf(3), "é": leaf(4)},
    "more than a piece": lambda leaf: [leaf((_safetensors.PIECE // 8 + 5, 3), order="F"), leaf(_safetensors.PIECE)],
}
nestings = pytest.mark.parametrize(
    "nesting", [*NESTINGS.values(), *MORE_NESTINGS.values()], ids=[*NESTINGS, *MORE_NESTINGS]
)


def train(opt: pyadam.Optimizer, nesting: Nesting, steps: int = 2) -> None:
    for _ in range(steps):
        opt.step(nesting(seeded))


def assert_equal(found: pyadam.Optimizer, wanted: pyadam.Optimizer) -> None:
    assert type(found) is type(wanted)
    np.testing.assert_equal(found.params, wanted.params)
    np.testing.assert_equal(found.state_dict(), wanted.state_dict())
    for a, b in zip(arrays_of(found), arrays_of(wanted), strict=True):
        assert (a.dtype, a.flags.c_contiguous, a.flags.f_contiguous) == (
            b.dtype,
            b.flags.c_contiguous,
            b.flags.f_contiguous,
        )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.safetensors"


# There and back


@nestings
def test_an_optimizer_made_of_a_file_goes_on_with_the_same_bits(nesting: Nesting, path: Path) -> None:
    opt = pyadam.AdamW(nesting(seeded), lr=0.01)
    train(opt, nesting)
    opt.save(path)
    again = pyadam.load(path)
    assert_equal(again, opt)
    train(opt, nesting)
    train(again, nesting)
    assert_equal(again, opt)


@nestings
def test_a_file_is_read_into_the_parameters_in_place(nesting: Nesting, path: Path) -> None:
    opt = pyadam.AdamW(nesting(seeded), lr=0.01)
    train(opt, nesting)
    opt.save(path)
    wanted = copy.deepcopy(opt)
    arrays = arrays_of(opt)
    train(opt, nesting, 3)
    opt.load(path)
    assert all(a is b for a, b in zip(arrays_of(opt), arrays, strict=True))
    assert_equal(opt, wanted)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_rule_and_option_comes_back(case: Case, path: Path) -> None:
    params = lambda: [seeded((5, 3)), seeded(7, np.float32), seeded(2)]  # noqa: E731
    opt = case.cls(params(), **case.options)
    for grads in ([*params()[:2], None], [None, *params()[1:]], [*params()[:2], None]):
        opt.step(grads)
    opt.save(path)
    again = pyadam.load(path)
    assert_equal(again, opt)
    fresh = case.cls(params(), **case.options)
    fresh.load(path)
    assert_equal(fresh, opt)


def test_the_state_of_a_parameter_that_took_no_step_is_reset(path: Path) -> None:
    opt = pyadam.Adagrad([np.ones(3), np.ones(2)], initial_accumulator_value=0.5)
    opt.step([np.ones(3), None])
    opt.save(path)
    wanted = copy.deepcopy(opt)
    opt.step([np.ones(3), np.ones(2)])
    opt.load(path)
    assert_equal(opt, wanted)
    np.testing.assert_array_equal(state_of(opt, 1)["sum"], np.full(2, 0.5))


def test_a_file_of_one_memory_order_is_read_into_the_other(path: Path) -> None:
    opt = pyadam.Adam([seeded((3, 4)), seeded((5, 2), order="F")])
    opt.step([seeded((3, 4)), seeded((5, 2))])
    opt.save(path)
    other = pyadam.Adam([np.zeros((3, 4), order="F"), np.zeros((5, 2))])
    other.load(path)
    np.testing.assert_equal(other.params, opt.params)
    np.testing.assert_equal(other.state_dict(), opt.state_dict())
    assert other.params[0].flags.f_contiguous


def test_other_containers_become_tuples_and_dicts(path: Path) -> None:
    opt = pyadam.Adam({"layer": Layer(seeded(3), seeded(2))})
    opt.save(path)
    params = pyadam.load(path).params
    assert type(params["layer"]) is tuple
    opt.load(path)
    assert type(opt.params["layer"]) is Layer


def test_a_path_may_be_a_string_and_a_symbolic_link_stays_one(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    link.symlink_to(target)
    opt = pyadam.Adam(np.ones(3))
    opt.save(str(link))
    assert link.is_symlink()
    assert_equal(pyadam.load(str(target)), opt)


def test_a_new_file_has_the_usual_permissions(path: Path) -> None:
    path.with_name("other").touch()
    pyadam.Adam(np.ones(3)).save(path)
    assert path.stat().st_mode == path.with_name("other").stat().st_mode


# Values that no optimizer has yet


DTYPES = ["bool", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8", ml_dtypes.bfloat16]


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: np.dtype(d).name)
def test_arrays_of_every_dtype_and_order_come_back(dtype: Any, order: Any, path: Path) -> None:
    shapes = [(), (3,), (0, 2), (4, 5), (2, 3, 4)]
    bits = np.random.default_rng(1).integers(0, 2, 1000, "u1") if dtype == "bool" else np.arange(1000, dtype="u1")
    arrays = {
        f"tensor {i}": np.array(np.resize(bits, int(np.prod(shape)) * np.dtype(dtype).itemsize).view(dtype)).reshape(
            shape
        )
        for i, shape in enumerate(shapes)
    }
    arrays = {name: np.array(array, order=order) for name, array in arrays.items()}
    with path.open("wb") as file:
        _safetensors.write(file.fileno(), arrays, {"a": "b"})
    with path.open("rb") as file:
        reader = _safetensors.Reader(file)
        reader.verify()
        for name, array in arrays.items():
            found = np.empty_like(array)
            reader.read_into(name, found)
            assert (found.dtype, found.strides, found.tobytes()) == (array.dtype, array.strides, array.tobytes())


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        0,
        2**70,
        0.1,
        5e-324,
        "text",
        [1, [2.0, (3, ())]],
        {"a": {"b": 1}},
        {"$array": 1, 2: "x", ("y", 3): None},
        (float("inf"), float("-inf")),
    ],
    ids=repr,
)
def test_every_value_comes_back(value: Any) -> None:
    found = _json_values.decode(_json_values.loads(_json_values.dumps(_json_values.encode(value, "x", {}))), None)
    assert found == value
    assert repr(found) == repr(value)


def test_nan_and_numbers_of_numpy_come_back_as_pythons() -> None:
    values = [float("nan"), np.float32(0.1), np.int16(3), np.bool_(True)]
    found = _json_values.decode(_json_values.encode(values, "x", {}), None)
    assert repr(found) == repr([float("nan"), float(np.float32(0.1)), 3, True])


# What others see of a file


def test_the_safetensors_library_reads_the_arrays_by_their_paths(path: Path) -> None:
    params = {"encoder": [seeded((3, 4), order="F"), seeded(2, np.float32)]}
    opt = pyadam.Adam(params, bounds=(-1e9, 1e9))
    opt.step(copy.deepcopy(params))
    opt.save(path)
    found = safetensors.numpy.load_file(path)
    state = opt.state_dict()["state"]
    wanted = {
        f"params['encoder'][{i}]{end}": array
        for i in range(2)
        for end, array in (
            ("", params["encoder"][i]),
            (".exp_avg", state[i]["exp_avg"]),
            (".exp_avg_sq", state[i]["exp_avg_sq"]),
        )
    }
    assert found.keys() == wanted.keys()
    for name, array in wanted.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


def test_the_metadata_says_what_the_file_is(path: Path) -> None:
    opt = pyadam.AdamW([np.ones(3)], lr=lambda _: 0.5)
    opt.step([np.ones(3)])
    opt.save(path)
    with safetensors.safe_open(path, "numpy") as file:
        metadata = file.metadata()
    assert metadata["pyadam_format"] == "1"
    assert metadata["pyadam"] == pyadam.__version__
    assert metadata["class"] == "AdamW"
    state = json.loads(metadata["state"])
    assert state["rules"] == ["adam"]
    assert state["param_groups"][0]["lr"] == 0.5
    digest = metadata["checksum"].removeprefix("sha256:")
    zeroed = path.read_bytes().replace(digest.encode(), b"0" * 64, 1)
    assert hashlib.sha256(zeroed).hexdigest() == digest


def test_a_file_of_the_first_format_is_read() -> None:
    opt = pyadam.load(DATA / "checkpoint_v1.safetensors", lr=1e-3)
    assert type(opt) is pyadam.AdamW
    assert opt.step_count == 3
    assert steps_of(opt) == [3, 2, 3]
    first = {"w": np.arange(6.0).reshape(2, 3, order="F"), "b": (np.arange(3, dtype=np.float32),)}
    wanted = pyadam.AdamW([{"params": first}, {"params": np.ones(2), "bounds": (np.zeros(2), None)}], lr=1e-3)
    for g in (1.0, -2.0, 0.5):
        skips = None if g == 0.5 else np.full(3, g)
        wanted.step([{"w": np.full((2, 3), g), "b": (skips,)}, np.full(2, g)])
    assert_equal(opt, wanted)


# Schedules


def schedule(step: int) -> float:
    return 0.1 / (step + 1)


def test_a_schedule_is_saved_as_its_last_value_and_loading_says_so(path: Path) -> None:
    opt = pyadam.Adam([{"params": np.ones(3)}, {"params": np.ones(2), "lr": schedule}])
    opt.step([np.ones(3), np.ones(2)])
    opt.step([np.ones(3), np.ones(2)])
    opt.save(path)
    with pytest.warns(UserWarning, match=r"param_groups\[1\]\['lr'\] was a schedule"):
        again = pyadam.load(path)
    assert again.param_groups[1]["lr"] == 0.05
    again = pyadam.load(path, lr=schedule)
    assert [group["lr"] for group in again.param_groups] == [schedule, schedule]


def test_the_optimizer_that_loads_keeps_its_own_schedule(path: Path) -> None:
    opt = pyadam.Adam(np.ones(3), lr=schedule)
    opt.step(np.ones(3))
    opt.save(path)
    opt.load(path)
    assert opt.param_groups[0]["lr"] is schedule


def test_schedules_with_a_state_are_given_it_back(path: Path) -> None:
    def new_schedule() -> Any:
        return pyadam.schedules.ReduceOnPlateau(0.5, factor=0.5, patience=0)

    opt = pyadam.Adam([{"params": np.ones(3)}, {"params": np.ones(2), "lr": new_schedule()}])
    for loss in (1.0, 2.0):
        opt.step([np.ones(3), np.ones(2)])
        opt.param_groups[1]["lr"].step(loss)
    opt.save(path)
    with pytest.warns(UserWarning, match=r"param_groups\[1\]\['lr'\] was a schedule"):
        assert pyadam.load(path).param_groups[1]["lr"] == 0.5
    assert pyadam.load(path, lr=0.1).param_groups[1]["lr"] == 0.1
    again = pyadam.load(path, lr=new_schedule())
    assert again.param_groups[1]["lr"] == opt.param_groups[1]["lr"]
    assert again.param_groups[1]["lr"](0) == 0.25


@pytest.mark.parametrize("dtype", [">f8", ">i4", "<f4", np.longdouble, np.float16], ids=str)
def test_bounds_of_any_dtype_are_read_as_they_were(dtype: Any, path: Path) -> None:
    opt = pyadam.SGD(np.zeros(3), lr=1.0, bounds=(np.full(3, -1, dtype), None))
    opt.save(path)
    for again in (pyadam.load(path), copy.deepcopy(opt)):
        again.step(np.full(3, 9.0))
        np.testing.assert_array_equal(again.params, [-1.0] * 3)


def test_parameters_that_no_longer_are_as_they_were_are_not_saved(path: Path) -> None:
    w = np.ones((2, 3))
    opt = pyadam.SGD(w)
    opt.save(path)
    before = path.read_bytes()
    w.resize((3, 2), refcheck=False)
    for call in (lambda: opt.save(path), lambda: opt.load_state_dict(opt.state_dict())):
        with pytest.raises(ValueError, match="params was made read-only, reshaped"):
            call()
    assert path.read_bytes() == before


@pytest.mark.skipif(os.name != "posix", reason="no files are mapped on this system")
def test_what_the_optimizer_has_as_a_whole_can_be_given_anew(path: Path, tmp_path: Path) -> None:
    opt = pyadam.Adam(np.ones(3), clip_norm=1.0)
    opt.step(np.ones(3))
    opt.save(path)
    own = {"clip_norm": schedule, "skip_nonfinite": True, "flush_denormals": True, "seed": 3}
    again = pyadam.load(path, state_dir=tmp_path, **own)
    assert own_options_of(again) == own
    assert state_dir_of(again) == str(tmp_path)
    np.testing.assert_array_equal(state_of(again)["exp_avg"], state_of(opt)["exp_avg"])
    assert again.param_groups[0].options == opt.param_groups[0].options
    with pytest.raises(ValueError, match="state_dir must be the path of a directory"):
        pyadam.load(path, state_dir=path)


@pytest.mark.parametrize(("key", "value", "error"), [("lr", -1.0, ValueError), ("rho", 0.5, KeyError)])
def test_a_wrong_override_is_refused(key: str, value: Any, error: Any, path: Path) -> None:
    pyadam.Adam(np.ones(3)).save(path)
    with pytest.raises(error):
        pyadam.load(path, **{key: value})


# What does not fit


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (lambda: pyadam.Adam([seeded(3)]), ["1 arrays", "found params['w']"]),
        (lambda: pyadam.Adam({"w": seeded(3)}), ["1 arrays", "found 2 arrays"]),
        (lambda: pyadam.Adam({"w": seeded(4), "b": seeded(2)}), ["params['w']", "(4,)", "(3,)"]),
        (lambda: pyadam.Adam({"w": seeded(3, np.float32), "b": seeded(2)}), ["params['w']", "float32", "float64"]),
        (lambda: pyadam.SGD({"w": seeded(3), "b": seeded(2)}), ["rules", "sgd", "adam"]),
        (lambda: pyadam.Adam({"w": seeded(3), "b": seeded(2)}, amsgrad=True), ["rules", "amsgrad"]),
        (lambda: pyadam.AdamW({"w": seeded(3), "b": seeded(2)}), ["decoupled_weight_decay"]),
    ],
)
def test_a_file_of_another_optimizer_is_refused(
    other: Callable[[], pyadam.Optimizer], words: list[str], path: Path
) -> None:
    opt = pyadam.Adam({"w": seeded(3), "b": seeded(2)})
    opt.step({"w": seeded(3), "b": seeded(2)})
    opt.save(path)
    with refused(other(), pyadam.CheckpointError, str(path), *words):
        (target := other()).load(path)
    assert target.step_count == 0


def test_a_parameter_made_read_only_is_refused(path: Path) -> None:
    p = np.ones(3)
    opt = pyadam.Adam(p)
    opt.save(path)
    p.flags.writeable = False
    with refused(opt, pyadam.CheckpointError, "params", "read-only"):
        opt.load(path)


def test_a_class_of_ones_own_is_loaded_only_into_an_optimizer(path: Path) -> None:
    class Mine(pyadam.Adam):
        pass

    opt = Mine(np.ones(3))
    opt.step(np.ones(3))
    opt.save(path)
    with pytest.raises(pyadam.CheckpointError, match="'Mine'"):
        pyadam.load(path)
    other = Mine(np.zeros(3))
    other.load(path)
    assert_equal(other, opt)


def test_keys_that_a_file_cannot_hold_are_named(path: Path) -> None:
    opt = pyadam.Adam({"a": {1.5: np.ones(3)}})
    with pytest.raises(TypeError, match=r"params\['a'\] has the key 1\.5"):
        opt.save(path)
    assert os.listdir(path.parent) == []


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo], ids=["a folder", "a pipe"])
def test_what_is_no_file_is_refused(make: Callable[[Path], None], path: Path) -> None:
    make(path)
    opt = pyadam.Adam(np.ones(3))
    with pytest.raises(OSError, match="not a regular file"):
        opt.save(path)
    with pytest.raises(pyadam.CheckpointError, match="not a regular file"):
        opt.load(path)


def test_a_file_that_is_not_there_is_an_oserror(path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        pyadam.load(path)
    with pytest.raises(FileNotFoundError):
        pyadam.Adam(np.ones(3)).save(path / "no" / "folder")


def test_a_safetensors_file_of_something_else_is_refused(path: Path) -> None:
    safetensors.numpy.save_file({"weight": np.ones(3)}, path)
    with pytest.raises(pyadam.CheckpointError, match="no checkpoint of pyadam"):
        pyadam.load(path)


def test_a_file_of_a_later_format_is_refused(path: Path) -> None:
    pyadam.Adam(np.ones(3)).save(path)
    path.write_bytes(path.read_bytes().replace(b'"pyadam_format":"1"', b'"pyadam_format":"2"'))
    with pytest.raises(pyadam.CheckpointError, match="format 2; this pyadam reads 1 to 1"):
        pyadam.load(path)


def test_bfloat16_without_ml_dtypes_says_what_to_install(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with path.open("wb") as file:
        _safetensors.write(file.fileno(), {"x": np.ones(3, ml_dtypes.bfloat16)}, {})
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    with path.open("rb") as file, pytest.raises(ImportError, match=r"ml_dtypes .*'pyadam\[bfloat16\]'"):
        _safetensors.Reader(file)


def test_every_single_bit_counts(path: Path) -> None:
    opt = pyadam.Adam({"w": seeded(3)})
    opt.step({"w": seeded(3)})
    opt.save(path)
    content = path.read_bytes()
    for i in range(len(content)):
        path.write_bytes(content[:i] + bytes([content[i] ^ 1 << i % 8]) + content[i + 1 :])
        with pytest.raises(pyadam.CheckpointError):
            pyadam.load(path)
    for size in range(len(content)):
        path.write_bytes(content[:size])
        with pytest.raises(pyadam.CheckpointError):
            pyadam.load(path)


def test_a_step_of_another_thread_waits_until_the_file_is_written(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opt = pyadam.Adam(np.ones(3))
    writing, stepped = threading.Event(), threading.Event()
    fsync = os.fsync

    def slow_fsync(descriptor: int) -> None:
        writing.set()
        assert not stepped.wait(0.05)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", slow_fsync)
    thread = threading.Thread(target=lambda: (writing.wait(60), opt.step(np.ones(3)), stepped.set()))
    thread.start()
    opt.save(path)
    thread.join(60)
    assert stepped.is_set()
    assert pyadam.load(path).step_count == 0


def test_a_late_step_of_nadam_takes_neither_long_nor_much_memory() -> None:
    opt = pyadam.NAdam([np.ones(3)])
    opt.step([np.ones(3)])
    saved = opt.state_dict()
    del saved["state"][0]["mu_product"]  # so that it is made of the step count
    saved["state"][0]["step"] = saved["step_count"] = 2**52
    opt.load_state_dict(saved)
    opt.step([np.ones(3)])
    assert opt.step_count == 2**52 + 1
    assert 0 <= opt.state_dict()["state"][0]["mu_product"] < 1e-300


KEPT = [
    {"ema_decay": 0.9},
    {"master": "float32", "state_dtype": "bfloat16", "ema_decay": 0.5},
    {"master": "split", "clip_norm": 1.0, "skip_nonfinite": True, "seed": 7},
    {"master": "stochastic", "state_dtype": "bfloat16", "seed": 2**64 - 1},
]


@pytest.mark.parametrize("options", KEPT, ids=str)
def test_all_that_is_kept_beside_parameters_is_saved(path: Path, options: dict[str, Any]) -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    dtype = ml_dtypes.bfloat16 if "master" in options else np.float32
    grads = Maker(8).arrays([(2, 50)] * 6, dtype)
    opt = pyadam.AdamW([np.ones(50, dtype), np.ones(50, dtype)], **options)
    for g in grads[:3]:
        opt.step([g[0], None])
    opt.save(path)
    wanted = copy.deepcopy(opt)
    loaded = pyadam.load(path)
    for g in grads[3:]:
        opt.step([g[0], g[1]])
    opt.load(path)
    for other in (opt, loaded):
        assert_equal(other, wanted)
        assert (other.clip_norm, other.skip_nonfinite, other.seed) == (
            wanted.clip_norm,
            wanted.skip_nonfinite,
            wanted.seed,
        )
    for g in grads[3:]:
        for other in (opt, loaded, wanted):
            other.step([g[0], g[1]])
    assert_equal(opt, wanted)
    assert_equal(loaded, wanted)


def test_a_scheduled_clip_norm_is_warned_of(path: Path) -> None:
    opt = pyadam.SGD([np.ones(2)], clip_norm=lambda step: 1.0 + step)
    opt.step([np.ones(2)])
    opt.save(path)
    with pytest.warns(UserWarning, match="clip_norm was a schedule"):
        assert pyadam.load(path).clip_norm == 1.0
    assert pyadam.load(path, clip_norm=None).clip_norm is None


def test_averages_are_not_saved_as_parameters(path: Path) -> None:
    opt = pyadam.SGD([np.ones(2)], ema_decay=0.5)
    opt.step([np.ones(2)])
    with opt.swap_ema(), pytest.raises(RuntimeError, match="swap_ema"):
        opt.save(path)
    opt.save(path)
    with opt.swap_ema(), pytest.raises(RuntimeError, match="swap_ema"):
        opt.load(path)
