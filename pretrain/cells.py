"""Cell position classification (Li et al. 2021, StructuralLM): in which area of the page a cell lies."""

from collections.abc import Sequence

import numpy as np

from documents.chunks import IGNORED, Box
from pretrain.alignment import PAGE


def area_of(box: Box, side: int) -> int:
    """The number of the area in which the centre of a box lies; areas are numbered row by row.

    Args:
        box: x0, y0, x1, y1 in 0..1000.
        side: Number of areas per row, and of rows.
    """
    column, row = (min((low + high) * side // (2 * PAGE), side - 1) for low, high in (box[::2], box[1::2]))
    return row * side + column


def draw_cells(segments: Sequence[int], masked: np.ndarray, ratio: float, generator: np.random.Generator) -> np.ndarray:
    """Which tokens have their position hidden, bool (T,): those of round(ratio * cells) cells, at least one.

    Args:
        segments: The cell of each token.
        masked: Masked tokens, bool (T,); their cells are not chosen.
    """
    broken = {cell for cell, mask in zip(segments, masked, strict=True) if mask}
    cells = [cell for cell in dict.fromkeys(segments) if cell not in broken]
    count = min(max(1, round(ratio * len(set(segments)))), len(cells))
    chosen = set(generator.permutation(cells)[:count].tolist()) if count else set()
    return np.array([cell in chosen for cell in segments], bool)


def area_labels(boxes: Sequence[Box], chosen: np.ndarray, side: int) -> list[int]:
    """The area of each token whose position is hidden; IGNORED for the others."""
    return [area_of(box, side) if hide else IGNORED for box, hide in zip(boxes, chosen, strict=True)]
