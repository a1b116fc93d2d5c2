"""Processes and devices: torch.distributed and fairscale's model-parallel groups, started once and ended cleanly.

Runs under torchrun (its environment variables say who we are) and as one plain process (an in-memory store, no port).
"""

import contextlib
import os
import sys
from dataclasses import dataclass

import torch
import torch.distributed as dist

from llama.errors import CheckpointError


@dataclass(frozen=True)
class Launch:
    """This process among its peers.

    Args:
        rank: 0 to world_size - 1; rank 0 alone prints and writes.
        world_size: Number of processes.
        device: Where the model lives.
    """

    rank: int
    world_size: int
    device: torch.device


def world_size() -> int:
    """Processes that torchrun says it started; 1 without torchrun."""
    return int(os.environ.get("WORLD_SIZE", 1))


def is_rank_0() -> bool:
    """Whether this process is the one that prints and writes."""
    return int(os.environ.get("RANK", 0)) == 0


def own_device() -> torch.device:
    """The CUDA device of this process where there is CUDA, else the CPU.

    Raises:
        CheckpointError: There is CUDA, but no device is left for this process.
    """
    if not torch.cuda.is_available():
        return torch.device("cpu")
    local_rank, devices = int(os.environ.get("LOCAL_RANK", 0)), torch.cuda.device_count()
    if local_rank >= devices:
        raise CheckpointError(f"--nproc_per_node: process {local_rank} has no CUDA device, this machine has {devices}")
    return torch.device("cuda", local_rank)


def start(model_parallel_size: int | None = None) -> Launch:
    """Join the process group (nccl on CUDA, gloo on a CPU) and make the model-parallel groups; once only.

    Args:
        model_parallel_size: Ranks that share one copy of the weights; None: all.

    Raises:
        CheckpointError: The model-parallel size does not divide the world size, or a rank has no CUDA device of its
            own.
    """
    # fairscale prints three lines when it makes its groups: none of them is for our screen.
    from fairscale.nn.model_parallel import initialize

    size = world_size()
    ranks = size if model_parallel_size is None else model_parallel_size
    if size % ranks:
        raise CheckpointError(f"--model_parallel_size {ranks}: expected a divisor of the number of processes, {size}")
    device = own_device()
    if device.type == "cuda":
        torch.cuda.set_device(device)
    if not dist.is_initialized():
        backend = "nccl" if device.type == "cuda" else "gloo"
        if "WORLD_SIZE" in os.environ:
            dist.init_process_group(backend)
        else:
            dist.init_process_group(backend, store=dist.HashStore(), rank=0, world_size=1)
    if not initialize.model_parallel_is_initialized():
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
            initialize.initialize_model_parallel(ranks)
    return Launch(dist.get_rank(), dist.get_world_size(), device)


def finish() -> None:
    """Leave the process group at the normal end. Without the barrier short runs on gloo abort at exit."""
    sys.stdout.flush()
    sys.stderr.flush()
    if dist.is_initialized():
        from fairscale.nn.model_parallel.initialize import destroy_model_parallel

        dist.barrier()
        destroy_model_parallel()
        dist.destroy_process_group()
