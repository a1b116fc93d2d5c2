"""The layout of rows against a slow definition: a token sees its ancestors in its row and itself."""

import random
import re
from typing import NamedTuple

import numpy as np
import pytest
import torch

from llama.batches import Row
from llama.layout import PackedRows
from llama.prefix_tree import Node, build_tree

CPU = torch.device("cpu")
START = 5  # tokens before each row


class Token(NamedTuple):
    """A token of a row, after its ancestors."""

    id: int
    ancestors: tuple[int, ...]


class Defined:
    """A row, token by token, depth first: ancestors as slots, and the slots of each sequence."""

    def __init__(self, row: Row):
        self.tokens: list[Token] = []
        self.sequences: dict[int, tuple[int, ...]] = {}
        path = self.add(row.head, row.ends, ())
        if row.tree is not None:
            self.descend(row.tree, path)

    def add(self, ids: tuple[int, ...], ends: list[int], path: tuple[int, ...]) -> tuple[int, ...]:
        for token in ids:
            self.tokens.append(Token(token, path))
            path = (*path, len(self.tokens) - 1)
        self.sequences |= dict.fromkeys(ends, path)
        return path

    def descend(self, node: Node, path: tuple[int, ...]) -> None:
        path = self.add(node.tokens, node.ends, path)
        for child in node.children.values():
            self.descend(child, path)

    def visible(self) -> list[list[bool]]:
        slots = range(len(self.tokens))
        return [[other == slot or other in self.tokens[slot].ancestors for other in slots] for slot in slots]

    @property
    def forks(self) -> bool:
        return any(token.ancestors != tuple(range(slot)) for slot, token in enumerate(self.tokens))


def random_rows(seed: int) -> list[Row]:
    """Trees after heads, chains, heads alone and empty rows, each for different sequences."""
    source = random.Random(seed)
    rows: list[Row] = []
    for number in range(source.randint(1, 6)):
        head = tuple(source.choices(range(300), k=source.randrange(4)))
        begin = 100 * number
        if source.random() < 0.3:
            rows.append(Row(head, [begin, begin + 1]))
            continue
        branches = source.choice([1, 1, 8])
        sequences = [(9, *source.choices(range(3), k=source.randrange(7))) for _ in range(branches)]
        tree = build_tree(sequences).children[9]
        for node in tree.walk():
            node.ends = [begin + index for index in node.ends]
        rows.append(Row(head, [], tree))
    return rows


CASES = {seed: random_rows(seed) for seed in range(40)}


@pytest.mark.parametrize("case", CASES)
def test_tokens_positions_and_sequences(case) -> None:
    rows, packed = CASES[case], PackedRows(CASES[case], START, CPU)
    defined = [Defined(row) for row in rows]
    assert packed.lengths.tolist() == [len(row.tokens) for row in defined]
    assert packed.tokens.tolist() == [token.id for row in defined for token in row.tokens]
    assert packed.positions.tolist() == [START + len(token.ancestors) for row in defined for token in row.tokens]
    assert len(packed) == len(packed.tokens)
    places = {
        index: [begin + slot for slot in slots]
        for begin, row in zip(packed.begins.tolist(), defined, strict=True)
        for index, slots in row.sequences.items()
    }
    assert {index: found.tolist() for index, found in packed.places.items()} == places


@pytest.mark.parametrize("case", CASES)
def test_a_token_sees_its_ancestors_and_itself(case) -> None:
    defined = [Defined(row) for row in CASES[case]]
    visible = PackedRows(CASES[case], START, CPU).visible()
    assert (visible is None) == (not any(row.forks for row in defined))
    if visible is not None:
        longest = max(len(row.tokens) for row in defined)
        assert visible.shape == (len(defined), longest, longest)
        assert visible.any(dim=-1).all()  # padding too: softmax over nothing is nan
        for found, row in zip(visible, defined, strict=True):
            length = len(row.tokens)
            assert found[:length, :length].tolist() == row.visible()
            assert not found[:length, length:].any()


