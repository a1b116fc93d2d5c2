"""The plan of batches: every sequence once, within the limits, and shared prefixes computed once."""

import random
from collections import Counter
from collections.abc import Iterator, Sequence

import pytest

from llama.batches import Batch, Limits, Row, count_tokens, digest, plan
from llama.prefix_tree import build_tree

Ids = tuple[int, ...]

LIMITS = {
    "1 token": Limits(1),
    "7 tokens": Limits(7),
    "40 tokens": Limits(40),
    "40 tokens, 2 rows": Limits(40, 2),
    "2048 tokens": Limits(2048),
    "2048 tokens, 1 row": Limits(2048, 1),
}


def random_sequences(seed: int) -> list[Ids]:
    """Sequences with common prefixes of random length and random branches."""
    source = random.Random(seed)
    alphabet = source.choice([2, 3, 50])

    def ids(longest: int) -> Ids:
        return tuple(source.choices(range(alphabet), k=source.randint(0, longest)))

    sequences = [()]
    for _ in range(source.randint(1, 60)):
        start = source.choice(sequences)
        sequences.append(start[: source.randint(0, len(start))] + ids(source.choice([2, 10, 60])))
    return source.choices(sequences, k=len(sequences))


def planned(sequences: Sequence[Ids], limits: Limits, branches: bool = True) -> list[Batch]:
    return plan(build_tree(sequences), limits, branches)


def read(row: Row, before: Ids) -> Iterator[tuple[int, Ids]]:
    """The sequences that a row completes, with all their tokens, before and in the row."""
    before += row.head
    yield from ((index, before) for index in row.ends)
    waiting = [] if row.tree is None else [(row.tree, before)]
    while waiting:
        node, above = waiting.pop()
        path = above + node.tokens
        yield from ((index, path) for index in node.ends)
        waiting += [(child, path) for child in node.children.values()]


def beginning(batch: Batch) -> Ids:
    return tuple(token for segment in batch.path for token in segment.tokens)


def whole_path(batch: Batch) -> list[int]:
    return [id(segment) for segment in batch.path]


@pytest.mark.parametrize("branches", [True, False])
@pytest.mark.parametrize("limits", LIMITS.values(), ids=LIMITS)
@pytest.mark.parametrize("seed", range(20))
def test_any_plan(seed, limits, branches) -> None:
    sequences = random_sequences(seed)
    batches = planned(sequences, limits, branches)

    found = [pair for batch in batches for row in batch.rows for pair in read(row, beginning(batch))]
    assert sorted(found) == list(enumerate(sequences))
    for batch in batches:
        assert sorted(batch.sequences()) == sorted(index for row in batch.rows for index, _ in read(row, ()))
        lengths = [row.length for row in batch.rows]
        assert 0 < len(lengths) <= (limits.rows or len(lengths))
        assert len(lengths) == 1 or sum(lengths) <= limits.tokens
        assert lengths == sorted(lengths, reverse=True)
        if not branches:
            assert all(row.tree is None and len(row.sequences()) == 1 for row in batch.rows)
    assert build_tree(sequences).size <= count_tokens(batches) <= sum(map(len, sequences))


@pytest.mark.parametrize("seed", range(20))
def test_batches_after_the_same_segments_follow_each_other_longest_first(seed) -> None:
    batches = planned(random_sequences(seed), Limits(20, 2))
    paths = list(map(whole_path, batches))
    changes = [place for place in range(1, len(paths)) if paths[place] != paths[place - 1]]
    assert len(changes) + 1 == len({tuple(path) for path in paths})
    for place in set(range(1, len(paths))) - set(changes):
        assert batches[place - 1].rows[-1].length >= batches[place].rows[0].length


@pytest.mark.parametrize("seed", range(10))
def test_halves(seed) -> None:
    for batch in planned(random_sequences(seed), Limits(2048)):
        if len(batch.rows) > 1:
            first, second = batch.halves()
            assert first.rows + second.rows == batch.rows
            assert first.path is second.path is batch.path
            assert 0 <= len(first.rows) - len(second.rows) <= 1


