"""Cell position classification: hand-made areas; cells with masked tokens are left out."""

import numpy as np
import pytest

from documents.chunks import IGNORED
from pretrain.cells import area_labels, area_of, draw_cells


@pytest.mark.parametrize(
    "box, area",
    [
        ((0, 0, 10, 10), 0),
        ((240, 0, 259, 10), 0),  # its centre is 249.5
        ((240, 0, 260, 10), 1),
        ((900, 0, 1000, 10), 3),
        ((0, 400, 10, 560), 4),
        ((990, 990, 1000, 1000), 15),
        ((1000, 1000, 1000, 1000), 15),
    ],
)
def test_area_of_a_cell_is_that_of_its_centre(box, area):
    """Sixteen areas of 250 x 250, row by row."""
    assert area_of(box, 4) == area


def test_cells_with_masked_tokens_are_not_chosen():
    segments = [0, 0, 1, 1, 2, 2, 3, 3]
    masked = np.array([False, True, False, False, False, False, True, True])
    for seed in range(20):
        chosen = draw_cells(segments, masked, 0.5, np.random.default_rng(seed))
        assert not chosen[[0, 1, 6, 7]].any()
        assert chosen[2:6].tolist() == [True] * 4  # whole cells: half of four, both that are left
    assert not draw_cells(segments, np.ones(8, bool), 0.5, np.random.default_rng(0)).any()
    assert draw_cells([], np.zeros(0, bool), 0.5, np.random.default_rng(0)).tolist() == []


def test_labels_are_areas_of_the_chosen():
    boxes, chosen = [(0, 0, 10, 10), (990, 990, 1000, 1000)], np.array([False, True])
    assert area_labels(boxes, chosen, 4) == [IGNORED, 15]
