"""`score` against its definition: one request at a time, all logits, no cache, no batch."""

import pytest
import torch

import llama.scoring
from llama import Request
from llama.scoring import batches_by_length, common_length, score

EOS = 2
TOLERANCE = 1e-5  # nats a token


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


@pytest.mark.parametrize("max_batch_size", [1, 3, 16])
@pytest.mark.parametrize("case", CASES)
def test_score_is_its_definition(case, max_batch_size, small, definition) -> None:
    scored = list(score(small.model, CASES[case], EOS, max_batch_size))
    assert sorted(index for index, _ in scored) == list(range(len(CASES[case])))
    for index, log_probs in scored:
        assert log_probs.dtype == torch.float32 and log_probs.device.type == "cpu"
        torch.testing.assert_close(log_probs.double(), definition[case][index], atol=TOLERANCE, rtol=0)


def test_no_requests(small) -> None:
    assert list(score(small.model, [], EOS, 16)) == []


def test_logits_in_pieces(small, definition, monkeypatch) -> None:
    monkeypatch.setattr(llama.scoring, "PIECE", 4)  # smaller than a batch's positions, and no divisor of them
    for index, log_probs in score(small.model, CASES["common prefix"], EOS, 3):
        expected = definition["common prefix"][index]
        torch.testing.assert_close(log_probs.double(), expected, atol=TOLERANCE, rtol=0)


def test_common_prefix_is_computed_once(small) -> None:
    fed = []
    hook = small.model.tok_embeddings.register_forward_hook(lambda _, tokens, __: fed.append(tokens[0].numel()))
    list(score(small.model, CASES["common prefix"], EOS, max_batch_size=1))
    hook.remove()
    lengths = [len(request.context) + len(request.target) for request in CASES["common prefix"]]
    assert fed == [len(PREFIX), *sorted((length - len(PREFIX) for length in lengths), reverse=True)]


@pytest.mark.parametrize(
    ("rows", "length"),
    [
        ([(1, 2, 3, 4), (1, 2, 3, 5)], 3),
        ([(1, 2, 3), (1, 2, 3)], 2),  # the last token of each stays its own
        ([(1, 2), (1, 2, 3, 4), (1, 2, 3)], 1),
        ([(1, 2, 3, 4), (1, 2, 3, 5), (1, 9, 3, 4)], 1),  # all of them, not the first two
        ([(1, 5, 6), (1, 9, 6), (1, 7, 6)], 1),
        ([(3, 1), (4, 1)], 0),
        ([(1,), (1, 2)], 0),
    ],
)
def test_common_length(rows, length) -> None:
    assert common_length(rows) == length


def test_batches_hold_every_row_once_longest_first() -> None:
    lengths = [3, 9, 1, 9, 4, 7, 2]
    batches = batches_by_length(lengths, 3)
    assert batches == [[1, 3, 5], [4, 0, 6], [2]]
