"""The prefix tree against the set of prefixes that it represents."""

import random
from collections.abc import Iterator, Sequence

import pytest

from llama.batches import Limits, plan
from llama.prefix_tree import Node, build_tree

Ids = tuple[int, ...]


def random_sequences(seed: int) -> list[Ids]:
    """Few different tokens, so that much is shared; prefixes of each other, duplicates, sometimes an empty one."""
    source = random.Random(seed)
    alphabet = source.choice([1, 2, 3, 30])
    fresh = [tuple(source.choices(range(alphabet), k=source.randrange(12))) for _ in range(source.randrange(1, 30))]
    prefixes = [sequence[: source.randint(0, len(sequence))] for sequence in fresh]
    sequences = [*fresh, *prefixes, *source.choices(fresh, k=3), *[()] * source.randrange(3)]
    return source.sample(sequences, len(sequences))


CASES = {seed: random_sequences(seed) for seed in range(30)} | {
    "nothing": [],
    "the empty sequence": [(), ()],
    "one token": [(7,)],
    "one sequence": [(1, 2, 3)],
}


def runs(root: Node) -> Iterator[tuple[Node, Ids]]:
    """Every node, and the tokens from the first to the node's last."""
    waiting: list[tuple[Node, Ids]] = [(root, ())]
    while waiting:
        node, before = waiting.pop()
        path = before + tuple(node.tokens)
        yield node, path
        waiting.extend((child, path) for child in node.children.values())


def prefixes(sequences: Sequence[Ids]) -> set[Ids]:
    return {sequence[:length] for sequence in sequences for length in range(1, len(sequence) + 1)}


@pytest.mark.parametrize("case", CASES)
def test_contains_every_prefix_once(case) -> None:
    root = build_tree(CASES[case])
    held = [path[: len(path) - before] for node, path in runs(root) for before in range(len(node.tokens))]
    assert len(held) == len(set(held)) == root.size
    assert set(held) == prefixes(CASES[case])


@pytest.mark.parametrize("case", CASES)
def test_every_sequence_is_found_from_the_root(case) -> None:
    root = build_tree(CASES[case])
    for index, sequence in enumerate(CASES[case]):
        node, place = root, 0
        while place < len(sequence):
            node = node.children[sequence[place]]
            assert tuple(node.tokens) == sequence[place : place + len(node.tokens)]
            place += len(node.tokens)
        assert node.ends == [other for other, same in enumerate(CASES[case]) if same == sequence]
        assert index in node.ends
    ends = [index for node in root.walk() for index in node.ends]
    assert sorted(ends) == list(range(len(CASES[case])))


@pytest.mark.parametrize("case", CASES)
def test_a_node_is_a_run_without_a_fork_and_no_shorter_than_it_must_be(case) -> None:
    root = build_tree(CASES[case])
    assert tuple(root.tokens) == ()
    for node, _ in runs(root):
        assert all(child.tokens[0] == token for token, child in node.children.items())
        assert node is root or node.ends or len(node.children) > 1


@pytest.mark.parametrize("case", CASES)
def test_sums_are_those_over_distinct_sequences(case) -> None:
    for node, path in runs(build_tree(CASES[case])):
        begin = len(path) - len(node.tokens)
        rests = [sequence[begin:] for sequence in set(CASES[case]) if sequence[: len(path)] == path]
        assert node.size == len(prefixes(rests))
        assert node.leaves == len(rests)
        assert node.lengths == sum(len(rest) for rest in rests)
        assert node.squares == sum(len(rest) ** 2 for rest in rests)


@pytest.mark.parametrize("case", CASES)
def test_walk_visits_a_node_before_its_children(case) -> None:
    root = build_tree(CASES[case])
    seen = list(root.walk())
    place = {id(node): number for number, node in enumerate(seen)}
    assert len(seen) == len(place) == sum(1 for _ in runs(root))
    assert all(place[id(node)] < place[id(child)] for node in seen for child in node.children.values())


def facts(sequences: Sequence[Ids]) -> set[tuple]:
    """A description of the tree, except the order of children and the numbers of the sequences."""
    return {
        (path, tuple(node.tokens), len(node.ends), node.size, node.leaves, node.lengths, node.squares)
        for node, path in runs(build_tree(sequences))
    }


@pytest.mark.parametrize("case", CASES)
def test_the_order_of_insertion_does_not_matter(case) -> None:
    sequences, source = CASES[case], random.Random(0)
    expected = facts(sequences)
    assert facts(sequences[::-1]) == facts(sorted(sequences)) == expected
    assert all(facts(source.sample(sequences, len(sequences))) == expected for _ in range(5))


DEEP = 3000  # three times what Python's stack allows


@pytest.fixture(scope="module")
def deep() -> Node:
    """Each sequence a prefix of the next: a node for every token."""
    return build_tree([tuple(range(length)) for length in range(1, DEEP + 1)])


def test_a_very_deep_tree(deep) -> None:
    assert (deep.size, deep.leaves, deep.lengths) == (DEEP, DEEP, DEEP * (DEEP + 1) // 2)
    assert deep.squares == DEEP * (DEEP + 1) * (2 * DEEP + 1) // 6
    assert [node.ends for node in deep.walk()] == [[], *([index] for index in range(DEEP))]


@pytest.mark.parametrize(("tokens", "branches"), [(64, True), (64, False), (2 * DEEP, True)])
def test_the_plan_of_a_very_deep_tree(tokens, branches, deep) -> None:
    batches = plan(deep, Limits(tokens), branches)
    assert sorted(index for batch in batches for index in batch.sequences()) == list(range(DEEP))


def test_a_very_deep_tree_from_the_longest_to_the_shortest() -> None:
    """Every sequence but the first splits a run."""
    root = build_tree([tuple(range(length)) for length in range(DEEP, 0, -1)])
    assert [node.ends for node in root.walk()] == [[], *([DEEP - length] for length in range(1, DEEP + 1))]
