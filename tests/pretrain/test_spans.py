"""Masked language modelling: masked tokens and their replacements, against slow definitions."""

import numpy as np
import pytest

from pretrain.spans import corrupted, draw_spans, masked_tokens


def slow_spans(count: int, ratio: float, mean: float, generator: np.random.Generator) -> set[int]:
    """One token after the other, as in the paper."""
    masked: set[int] = set()
    while len(masked) < round(ratio * count):
        start = int(generator.integers(count))
        length = int(generator.poisson(mean))
        span = [place for place in range(start, start + length) if place < count]
        for place in span:
            if len(masked) == round(ratio * count):
                break
            masked.add(place)
    return masked


@pytest.mark.parametrize("count", [0, 1, 2, 5, 40, 510])
@pytest.mark.parametrize("seed", range(4))
def test_spans_are_those_of_the_definition(count, seed):
    found = draw_spans(count, 0.3, 3.0, np.random.default_rng(seed))
    assert set(np.flatnonzero(found)) == slow_spans(count, 0.3, 3.0, np.random.default_rng(seed))
    assert found.sum() == round(0.3 * count)


def test_lengths_have_a_poisson_distribution():
    """Lengths of masked runs in a long text with few masks, so that few spans meet; empty spans are invisible."""
    found = draw_spans(200_000, 0.01, 3.0, np.random.default_rng(0))
    runs = np.diff(np.flatnonzero(np.diff(np.concatenate([[0], found.astype(int), [0]]))))[::2]
    assert runs.mean() == pytest.approx(3 / (1 - np.exp(-3)), abs=0.15)


def test_a_word_is_masked_in_part_by_tokens_and_whole_by_words():
    words = [word for word in range(100) for _ in range(3)]
    seen = set()
    for seed in range(20):
        by_token = masked_tokens(words, 0.3, 3.0, "token", np.random.default_rng(seed)).reshape(100, 3).sum(1)
        by_word = masked_tokens(words, 0.3, 3.0, "word", np.random.default_rng(seed)).reshape(100, 3).sum(1)
        seen |= set(by_token.tolist())
        assert set(by_word.tolist()) == {0, 3}
        assert (by_word == 3).sum() == 30
    assert seen == {0, 1, 2, 3}
    assert masked_tokens([], 0.3, 3.0, "word", np.random.default_rng(0)).tolist() == []


def test_replacements_of_masked_tokens():
    """80 % mask tokens, 10 % random tokens that are not special, 10 % unchanged; other tokens are unchanged."""
    ids, others = list(range(10, 20_010)), np.arange(5, 40_000)
    masked = np.zeros(len(ids), bool)
    masked[::2] = True
    read = corrupted(ids, masked, 4, others, (0.8, 0.1), np.random.default_rng(0))
    assert [read[place] for place in range(1, len(ids), 2)] == ids[1::2]
    kinds = ["mask" if new == 4 else "same" if new == old else "random" for new, old in zip(read, ids, strict=True)][
        ::2
    ]
    shares = {kind: kinds.count(kind) / len(kinds) for kind in ("mask", "random", "same")}
    assert shares["mask"] == pytest.approx(0.8, abs=0.02)
    assert shares["random"] == pytest.approx(0.1, abs=0.02)
    assert shares["same"] == pytest.approx(0.1, abs=0.02)
    assert min(read[::2]) >= 4
    slow = np.random.default_rng(0)
    for place in range(0, len(ids), 2):
        drawn, other = slow.random(), int(others[slow.integers(len(others))])
        assert read[place] == (4 if drawn < 0.8 else other if drawn < 0.9 else ids[place])
