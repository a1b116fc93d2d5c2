"""The prefix tree of token sequences: shared prefixes are stored once.

    1 Article : ... Category : World     \\                      ┌ World
    1 Article : ... Category : Sports     >  1 Article ... : ───┼ Sports
    1 Article : ... Category : Sci / Tech /                      └ Sci / Tech

It is built from token ids alone, independent of methods and labels. A node is a run of tokens without a fork.
"""

from collections.abc import Iterable, Iterator, Sequence

from llama import collector


class Node:
    """A run of tokens, and the sequences that end with it.

    Args:
        tokens: Ids; empty in the root.
        ends: Indices of the sequences that end with the run.
        children: The child nodes, by first token.
        size: Number of tokens in the subtree, including its own.
        leaves: Number of distinct sequences that end in the subtree.
        lengths, squares: Sum over these sequences of their lengths, and of the squares, counted from this node on.
    """

    __slots__ = ("children", "ends", "leaves", "lengths", "size", "squares", "tokens")

    def __init__(self, tokens: Sequence[int]):
        self.tokens = tokens
        self.ends: list[int] = []
        self.children: dict[int, Node] = {}
        self.size = self.leaves = self.lengths = self.squares = 0

    def split(self, length: int) -> None:
        """Split the run after `length` tokens: the rest becomes the only child."""
        rest = Node(self.tokens[length:])
        rest.ends, rest.children = self.ends, self.children
        self.tokens, self.ends, self.children = self.tokens[:length], [], {rest.tokens[0]: rest}

    def measure(self) -> None:
        """Compute size, leaves, lengths and squares from those of the children."""
        own, children = len(self.tokens), self.children.values()
        self.size = own + sum(child.size for child in children)
        self.leaves = bool(self.ends) + sum(child.leaves for child in children)
        below = sum(child.lengths for child in children)
        self.lengths = own * self.leaves + below
        self.squares = own * own * self.leaves + 2 * own * below + sum(child.squares for child in children)

    def walk(self) -> Iterator["Node"]:
        """All nodes of the subtree, each before its children."""
        waiting = [self]
        while waiting:
            node = waiting.pop()
            yield node
            waiting.extend(reversed(node.children.values()))


@collector.paused()
def build_tree(sequences: Iterable[Sequence[int]]) -> Node:
    """The prefix tree of `sequences`, which are not empty and of the same type (tuples)."""
    root = Node(())
    for index, sequence in enumerate(sequences):
        insert(root, sequence, index)
    for node in reversed(list(root.walk())):
        node.measure()
    return root


def insert(node: Node, sequence: Sequence[int], index: int) -> None:
    """Add a sequence below `node`."""
    place = 0
    while place < len(sequence):
        child = node.children.get(sequence[place])
        if child is None:
            child = node.children[sequence[place]] = Node(sequence[place:])
        common = common_length(child.tokens, sequence[place : place + len(child.tokens)])
        if common < len(child.tokens):
            child.split(common)
        place += common
        node = child
    node.ends.append(index)


def common_length(a: Sequence[int], b: Sequence[int]) -> int:
    """Length of the common prefix of two sequences."""
    if a == b:
        return len(a)
    pairs = enumerate(zip(a, b, strict=False))
    return next((place for place, (left, right) in pairs if left != right), min(len(a), len(b)))
