"""`score` against its definition: one request at a time, all logits, no cache, no batch."""

import pytest
import torch

import llama.scoring
from llama import Request
from llama.batches import Limits
from llama.scoring import Scoring
from llama.shared import all_batches

EOS = 2
TOLERANCE = 1e-5  # nats a token
ON_CUDA = 1e-4  # its kernels multiply on tensor cores


def random_ids(length: int, seed: int) -> tuple[int, ...]:
    return tuple(torch.randint(3, 384, (length,), generator=torch.Generator().manual_seed(seed)).tolist())


PREFIX = (1, *random_ids(9, 0))
TAILS = [random_ids(length, length) for length in (1, 2, 3, 5, 8, 13)]
CASES = {
    "common prefix": [Request(PREFIX + tail, random_ids(1 + n % 3, 40 + n)) for n, tail in enumerate(TAILS)],
    "only BOS in common": [Request((1, *tail), random_ids(n + 1, 60 + n)) for n, tail in enumerate(TAILS)],
    "nothing in common": [Request((10 + n, *tail), random_ids(4, n)) for n, tail in enumerate(TAILS)],
    "one context is a prefix of the others": [
        *[Request(PREFIX + tail, tail) for tail in TAILS],
        Request(PREFIX, TAILS[3]),
    ],
    "each context a prefix of the next": [Request(PREFIX[:length], TAILS[2]) for length in range(1, 10)],
    "the target goes on where another context does": [
        Request(PREFIX[:3], PREFIX[3:]),
        Request(PREFIX[:6], PREFIX[6:]),
        Request(PREFIX, ()),
    ],
    "empty targets": [Request(PREFIX, ()), Request((1,), ()), Request(PREFIX + TAILS[4], TAILS[1])],
    "one request": [Request(PREFIX, TAILS[3])],
    "one token": [Request((1,), ())],
    "duplicates": [Request(PREFIX, TAILS[3])] * 4 + [Request(PREFIX, TAILS[2])] * 2,
    "of the longest length": [Request(random_ids(60, 7), random_ids(4, 8)), Request(random_ids(2, 9), TAILS[0])],
}


@pytest.fixture(scope="module")
def definition(small, full_log_probs):
    """log p of each target token and of EOS, for every case, computed once."""

    def log_probs(request: Request) -> torch.Tensor:
        ids = [*request.context, *request.target, EOS]
        table, first = full_log_probs(small.model, ids[:-1]), len(request.context)
        return torch.stack([table[place - 1, ids[place]] for place in range(first, len(ids))])

    return {name: [log_probs(request) for request in requests] for name, requests in CASES.items()}


# Limits of one row, of a few tokens, of more than there are: they decide what is cut, spread, and beside each other.
LIMITS = {
    "one row": Limits(1),
    "two rows": Limits(64, 2),
    "20 tokens": Limits(20),
    "80": Limits(80),
    "all": Limits(9999),
}


@pytest.mark.parametrize("limits", LIMITS)
@pytest.mark.parametrize("case", CASES)
def test_scores_are_their_definition(case, limits, small, definition, device) -> None:
    assert small.model.norm.weight.device.type == device
    scored = list(all_batches(Scoring(small.model, CASES[case], EOS, LIMITS[limits])))
    assert sorted(index for index, _ in scored) == list(range(len(CASES[case])))
    for index, log_probs in scored:
        assert log_probs.dtype == torch.float32 and log_probs.device.type == "cpu"
        allowed = TOLERANCE if device == "cpu" else ON_CUDA
        torch.testing.assert_close(log_probs.double(), definition[case][index], atol=allowed, rtol=0)


@pytest.mark.parametrize("limits", LIMITS)
@pytest.mark.parametrize("case", [name for name in CASES if name not in ("empty targets", "one token")])
def test_scores_without_the_end(case, limits, small, definition) -> None:
    """The same numbers without EOS, for which the last target token need not be computed."""
    requests = [request for request in CASES[case] if request.target]
    expected = [scores for request, scores in zip(CASES[case], definition[case], strict=True) if request.target]
    computation = Scoring(small.model, requests, None, LIMITS[limits])
    scored = list(all_batches(computation))
    assert sorted(index for index, _ in scored) == list(range(len(requests)))
    for index, log_probs in scored:
        torch.testing.assert_close(log_probs.double(), expected[index][:-1], atol=TOLERANCE, rtol=0)
    assert computation.tree.size == count_prefixes((request.context + request.target)[:-1] for request in requests)


def count_prefixes(sequences) -> int:
    return len({sequence[:end] for sequence in sequences for end in range(1, len(sequence) + 1)})


def test_whether_tokens_are_the_most_probable_ones(small, full_log_probs, monkeypatch) -> None:
    """In the second column; the scores are unchanged."""
    monkeypatch.setitem(llama.scoring.LOGITS, "cpu", 4 * 384)
    most_probable = int(full_log_probs(small.model, PREFIX)[-1].argmax())
    requests = [Request(PREFIX, (most_probable,)), Request(PREFIX, (most_probable, 7)), *CASES["common prefix"]]
    plain = dict(all_batches(Scoring(small.model, requests, EOS, Limits(80))))
    flags = []
    for index, scores in sorted(all_batches(Scoring(small.model, requests, EOS, Limits(80), greedy=True))):
        ids = [*requests[index].context, *requests[index].target, EOS]
        table, first = full_log_probs(small.model, ids[:-1]), len(requests[index].context)
        assert scores[:, 0].equal(plain[index])
        assert scores[:, 1].equal((table[first - 1 :].argmax(dim=-1) == torch.tensor(ids[first:])).float())
        flags += scores[:, 1].tolist()
    assert {0.0, 1.0} == set(flags)


def test_no_requests(small) -> None:
    assert list(all_batches(Scoring(small.model, [], EOS, Limits(64)))) == []


def test_logits_in_pieces(small, definition, monkeypatch) -> None:
    monkeypatch.setitem(llama.scoring.LOGITS, "cpu", 4 * 384)  # fewer than a batch's positions, and no divisor of them
    for index, log_probs in all_batches(Scoring(small.model, CASES["common prefix"], EOS, Limits(80))):
        expected = definition["common prefix"][index]
        torch.testing.assert_close(log_probs.double(), expected, atol=TOLERANCE, rtol=0)
