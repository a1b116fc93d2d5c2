"""Word-patch alignment (Huang et al. 2022, section 3.3): whether the patches of a word are masked."""

from collections.abc import Sequence

import numpy as np

from documents.chunks import IGNORED, Box

ALIGNED, UNALIGNED = 1, 0
PAGE = 1000  # the length of a side, in the unit of boxes


def masked_share(box: Box, patches: np.ndarray) -> float:
    """The share of the area of a box that lies on masked patches.

    A box of zero width or height counts as a line or a point.

    Args:
        box: x0, y0, x1, y1 in 0..1000.
        patches: Masked patches, bool (rows, columns).
    """
    rows, columns = patches.shape
    across = shares_of_side(box[0], box[2], columns)
    down = shares_of_side(box[1], box[3], rows)
    return float(down @ patches @ across)


def shares_of_side(start: int, end: int, parts: int) -> np.ndarray:
    """The shares of start..end that lie in each of `parts` equal parts of 0..1000; they sum to 1."""
    edges = np.linspace(0, PAGE, parts + 1)
    if start == end:
        shares = np.zeros(parts)
        shares[min(int(start * parts / PAGE), parts - 1)] = 1.0
        return shares
    inside = np.minimum(end, edges[1:]) - np.maximum(start, edges[:-1])
    return np.clip(inside, 0, None) / (end - start)


def alignment_labels(boxes: Sequence[Box], hidden: np.ndarray, patches: np.ndarray, threshold: float) -> list[int]:
    """ALIGNED or UNALIGNED for each text token; IGNORED if the token or its position is hidden.

    Args:
        boxes: The box of each token's segment.
        hidden: Tokens that are hidden or whose position is, bool (T,).
        patches: Masked patches, bool (rows, columns).
        threshold: A token is unaligned if more than this share of its box is masked.
    """
    known: dict[Box, int] = {}
    for box in boxes:
        if box not in known:
            known[box] = UNALIGNED if masked_share(box, patches) > threshold else ALIGNED
    return [IGNORED if hide else known[box] for box, hide in zip(boxes, hidden, strict=True)]
