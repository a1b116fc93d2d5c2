"""Generation: contexts in, sampled token ids out."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import torch
import torch.distributed as dist
from fairscale.nn.model_parallel.initialize import (
    get_model_parallel_group,
    get_model_parallel_src_rank,
    get_model_parallel_world_size,
)
from torch import Tensor

from llama.batches import Batch, Limits, Row, plan
from llama.layout import PackedRows
from llama.model import Transformer
from llama.prefix_tree import build_tree
from llama.scoring import check_finite
from llama.shared import SharedPath, in_parts

CANDIDATES = 4096  # few nuclei are larger; only then is a whole vocabulary sorted, which takes several times as long


@dataclass(frozen=True)
class Sampling:
    """How tokens are sampled.

    Args:
        max_gen_len: Maximum number of tokens.
        temperature: Divides the logits; 0 is greedy decoding.
        top_p: Sample from the smallest set of tokens whose probability reaches this (Holtzman et al. 2020, section
            3.1).
    """

    max_gen_len: int
    temperature: float
    top_p: float


class Generation:
    """Contexts to continue, in independent batches.

    Args:
        model: In evaluation mode; all ranks of a model-parallel group compute the same batches.
        contexts: Token ids; each context and `max_gen_len` more tokens fit into `model.args.max_seq_len`.
        seeds: One for each context, so that its samples do not depend on the batch.
        end_ids: Token ids that end a continuation.
        sampling: How tokens are sampled.
        limits: Maximum size of a batch.
        is_complete: Whether a continuation, given its new ids, can stop; see `llama.stops`.
    """

    def __init__(
        self,
        model: Transformer,
        contexts: Sequence[tuple[int, ...]],
        seeds: Sequence[int],
        end_ids: Collection[int],
        sampling: Sampling,
        limits: Limits,
        is_complete: Callable[[list[int]], bool] = lambda new: False,
    ):
        self.model = model
        self.contexts = contexts
        self.seeds = seeds
        self.end_ids = end_ids
        self.sampling = sampling
        self.is_complete = is_complete
        self.path = SharedPath(model)
        # Without the last tokens: each row computes its own, because its hidden state is needed.
        self.tree = build_tree(context[:-1] for context in contexts)
        self.batches = plan(self.tree, limits, branches=False)

    @torch.inference_mode()
    def compute(self, number: int) -> list[tuple[int, list[int]]]:
        """Compute batch `number`: the index and the new ids, without the end id, of each of its contexts."""
        return in_parts(self.compute_rows, self.batches[number])

    def compute_rows(self, batch: Batch) -> list[tuple[int, list[int]]]:
        """Compute a batch. Finished rows are dropped."""
        if not self.sampling.max_gen_len:
            return [(index, []) for index in batch.sequences()]
        self.path.move(batch.path)
        shared, before = self.path.cache, self.path.length
        indices = batch.sequences()
        rows = PackedRows([Row(self.contexts[index][before:], [index]) for index in indices], before, self.path.device)
        cache = self.model.new_cache(len(indices), int(rows.lengths.max()) + self.sampling.max_gen_len)
        hidden = rows.forward(self.model, shared, rows.begins + rows.lengths - 1, cache)
        ends = rows.to_device(rows.lengths)

        uniforms = self.uniforms(indices).to(hidden.device)
        new: list[list[int]] = [[] for _ in indices]
        active = list(range(len(indices)))  # the row of `new` that each row of the cache belongs to
        for step in range(self.sampling.max_gen_len):
            logits = self.model.output(hidden).float()
            chosen = choose(logits, uniforms[:, step], self.sampling)
            going = []
            for place, token in enumerate(chosen.tolist()):
                if token not in self.end_ids:
                    new[active[place]].append(token)
                    going += [] if self.is_complete(new[active[place]]) else [place]
            if not going or step == self.sampling.max_gen_len - 1:
                break
            if len(going) < len(active):
                kept = torch.tensor(going, device=chosen.device)
                cache.keep_rows(kept)
                chosen, ends, uniforms = chosen[kept], ends[kept], uniforms[kept]
                active = [active[place] for place in going]
            hidden = self.model(chosen[:, None], before + ends[:, None], shared=shared, cache=cache)[:, 0]
            ends = ends + 1
        return list(zip(indices, new, strict=True))

    def uniforms(self, indices: Sequence[int]) -> Tensor:
        """A number in [0, 1) for each token of each context (B, max_gen_len), from the context's own seed; float64."""
        shape = (len(indices), self.sampling.max_gen_len)
        numbers = torch.zeros(shape, dtype=torch.float64)
        if self.sampling.temperature:
            for row, index in zip(numbers, indices, strict=True):
                row.uniform_(generator=torch.Generator().manual_seed(self.seeds[index]))
        return numbers


def choose(logits: Tensor, uniforms: Tensor, sampling: Sampling) -> Tensor:
    """The next token (B) of each row of `logits` (B, V). Ranks that share the weights use the choice of the first.

    Args:
        uniforms: A random number in [0, 1) for each row, which a temperature above 0 uses.
    """
    check_finite(logits)
    if sampling.temperature == 0:
        chosen = logits.argmax(dim=-1)
    else:
        # At most 0, so that division by a small temperature cannot overflow to +inf.
        logits = logits - logits.amax(dim=-1, keepdim=True)
        probabilities = torch.softmax((logits.double() / sampling.temperature).float(), dim=-1)
        chosen = draw(probabilities, uniforms, sampling.top_p)
    if get_model_parallel_world_size() > 1:  # one process needs no communication, and nccl would set one up
        dist.broadcast(chosen, get_model_parallel_src_rank(), group=get_model_parallel_group())
    return chosen


def draw(probabilities: Tensor, uniforms: Tensor, top_p: float) -> Tensor:
    """An id (B) for each row of `probabilities` (B, V), sampled from its nucleus: the first id up to which the nucleus
    has more than the share `uniforms` (B) of its probability."""
    if top_p < 1:
        probabilities = probabilities.masked_fill(~nucleus(probabilities, top_p), 0.0)
    sums = probabilities.cumsum(-1, dtype=torch.float64)
    # A float64 below 1 is at most 1 - 2^-53, so the product is below the total: an id with probability follows.
    return torch.searchsorted(sums, uniforms[:, None] * sums[:, -1:], right=True)[:, 0]


def nucleus(probabilities: Tensor, top_p: float) -> Tensor:
    """Whether each id of each row (B, V) is in the smallest set whose probability reaches `top_p`.

    Of equally probable ids the lower is taken first. The most probable id is always in the set (Holtzman et al. 2020,
    section 3.1).
    """
    largest = probabilities.topk(min(CANDIDATES, probabilities.shape[-1])).values
    kept = among_the_largest(probabilities, largest, top_p)
    more = largest.sum(-1, dtype=torch.float64) < top_p
    if more.any():
        rows = probabilities[more]
        kept[more] = among_the_largest(rows, rows.sort(descending=True).values, top_p)
    return kept


def among_the_largest(probabilities: Tensor, largest: Tensor, top_p: float) -> Tensor:
    """The nucleus (B, V), given the largest probabilities of each row (B, N) in descending order, which reach it."""
    before = largest.cumsum(-1, dtype=torch.float64) - largest
    size = (before < top_p).sum(-1, keepdim=True).clamp_min(1)
    least = largest.gather(-1, size - 1)
    equal = probabilities == least
    places = size - (largest > least).sum(-1, keepdim=True)
    return (probabilities > least) | (equal & (equal.cumsum(-1, dtype=torch.int32) <= places))
