"""Batches from the prefix tree: which nodes are computed first as shared segments, and which form rows.

Every node is computed in the cheapest of three ways:

    cut      once, as a segment of its own; its keys and values are cached, and all nodes below attend to them
    row      together with all nodes below it, in one row of a batch; a mask separates the branches
    spread   again for each of its children, because it is too short for either

For example, the demonstrations are cut, an article with its label words is a row, and the first word that two articles
share is spread. The plan depends only on the token ids and the limits.
"""

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from llama.prefix_tree import Node

# Costs are in units of one token's matrix products.
ATTENTION = 2048  # attention to this many keys costs about as much as the matrix products of a token
OVERHEAD = 1 / 8  # cost of a model call and of a partly filled batch, as a fraction of a full batch
MERGING = 1 / 32  # cost of attending to shared keys separately, for each token
PADDING = 1.1  # maximum ratio of padded to real tokens if only attention is padded


@dataclass(frozen=True)
class Limits:
    """Maximum size of a batch.

    Args:
        tokens: Maximum number of tokens; a single row may have more.
        rows: Maximum number of rows; None: no maximum.
    """

    tokens: int
    rows: int | None = None


class Segment(NamedTuple):
    """A node that is cut: computed once, before the nodes below it.

    Args:
        tokens: Ids of the spread nodes directly above it, then its own.
        node: The node.
    """

    tokens: tuple[int, ...]
    node: Node


class Row(NamedTuple):
    """One row of a batch: the ids of spread nodes, then a whole subtree.

    Args:
        head: Ids of the spread nodes.
        ends: Indices of the sequences that end with the head.
        tree: The subtree; None: the row ends with the head.
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
    """Rows of similar length with the same prefix.

    Args:
        path: The segments of the prefix, from the first token on.
        rows: Longest first.
    """

    path: tuple[Segment, ...]
    rows: list[Row]

    def sequences(self) -> list[int]:
        """Indices of the sequences that the batch completes."""
        return [index for row in self.rows for index in row.sequences()]

    def halves(self) -> tuple["Batch", "Batch"]:
        """Two batches with half of the rows each."""
        middle = (len(self.rows) + 1) // 2
        return Batch(self.path, self.rows[:middle]), Batch(self.path, self.rows[middle:])


def plan(root: Node, limits: Limits, branches: bool = True) -> list[Batch]:
    """All batches; those with the same path are adjacent, longest rows first.

    Args:
        branches: Whether a row may contain several branches. If not, each sequence has its own row.
    """
    batches: list[Batch] = []
    waiting: list[tuple[Segment, ...]] = [(Segment((), root),)]
    while waiting:
        path = waiting.pop()
        node = path[-1].node
        rows, cut = divide(node, len(path) == 1, limits, branches)
        rows += ending((), node, branches)
        batches += [Batch(path[1:], part) for part in fill(rows, limits)]
        waiting += [(*path, segment) for segment in reversed(cut)]
    return batches


def divide(above: Node, first: bool, limits: Limits, branches: bool) -> tuple[list[Row], list[Segment]]:
    """The rows and the segments that directly follow a segment.

    Args:
        first: Whether a following segment would be the first of its path, so that its rows would otherwise have no
            shared prefix.
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
    """Rows for the sequences that end with `node`, the last node of `head`: one row for all (they are equal), or one
    each."""
    if branches:
        return [Row(head, node.ends)] if node.ends else []
    return [Row(head, [index]) for index in node.ends]


def row_cost(node: Node, start: int, limits: Limits, branches: bool) -> float:
    """Cost, in tokens, of a row of `start` tokens and the subtree of `node`; infinite if this may not be a row."""
    length = start + node.size
    if length > limits.tokens or (node.leaves > 1 and not branches):
        return math.inf
    return length + length**2 / ATTENTION


def least_cost(node: Node, start: int, limits: Limits, branches: bool) -> float:
    """Cost, in tokens, of one row or of one row for each leaf, whichever is lower."""
    tokens = node.leaves * start + node.lengths
    squares = node.leaves * start**2 + 2 * start * node.lengths + node.squares
    return min(row_cost(node, start, limits, branches), tokens + squares / ATTENTION)


def fill(rows: Sequence[Row], limits: Limits) -> list[list[Row]]:
    """Rows in batches, longest first, so that the batch that needs most memory comes first."""
    batches: list[list[Row]] = []
    tokens = 0
    for row in sorted(rows, key=lambda row: -row.length):
        tokens += row.length
        filled = (len(batches[-1]) + 1) * batches[-1][0].length if batches else math.inf
        # A batch may grow to half the limit even if its rows differ much in length.
        allowed = PADDING * max(tokens, limits.tokens // 2)
        if tokens > limits.tokens or filled > allowed or len(batches[-1]) == limits.rows:
            batches.append([])
            tokens = row.length
        batches[-1].append(row)
    return batches


def digest(batches: Sequence[Batch]) -> str:
    """SHA-256 over the sequences that each batch completes."""
    return hashlib.sha256(json.dumps([batch.sequences() for batch in batches]).encode()).hexdigest()


def count_tokens(batches: Sequence[Batch]) -> int:
    """Number of tokens that the model computes: each segment once, and all rows."""
    segments = {id(segment): len(segment.tokens) for batch in batches for segment in batch.path}
    return sum(segments.values()) + sum(row.length for batch in batches for row in batch.rows)
