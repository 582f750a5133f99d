"""What test_torch_distributed.py starts in several processes: ``torch_ranks.py FOLDER RANK RANKS PROGRAM...``."""

from __future__ import annotations

import os
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.distributed.checkpoint as checkpoint
from makers import Maker
from rank_programs import run, together
from torch.distributed.checkpoint.state_dict import get_optimizer_state_dict, set_optimizer_state_dict
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.optim import ZeroRedundancyOptimizer
from torch.nn.parallel import DistributedDataParallel

import pyadam.torch

RULES = ["Adam", "AdamW", "NAdam", "RAdam", "Adamax", "Adadelta", "Adagrad", "RMSprop", "SGD"]


def new_model() -> Any:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(5, 7), torch.nn.Tanh(), torch.nn.Linear(7, 3))


def train(model: Any, optimizer: Any, steps: range) -> None:
    for step in steps:
        optimizer.zero_grad()
        model(Maker(step, dist.get_rank()).tensor((8, 5), torch.float32)).square().mean().backward()
        optimizer.step()


def whole(tensor: Any) -> torch.Tensor:
    tensor = tensor.detach()
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor


def assert_close(ours: Any, theirs: Any) -> None:
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(whole(p), whole(q), rtol=1e-5, atol=1e-6)


def assert_same_bits(ours: Any, theirs: Any) -> None:
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(whole(p), whole(q))


def assert_same_on_all_ranks(model: Any) -> None:
    for p in model.parameters():
        copies = [torch.empty_like(p) for _ in range(dist.get_world_size())]
        dist.all_gather(copies, p.detach())
        assert all(torch.equal(copy, copies[0]) for copy in copies)


@together
def data_parallel() -> None:
    """DistributedDataParallel, with gradients of its own and with views of its buckets."""
    for as_views in (False, True):
        models = []
        for module in (pyadam.torch, torch.optim):
            model = DistributedDataParallel(new_model(), gradient_as_bucket_view=as_views)
            optimizer = module.AdamW(model.parameters(), lr=0.01)
            train(model, optimizer, range(6))
            assert_same_on_all_ranks(model)
            models.append(model)
        assert_close(*models)


@together
def zero_redundancy() -> None:
    """ZeroRedundancyOptimizer, with a state that is brought together and loaded."""
    for as_views in (False, True):
        models = []
        for module in (pyadam.torch, torch.optim):
            model = DistributedDataParallel(new_model())
            arguments = {"optimizer_class": module.Adam, "lr": 0.01, "parameters_as_bucket_view": as_views}
            optimizer = ZeroRedundancyOptimizer(model.parameters(), **arguments)
            train(model, optimizer, range(4))
            for rank in range(dist.get_world_size()):
                optimizer.consolidate_state_dict(rank)
                if rank == dist.get_rank():
                    state_dict = optimizer.state_dict()
            assert set(state_dict["state"]) == {0, 1, 2, 3}
            resumed = ZeroRedundancyOptimizer(model.parameters(), **arguments)
            resumed.load_state_dict(state_dict)
            train(model, resumed, range(4, 8))
            assert_same_on_all_ranks(model)
            models.append(model)
        assert_close(*models)


def sharded(name: str, module: Any) -> tuple[Any, Any]:
    model = new_model()
    mesh = init_device_mesh("cpu", (dist.get_world_size(),))
    fully_shard(model[0], mesh=mesh)
    fully_shard(model, mesh=mesh)
    return model, getattr(module, name)(model.parameters(), lr=0.01)


@together
def fully_sharded() -> None:
    """FSDP2, whose parameters are DTensors, for every rule."""
    for name in RULES:
        models = []
        for module in (pyadam.torch, torch.optim):
            model, optimizer = sharded(name, module)
            train(model, optimizer, range(5))
            models.append((model, optimizer))
        (ours, a), (theirs, b) = models
        assert_close(ours, theirs)
        for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
            state, expected = a.state.get(p, {}), b.state.get(q, {})
            assert {k: type(v) for k, v in state.items()} == {k: type(v) for k, v in expected.items()}


@together
def sharded_checkpoint(folder: Path) -> None:
    """torch.distributed.checkpoint of an FSDP2 model, to pyadam and to torch."""
    model, optimizer = sharded("AdamW", pyadam.torch)
    train(model, optimizer, range(4))
    checkpoint.save({"optim": get_optimizer_state_dict(model, optimizer)}, checkpoint_id=folder / "checkpoint")
    before = [p.detach().clone() for p in model.parameters()]
    train(model, optimizer, range(4, 7))
    for module, compare in ((pyadam.torch, assert_same_bits), (torch.optim, assert_close)):
        resumed, resumed_optimizer = sharded("AdamW", module)
        with torch.no_grad():
            for p, q in zip(resumed.parameters(), before, strict=True):
                p.copy_(q)
        state = {"optim": get_optimizer_state_dict(resumed, resumed_optimizer)}
        checkpoint.load(state, checkpoint_id=folder / "checkpoint")
        set_optimizer_state_dict(resumed, resumed_optimizer, state["optim"])
        train(resumed, resumed_optimizer, range(4, 7))
        compare(resumed, model)


@together
def refused_on_parts() -> None:
    """A norm of all gradients, of which each process has a part."""
    model, _ = sharded("AdamW", torch.optim)
    optimizer = pyadam.torch.AdamW(model.parameters(), clip_norm=1.0)
    with pytest.raises(ValueError, match=r"is a DTensor: use torch\.nn\.utils\.clip_grad_norm_"):
        train(model, optimizer, range(1))


def main() -> None:
    """Join the others and run the programs."""
    folder, rank, ranks, *names = sys.argv[1:]
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo",
        init_method=f"file://{folder}/store-{names[0]}",
        rank=int(rank),
        world_size=int(ranks),
        timeout=timedelta(minutes=2),
    )
    run(names, Path(folder), int(rank), dist.barrier)
    dist.destroy_process_group()
    # PyTorch's gloo threads free the tensors of their last work when they come to it; if the interpreter is about to
    # end by then, to ask for its lock aborts the process.
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
