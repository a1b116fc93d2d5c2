"""What the rows of a batch share, computed once: the segments of its path."""

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


class SharedPath:
    """Keys, values and hidden states of one path of segments. Moving to another keeps what the two have in common.

    Args:
        model: In evaluation mode.
    """

    def __init__(self, model: Transformer):
        self.model = model
        self.device = model.norm.weight.device
        self.segments: list[Segment] = []
        self.caches: list[KeyValueCache] = []  # after each segment: the keys and values of the path so far
        self.states: list[Tensor] = []  # of each segment: (its tokens, D)

    @property
    def cache(self) -> KeyValueCache | None:
        """One row of keys and values; None where the path is empty."""
        return self.caches[-1] if self.caches else None

    @property
    def length(self) -> int:
        """Tokens of the path."""
        return 0 if self.cache is None else self.cache.filled

    @property
    def hidden(self) -> Tensor:
        """Hidden states (length, D)."""
        return torch.cat([self.model.norm.weight.new_empty(0, self.model.args.dim), *self.states])

    def move(self, path: Sequence[Segment]) -> None:
        """Compute what `path` has that the present one has not."""
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
    """What is computed batch by batch: `Scoring`, `Generation`."""

    batches: list[Batch]

    def compute(self, number: int) -> list[tuple[int, T]]:
        """Batch `number`: for each sequence that it completes the index and its result."""


def all_batches(computation: Computation[T]) -> Iterator[tuple[int, T]]:
    """The results of all batches, in their order."""
    for number in range(len(computation.batches)):
        yield from computation.compute(number)


def in_parts(compute: Callable[[Batch], list[T]], batch: Batch) -> list[T]:
    """`compute(batch)`; where the memory does not hold it, the results of its halves, halved again where need be.

    Raises:
        CheckpointError: Not even one row fits, or the rows are computed by several processes together: the others
            would wait for the one that ran out.
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
    on_cpu = "DefaultCPUAllocator: can't allocate" in str(error)
    return on_cpu or isinstance(error, torch.OutOfMemoryError | MemoryError)
