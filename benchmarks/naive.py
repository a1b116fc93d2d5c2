"""The naive reference, which works like the original system (sh0416/llama-classification).

Batches of 16 rows in file order, one row for each example and label word, padded to the longest; every token of every
row is recomputed; scores need the logits at every position, in float32. It uses the product's layers but not its
engine: no prefix tree, no shared keys and values, no packed rows.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from llama import Request, Transformer

ROWS = 16
UNSCORED = -100  # a target that cross_entropy ignores


@torch.inference_mode()
def score(model: Transformer, requests: Sequence[Request], eos_id: int) -> list[Tensor]:
    """The log-probabilities, in nats, of each request's target tokens and of EOS."""
    scores = []
    for begin in range(0, len(requests), ROWS):
        batch = requests[begin : begin + ROWS]
        rows = [request.context + request.target for request in batch]
        after = [[UNSCORED] * (len(request.context) - 1) + [*request.target, eos_id] for request in batch]
        tokens, targets = pad(rows, eos_id, model), pad(after, UNSCORED, model)
        logits = model.output(model(tokens)).float()  # (B, T, V)
        losses = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=UNSCORED, reduction="none")
        scores += [-row[scored] for row, scored in zip(losses.view_as(targets), targets != UNSCORED, strict=True)]
    return [log_probs.cpu() for log_probs in scores]


@torch.inference_mode()
def generate(model: Transformer, requests: Sequence[Request], eos_id: int, max_gen_len: int) -> list[list[int]]:
    """The greedy continuation of each context, without EOS. Rows that have ended stay in the batch."""
    continuations = []
    for begin in range(0, len(requests), ROWS):
        rows = [request.context for request in requests[begin : begin + ROWS]]
        tokens = pad(rows, eos_id, model)
        ends = torch.tensor([len(row) for row in rows], device=tokens.device)
        cache = model.new_cache(len(rows), tokens.shape[1] + max_gen_len)
        hidden = model(tokens, cache=cache)[torch.arange(len(rows), device=tokens.device), ends - 1]
        chosen = [model.output(hidden).float().argmax(dim=-1)]
        while len(chosen) < max_gen_len:
            hidden = model(chosen[-1][:, None], ends[:, None], cache=cache)[:, 0]
            chosen.append(model.output(hidden).float().argmax(dim=-1))
            ends = ends + 1
        continuations += [until(row, eos_id) for row in torch.stack(chosen, dim=1).tolist()]
    return continuations


def pad(rows: Sequence[Sequence[int]], filler: int, model: Transformer) -> Tensor:
    """Rows as a tensor (B, longest), padded on the right."""
    length = max(len(row) for row in rows)
    return torch.tensor([[*row, *[filler] * (length - len(row))] for row in rows], device=model.norm.weight.device)


def until(tokens: list[int], eos_id: int) -> list[int]:
    """The tokens before the first EOS."""
    return tokens[: tokens.index(eos_id)] if eos_id in tokens else tokens
