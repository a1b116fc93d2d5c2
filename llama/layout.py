"""The layout of a batch as arrays: rows concatenated, each with the branches of its tree."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from llama.attention import Packing
from llama.batches import Row
from llama.cache import KeyValueCache
from llama.model import Transformer
from llama.prefix_tree import Node


class PackedRows:
    """The rows of a batch as arrays, without padding. A token attends to its ancestors in its row's tree.

    Example: two articles with two label words each, after a shared prefix of 264 tokens:

        row         0                                                          1
        token       Article  : Rain ... Category  :  World Sci   /   Tech      Article  : ...  :  World Sci  /  Tech
        slot              0  1    2         60   61     62  63  64     65            0  1 ... 23     24  25 26    27
        position        264  .    .          .  325    326 326 327    328          264  . ... 287   288 288  .   290
        exit             66  .    .          .   66     63  66  66     66           28  . ... 28     25  28  .    28

    A slot is the index of a token in its row. The exit of a token is the slot after its last descendant: slot i attends
    to slot j if j <= i < exit j. In a row without forks, this is the causal mask.

    Only attention handles rows separately, padded to the longest; all other layers compute the tokens as one long row.

    Args:
        rows: The rows of a batch.
        start: Number of tokens before each row.
        device: Device of the model.
    """

    def __init__(self, rows: Sequence[Row], start: int, device: torch.device):
        self.start = start
        self.device = device
        self.lengths = np.array([row.length for row in rows])
        self.row = np.repeat(np.arange(len(rows)), self.lengths)  # row of each token
        self.begins = self.lengths.cumsum() - self.lengths
        count = int(self.lengths.sum())
        self.tokens, self.positions, self.exits = (np.empty(count, dtype=np.int64) for _ in range(3))
        self.places: dict[int, np.ndarray] = {}  # indices of each sequence's tokens
        for row, begin in zip(rows, self.begins.tolist(), strict=True):
            self.lay(row, begin)

    def __len__(self) -> int:
        return len(self.tokens)

    def lay(self, row: Row, begin: int) -> None:
        """Write a row into the arrays; `begin` is the index of its first token."""
        head = Node(row.head)
        head.ends, head.size = list(row.ends), row.length
        place = begin + len(row.head)
        before = self.run(head, begin, begin, np.empty(0, dtype=np.int64))
        waiting = [] if row.tree is None else [(row.tree, before)]
        while waiting:
            node, before = waiting.pop()
            path = self.run(node, place, begin, before)
            place += len(node.tokens)
            waiting.extend((child, path) for child in reversed(node.children.values()))

    def run(self, node: Node, place: int, begin: int, before: np.ndarray) -> np.ndarray:
        """Write the tokens of `node` at index `place`, and return the indices of its path.

        Args:
            begin: Index of the row's first token.
            before: Indices of the tokens above the node, in its row.
        """
        end = place + len(node.tokens)
        self.tokens[place:end] = node.tokens
        self.positions[place:end] = self.start + len(before) + np.arange(end - place)
        self.exits[place:end] = place - begin + node.size
        path = np.concatenate([before, np.arange(place, end)])
        self.places |= dict.fromkeys(node.ends, path)
        return path

    def visible(self) -> Tensor | None:
        """Which slots of its row each slot attends to (B, T, T); None if no row forks: itself and those before it."""
        if (self.exits == self.lengths[self.row]).all():
            return None
        length = self.lengths.max()
        exits = np.full((len(self.lengths), length), length)
        exits[self.row, np.arange(len(self)) - self.begins[self.row]] = self.exits
        slots = torch.arange(length, device=self.device)
        return (slots[:, None] >= slots) & (slots[:, None] < self.to_device(exits)[:, None])

    def forward(
        self,
        model: Transformer,
        shared: KeyValueCache | None,
        places: np.ndarray,
        cache: KeyValueCache | None = None,
    ) -> Tensor:
        """Hidden states (W, D) of the tokens at indices `places` (W), in ascending order.

        Args:
            shared: Keys and values of the tokens before each row.
            cache: Empty; those of the rows, which do not fork, are added.
        """
        tokens, positions = self.to_device(self.tokens)[None], self.to_device(self.positions)[None]
        asked: dict[str, Any] = {}
        if len(places) < len(self):
            asked = {"places": self.to_device(places)[None], "asked": self.packing(places)}
        packing = self.packing(np.arange(len(self)))
        return model(tokens, positions, self.visible(), shared, cache, packing, **asked)[0]

    def packing(self, places: np.ndarray) -> Packing:
        """The packing of the tokens at indices `places`, in ascending order."""
        row = self.row[places]
        counts = np.bincount(row, minlength=len(self.lengths))
        column = np.arange(len(places)) - (counts.cumsum() - counts)[row]
        slots = np.zeros((len(counts), counts.max()), dtype=np.int64)
        slots[row, column] = np.arange(len(places))
        return Packing(self.to_device(slots), self.to_device(row * counts.max() + column))

    def to_device(self, array: np.ndarray) -> Tensor:
        """The array as a tensor on the device."""
        return torch.from_numpy(array).to(self.device)
