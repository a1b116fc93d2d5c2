"""Continuations drawn from the model: contexts in, new token ids out."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import torch
import torch.distributed as dist
from fairscale.nn.model_parallel.initialize import get_model_parallel_group, get_model_parallel_src_rank
from torch import Tensor

from llama.batches import Batch, Limits, plan
from llama.model import Transformer
from llama.prefix_tree import build_tree
from llama.scoring import check_finite
from llama.shared import SharedPath, in_parts


@dataclass(frozen=True)
class Sampling:
    """How a continuation is drawn.

    Args:
        max_gen_len: Tokens at most.
        temperature: Divides the logits; 0 takes the most probable token.
        top_p: Draw from the smallest set of tokens whose probability reaches it (Holtzman et al. 2020, section 3.1).
    """

    max_gen_len: int
    temperature: float
    top_p: float


class Generation:
    """Contexts to continue until an end, in batches of which each is computed alone.

    Args:
        model: In evaluation mode, on this device; all ranks of a model-parallel group compute the same batches.
        contexts: Token ids; each with `max_gen_len` more fits into `model.args.max_seq_len`.
        seeds: One a context: its draws depend on nothing else in the batch.
        end_ids: Each ends a continuation.
        sampling: How tokens are drawn.
        limits: Of a batch.
        is_complete: Whether the new ids of a continuation are all that is wanted of it, see `llama.stops`.
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
        # Without the last tokens: each row computes its own, since its hidden state is asked for.
        self.tree = build_tree(context[:-1] for context in contexts)
        self.batches = plan(self.tree, limits, branches=False)

    @torch.inference_mode()
    def compute(self, number: int) -> list[tuple[int, list[int]]]:
        """Batch `number`: for each of its contexts the index and the new ids, without the end."""
        return in_parts(self.compute_rows, self.batches[number])

    def compute_rows(self, batch: Batch) -> list[tuple[int, list[int]]]:
        """Rows are padded on the right; a row's next token takes the slot of its padding. Finished rows leave."""
        if not self.sampling.max_gen_len:
            return [(index, []) for index in batch.sequences()]
        self.path.move(batch.path)
        shared, before = self.path.cache, self.path.length
        indices = batch.sequences()
        rows = [self.contexts[index][before:] for index in indices]
        ends = torch.tensor([len(row) for row in rows], device=self.path.device)
        cache = self.model.new_cache(len(rows), int(ends.max()) + self.sampling.max_gen_len)
        hidden = self.model(pad(rows, self.path.device), shared=shared, cache=cache, places=ends[:, None] - 1)

        generators = [torch.Generator().manual_seed(self.seeds[index]) for index in indices]
        new: list[list[int]] = [[] for _ in rows]
        active = list(range(len(rows)))  # the row of `new` that each row of the cache belongs to
        for step in range(self.sampling.max_gen_len):
            logits = self.model.output(hidden[:, 0]).float()
            chosen = choose(logits, [generators[row] for row in active], self.sampling)
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
                chosen, ends, active = chosen[kept], ends[kept], [active[place] for place in going]
            hidden = self.model(chosen[:, None], before + ends[:, None], shared=shared, cache=cache)
            ends = ends + 1
        return list(zip(indices, new, strict=True))


def pad(rows: Sequence[Sequence[int]], device: torch.device) -> Tensor:
    """(B, longest) ids, filled up on the right with 0, which no token to its left can see."""
    length = max(len(row) for row in rows)
    return torch.tensor([[*row, *[0] * (length - len(row))] for row in rows], device=device)


def choose(logits: Tensor, generators: Sequence[torch.Generator], sampling: Sampling) -> Tensor:
    """The next token of each row of `logits` (B, V): (B). Ranks that share the weights take the first one's."""
    check_finite(logits)
    if sampling.temperature == 0:
        chosen = logits.argmax(dim=-1)
    else:
        # Below 0, so that a small temperature makes none infinite.
        logits = logits - logits.amax(dim=-1, keepdim=True)
        probabilities = torch.softmax((logits.double() / sampling.temperature).float(), dim=-1).cpu()
        rows = zip(probabilities, generators, strict=True)
        chosen = torch.stack([draw(row, generator, sampling.top_p) for row, generator in rows]).to(logits.device)
    dist.broadcast(chosen, get_model_parallel_src_rank(), group=get_model_parallel_group())
    return chosen


def draw(probabilities: Tensor, generator: torch.Generator, top_p: float) -> Tensor:
    """One id from `probabilities` (V), from those whose more probable peers do not reach `top_p` yet."""
    values, ids = probabilities.sort(descending=True, stable=True)
    values = values.masked_fill(values.cumsum(0) - values >= top_p, 0.0)
    values[0] = values[0].clamp_min(1e-30)  # top_p 0 leaves the most probable one
    return ids[torch.multinomial(values, 1, generator=generator)[0]]
