"""Processes and devices: torch.distributed and fairscale's model-parallel groups, started once and ended cleanly.

Runs under torchrun (its environment variables say who we are) and as one plain process (an in-memory store, no port).
"""

import contextlib
import ctypes
import itertools
import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from fairscale.nn.model_parallel import initialize
from fairscale.nn.model_parallel.initialize import (
    get_model_parallel_group,
    get_model_parallel_rank,
    get_model_parallel_src_rank,
    get_model_parallel_world_size,
)

from llama.errors import CheckpointError

SERVER_ANSWERS = timedelta(seconds=10)  # of torchrun; one that is gone is given up after twice that
STARTS = itertools.count()  # what is claimed and shared after one start is not that of the next


@dataclass(frozen=True)
class Launch:
    """This process among its peers: `replicas` copies of the model, each cut to `world_size / replicas` ranks.

    Args:
        rank: 0 to world_size - 1; rank 0 alone prints and writes results.
        world_size: Number of processes.
        device: Where the model lives.
        store: What all processes read and write, through torchrun's own server.
    """

    rank: int
    world_size: int
    device: torch.device
    store: dist.Store

    @property
    def leads_replica(self) -> bool:
        """Whether this is the first rank of its copy of the model: it speaks for the copy."""
        return get_model_parallel_rank() == 0

    def from_rank_0(self, name: str, make: Callable[[], Any]) -> Any:
        """What rank 0 makes under a name of its own, on all ranks. It is turned into JSON and back."""
        if self.rank == 0:
            self.store.set(f"{name} from rank 0", json.dumps(make()))
        return json.loads(self.store.get(f"{name} from rank 0"))

    def claims(self, name: str, total: int) -> Iterator[int]:
        """Numbers below `total`, each handed out to one replica as it asks for more, and to all of its ranks.

        Args:
            name: Of what is handed out.
        """
        while True:
            number = torch.zeros(1, dtype=torch.int64, device=self.device)
            if self.leads_replica:
                number += self.store.add(f"{name} claimed", 1) - 1
            if get_model_parallel_world_size() > 1:
                dist.broadcast(number, get_model_parallel_src_rank(), group=get_model_parallel_group())
            if number >= total:
                return
            yield int(number)

    def gather(self, part: Any) -> list[Any]:
        """The parts of all ranks, on rank 0; elsewhere nothing. The one collective of all replicas."""
        if self.world_size == 1:
            return [part]
        parts: list[Any] = [None] * self.world_size if self.rank == 0 else []
        dist.gather_object(part, parts or None)
        return parts


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


def keep_freed_memory() -> None:
    """Let the C library (glibc's mallopt) hold on to large blocks that are freed on a CPU.

    By default it gives a layer's activations back to the system, which clears each of their pages again for the next
    layer: a tenth of the time.
    """
    mmap_threshold, trim_threshold = -3, -1  # M_MMAP_THRESHOLD, M_TRIM_THRESHOLD of malloc.h
    if sys.platform == "linux" and hasattr(library := ctypes.CDLL(None), "mallopt"):
        library.mallopt(mmap_threshold, 2**30)
        library.mallopt(trim_threshold, 2**31 - 1)


def start(model_parallel_size: int = 1) -> Launch:
    """Join the process group (nccl on CUDA, gloo on a CPU) and make the model-parallel groups, once.

    Args:
        model_parallel_size: Ranks that share one copy of the weights.

    Raises:
        CheckpointError: The model-parallel size does not divide the world size, or a rank has no CUDA device of its
            own.
    """
    check_replicas(model_parallel_size)
    device = own_device()
    if device.type == "cuda":
        torch.cuda.set_device(device)
    else:
        keep_freed_memory()
    if "WORLD_SIZE" in os.environ:
        answers = SERVER_ANSWERS if dist.is_torchelastic_launched() else dist.default_pg_timeout
        store, rank, size = next(dist.rendezvous("env://", timeout=answers))
        store.set_timeout(dist.default_pg_timeout)  # from here on what is waited for is another process's work
    else:
        store, rank, size = dist.HashStore(), 0, 1
    if not dist.is_initialized():
        backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
        dist.init_process_group(backend, store=dist.PrefixStore("group", store), rank=rank, world_size=size)
    if not initialize.model_parallel_is_initialized():
        # fairscale prints three lines when it makes its groups: none of them is for our screen.
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
            initialize.initialize_model_parallel(model_parallel_size)
    return Launch(rank, size, device, dist.PrefixStore(f"start {next(STARTS)}", store))


def check_replicas(model_parallel_size: int) -> None:
    """Raises CheckpointError where the processes are no whole number of copies of the model."""
    if world_size() % model_parallel_size:
        raise CheckpointError(
            f"`model_parallel_size` {model_parallel_size}: expected a divisor of the number of processes,"
            f" {world_size()} (--nproc_per_node)"
        )


def finish() -> None:
    """Leave the process group at the normal end. Without the barrier short runs on gloo abort at exit."""
    sys.stdout.flush()
    sys.stderr.flush()
    if dist.is_initialized():
        dist.barrier()
        initialize.destroy_model_parallel()
        dist.destroy_process_group()
