"""Log-probabilities of given continuations: requests in, one tensor of log-probabilities a request out.

All scoring goes through `score`. It knows nothing about methods, labels or text. What all requests begin with - the
demonstrations - is found from the token ids and computed once.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from llama.errors import CheckpointError
from llama.model import KeyValueCache, Transformer

PIECE = 1024  # positions whose logits are held at once: PIECE x V floats


class Request(NamedTuple):
    """Score `target` after `context`. Both are token ids; the context is not empty (BOS leads it)."""

    context: tuple[int, ...]
    target: tuple[int, ...]


def batches_by_length(lengths: Sequence[int], max_batch_size: int) -> list[list[int]]:
    """Indices in batches of at most `max_batch_size`, longest first: little padding, and the worst comes first."""
    order = sorted(range(len(lengths)), key=lambda index: -lengths[index])
    return [order[start : start + max_batch_size] for start in range(0, len(order), max_batch_size)]


def pad(rows: Sequence[Sequence[int]], device: torch.device) -> Tensor:
    """(B, longest) ids, filled up on the right with 0, which no token to its left can see."""
    length = max(len(row) for row in rows)
    return torch.tensor([[*row, *[0] * (length - len(row))] for row in rows], device=device)


class Prefix:
    """What all rows of a run begin with, computed once.

    Args:
        rows: Contexts. At least the last token of each stays its own, since its hidden state is asked for.
    """

    def __init__(self, model: Transformer, rows: Sequence[Sequence[int]]):
        self.model = model
        self.device = model.norm.weight.device
        self.length = common_length(rows) if len(rows) > 1 else 0
        if self.length:
            self.cache = KeyValueCache.empty(model, 1, self.length)
            tokens = torch.tensor([list(rows[0][: self.length])], device=self.device)
            model(tokens, torch.arange(self.length, device=self.device)[None], cache=self.cache)

    def forward(self, rows: Sequence[Sequence[int]], slots: int = 0) -> tuple[Tensor, KeyValueCache]:
        """Hidden states of what is left of `rows` (B, T, D), and the cache, with `slots` more than they need."""
        tokens = pad([row[self.length :] for row in rows], self.device)
        positions = torch.arange(self.length, self.length + tokens.shape[1], device=self.device)[None]
        if self.length:
            cache = self.cache.extend(len(rows), tokens.shape[1] + slots)
        else:
            cache = KeyValueCache.empty(self.model, len(rows), tokens.shape[1] + slots)
        return self.model(tokens, positions, cache=cache), cache


def common_length(rows: Sequence[Sequence[int]]) -> int:
    """How many tokens all rows begin with, one less than the shortest at most."""
    first, last = min(rows), max(rows)  # in the order of tuples all others begin with what these two share
    limit = min(len(row) for row in rows) - 1
    return next((place for place in range(limit) if first[place] != last[place]), limit)


@torch.inference_mode()
def score(
    model: Transformer, requests: Sequence[Request], eos_id: int, max_batch_size: int
) -> Iterator[tuple[int, Tensor]]:
    """Score requests in batches of similar length.

    Position t predicts token t + 1, so with context c1..cm and target t1..tn

        fed to the model     c1 ... cm   t1 ... tn
        scored from there           t1   t2 ... EOS

    Args:
        model: On this device; all ranks of a model-parallel group call with the same requests.
        requests: Each at most `model.args.max_seq_len` tokens long, EOS not counted.
        eos_id: Scored after the last target token.
        max_batch_size: Rows a batch.

    Yields:
        (index of the request, log-probabilities in nats of its target tokens and of EOS after them), float32 on the
        CPU, batch by batch, in the order of computation.
    """
    if not requests:
        return
    prefix = Prefix(model, [request.context for request in requests])
    lengths = [len(request.context) + len(request.target) for request in requests]
    for batch in batches_by_length(lengths, max_batch_size):
        targets = [torch.tensor([*requests[index].target, eos_id]) for index in batch]
        hidden, _ = prefix.forward([[*requests[index].context, *requests[index].target] for index in batch])
        scored = []
        for row, (index, target) in enumerate(zip(batch, targets, strict=True)):
            end = lengths[index] - prefix.length
            scored.append(hidden[row, end - len(target) : end])
        log_probs = token_log_probs(model, torch.cat(scored), torch.cat(targets).to(hidden.device)).cpu()
        check_finite(log_probs)
        yield from zip(batch, log_probs.split([len(target) for target in targets]), strict=True)


def token_log_probs(model: Transformer, hidden: Tensor, tokens: Tensor) -> Tensor:
    """Log-probability of `tokens` (N) from hidden states (N, D), float32, a piece at a time."""
    pieces = []
    for states, ids in zip(hidden.split(PIECE), tokens.split(PIECE), strict=True):
        log_probs = torch.log_softmax(model.output(states).float(), dim=-1)  # (PIECE, V)
        pieces.append(log_probs.gather(1, ids[:, None])[:, 0])
    return torch.cat(pieces)


def check_finite(numbers: Tensor) -> None:
    """Raises CheckpointError where a logit or a log-probability is none: it would be compared without a word."""
    if not numbers.isfinite().all():
        raise CheckpointError("a score is nan or infinite: the weights are damaged, or too large for this --dtype")