@pytest.mark.parametrize("seed", range(10))
def test_the_same_input_has_the_same_plan(seed) -> None:
    sequences = random_sequences(seed)
    first, second = (planned(list(sequences), Limits(40)) for _ in range(2))
    assert digest(first) == digest(second)
    for one, other in zip(first, second, strict=True):
        assert beginning(one) == beginning(other)
        assert [list(read(row, ())) for row in one.rows] == [list(read(row, ())) for row in other.rows]


def test_another_input_has_another_digest() -> None:
    sequences = [(1, number, *range(number % 7)) for number in range(40)]
    cases = [
        (sequences, Limits(40)),
        (sequences, Limits(60)),
        (sequences, Limits(40, 2)),
        (sequences[::-1], Limits(40)),
        (sequences[:-1], Limits(40)),
        ([*sequences, sequences[-1]], Limits(40)),
        ([(1, 2, 3)], Limits(40)),
        ([], Limits(40)),
    ]
    assert len({digest(planned(*case)) for case in cases}) == len(cases)


@pytest.mark.parametrize("branches", [True, False])
def test_padding_is_little(branches) -> None:
    """Rows of similar length are batched together, and batches are as full as possible."""
    batches = planned([(40000 + number, *text) for number, text in enumerate(texts(400))], Limits(2048), branches)
    lengths = [[row.length for row in batch.rows] for batch in batches]
    tokens, padded = sum(map(sum, lengths)), sum(len(rows) * rows[0] for rows in lengths)
    assert padded <= 1.1 * tokens
    assert tokens >= 0.9 * 2048 * (len(batches) - 1)


@pytest.mark.parametrize("branches", [True, False])
def test_long_rows_are_not_batched_with_short_ones(branches) -> None:
    """Attention would pad short rows."""
    batches = planned([(number,) * (900 if number < 2 else 15) for number in range(80)], Limits(2048), branches)
    assert [[row.length for row in batch.rows] for batch in batches] == [[900] * 2, [15] * 78]


# What evaluation asks for, with made-up ids: AG News, k = 1.
SHARED = tuple(range(100, 364))
LABEL_WORDS = [(31,), (32,), (33, 34), (33, 35, 36, 37)]
ARTICLE, CATEGORY = (40, 41), (42, 43, 41)


def texts(count: int) -> list[Ids]:
    """Articles whose first words are unequally frequent."""
    source = random.Random(1)
    starts = [1 / rank for rank in range(1, 3001)]
    return [
        (
            *source.choices(range(1000, 4000), starts, k=2),
            *source.choices(range(4000, 32000), k=source.randint(18, 118)),
        )
        for _ in range(count)
    ]


def all_segments(batches: Sequence[Batch]) -> list[Ids]:
    """The number of tokens of all segments, each once."""
    return list({id(segment): segment.tokens for batch in batches for segment in batch.path}.values())


def fed(batches: Sequence[Batch], length: int) -> Counter[Ids]:
    """How often the model computes each run of tokens without a fork."""
    runs = all_segments(batches) + [row.head for batch in batches for row in batch.rows]
    runs += [node.tokens for batch in batches for row in batch.rows if row.tree for node in row.tree.walk()]
    return Counter(run[place : place + length] for run in runs for place in range(len(run) - length + 1))


