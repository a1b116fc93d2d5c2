"""The shared prefix of a batch's rows, computed once: the segments of its path."""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

import torch
from fairscale.nn.model_parallel.initialize import get_model_parallel_world_size
from torch import Tensor

from llama.batches import Batch, Segment
from llama.cache import KeyValueCache
from llama.errors import CheckpointError
from llama.model import Transformer

T = TypeVar("T")
NO_MEMORY = (  # in messages of errors of other types
    "DefaultCPUAllocator: can't allocate",
    "CUDA error: out of memory",  # not from PyTorch's allocator: a driver, a library
    "CUDA driver error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUBLAS_STATUS_NOT_INITIALIZED",  # cuBLAS's handle is made on first use, and needs memory
)


class SharedPath:
    """Keys, values and hidden states of one path of segments. Moving to another path keeps the common segments.

    Args:
        model: In evaluation mode.
    """

    def __init__(self, model: Transformer):
        self.model = model
        self.device = model.norm.weight.device
        self.segments: list[Segment] = []
        self.caches: list[KeyValueCache] = []  # for each segment, the keys and values of the path up to its end
        self.states: list[Tensor] = []  # for each segment, (its tokens, D)

    @property
    def cache(self) -> KeyValueCache | None:
        """One row of keys and values; None if the path is empty."""
        return self.caches[-1] if self.caches else None

    @property
    def length(self) -> int:
        """Number of tokens of the path."""
        return 0 if self.cache is None else self.cache.filled

    @property
    def hidden(self) -> Tensor:
        """Hidden states (length, D)."""
        return torch.cat([self.model.norm.weight.new_empty(0, self.model.args.dim), *self.states])

    def move(self, path: Sequence[Segment]) -> None:
        """Make `path` the current path; only segments that the current path lacks are computed."""
        pairs = enumerate(zip(path, self.segments, strict=False))
        same = next((place for place, (new, old) in pairs if new is not old), min(len(path), len(self.segments)))
        del self.segments[same:], self.caches[same:], self.states[same:]
        for segment in path[same:]:
            tokens = torch.tensor([segment.tokens], device=self.device)
            own = self.model.new_cache(1, len(segment.tokens))
            hidden = self.model(tokens, shared=self.cache, cache=own)
            joined = own.follow(self.cache)
            self.segments.append(segment)
            self.caches.append(joined)
            self.states.append(hidden[0])


class Computation(Protocol[T]):
    """A computation in batches: `Scoring` or `Generation`."""

    batches: list[Batch]

    def compute(self, number: int) -> list[tuple[int, T]]:
        """Compute batch `number`: the index and the result of each sequence that it completes."""


def all_batches(computation: Computation[T]) -> Iterator[tuple[int, T]]:
    """The results of all batches, in order."""
    for number in range(len(computation.batches)):
        yield from computation.compute(number)


def in_parts(compute: Callable[[Batch], list[T]], batch: Batch) -> list[T]:
    """The results of `compute(batch)`. If the memory does not suffice, the batch is halved repeatedly.

    Raises:
        CheckpointError: Not even one row fits, or the batch is computed by several processes, of which the others would
            wait for the one that ran out of memory.
    """
    try:
        return compute(batch)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        if len(batch.rows) == 1 or get_model_parallel_world_size() > 1:
            raise CheckpointError(
                f"out of memory with {len(batch.rows)} row(s) of {batch.rows[0].length} tokens:"
                " try a smaller `max_batch_tokens` or `max_seq_len`, or another `dtype`"
            ) from None
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return [result for half in batch.halves() for result in in_parts(compute, half)]


def is_out_of_memory(error: Exception) -> bool:
    """Whether memory ran out, on the CPU or on the device."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(part in str(error) for part in NO_MEMORY)
