"""From the prefix tree to batches: what is computed on its own first, and what stands in a row together.

Every node is computed in one of three ways, whichever costs least:

    cut      on its own, once; its keys and values are kept, and everything below attends to them
    row      with all that is below it in one row of a batch, where a mask keeps the branches apart
    spread   again for each of its children, because it is too short to be worth either

Demonstrations are cut, an article with its label words is a row, the first word that two articles share is spread. The
plan is a function of the token ids and the limits alone.
"""

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from llama.prefix_tree import Node

ATTENTION = 2048  # keys that a token attends to for the price of its way through the matrices, about
OVERHEAD = 1 / 8  # of a batch: what a call of the model, and a batch that is not full, cost more than their tokens

MERGING = 1 / 32  # of a token's way through the model: to attend to shared keys apart from its own
PADDING = 1.1  # rows filled up to the longest may have so many times their tokens, where attention alone does that


@dataclass(frozen=True)
class Limits:
    """How much the model computes at once.

    Args:
        tokens: Of a batch; a single row may have more.
        rows: Of a batch; None: as many as there is room for.
    """

    tokens: int
    rows: int | None = None


class Segment(NamedTuple):
    """A node that is cut: computed once, before what stands below it.

    Args:
        tokens: Its ids, after those of nodes above it that are spread.
        node: The node.
    """

    tokens: tuple[int, ...]
    node: Node


class Row(NamedTuple):
    """One row of a batch: a run of tokens, then all of a subtree.

    Args:
        head: Ids of nodes that are spread.
        ends: Sequences that end with the head.
        tree: What follows; None: nothing.
    """

    head: tuple[int, ...]
    ends: Sequence[int] = ()
    tree: Node | None = None

    @property
    def length(self) -> int:
        return len(self.head) + (0 if self.tree is None else self.tree.size)

    def sequences(self) -> list[int]:
        """Indices of the sequences that the row completes."""
        below = [] if self.tree is None else [index for node in self.tree.walk() for index in node.ends]
        return [*self.ends, *below]


class Batch(NamedTuple):
    """Rows of similar length that stand after the same segments.

    Args:
        path: The segments, from the first token on.
        rows: Longest first.
    """

    path: tuple[Segment, ...]
    rows: list[Row]

    def sequences(self) -> list[int]:
        return [index for row in self.rows for index in row.sequences()]

    def halves(self) -> tuple["Batch", "Batch"]:
        middle = (len(self.rows) + 1) // 2
        return Batch(self.path, self.rows[:middle]), Batch(self.path, self.rows[middle:])


def plan(root: Node, limits: Limits, branches: bool = True) -> list[Batch]:
    """All batches; those with the same path follow each other, longest rows first.

    Args:
        branches: Whether a row may hold more than one branch. Without, each sequence has a row of its own.
    """
    batches: list[Batch] = []
    waiting: list[tuple[Segment, ...]] = [(Segment((), root),)]
    while waiting:
        path = waiting.pop()
        node = path[-1].node
        rows, cut = divide(node, len(path) == 1, limits, branches)
        rows += ending((), node, branches)
        batches += [Batch(path[1:], part) for part in fill(rows, limits, packed=branches)]
        waiting += [(*path, segment) for segment in reversed(cut)]
    return batches


def divide(above: Node, first: bool, limits: Limits, branches: bool) -> tuple[list[Row], list[Segment]]:
    """What stands below a segment: the rows that follow it at once, and the segments that follow it.

    Args:
        first: A segment that follows would be the first of its path: what is below would have nothing shared without.
    """
    rows, cut = [], []
    waiting = [(child, ()) for child in reversed(above.children.values())]
    while waiting:
        node, head = waiting.pop()
        whole = head + node.tokens
        start = len(head)
        below = node.children.values()
        in_row = row_cost(node, start, limits, branches)
        once = len(whole) + OVERHEAD * limits.tokens + sum(least_cost(child, 0, limits, branches) for child in below)
        once += MERGING * (node.size - len(node.tokens)) if first else 0
        again = sum(least_cost(child, len(whole), limits, branches) for child in below)
        if branches and (in_row <= min(once, again) or node.leaves == 1):
            rows.append(Row(head, (), node))
        elif once < again:
            cut.append(Segment(whole, node))
        else:
            rows += ending(whole, node, branches)
            waiting += [(child, whole) for child in reversed(below)]
    return rows, cut


def ending(head: tuple[int, ...], node: Node, branches: bool) -> list[Row]:
    """Rows for the sequences that end with `node`, the last of `head`: one for all equal ones, or one each."""
    if branches:
        return [Row(head, node.ends)] if node.ends else []
    return [Row(head, [index]) for index in node.ends]


def row_cost(node: Node, start: int, limits: Limits, branches: bool) -> float:
    """Of a row of `start` tokens and all of `node`, in tokens; infinite where that may not be a row."""
    length = start + node.size
    if length > limits.tokens or (node.leaves > 1 and not branches):
        return math.inf
    return length + length**2 / ATTENTION


def least_cost(node: Node, start: int, limits: Limits, branches: bool) -> float:
    """Of one row, or of one row for each leaf, whichever is cheaper, in tokens."""
    tokens = node.leaves * start + node.lengths
    squares = node.leaves * start**2 + 2 * start * node.lengths + node.squares
    return min(row_cost(node, start, limits, branches), tokens + squares / ATTENTION)


def fill(rows: Sequence[Row], limits: Limits, packed: bool) -> list[list[Row]]:
    """Rows in batches, longest first: what needs most memory comes first, and rows of similar length stand together.

    Args:
        packed: Only attention fills rows up to the longest of the batch. Else all of the model does, and what is filled
            up counts as tokens.
    """
    batches: list[list[Row]] = []
    tokens = 0
    for row in sorted(rows, key=lambda row: -row.length):
        tokens += row.length
        filled = (len(batches[-1]) + 1) * batches[-1][0].length if batches else math.inf
        # A batch is worth half a batch at least, even if its rows differ much.
        allowed = PADDING * max(tokens, limits.tokens // 2) if packed else limits.tokens
        if tokens > limits.tokens or filled > allowed or len(batches[-1]) == limits.rows:
            batches.append([])
            tokens = row.length
        batches[-1].append(row)
    return batches


def digest(batches: Sequence[Batch]) -> str:
    """SHA-256 over which sequences each batch completes."""
    return hashlib.sha256(json.dumps([batch.sequences() for batch in batches]).encode()).hexdigest()


def count_tokens(batches: Sequence[Batch]) -> int:
    """Tokens that the model is fed with: of each segment once, and of the rows."""
    segments = {id(segment): len(segment.tokens) for batch in batches for segment in batch.path}
    return sum(segments.values()) + sum(row.length for batch in batches for row in batch.rows)
