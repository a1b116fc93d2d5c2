"""Masked image modelling: blocks of patches, against a slow definition."""

import math

import numpy as np
import pytest

from pretrain.patches import draw_blocks


def slow_blocks(side: int, ratio: float, least: int, aspect: float, generator: np.random.Generator) -> set[tuple]:
    """BEiT's algorithm, patch by patch; a block that would mask too many patches is drawn again."""
    masked: set[tuple] = set()
    wanted = int(ratio * side * side)
    for _ in range(1000):
        left = wanted - len(masked)
        if not left:
            break
        area = generator.uniform(min(least, left), max(least, left))
        form = math.exp(generator.uniform(math.log(aspect), math.log(1 / aspect)))
        height, width = round(math.sqrt(area * form)), round(math.sqrt(area / form))
        if height < 1 or width < 1 or height > side or width > side:
            continue
        top = int(generator.integers(side - height + 1))
        start = int(generator.integers(side - width + 1))
        block = {(row, column) for row in range(top, top + height) for column in range(start, start + width)}
        if len(block - masked) <= left:
            masked |= block
    return masked


@pytest.mark.parametrize("side", [4, 7, 14])
@pytest.mark.parametrize("seed", range(5))
def test_blocks_are_those_of_the_definition(side, seed):
    found = draw_blocks(side, 0.4, 16, 0.3, np.random.default_rng(seed))
    slow = slow_blocks(side, 0.4, 16, 0.3, np.random.default_rng(seed))
    assert {tuple(place) for place in np.argwhere(found).tolist()} == slow


def test_forty_percent_of_a_page_are_masked():
    """78 of 196 patches on every page, and each patch on some page."""
    pages = np.stack([draw_blocks(14, 0.4, 16, 0.3, np.random.default_rng(seed)) for seed in range(300)])
    assert (pages.sum((1, 2)) == 78).all()
    assert pages.mean(0).min() > 0  # corners seldom: few places of a block reach them


def test_blocks_are_blocks():
    """A masked patch has a masked neighbour, unlike with patches drawn one by one."""
    page = draw_blocks(14, 0.4, 16, 0.3, np.random.default_rng(1))
    inside = np.pad(page, 1)
    neighbours = inside[:-2, 1:-1] | inside[2:, 1:-1] | inside[1:-1, :-2] | inside[1:-1, 2:]
    assert (neighbours | ~page).mean() > 0.97
