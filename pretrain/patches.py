"""Masked image modelling: blocks of patches, as in BEiT (Bao et al. 2022, algorithm 1)."""

import math

import numpy as np

TRIES = 1000  # attempts to place blocks; patches left after them stay unmasked


def draw_blocks(side: int, ratio: float, least: int, aspect: float, generator: np.random.Generator) -> np.ndarray:
    """Which patches of a page are masked, bool (side, side): int(ratio * side * side) of them.

    Blocks of at least `least` patches, with a ratio of height to width between `aspect` and 1 / `aspect`, are placed at
    random. They may overlap. A block that would mask too many patches is drawn again.

    Args:
        side: Number of patches per row, and of rows.
    """
    masked = np.zeros((side, side), bool)
    left, tries = int(ratio * side * side), 0
    while left and tries < TRIES:
        tries += 1
        area = generator.uniform(min(least, left), max(least, left))
        form = math.exp(generator.uniform(math.log(aspect), math.log(1 / aspect)))
        height, width = round(math.sqrt(area * form)), round(math.sqrt(area / form))
        if not (1 <= height <= side and 1 <= width <= side):
            continue
        top, start = int(generator.integers(side - height + 1)), int(generator.integers(side - width + 1))
        block = masked[top : top + height, start : start + width]
        new = block.size - int(block.sum())
        if new <= left:
            block[:] = True
            left -= new
    return masked