def test_the_cases_have_and_lack_forks() -> None:
    assert {any(Defined(row).forks for row in rows) for rows in CASES.values()} == {True, False}
    assert any(row.length == 0 for rows in CASES.values() for row in rows)


def drawn(name: str) -> list[str]:
    """A line of the drawing in the docstring of PackedRows, without gaps."""
    (line,) = re.findall(rf"^ *{name} {{2,}}(.*)$", PackedRows.__doc__, re.MULTILINE)
    return [word for word in line.split() if word != "..."]


def test_the_picture_in_the_docstring() -> None:
    """Two articles, 62 and 24 tokens long up to the colon, with the label words World and Sci / Tech."""
    names = drawn("token")
    ids = {name: 10 + number for number, name in enumerate(dict.fromkeys(names))}
    label_words = [(ids["World"],), (ids["Sci"], ids["/"], ids["Tech"])]
    articles = [
        (ids["Article"], ids[":"], ids["Rain"], *range(100, 157), ids["Category"], ids[":"]),
        (ids["Article"], ids[":"], *range(200, 221), ids[":"]),
    ]
    assert list(map(len, articles)) == [62, 24]
    trees = [build_tree([article + word for word in label_words]).children[ids["Article"]] for article in articles]
    packed = PackedRows([Row((), (), tree) for tree in trees], 264, CPU)

    slots = list(map(int, drawn("slot")))
    second = slots.index(0, 1)
    places = slots[:second] + [66 + slot for slot in slots[second:]]
    assert packed.begins.tolist() == [0, 66]
    assert packed.tokens[places].tolist() == [ids[name] for name in names]
    for line, array in (("position", packed.positions), ("exit", packed.exits)):
        for place, word in zip(places, drawn(line), strict=True):
            assert word == "." or int(word) == array[place], (line, place)


@pytest.mark.parametrize("case", CASES)
def test_exits_determine_what_a_slot_sees(case) -> None:
    """As in the docstring: slot i sees token j if j <= i < exit j."""
    packed = PackedRows(CASES[case], START, CPU)
    for row, begin in zip(CASES[case], packed.begins.tolist(), strict=True):
        exits = packed.exits[begin : begin + row.length]
        assert [[other <= slot < exits[other] for other in range(row.length)] for slot in range(row.length)] == Defined(
            row
        ).visible()


@pytest.mark.parametrize("case", CASES)
def test_packing_and_unpacking(case) -> None:
    """For all tokens and for some: each follows the previous ones in its row, and returns to its place."""
    packed = PackedRows(CASES[case], START, CPU)
    if not len(packed):
        return
    source = np.random.default_rng(case)
    some = np.sort(source.choice(len(packed), source.integers(1, len(packed) + 1), replace=False))
    for places in (np.arange(len(packed)), some):
        packing = packed.packing(places)
        x = torch.from_numpy(places)[None, :, None].expand(-1, -1, 3)  # each token is its own place
        rows = [[place for place in places.tolist() if packed.row[place] == row] for row in range(len(packed.lengths))]
        unpacked = packing.unpack(x)
        assert unpacked.shape == (len(rows), max(map(len, rows)), 3)
        assert [found[: len(row), 0].tolist() for found, row in zip(unpacked, rows, strict=True)] == rows
        assert torch.equal(packing.pack(unpacked), x)


def test_a_very_deep_row() -> None:
    """A stem that forks after every token."""
    depth = 1500
    tree = build_tree([(*range(length), -1) for length in range(1, depth + 1)]).children[0]
    packed = PackedRows([Row((), (), tree)], START, CPU)
    stem, leaves = range(START, START + depth), range(START + 1, START + depth + 1)
    assert sorted(packed.positions.tolist()) == sorted([*stem, *leaves])
    assert all(packed.tokens[path].tolist() == [*range(index + 1), -1] for index, path in packed.places.items())
    assert sorted(packed.places) == list(range(depth))
