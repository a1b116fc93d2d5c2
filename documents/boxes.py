"""Corners of boxes, read and put on the page; what had to be mended is counted."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from preprocess.blocks import Corners, on_page, scale
from preprocess.errors import InputError
from preprocess.layout import is_number


def read_token(text: Any, place: str) -> str:
    if not isinstance(text, str):
        raise InputError(f"{place}: text {text!r}, expected a string")
    return text.strip()


def read_corners(box: Any, place: str) -> Corners:
    if not isinstance(box, list | tuple) or len(box) != 4 or not all(map(is_number, box)):
        raise InputError(f"{place}: box {box!r}, expected [x0, y0, x1, y1]")
    return tuple(box)


def corners_on_page(box: Corners, size: tuple[int, int], repairs: Counter[str]) -> Corners:
    """A box with its corners in order and on the page; what had to be mended is counted."""
    corners, inverted, outside = on_page(box, size)
    count(repairs, inverted, outside)
    return corners


def count(repairs: Counter[str], inverted: bool, outside: bool) -> None:
    repairs["inverted_boxes"] += inverted
    repairs["boxes_outside_the_page"] += outside


def hull(boxes: Sequence[Corners], size: tuple[int, int]) -> tuple[int, int, int, int]:
    """The box around boxes that are on the page, scaled to 0..1000."""
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return scale((min(lefts), min(tops), max(rights), max(bottoms)), size)
