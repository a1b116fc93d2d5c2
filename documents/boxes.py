"""Words with boxes, as files tell them, put on the page: checked, in order, clamped, scaled to 0..1000, and counted."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from documents.segments import segments
from preprocess.blocks import INVERTED, OUTSIDE, Corners, on_page, scale
from preprocess.errors import InputError
from preprocess.layout import is_number
from preprocess.units import Size, Unit, check_boxes

SEGMENT, WORD = "segment", "word"  # whose box a word has
BOXES = (SEGMENT, WORD)


def check_boxes_flag(boxes: str) -> None:
    """Refuse what `--boxes` cannot be."""
    if boxes not in BOXES:
        raise InputError(f"--boxes {boxes}: expected {' or '.join(BOXES)}")


def read_token(text: Any, place: str) -> str:
    if not isinstance(text, str):
        raise InputError(f"{place}: text {text!r}, expected a string")
    return text.strip()


def read_corners(box: Any, place: str) -> Corners:
    if not isinstance(box, list | tuple) or len(box) != 4 or not all(map(is_number, box)):
        raise InputError(f"{place}: box {box!r}, expected [x0, y0, x1, y1]")
    return tuple(box)


def boxes_on_page(
    boxes: Sequence[Corners], unit: Unit, pixels: Size | None, place: str, repairs: Counter[str]
) -> list[Corners]:
    """The boxes of a page, in order and on it, in their unit.

    Args:
        pixels: Width and height of the page; None where boxes are not in pixels.
        repairs: Counts what had to be mended.

    Raises:
        InputError: They are told in another unit.
    """
    check_boxes(boxes, unit, pixels, place)
    size = unit.size(pixels or (0, 0))
    return [corners_on_page(box, size, repairs) for box in boxes]


def corners_on_page(box: Corners, size: Size, repairs: Counter[str]) -> Corners:
    """A box with its corners in order and on the page; what had to be mended is counted."""
    corners, inverted, outside = on_page(box, size)
    count(repairs, inverted, outside)
    return corners


def count(repairs: Counter[str], inverted: bool, outside: bool) -> None:
    repairs[INVERTED] += inverted
    repairs[OUTSIDE] += outside


def hull(boxes: Sequence[Corners], size: Size) -> tuple[int, int, int, int]:
    """The box around boxes that are on the page, scaled to 0..1000."""
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return scale((min(lefts), min(tops), max(rights), max(bottoms)), size)


def segment_boxes(boxes: Sequence[Corners], size: Size, pixels: Size) -> list[tuple[int, int, int, int]]:
    """For each word the box of its segment, scaled to 0..1000.

    Args:
        boxes: Of the words, on the page.
        size: Of the page, in the unit of the boxes.
        pixels: Of the page: its sides have other lengths, which 0..1000 hide.
    """
    ratio = (pixels[0] / size[0], pixels[1] / size[1]) * 2
    real = [tuple(value * by for value, by in zip(box, ratio, strict=True)) for box in boxes]
    found: list[tuple[int, int, int, int]] = [(0, 0, 0, 0)] * len(boxes)
    for segment in segments(real):
        around = hull([boxes[word] for word in segment], size)
        for word in segment:
            found[word] = around
    return found
