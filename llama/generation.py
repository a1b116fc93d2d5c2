"""Continuations drawn from the model: contexts in, new token ids out."""

from collections.abc import Iterator, Sequence

import torch
import torch.distributed as dist
from fairscale.nn.model_parallel.initialize import get_model_parallel_group, get_model_parallel_src_rank
from torch import Tensor

from llama.model import Transformer
from llama.scoring import Prefix, batches_by_length, check_finite


@torch.inference_mode()
def generate(
    model: Transformer,
    contexts: Sequence[tuple[int, ...]],
    seeds: Sequence[int],
    eos_id: int,
    max_gen_len: int,
    temperature: float,
    top_p: float,
    max_batch_size: int,
) -> Iterator[tuple[int, list[int]]]:
    """Continue each context until EOS or for `max_gen_len` tokens.

    Args:
        contexts: Token ids; each with `max_gen_len` more fits into `model.args.max_seq_len`.
        seeds: One a context: its draws depend on nothing else in the batch.
        temperature: Divides the logits; 0 takes the most probable token.
        top_p: Draw from the smallest set of tokens whose probability reaches it (Holtzman et al. 2020, section 3.1).

    Yields:
        (index of the context, new ids without EOS), batch by batch.
    """
    if not contexts:
        return
    prefix = Prefix(model, contexts)
    for batch in batches_by_length([len(context) for context in contexts], max_batch_size):
        rows = [contexts[index] for index in batch]
        generators = [torch.Generator().manual_seed(seeds[index]) for index in batch]
        new = generate_batch(prefix, rows, generators, eos_id, max_gen_len, temperature, top_p)
        yield from zip(batch, new, strict=True)


def generate_batch(
    prefix: Prefix,
    rows: Sequence[Sequence[int]],
    generators: Sequence[torch.Generator],
    eos_id: int,
    max_gen_len: int,
    temperature: float,
    top_p: float,
) -> list[list[int]]:
    """One batch of `generate`. Rows are padded on the right; a row's next token overwrites the slot of its padding."""
    model = prefix.model
    hidden, cache = prefix.forward(rows, slots=max_gen_len)
    ends = torch.tensor([len(row) for row in rows], device=hidden.device)
    hidden = hidden[torch.arange(len(rows), device=hidden.device), ends - prefix.length - 1]  # (B, D)

    new: list[list[int]] = [[] for _ in rows]
    active = list(range(len(rows)))  # the row of `new` that each row of the cache belongs to
    for step in range(max_gen_len):
        chosen = choose(model.output(hidden).float(), [generators[row] for row in active], temperature, top_p)
        going = [place for place, token in enumerate(chosen.tolist()) if token != eos_id]
        for place in going:
            new[active[place]].append(int(chosen[place]))
        if not going or step == max_gen_len - 1:
            break
        if len(going) < len(active):
            kept = torch.tensor(going, device=hidden.device)
            cache.keep_rows(kept)
            chosen, ends, active = chosen[kept], ends[kept], [active[place] for place in going]
        hidden = model(chosen[:, None], ends[:, None], cache=cache)[:, 0]
        ends = ends + 1
    return new


def choose(logits: Tensor, generators: Sequence[torch.Generator], temperature: float, top_p: float) -> Tensor:
    """The next token of each row of `logits` (B, V): (B). Ranks that share the weights take the first one's."""
    check_finite(logits)
    if temperature == 0:
        chosen = logits.argmax(dim=-1)
    else:
        probabilities = torch.softmax(logits / temperature, dim=-1).cpu()
        rows = zip(probabilities, generators, strict=True)
        chosen = torch.stack([draw(row, generator, top_p) for row, generator in rows]).to(logits.device)
    dist.broadcast(chosen, get_model_parallel_src_rank(), group=get_model_parallel_group())
    return chosen


def draw(probabilities: Tensor, generator: torch.Generator, top_p: float) -> Tensor:
    """One id from `probabilities` (V), from those whose more probable peers do not reach `top_p` yet."""
    values, ids = probabilities.sort(descending=True, stable=True)
    values = values.masked_fill(values.cumsum(0) - values >= top_p, 0.0)
    values[0] = values[0].clamp_min(1e-30)  # top_p 0 leaves the most probable one
    return ids[torch.multinomial(values, 1, generator=generator)[0]]
