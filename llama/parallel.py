"""Processes and devices: starts and ends torch.distributed and fairscale's model-parallel groups.

Works under torchrun, which sets the rank in environment variables, and in a single process (in-memory store, no port).
"""

import contextlib
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
from llama.malloc import keep_freed_memory

SERVER_ANSWERS = timedelta(seconds=10)  # timeout for torchrun's store; a dead one is abandoned after twice that
STARTS = itertools.count()  # separates the keys in the store of several starts


@dataclass(frozen=True)
class Launch:
    """This process among all processes. The ranks of a model-parallel group share one copy of the model, a replica.

    Args:
        rank: 0 to world_size - 1; only rank 0 prints and writes results.
        world_size: Number of processes.
        device: Device of the model.
        store: Key-value store of all processes, on torchrun's server.
    """

    rank: int
    world_size: int
    device: torch.device
    store: dist.Store

    @property
    def leads_replica(self) -> bool:
        """Whether this is the first rank of its replica."""
        return get_model_parallel_rank() == 0

    def from_rank_0(self, name: str, make: Callable[[], Any]) -> Any:
        """The value of `make()` on rank 0, on all ranks; it is sent as JSON.

        Args:
            name: A unique key in the store.
            make: Called on rank 0 only.
        """
        if self.rank == 0:
            self.store.set(f"{name} from rank 0", json.dumps(make()))
        return json.loads(self.store.get(f"{name} from rank 0"))

    def claims(self, name: str, total: int) -> Iterator[int]:
        """Numbers below `total`, each claimed by one replica and yielded on all of its ranks.

        Args:
            name: A unique key in the store.
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
        """The parts of all ranks on rank 0, an empty list elsewhere."""
        if self.world_size == 1:
            return [part]
        parts: list[Any] = [None] * self.world_size if self.rank == 0 else []
        dist.gather_object(part, parts or None)
        return parts

    def share(self, part: Any) -> list[Any]:
        """The parts of all ranks on all ranks."""
        parts: list[Any] = [None] * self.world_size
        dist.all_gather_object(parts, part)
        return parts


def world_size() -> int:
    """Number of processes that torchrun started; 1 without torchrun."""
    return int(os.environ.get("WORLD_SIZE", 1))


def is_rank_0() -> bool:
    """Whether this process prints and writes results."""
    return int(os.environ.get("RANK", 0)) == 0


def own_device() -> torch.device:
    """The CUDA device of this process, or the CPU without CUDA.

    Raises:
        CheckpointError: There are more processes than CUDA devices.
    """
    if not torch.cuda.is_available():
        return torch.device("cpu")
    local_rank, devices = int(os.environ.get("LOCAL_RANK", 0)), torch.cuda.device_count()
    if local_rank >= devices:
        raise CheckpointError(
            f"--nproc_per_node: no CUDA device for process {local_rank}, this machine has {devices} device(s)"
        )
    return torch.device("cuda", local_rank)


def settle_kernels() -> None:
    """Choose CUDA kernels that suit batches of many shapes, and scores that depend little on them."""
    # cuDNN, PyTorch's first choice on recent cards, builds a plan for each shape: for most batches, and decoding steps
    torch.backends.cuda.enable_cudnn_sdp(False)
    # partial sums of matrix products in half precision, in a number that depends on the shape
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False
    torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction = False


def start(model_parallel_size: int = 1) -> Launch:
    """Join the process group, see `backend`, and make the model-parallel groups, once.

    Args:
        model_parallel_size: Ranks that share one copy of the weights.

    Raises:
        CheckpointError: The model-parallel size does not divide the world size, or there are too few CUDA devices.
    """
    check_replicas(model_parallel_size)
    device = own_device()
    if device.type == "cuda":
        torch.cuda.set_device(device)
        settle_kernels()
    else:
        keep_freed_memory()
    if "WORLD_SIZE" in os.environ:
        answers = SERVER_ANSWERS if dist.is_torchelastic_launched() else dist.default_pg_timeout
        store, rank, size = next(dist.rendezvous("env://", timeout=answers))
        store.set_timeout(dist.default_pg_timeout)  # later calls wait for the work of other processes
    else:
        store, rank, size = dist.HashStore(), 0, 1
    if not dist.is_initialized():
        dist.init_process_group(
            backend(device, size), store=dist.PrefixStore("group", store), rank=rank, world_size=size
        )
    if not initialize.model_parallel_is_initialized():
        # fairscale prints three lines here, which are suppressed.
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
            initialize.initialize_model_parallel(model_parallel_size)
    return Launch(rank, size, device, dist.PrefixStore(f"start {next(STARTS)}", store))


def backend(device: torch.device, size: int) -> str:
    """nccl between several processes on CUDA, and gloo for their CPU tensors; else gloo.

    One process communicates with none: nccl would only take time and memory, and fail where it is missing.
    """
    return "cpu:gloo,cuda:nccl" if device.type == "cuda" and size > 1 else "gloo"


def check_replicas(model_parallel_size: int) -> None:
    """Raises CheckpointError if the model-parallel size does not divide the number of processes."""
    if world_size() % model_parallel_size:
        raise CheckpointError(
            f"`model_parallel_size` {model_parallel_size}: expected a divisor of the number of processes,"
            f" {world_size()} (--nproc_per_node)"
        )


def finish() -> None:
    """Leave the process group at a normal exit. Without the barrier, short runs on gloo abort."""
    sys.stdout.flush()
    sys.stderr.flush()
    if dist.is_initialized():
        dist.barrier()
        initialize.destroy_model_parallel()
        dist.destroy_process_group()
