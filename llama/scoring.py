"""Log-probabilities of given continuations: requests in, one tensor of log-probabilities for each request out.

All scoring uses `Scoring`. It depends only on token ids: shared prefixes are found in them (`llama.prefix_tree`) and
computed once (`llama.batches`).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from llama.batches import Batch, Limits, plan
from llama.errors import CheckpointError
from llama.layout import PackedRows
from llama.model import Transformer
from llama.prefix_tree import build_tree
from llama.shared import SharedPath, in_parts

LOGITS = {"cpu": 2**25, "cuda": 2**26}  # maximum number in memory


class Request(NamedTuple):
    """Score `target` after a context. Both are token ids; the context is not empty (it begins with BOS).

    Args:
        tail: The context after `head`.
        target: What is scored.
        head: The beginning of the context, such as demonstrations: one object for all requests that share it.
    """

    tail: tuple[int, ...]
    target: tuple[int, ...]
    head: tuple[int, ...] = ()

    @property
    def context(self) -> tuple[int, ...]:
        return self.head + self.tail

    @property
    def length(self) -> int:
        """Number of tokens."""
        return len(self.head) + len(self.tail) + len(self.target)


class Scoring:
    """Requests to score, in independent batches.

    Position t predicts token t + 1, so with context c1..cm and target t1..tn

        fed to the model     c1 ... cm   t1 ... tn
        scored from there           t1   t2 ... EOS

    If EOS is not scored, the last target token is not fed either.

    Args:
        model: In evaluation mode; all ranks of a model-parallel group compute the same batches.
        requests: Each at most `model.args.max_seq_len` tokens long, without the last scored token.
        eos_id: Scored after the last target token; None: not scored, and no target may be empty.
        limits: Maximum size of a batch.
        greedy: Also find out which tokens greedy decoding would choose.
    """

    def __init__(
        self,
        model: Transformer,
        requests: Sequence[Request],
        eos_id: int | None,
        limits: Limits,
        greedy: bool = False,
    ):
        self.model = model
        self.requests = requests
        self.end = () if eos_id is None else (eos_id,)
        self.greedy = greedy
        self.path = SharedPath(model)
        self.tree = build_tree((request.context + request.target + self.end)[:-1] for request in requests)
        self.batches = plan(self.tree, limits)

    @torch.inference_mode()
    def compute(self, number: int) -> list[tuple[int, Tensor]]:
        """Compute batch `number`: for each of its requests the index and the log-probabilities, in nats, of its target
        tokens and of EOS after them (float32 on the CPU). With `greedy`, see `token_log_probs`."""
        return in_parts(self.compute_rows, self.batches[number])

    def compute_rows(self, batch: Batch) -> list[tuple[int, Tensor]]:
        """Compute the rows of a batch, see `compute`."""
        self.path.move(batch.path)
        start = self.path.length
        rows = PackedRows(batch.rows, start, self.path.device)
        indices = batch.sequences()
        # The index of the hidden state that predicts each scored token: in the path, or start + an index in the rows.
        sources, tokens = [], []
        for index in indices:
            request = self.requests[index]
            first = len(request.context) - 1
            sources += [np.arange(first, start), start + rows.places[index][max(0, first - start) :]]
            tokens += [*request.target, *self.end]
        distinct, of_token = np.unique(np.concatenate(sources), return_inverse=True)
        in_path, in_rows = distinct[distinct < start], distinct[distinct >= start] - start
        states = [self.path.hidden[in_path]]
        if len(in_rows):
            states.append(rows.forward(self.model, self.path.cache, in_rows))
        log_probs = token_log_probs(self.model, torch.cat(states), of_token, np.array(tokens), self.greedy)
        check_finite(log_probs)
        lengths = [len(self.requests[index].target) + len(self.end) for index in indices]
        return list(zip(indices, log_probs.split(lengths), strict=True))


def token_log_probs(
    model: Transformer, hidden: Tensor, places: np.ndarray, tokens: np.ndarray, greedy: bool = False
) -> Tensor:
    """Log-probabilities (K) of tokens[i] after hidden[places[i]], float32 on the CPU. Logits are computed in pieces.

    Args:
        hidden: Hidden states (P, D).
        places, tokens: Integers (K).
        greedy: Return (K, 2): the log-probability, and 1 if greedy decoding would choose the token, else 0.
    """
    order = np.argsort(places, kind="stable")
    places, tokens = places[order], tokens[order]
    size = max(1, LOGITS[hidden.device.type] // model.args.vocab_size)
    pieces = []
    for begin in range(0, len(hidden), size):
        logits = model.output(hidden[begin : begin + size]).float()  # (size, V)
        log_probs = torch.log_softmax(logits, dim=-1, out=logits)  # in place: half the memory, a tenth of the time
        pairs = slice(*np.searchsorted(places, [begin, begin + size]))
        row, token = (torch.from_numpy(part).to(hidden.device) for part in (places[pairs] - begin, tokens[pairs]))
        scored = log_probs[row, token]
        pieces.append(torch.stack([scored, log_probs.argmax(dim=-1)[row] == token], dim=-1) if greedy else scored)
    joined = torch.cat(pieces).cpu()
    log_probs = torch.empty_like(joined)
    log_probs[torch.from_numpy(order)] = joined
    return log_probs


def check_finite(numbers: Tensor) -> None:
    """Raises CheckpointError if a logit or a log-probability is NaN or infinite."""
    if not numbers.isfinite().all():
        raise CheckpointError("a score is NaN or infinite: the weights are damaged, or too large for this `dtype`")
