"""Word-patch alignment: hand-made cases, and the share of a box compared with counted points."""

import numpy as np
import pytest

from documents.chunks import IGNORED
from pretrain.alignment import ALIGNED, UNALIGNED, alignment_labels, masked_share

SIDE = 10  # patches of 100 x 100, so that cases are drawn in whole numbers


def patches(*masked: tuple[int, int]) -> np.ndarray:
    """Mask patches, each (row, column)."""
    found = np.zeros((SIDE, SIDE), bool)
    for row, column in masked:
        found[row, column] = True
    return found


def labels(box, masked, hidden=False, threshold=0.98):
    return alignment_labels([box], np.array([hidden]), masked, threshold)[0]


def test_97_percent_is_aligned_and_99_percent_is_not():
    """The box covers patch (0, 0), which is masked, and a strip of patch (0, 1), which is not."""
    assert masked_share((0, 0, 100, 100), patches((0, 0))) == 1.0
    assert masked_share((3, 0, 103, 50), patches((0, 0))) == pytest.approx(0.97)
    assert labels((3, 0, 103, 50), patches((0, 0))) == ALIGNED
    assert masked_share((1, 0, 101, 50), patches((0, 0))) == pytest.approx(0.99)
    assert labels((1, 0, 101, 50), patches((0, 0))) == UNALIGNED
    assert labels((1, 0, 101, 50), patches((0, 0)), threshold=0.995) == ALIGNED


def test_exactly_the_threshold_is_aligned():
    """The paper says: more than 98 %."""
    assert labels((2, 0, 102, 50), patches((0, 0)), threshold=masked_share((2, 0, 102, 50), patches((0, 0)))) == ALIGNED


def test_a_segment_over_several_patches():
    """Two of three masked: aligned. All three: not."""
    segment = (50, 210, 250, 290)
    assert masked_share(segment, patches((2, 0), (2, 1))) == pytest.approx(0.75)
    assert labels(segment, patches((2, 0), (2, 1))) == ALIGNED
    assert labels(segment, patches((2, 0), (2, 1), (2, 2))) == UNALIGNED
    assert labels(segment, patches((1, 0), (1, 1), (1, 2))) == ALIGNED  # those above it


def test_masked_tokens_are_left_out():
    assert labels((0, 0, 100, 100), patches((0, 0)), hidden=True) == IGNORED
    both = alignment_labels([(0, 0, 9, 9), (0, 0, 9, 9)], np.array([True, False]), patches((0, 0)), 0.98)
    assert both == [IGNORED, UNALIGNED]


def test_a_page_without_words():
    assert alignment_labels([], np.zeros(0, bool), patches((0, 0)), 0.98) == []


@pytest.mark.parametrize(
    "box", [(150, 120, 150, 180), (110, 150, 190, 150), (150, 150, 150, 150), (1000, 0, 1000, 1000)]
)
def test_boxes_without_area_are_lines_and_points(box):
    assert masked_share(box, np.ones((SIDE, SIDE), bool)) == pytest.approx(1.0)
    assert labels(box, patches((1, 1), *((row, 9) for row in range(SIDE)))) == UNALIGNED
    assert labels(box, patches((5, 5))) == ALIGNED


def test_share_equals_that_of_points():
    """Counted on a lattice of points, for random boxes on the patches of a real page."""
    generator = np.random.default_rng(0)
    for _ in range(50):
        masked = generator.random((14, 14)) < 0.4
        x0, y0 = generator.integers(0, 900, 2).tolist()
        box = (x0, y0, x0 + int(generator.integers(1, 100)), y0 + int(generator.integers(1, 100)))
        points = 0
        steps = 60
        for across in range(steps):
            for down in range(steps):
                x = box[0] + (across + 0.5) * (box[2] - box[0]) / steps
                y = box[1] + (down + 0.5) * (box[3] - box[1]) / steps
                points += bool(masked[min(int(y * 14 / 1000), 13), min(int(x * 14 / 1000), 13)])
        assert masked_share(box, masked) == pytest.approx(points / steps**2, abs=0.03)
