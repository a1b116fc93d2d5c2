"""The interface to a checkpoint's weights in any format: by Meta's key, split over ranks."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import torch
from torch import Tensor


class Part(NamedTuple):
    """A part of a weight as memory-mapped pieces, which are joined when they are copied, without a second copy.

    Args:
        pieces: Mapped tensors or views. A single piece may have more dimensions than the weight, with the same numbers
            in the same order.
        along: The dimension along which several pieces are joined.
    """

    pieces: list[Tensor]
    along: int = 0

    def copy_to(self, target: Tensor) -> None:
        """Fill `target`, which has the shape of the part, converting to its dtype and device."""
        if len(self.pieces) == 1:
            target.view(self.pieces[0].shape).copy_(self.pieces[0])
            return
        start = 0
        for piece in self.pieces:
            target.narrow(self.along, start, piece.shape[self.along]).copy_(piece)
            start += piece.shape[self.along]


class Weights(Protocol):
    """The weights of a checkpoint, checked against the model's shape."""

    shards: int  # files with a part of every weight; the default model-parallel size
    dtype: torch.dtype
    paths: tuple[Path, ...]  # the files that the fingerprint covers

    def read(self, key: str, cut: int | None, rank: int, ranks: int) -> Part:
        """Slice `rank` of `ranks` equal slices of a weight.

        Args:
            key: Meta's key.
            cut: The dimension that is sliced; None: the whole weight.
        """


def span(size: int, rank: int, ranks: int) -> tuple[int, int]:
    """Begin and end of slice `rank` of `ranks` equal slices of `size`."""
    length = size // ranks
    return rank * length, (rank + 1) * length


def part(pieces: Sequence[Tensor], joined: int, cut: int | None, rank: int, ranks: int) -> Part:
    """Slice `rank` of `ranks` equal slices of a weight that consists of `pieces`.

    Args:
        joined: The dimension along which the pieces are joined.
        cut: The dimension that is sliced; None: the whole weight.
    """
    if cut is None:
        return Part(list(pieces), joined)
    if cut != joined:
        first, end = span(pieces[0].shape[cut], rank, ranks)
        return Part([piece.narrow(cut, first, end - first) for piece in pieces], joined)
    size = pieces[0].shape[cut]
    first, end = span(size * len(pieces), rank, ranks)
    overlaps = []
    for number, piece in enumerate(pieces):
        start, stop = max(first - number * size, 0), min(end - number * size, size)
        if start < stop:
            overlaps.append(piece.narrow(cut, start, stop - start))
    return Part(overlaps, cut)
