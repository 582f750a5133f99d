"""What test_distributed.py runs with mpiexec on several ranks: ``mpi_ranks.py FOLDER SCENARIO...``.

Each scenario is a function, which ends all ranks by what it raises.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import rules
from mpi4py import MPI
from numpy.testing import assert_array_equal

import pyadam
from pyadam import reference
from pyadam.distributed import ZeroRedundancyOptimizer, _checkpoint
from pyadam.distributed import optimizer as implementation

COMM = MPI.COMM_WORLD
RANK, RANKS = COMM.rank, COMM.size
BFLOAT16 = np.dtype(ml_dtypes.bfloat16)

# Cut in the middle, left whole, on tile borders, smaller than a tile, of no axis and of no elements.
SHAPES = [(70, 50), (5000,), (3,), (0,), (64, 64), ()]


def new_params(dtype: Any = np.float32, shapes: Any = SHAPES) -> list[Any]:
    rng = np.random.default_rng(1)
    params = [np.asarray(rng.normal(size=shape)).astype(dtype) for shape in shapes]
    return [np.asfortranarray(p) if i == 0 else p for i, p in enumerate(params)]


def gradients_of(rank: int, step: int, dtype: Any = np.float32, shapes: Any = SHAPES) -> list[Any]:
    rng = np.random.default_rng([rank, step])
    return [np.asarray(rng.normal(size=shape)).astype(dtype) for shape in shapes]


def mean_of(gradients: list[Any], dtype: Any = np.float32) -> Any:
    """Return ((g0 + g1) + ...) / N, all of it in `dtype`."""
    total = gradients[0].astype(dtype)
    for gradient in gradients[1:]:
        total = total + gradient.astype(dtype)
    return np.asarray(total / total.dtype.type(len(gradients)))


def means(step: int, dtype: Any = np.float32, compute: Any = np.float32) -> list[Any]:
    ranks = [gradients_of(rank, step, dtype) for rank in range(RANKS)]
    return [mean_of([grads[i] for grads in ranks], compute) for i in range(len(SHAPES))]


def grouped(params: list[Any]) -> list[dict[str, Any]]:
    return [{"params": {"a": params[0], "b": (params[1], params[2])}, "lr": 0.05}, {"params": params[3:]}]


def grouped_grads(grads: list[Any]) -> list[Any]:
    return [{"a": grads[0], "b": (grads[1], grads[2])}, grads[3:]]


def bits(array: Any) -> Any:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)


def assert_equal_bits(found: list[Any], expected: list[Any]) -> None:
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == b.dtype
        assert_array_equal(bits(a), bits(b))


def assert_same_on_all_ranks(params: list[Any]) -> None:
    hashes = COMM.allgather(b"".join(bits(p).tobytes() for p in params))
    assert all(found == hashes[0] for found in hashes)


def assert_same_state(found: Any, expected: Any) -> None:
    """Compare two `state_dict`, whose arrays must have the same bits."""
    assert found.keys() == expected.keys()
    assert list(found["state"]) == list(expected["state"])
    for i, entries in expected["state"].items():
        assert list(found["state"][i]) == list(entries)
        for name, value in entries.items():
            if isinstance(value, np.ndarray):
                assert found["state"][i][name].shape == value.shape
                assert_equal_bits([found["state"][i][name]], [value])
            else:
                assert found["state"][i][name] == value
    for key in expected.keys() - {"state"}:
        np.testing.assert_equal(found[key], expected[key])


@contextmanager
def raises_everywhere(own: type[Exception], match: str, rank: int) -> Iterator[None]:
    """Expect an error of one rank, on that rank, and its message on the others."""
    with pytest.raises(own if rank == RANK else RuntimeError, match=match) as caught:
        yield
    if rank != RANK:
        assert str(caught.value).startswith(f"rank {rank} raised {own.__name__}: ")


def compare(
    cls: Any,
    dtype: Any = np.float32,
    grad_dtype: Any = None,
    groups: bool = False,
    steps: int = 4,
    edit: Callable[[int, list[Any]], list[Any]] = lambda _, grads: grads,
    prepare: Callable[[Any, int], None] = lambda _, __: None,
    step_options: Any = None,
    distributed: Any = None,
    **options: Any,
) -> tuple[Any, Any]:
    """Train on all ranks, and one optimizer that is given the mean; the bits must be the same after each step."""
    compute = np.float64 if dtype == np.float64 else np.float32
    grad_dtype = grad_dtype or dtype
    arrange, arrange_grads = (grouped, grouped_grads) if groups else (list, list)
    ours, theirs = new_params(dtype), new_params(dtype)
    distributed = {"deterministic": True, "bucket_cap_mb": 0.03, **(distributed or {})}
    sharded = ZeroRedundancyOptimizer(arrange(ours), cls, **distributed, **options)
    plain = cls(arrange(theirs), **options)
    for step in range(steps):
        prepare(sharded, step)
        prepare(plain, step)
        taken = sharded.step(arrange_grads(edit(step, gradients_of(RANK, step, grad_dtype))), **(step_options or {}))
        whole = means(step, grad_dtype, compute) if RANKS > 1 else gradients_of(0, step, grad_dtype)
        assert taken == plain.step(arrange_grads(edit(step, whole)), **(step_options or {}))
        assert_equal_bits(ours, theirs)
        assert sharded.grad_norm == plain.grad_norm
        assert_same_on_all_ranks(ours)
    state = sharded.consolidate()
    assert (state is None) == (RANK != 0)
    if RANK == 0:
        assert_same_state(state, plain.state_dict())
    return sharded, plain


def same_as_one_process(folder: Path) -> None:
    """Every rule of the kernel, in all dtypes, with what the kernel does around it."""
    del folder
    for case in rules.KERNEL_CASES:
        if case.cls is not pyadam.LAMB:
            compare(case.cls, np.float32, **case.options)
            compare(case.cls, np.float64, clip_norm=20.0, **case.options)


def storage(folder: Path) -> None:
    """Parameters and state of 16 bits: random rounding counts elements as one process does."""
    del folder
    for dtype, master in [
        (BFLOAT16, "float32"),
        (BFLOAT16, "split"),
        (BFLOAT16, "stochastic"),
        (np.float16, "stochastic"),
        (np.float16, "float32"),
    ]:
        for more in ({}, {"state_dtype": "bfloat16", "clip_norm": 5.0, "seed": 3, "ema_decay": 0.9}):
            compare(pyadam.AdamW, dtype, lr=0.01, master=master, **more)
            compare(pyadam.AdamW, dtype, np.float32, lr=0.01, master=master, **more)
    compare(pyadam.Adam, state_dtype="bfloat16", skip_nonfinite=True)


def options(folder: Path) -> None:
    """What a user sets means what it means on one machine."""
    del folder

    def without_some(step: int, grads: list[Any]) -> list[Any]:
        return [None if (i + step) % 3 == 0 or step == 2 else grad for i, grad in enumerate(grads)]

    def with_infinity(step: int, grads: list[Any]) -> list[Any]:
        if step == 1:
            grads[1][4321] = np.inf
        return grads

    def new_rates(opt: Any, step: int) -> None:
        for group in opt.param_groups:
            group["lr"] = 0.01 / (1 + step)

    def other_settings(opt: Any, _: int) -> None:
        opt.clip_norm, opt.skip_nonfinite, opt.flush_denormals = 2.0, True, True

    every = {"lr": 0.01, "weight_decay": 0.1, "clip_norm": 1.0, "clip_value": 0.05, "l1": 0.01}
    every.update(ema_decay=0.9, ema_warmup=True)
    bounded = np.linspace(-1, 0, 3500).reshape(70, 50), np.linspace(0, 2, 3500).reshape(70, 50)
    for groups in (False, True):
        compare(pyadam.AdamW, groups=groups, **every)
        compare(pyadam.AdamW, groups=groups, edit=without_some, **every)
        compare(pyadam.Adam, groups=groups, edit=with_infinity, skip_nonfinite=True)
        compare(pyadam.Adam, np.float64, groups=groups, edit=with_infinity, skip_nonfinite=True, clip_norm=0.1)
        compare(pyadam.Adam, groups=groups, step_options={"grad_scale": 128.0}, clip_norm=0.5)
        compare(pyadam.Adam, groups=groups, prepare=new_rates)
        compare(pyadam.Adam, groups=groups, prepare=other_settings)  # which the states tell, too
        compare(pyadam.Adam, groups=groups, lr=pyadam.schedules.Cosine(0.1, 4), clip_norm=lambda step: 1.0 + step)
    compare(pyadam.Adam, distributed={"bucket_cap_mb": 25})
    compare(pyadam.Adam, edit=lambda _, grads: [np.asmatrix(grad) if grad.ndim == 2 else grad for grad in grads])
    compare(pyadam.Adam, grad_dtype=np.float64, clip_norm=1.0)
    compare(pyadam.Adam, grad_dtype=np.float16)
    # One array alone is sent from where it lies; its bounds are arrays, of which each rank has a part.
    ours, theirs = np.asfortranarray(np.ones((70, 50))), np.asfortranarray(np.ones((70, 50)))
    for box in ((None, None), bounded):
        sharded = ZeroRedundancyOptimizer(ours, lr=0.5, bounds=box, deterministic=True)
        plain = pyadam.Adam(theirs, lr=0.5, bounds=box)
        for step in range(3):
            grads = [gradients_of(rank, step, np.float64)[0] for rank in range(RANKS)]
            sharded.step(np.ascontiguousarray(grads[RANK])[::1])
            plain.step(mean_of(grads, np.float64))
            assert_equal_bits([ours], [theirs])


def mixed_dtypes(folder: Path) -> None:
    """Parameters of two dtypes, of which each goes in buckets of its own."""
    ours, theirs = ([*new_params(np.float64)[:2], *new_params()[2:], np.ones(2000, np.float32)] for _ in range(2))
    sharded = ZeroRedundancyOptimizer(ours, deterministic=True, clip_norm=1.0, bucket_cap_mb=0.02)
    plain = pyadam.Adam(theirs, clip_norm=1.0)
    shapes = [p.shape for p in ours]
    for step in range(3):
        ranks = [gradients_of(rank, step, np.float64, shapes) for rank in range(RANKS)]
        sharded.step(ranks[RANK])
        if RANKS == 1:
            plain.step(ranks[0])
        else:
            plain.step([mean_of([grads[i] for grads in ranks], p.dtype) for i, p in enumerate(theirs)])
        assert_equal_bits(ours, theirs)
    sizes = COMM.allgather(sharded.state_bytes)
    assert max(sizes) - min(sizes) <= 2 * 1024 * 16
    sharded.save(folder / "mixed")
    again = ZeroRedundancyOptimizer([np.zeros_like(p) for p in ours], clip_norm=1.0)
    again.load(folder / "mixed")
    assert_equal_bits(again.params, ours)


def any_order_of_sums(folder: Path) -> None:
    """The MPI library sums in its order: equal on all ranks, and to rounding the mean."""
    del folder
    for more in ({}, {"clip_norm": 1.0}):
        ours, theirs = new_params(), new_params()
        sharded = ZeroRedundancyOptimizer(ours, pyadam.SGD, lr=0.1, bucket_cap_mb=0.03, **more)
        plain = pyadam.SGD(theirs, lr=0.1, **more)
        for step in range(5):
            sharded.step(gradients_of(RANK, step))
            plain.step(means(step))
            assert_same_on_all_ranks(ours)
            for p, q in zip(ours, theirs, strict=True):
                np.testing.assert_allclose(p, q, rtol=1e-5, atol=1e-6)
        if RANKS == 1:
            assert_equal_bits(ours, theirs)


def sent_in_bfloat16(folder: Path) -> None:
    """Gradients are rounded before they are summed in float32; parameters when they are gathered."""
    for clip_norm in (None, 1.0):
        ours, theirs = new_params(), new_params()
        sharded = ZeroRedundancyOptimizer(ours, gradient_dtype="bfloat16", bucket_cap_mb=0.03, clip_norm=clip_norm)
        plain = pyadam.Adam(theirs, clip_norm=clip_norm)
        for step in range(3):
            ranks = [gradients_of(rank, step) for rank in range(RANKS)]
            sharded.step(ranks[RANK])
            rounded = [[grad.astype(BFLOAT16).astype(np.float32) for grad in grads] for grads in ranks]
            plain.step([mean_of(list(grads)) for grads in zip(*(rounded if RANKS > 1 else ranks), strict=True)])
            assert_equal_bits(ours, theirs)

    ours, theirs = new_params(), new_params()
    wanted = {"parameter_dtype": "bfloat16", "deterministic": True, "bucket_cap_mb": 0.03}
    sharded = ZeroRedundancyOptimizer(ours, **wanted)
    plain = pyadam.Adam(theirs)
    for step in range(6):
        if step == 3:
            sharded.save(folder / "rounded")
            ours = [np.zeros_like(p) for p in ours]
            sharded = ZeroRedundancyOptimizer(ours, **wanted)
            sharded.load(folder / "rounded")
        sharded.step(gradients_of(RANK, step))
        plain.step(means(step))
        assert_equal_bits(ours, [p.astype(BFLOAT16).astype(np.float32) for p in theirs])
    for key in ("gradient_dtype", "parameter_dtype"):
        with pytest.raises(ValueError, match=rf"{key} must be None, found 'bfloat16': params is of float64"):
            ZeroRedundancyOptimizer(np.ones(3), **{key: "bfloat16"})
        with pytest.raises(ValueError, match=f"{key} must be None or 'bfloat16', found 'int8'"):
            ZeroRedundancyOptimizer(np.ones(3), **{key: "int8"})


def averages(folder: Path) -> None:
    """swap_ema puts the averages in place of the parameters of all ranks."""
    del folder
    sharded, plain = compare(pyadam.Adam, ema_decay=0.5, lr=0.1)
    before = [p.copy() for p in sharded.params]
    with sharded.swap_ema() as ours, plain.swap_ema() as theirs:
        assert_equal_bits(ours, theirs)
        with pytest.raises(RuntimeError, match="step: the parameters hold their averages"):
            sharded.step(gradients_of(RANK, 0))
    assert_equal_bits(sharded.params, before)
    with pytest.raises(ValueError, match="construct the optimizer with ema_decay"), compare(pyadam.SGD)[0].swap_ema():
        pass


def accumulated(folder: Path) -> None:
    """What ranks accumulate is averaged once, by the step."""
    del folder
    for clip_norm in (None, 0.5):
        ours, theirs = new_params(), new_params()
        sharded = ZeroRedundancyOptimizer(ours, deterministic=True, bucket_cap_mb=0.03, clip_norm=clip_norm)
        plain = pyadam.Adam(theirs, clip_norm=clip_norm)
        for step in range(3):
            sums = []
            for rank in range(RANKS):
                first, second = (gradients_of(rank, 2 * step + i) for i in range(2))
                sums.append([None if i == step else a + b for i, (a, b) in enumerate(zip(first, second, strict=True))])
            for i in range(2):
                grads = gradients_of(RANK, 2 * step + i)
                grads[step] = None
                sharded.accumulate(grads)
            assert sharded.accumulated == 2
            with pytest.raises(ValueError, match="while 2 are accumulated"):
                sharded.step(gradients_of(RANK, step))
            assert sharded.step(grad_scale=4.0)
            assert sharded.accumulated == 0
            whole = [None if i == step else mean_of(list(every)) for i, every in enumerate(zip(*sums, strict=True))]
            plain.step(whole, grad_scale=8.0)
            assert_equal_bits(ours, theirs)
    with pytest.raises(ValueError, match="there are none"):
        sharded.step()
    sharded.accumulate(gradients_of(RANK, 0))
    sharded.zero_grad()
    assert sharded.accumulated == 0
    if RANKS > 1:
        sharded.accumulate(gradients_of(RANK, 0))
        if RANK == 1:
            sharded.accumulate(gradients_of(RANK, 1))
        with pytest.raises(ValueError, match="the number of accumulated gradients must be the same"):
            sharded.step()


def shards_are_equal(folder: Path) -> None:
    """Each rank keeps its share of the state, whatever the arrays."""
    del folder
    for shapes in ([(1_000_000,)], [(999, 7)] * 50, [(1000,)] * 400, [(3,), (2_000_000,), (5,)]):
        params = new_params(shapes=shapes)
        sharded = ZeroRedundancyOptimizer(params, optimizer_class=pyadam.AdamW)
        total = 2 * sum(p.nbytes for p in params)
        sizes = COMM.allgather(sharded.state_bytes)
        assert sum(sizes) == total
        assert max(abs(size / (total / RANKS) - 1) for size in sizes) < 0.02
    few = ZeroRedundancyOptimizer([np.ones(2), np.ones(2)])  # for more ranks than parameters
    few.step([np.ones(2), np.ones(2)])
    np.testing.assert_allclose(few.params, 0.999)


def first_values(folder: Path) -> None:
    """All ranks start with the values of rank 0."""
    del folder
    w = np.full((30, 100), float(RANK))
    ZeroRedundancyOptimizer(w)
    assert (w == 0).all()


def own_communicator(folder: Path) -> None:
    """Half of the ranks train by themselves."""
    del folder
    w = np.ones(3)
    half = COMM.Split(RANK % 2)
    ZeroRedundancyOptimizer(w, pyadam.SGD, half, lr=1.0).step(np.full(3, float(RANK % 2)))
    assert_array_equal(w, np.full(3, 1.0 - RANK % 2))
    with pytest.raises(TypeError, match="comm must be an intracommunicator"):
        ZeroRedundancyOptimizer(w, comm=3)


def differences_at_construction(folder: Path) -> None:
    """What ranks do not have in common is named when they meet."""
    del folder
    last = RANKS - 1
    is_last = last == RANK

    def refused(match: str, params: Any, cls: Any = pyadam.Adam, **options: Any) -> None:
        with pytest.raises(ValueError, match=match):
            ZeroRedundancyOptimizer(params, cls, **options)

    if RANKS > 1:
        refused(r"params\['w'\] must be the same .*\(4,\).* rank 0 and .*\(5,\)", {"w": np.ones(4 + is_last)})
        refused("'float32'.* on rank 0 and .*'float64'", np.ones(3, "f8" if is_last else "f4"))
        refused("'C order'.* on rank 0 and .*'F order'", np.ones((3, 2), order="F" if is_last else "C"))
        refused(f"'lr': 0.1,.* on rank 0 and .*'lr': 0.2,.* on rank {last}", np.ones(3), lr=0.2 if is_last else 0.1)
        refused("clip_norm must be the same", np.ones(3), clip_norm=2.0 if is_last else None)
        refused("'bounds': .*array of .* on rank 0", np.ones(3), bounds=(np.ones(3) * -RANK, None))
        refused("bucket_cap_mb must be the same", np.ones(3), bucket_cap_mb=1 + is_last)
        refused("deterministic must be the same", np.ones(3), deterministic=is_last)
        refused("optimizer_class must be the same", np.ones(3), pyadam.AdamW if is_last else pyadam.Adam)
        refused("the number of parameters must be the same", [np.ones(3)] * 1 + [np.ones(2)] * is_last)
        kept = implementation._core.__version__
        implementation._core.__version__ = "9.9" if is_last else kept
        refused(rf"the version of pyadam must be .* '{kept}' on rank 0 and '9.9' on rank {last}", np.ones(3))
        implementation._core.__version__ = kept
    with raises_everywhere(ValueError, "lr must be a finite number >= 0, found -1", last):
        ZeroRedundancyOptimizer(np.ones(3), lr=-1.0 if is_last else 0.1)
    with raises_everywhere(TypeError, "Adam has no option 'momentum'", last):
        ZeroRedundancyOptimizer(np.ones(3), **({"momentum": 0.9} if is_last else {}))
    with raises_everywhere(ValueError, "contiguous", 0):
        ZeroRedundancyOptimizer(np.ones(6)[::2] if RANK == 0 else np.ones(3))
    for params, match in [(np.ones(3, BFLOAT16), "choose master="), ([], "holds no arrays")]:
        refused(match, params)
    refused("must have the shape", np.ones(3), bounds=(np.zeros(2), None))
    refused("LAMB takes norms of whole parameters", np.ones(3), pyadam.LAMB)
    refused("bucket_cap_mb must be a finite number > 0, found 0", np.ones(3), bucket_cap_mb=0)
    with pytest.raises(TypeError, match="optimizer_class must be a class of pyadam"):
        ZeroRedundancyOptimizer(np.ones(3), reference)
    shared = np.ones(4)
    refused(r"params\[0\] and params\[1\] share memory", [shared, shared])


def faults_within_step(folder: Path) -> None:
    """A rank that raises brings the others down with its message, and nothing has changed."""
    last = RANKS - 1
    is_last = last == RANK
    params = {"w": np.ones((40, 50)), "b": np.ones(7)}
    opt = ZeroRedundancyOptimizer(params, lr=0.5, deterministic=True)
    good = {"w": np.ones((40, 50)), "b": np.ones(7)}

    def unchanged() -> None:
        assert opt.step_count == 0
        assert (params["w"] == 1).all()
        assert (params["b"] == 1).all()

    for bad, error, match in [
        ({**good, "w": np.ones((50, 40))}, ValueError, r"params\['w'\]"),
        ({**good, "b": np.ones(7, int)}, TypeError, r"params\['b'\]"),
        ({"w": good["w"]}, ValueError, "missing 'b'"),
        ({**good, "b": params["b"]}, ValueError, "shares memory"),
    ]:
        with raises_everywhere(error, match, last):
            opt.step(bad if is_last else good)
        unchanged()
    with raises_everywhere(ValueError, "grad_scale", 0):
        opt.step(good, grad_scale=-1.0 if RANK == 0 else 1.0)
    opt.clip_norm = (lambda step: -1.0 - step) if is_last else (lambda step: 1.0 + step)
    with raises_everywhere(ValueError, "clip_norm", last):
        opt.step(good)
    opt.clip_norm = None
    if RANKS > 1:
        with pytest.raises(ValueError, match=rf"None as gradient must be .* \[\] on rank 0 and .*'b'.* on rank {last}"):
            opt.step({**good, "b": None if is_last else good["b"]})
        with pytest.raises(
            ValueError, match=r"grad_scale must be the same on all ranks, found 1\.0 on rank 0 and 2\.0"
        ):
            opt.step(good, grad_scale=1.0 + is_last)
        opt.param_groups[0]["lr"] = 0.25 if is_last else 0.5
        with pytest.raises(ValueError, match=r"'lr': 0\.5.* on rank 0 and .*'lr': 0\.25"):
            opt.step(good)
        opt.param_groups[0]["lr"] = 0.5
        opt.param_groups[0]["bounds"] = (0.95, None) if is_last else None
        with pytest.raises(ValueError, match=r"'bounds': None.* on rank 0 and .*'bounds': \(0\.95"):
            opt.step(good)
        opt.param_groups[0]["bounds"] = None
        with pytest.raises(ValueError, match=f"the same method: rank 0 called save, rank {last} step"):
            opt.step(good) if is_last else opt.save(folder / "never")
    unchanged()
    assert opt.step(good)
    np.testing.assert_allclose(params["b"], 0.5)


def trained(steps: int, **options: Any) -> Any:
    opt = ZeroRedundancyOptimizer(
        grouped(new_params()), pyadam.AdamW, deterministic=True, bucket_cap_mb=0.03, ema_decay=0.9, **options
    )
    for step in range(steps):
        opt.step(grouped_grads(gradients_of(0, step)))
    return opt


def checkpoints(folder: Path) -> None:
    """A checkpoint is there as a whole or not at all, and is refused if it does not fit."""
    opt = trained(2)
    opt.save(folder / "whole")
    before, state = [p.copy() for p in opt._arrays], opt.consolidate()
    opt.step(grouped_grads(gradients_of(0, 7)))

    def fails(*arguments: Any) -> None:
        if RANK == RANKS - 1:
            raise OSError("no space left")
        written(*arguments)

    def manifest_fails(*arguments: Any) -> None:
        raise OSError(f"no manifest of {len(arguments)} arguments")

    written, manifest_written = _checkpoint.write, _checkpoint._write_manifest
    _checkpoint.write = fails
    with raises_everywhere(OSError, "no space left", RANKS - 1):
        opt.save(folder / "whole")
    _checkpoint.write, _checkpoint._write_manifest = written, manifest_fails
    with raises_everywhere(OSError, "no manifest", 0):
        opt.save(folder / "whole")
    _checkpoint._write_manifest = manifest_written
    COMM.Barrier()
    assert len(list((folder / "whole").iterdir())) == RANKS + 1

    again = trained(0)
    again.load(folder / "whole")
    assert_equal_bits(again._arrays, before)
    again_state = again.consolidate()
    if RANK == 0:
        assert_same_state(again_state, state)

    opt.save(folder / "whole")  # replaces the first one
    assert len(list((folder / "whole").iterdir())) == RANKS + 1
    for other, match in [
        (ZeroRedundancyOptimizer(grouped(new_params(np.float64)), pyadam.AdamW, ema_decay=0.9), "dtype float64"),
        (ZeroRedundancyOptimizer(new_params(), pyadam.AdamW, ema_decay=0.9), r"params\[0\] must have"),
        (ZeroRedundancyOptimizer(grouped(new_params()), pyadam.Lion, ema_decay=0.9), "rules"),
        (ZeroRedundancyOptimizer(grouped(new_params()), pyadam.AdamW), "ema"),
    ]:
        values = [p.copy() for p in other._arrays]
        with pytest.raises((ValueError, RuntimeError), match=match):
            other.load(folder / "whole")
        assert_equal_bits(other._arrays, values)
    COMM.Barrier()
    if RANK == 0:
        shard = next((folder / "whole").glob("shard-*-0.safetensors"))
        data = bytearray(shard.read_bytes())
        data[-5] ^= 1
        shard.write_bytes(data)
    COMM.Barrier()
    values = [p.copy() for p in again._arrays]
    with pytest.raises((ValueError, RuntimeError), match="the checksum is wrong"):
        again.load(folder / "whole")
    assert_equal_bits(again._arrays, values)
    with pytest.raises((OSError, RuntimeError), match="manifest"):
        again.load(folder / "nowhere")


def save(folder: Path) -> None:
    """Write a checkpoint that other numbers of ranks go on from."""
    trained(3, clip_norm=1.0).save(folder / "resharded")


def resume(folder: Path) -> None:
    """Go on from a checkpoint as the ranks that wrote it would have."""
    opt = trained(0, clip_norm=1.0)
    opt.load(folder / "resharded")
    opt.save(folder / "resharded")
    expected = pyadam.AdamW(grouped(new_params()), ema_decay=0.9, clip_norm=1.0)
    # All ranks give the same gradients, of which 1, 2 and 4 have the exact mean.
    for step in range(5):
        expected.step(grouped_grads(gradients_of(0, step)))
        if step == 2:
            assert_equal_bits(opt._arrays, expected._core.arrays)
            state = opt.consolidate()
            if RANK == 0:
                assert_same_state(state, expected.state_dict())
        if step > 2 and RANKS != 3:
            opt.step(grouped_grads(gradients_of(0, step)))
            assert_equal_bits(opt._arrays, expected._core.arrays)


def killed_while_saving(folder: Path) -> None:
    """The last rank is gone before its shard is written: the older checkpoint stays."""
    opt = trained(4, clip_norm=1.0)

    def dies(*arguments: Any) -> None:
        if RANK == RANKS - 1:
            os._exit(9)
        written(*arguments)

    written = _checkpoint.write
    _checkpoint.write = dies
    opt.save(folder / "resharded")


def dies_within_step(folder: Path) -> None:
    """What cannot be undone ends all ranks, with the message of the first."""
    del folder
    opt = ZeroRedundancyOptimizer(np.ones(5000))

    def fails(*arguments: Any) -> None:
        if RANK == RANKS - 1:
            raise RuntimeError("the network is gone")
        updated(*arguments)

    updated = opt._update
    opt._update = fails
    opt.step(np.ones(5000))


def uncaught(folder: Path) -> None:
    """A wrong gradient on one rank, and nobody who catches the error."""
    del folder
    ZeroRedundancyOptimizer({"w": np.ones(5000)}).step({"w": np.ones(5000 + (RANK == RANKS - 1))})


def main() -> None:
    """Run the scenarios that are named."""
    folder, *names = sys.argv[1:]
    for name in names:
        globals()[name](Path(folder))
        COMM.Barrier()
        if RANK == 0:
            print(f"passed {name}", flush=True)


if __name__ == "__main__":
    main()
