"""Boxes of words: checked, corners put in order, clipped to the page, scaled to 0..1000; repairs are counted."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from documents.segments import segments
from preprocess.blocks import INVERTED, OUTSIDE, Corners, on_page, scale
from preprocess.errors import InputError
from preprocess.layout import is_number
from preprocess.units import Size, Unit, check_boxes

SEGMENT, WORD = "segment", "word"  # a word has the box of its segment, or its own
BOXES = (SEGMENT, WORD)


def check_boxes_flag(boxes: str) -> None:
    """Raises InputError unless `boxes` is segment or word."""
    if boxes not in BOXES:
        raise InputError(f"--boxes {boxes}: expected {' or '.join(BOXES)}")


def read_token(text: Any, place: str) -> str:
    """A text, stripped; InputError if it is not a string."""
    if not isinstance(text, str):
        raise InputError(f"{place}: text {text!r}, expected a string")
    return text.strip()


def read_corners(box: Any, place: str) -> Corners:
    """A box x0, y0, x1, y1; InputError if it is invalid."""
    if not isinstance(box, list | tuple) or len(box) != 4 or not all(map(is_number, box)):
        raise InputError(f"{place}: box {box!r}, expected [x0, y0, x1, y1]")
    return tuple(box)


def boxes_on_page(
    boxes: Sequence[Corners], unit: Unit, pixels: Size | None, place: str, repairs: Counter[str]
) -> list[Corners]:
    """The boxes of a page, with corners in order and clipped to it, in their unit.

    Args:
        unit: The expected unit.
        pixels: Width and height of the page; None if boxes are not in pixels.
        repairs: Counts the repairs.

    Raises:
        InputError: The boxes are in another unit.
    """
    check_boxes(boxes, unit, pixels, place)
    size = unit.size(pixels or (0, 0))
    return [corners_on_page(box, size, repairs) for box in boxes]


def corners_on_page(box: Corners, size: Size, repairs: Counter[str]) -> Corners:
    """A box with its corners in order, clipped to the page; repairs are counted."""
    corners, inverted, outside = on_page(box, size)
    count(repairs, inverted, outside)
    return corners


def count(repairs: Counter[str], inverted: bool, outside: bool) -> None:
    """Count the repairs of a box."""
    repairs[INVERTED] += inverted
    repairs[OUTSIDE] += outside


def hull(boxes: Sequence[Corners], size: Size) -> tuple[int, int, int, int]:
    """The bounding box of boxes on the page, scaled to 0..1000."""
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return scale((min(lefts), min(tops), max(rights), max(bottoms)), size)


def segment_boxes(boxes: Sequence[Corners], size: Size, pixels: Size) -> list[tuple[int, int, int, int]]:
    """The box of each word's segment, scaled to 0..1000.

    Args:
        boxes: Boxes of the words, on the page.
        size: Size of the page in the unit of the boxes.
        pixels: Size of the page in pixels, for its aspect ratio.
    """
    ratio = (pixels[0] / size[0], pixels[1] / size[1]) * 2
    real = [tuple(value * by for value, by in zip(box, ratio, strict=True)) for box in boxes]
    result: list[tuple[int, int, int, int]] = [(0, 0, 0, 0)] * len(boxes)
    for segment in segments(real):
        around = hull([boxes[word] for word in segment], size)
        for word in segment:
            result[word] = around
    return result