@pytest.mark.parametrize("limits", [Limits(2048), Limits(16384), Limits(2048, 16)], ids=["CPU", "CUDA", "16 rows"])
def test_direct(limits) -> None:
    """The demonstrations once, each text once, the label words as one trie."""
    articles = texts(256)
    sequences = [SHARED + ARTICLE + text + CATEGORY + word for text in articles for word in LABEL_WORDS]
    batches = planned(sequences, limits)
    assert [batch.path for batch in batches] == [batches[0].path] * len(batches)
    assert all_segments(batches) == [SHARED + ARTICLE]
    for batch in batches:
        for row in batch.rows:
            examples = sorted({index // 4 for index in row.sequences()})
            assert sorted(row.sequences()) == [4 * example + word for example in examples for word in range(4)]
    endings = fed(batches, 13)
    assert all(endings[text[-10:] + CATEGORY] == 1 for text in articles)
    assert fed(batches, 1)[33,] == fed(batches, 2)[36, 37] == len(articles)
    size = build_tree(sequences).size
    assert size <= count_tokens(batches) <= 1.02 * size


@pytest.mark.parametrize(("limits", "count"), [(Limits(2048), 256), (Limits(16384), 1024), (Limits(2048, 16), 256)])
def test_channel(limits, count) -> None:
    """The demonstrations once, the prompts of label words once, then only texts."""
    articles = texts(count)
    sequences = [SHARED + word + ARTICLE + text for text in articles for word in LABEL_WORDS]
    batches = planned(sequences, limits)
    assert fed(batches, len(SHARED))[SHARED] == 1
    assert fed(batches, 2)[ARTICLE] == len(LABEL_WORDS)
    of_prompts: dict[Ids, list[int]] = {}
    for batch in batches:
        of_prompts.setdefault(beginning(batch), []).extend(batch.sequences())
    expected = {SHARED + word + ARTICLE: range(first, len(sequences), 4) for first, word in enumerate(LABEL_WORDS)}
    assert {prompt: sorted(found) for prompt, found in of_prompts.items()} == {
        prompt: list(indices) for prompt, indices in expected.items()
    }
    size = build_tree(sequences).size
    assert size <= count_tokens(batches) <= 1.02 * size


@pytest.mark.parametrize("limits", [Limits(2048), Limits(16384), Limits(2048, 16)], ids=["CPU", "CUDA", "16 rows"])
def test_generate(limits) -> None:
    """The demonstrations once, then a row for each text."""
    sequences = [SHARED + ARTICLE + text + CATEGORY[:-1] for text in texts(256)]
    batches = planned(sequences, limits, branches=False)
    assert all_segments(batches) == [SHARED + ARTICLE]
    assert sum(len(batch.rows) for batch in batches) == 256
    size = build_tree(sequences).size
    assert size <= count_tokens(batches) <= 1.02 * size


def test_few_texts_to_continue() -> None:
    """They would fit into one row with the demonstrations, but generation needs a row for each."""
    sequences = [SHARED + ARTICLE + text for text in texts(8)]
    batches = planned(sequences, Limits(2048), branches=False)
    assert all_segments(batches) == [SHARED + ARTICLE]
    assert sum(len(batch.rows) for batch in batches) == 8


@pytest.mark.parametrize("branches", [True, False])
@pytest.mark.parametrize("first", [(), (1,)], ids=["nothing", "BOS alone"])
def test_sequences_without_shared_prefixes_cost_only_their_tokens(first, branches) -> None:
    sequences = [(*first, 32000 + number, *text) for number, text in enumerate(texts(256))]
    batches = planned(sequences, Limits(2048), branches)
    assert not any(batch.path for batch in batches)
    assert count_tokens(batches) == sum(map(len, sequences))


def test_without_accidental_sharing_nothing_is_computed_twice() -> None:
    """Then only demonstrations and label words are shared: as many tokens are computed as the tree has."""
    articles = [(32000 + number, *text) for number, text in enumerate(texts(256))]
    direct = [SHARED + text + CATEGORY + word for text in articles for word in LABEL_WORDS]
    channel = [SHARED + word + ARTICLE + text for text in articles for word in LABEL_WORDS[:3]]
    for sequences in (direct, channel):
        assert count_tokens(planned(sequences, Limits(2048))) == build_tree(sequences).size
    chains = [SHARED + text for text in articles]
    assert count_tokens(planned(chains, Limits(2048), branches=False)) == build_tree(chains).size


def test_few_examples_after_few_demonstrations() -> None:
    """All that fits into one row may be one row."""
    sequences = [(1, 2, 3, 10 + number, 5, 20 + word) for number in range(3) for word in range(4)]
    (batch,) = planned(sequences, Limits(2048))
    assert (batch.path, len(batch.rows)) == ((), 1)
    assert count_tokens([batch]) == build_tree(sequences).size == 3 + 3 * (2 + 4)
