"""Weights by Meta's key, whatever files they lie in, cut to a rank."""

from collections.abc import Iterator, Sequence
from typing import Protocol

import torch
from torch import Tensor


class Weights(Protocol):
    """The weights of a checkpoint. Reading a header or two has told that they fit the model's shape."""

    shards: int  # files that each hold a part of every weight: what the model-parallel size is taken from
    dtype: torch.dtype

    def read(self, key: str, cut: int | None, rank: int, ranks: int) -> Tensor:
        """Slice `rank` of `ranks` equal slices along dimension `cut` of the weight under Meta's key.

        What is returned may be mapped or a view; its numbers, taken in order, are those of the slice.

        Args:
            cut: None: the whole.
        """

    def stored(self) -> Iterator[tuple[str, Tensor]]:
        """Every tensor of the files as it is, in a fixed order, for the fingerprint."""


def span(size: int, rank: int, ranks: int) -> tuple[int, int]:
    """First and end of slice `rank` of `ranks` equal slices of `size`."""
    length = size // ranks
    return rank * length, (rank + 1) * length


def part(pieces: Sequence[Tensor], joined: int, cut: int | None, rank: int, ranks: int) -> Tensor:
    """Slice `rank` of `ranks` along `cut` of `pieces` joined along `joined`, touching only what overlaps.

    Args:
        cut: None: the whole.
    """
    if cut is None or cut != joined:
        kept = [piece if cut is None else piece.narrow(cut, *bounds(piece, cut, rank, ranks)) for piece in pieces]
        return kept[0] if len(kept) == 1 else torch.cat(kept, dim=joined)
    size = pieces[0].shape[cut]
    first, end = span(size * len(pieces), rank, ranks)
    overlaps = []
    for number, piece in enumerate(pieces):
        start, stop = max(first - number * size, 0), min(end - number * size, size)
        if start < stop:
            overlaps.append(piece.narrow(cut, start, stop - start))
    return overlaps[0] if len(overlaps) == 1 else torch.cat(overlaps, dim=cut)


def bounds(piece: Tensor, cut: int, rank: int, ranks: int) -> tuple[int, int]:
    """Start and length of slice `rank` of `ranks` of a whole tensor."""
    first, end = span(piece.shape[cut], rank, ranks)
    return first, end - first
