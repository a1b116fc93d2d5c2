"""Weights by Meta's key, whatever files they lie in, cut to a rank."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import torch
from torch import Tensor


class Part(NamedTuple):
    """A part of a weight, as it lies in the files: it is joined where it is copied to, so that no second copy is held.

    Args:
        pieces: Mapped tensors or views. A single one may have more dimensions than the weight: its numbers, taken in
            order, are those of the part.
        along: The dimension along which several are joined.
    """

    pieces: list[Tensor]
    along: int = 0

    def copy_to(self, target: Tensor) -> None:
        """Fill `target`, of the part's shape, converting to its dtype and device."""
        if len(self.pieces) == 1:
            target.view(self.pieces[0].shape).copy_(self.pieces[0])
            return
        start = 0
        for piece in self.pieces:
            target.narrow(self.along, start, piece.shape[self.along]).copy_(piece)
            start += piece.shape[self.along]


class Weights(Protocol):
    """The weights of a checkpoint. Reading a header or two has told that they fit the model's shape."""

    shards: int  # files that each hold a part of every weight: what the model-parallel size is taken from
    dtype: torch.dtype
    paths: tuple[Path, ...]  # the files, all of whose bytes the fingerprint is taken of

    def read(self, key: str, cut: int | None, rank: int, ranks: int) -> Part:
        """Slice `rank` of `ranks` equal slices along dimension `cut` of the weight under Meta's key.

        Args:
            cut: None: the whole.
        """


def span(size: int, rank: int, ranks: int) -> tuple[int, int]:
    """First and end of slice `rank` of `ranks` equal slices of `size`."""
    length = size // ranks
    return rank * length, (rank + 1) * length


def part(pieces: Sequence[Tensor], joined: int, cut: int | None, rank: int, ranks: int) -> Part:
    """Slice `rank` of `ranks` along `cut` of `pieces` joined along `joined`: of each piece what overlaps.

    Args:
        cut: None: the whole.
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
