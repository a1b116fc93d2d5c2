"""Boxes in another unit than the page's are refused, with the likely unit; inaccurate boxes are accepted."""

from typing import Any

import numpy as np
import pytest

from preprocess.blocks import Corners
from preprocess.errors import InputError
from preprocess.units import UNITS, Unit, check_boxes, check_unit, unit_of

PIXELS = (1240, 1754)


def page(width: float, height: float, count: int = 40, seed: int = 0) -> list[Corners]:
    """Boxes of lines on a page of this size."""
    generator = np.random.default_rng(seed)
    boxes = []
    for top in np.linspace(0.04, 0.95, count):
        left, right = sorted(generator.uniform(0.05, 0.95, 2))
        boxes.append((left * width, top * height, right * width, (top + 0.01) * height))
    return boxes


SIZES = {"0..1": (1, 1), "percent": (100, 100), "0..1000": (1000, 1000), "pixels": PIXELS}


@pytest.mark.parametrize("told", SIZES)
@pytest.mark.parametrize("unit", SIZES)
@pytest.mark.parametrize("count", [1, 5, 40])
def test_every_unit_read_as_every_other(told: str, unit: str, count: int):
    """Fitting boxes are never refused; larger ones are, and so is 0..1; smaller ones may be pages with few words."""
    boxes = page(*SIZES[told], count)
    order = list(SIZES)
    refused = order.index(told) > order.index(unit) or (told == "0..1" and unit != told)
    if (count, told, unit) == (1, "pixels", "0..1000"):
        return  # one line at the top of the page
    if not refused:
        check_boxes(boxes, Unit(unit), PIXELS, "here")
        return
    with pytest.raises(InputError) as error:
        check_boxes(boxes, Unit(unit), PIXELS, "page 7")
    assert str(error.value).startswith("page 7: ")
    assert "look like" in str(error.value)
    assert "--box_unit" in str(error.value)
    if count == 40:
        assert f"look like {told}" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("unit", UNITS)
def test_declared_units_are_used(unit: str):
    check_boxes(page(*SIZES[unit]), unit_of(unit, "percent"), PIXELS, "here")
    if unit != "0..1":
        check_boxes([(0, 0, 1, 1)], unit_of(unit, "percent"), PIXELS, "here")
        with pytest.raises(InputError, match="all boxes"):
            check_boxes([(0, 0, 1, 1)], unit_of("", unit), PIXELS, "here")


def test_a_tenth():
    """More than a tenth of many boxes means another unit; with few boxes or a declared unit, more than half."""
    inside, outside = [(10, 10, 20, 20)], [(90, 90, 130, 95)]
    check_boxes(inside * 18 + outside * 2, Unit("percent"), None, "here")
    check_boxes(inside * 2 + outside * 2, Unit("percent"), None, "here")
    check_boxes(inside * 10 + outside * 10, Unit("percent", declared=True), None, "here")
    check_boxes([(10, 10, 100.9, -0.9)] * 20, Unit("percent"), None, "here")  # drawn over the edge
    check_boxes([(10, 10, 104, 20)], Unit("percent"), None, "here")
    check_boxes([], Unit("percent"), None, "here")
    cases = [(inside * 17 + outside * 3, False), (outside, False), (inside + outside * 2, True)]
    with pytest.raises(InputError, match="1 of 8 boxes"):  # off the page
        check_boxes(inside * 7 + [(101, 10, 130, 20)], Unit("percent"), None, "here")
    for boxes, declared in cases:
        with pytest.raises(InputError, match=r"of \d+ boxes are outside the page, such as \[90, 90, 130, 95\], in"):
            check_boxes(boxes, Unit("percent", declared), None, "here")


@pytest.mark.parametrize(
    ("boxes", "unit", "pixels", "message"),
    [
        (
            [(0, 0, 700, 900)],
            "percent",
            (1000, 1000),
            "they look like 0..1000 or pixels; declare that",
        ),
        ([(0, 0, 700, 900)], "percent", (600, 800), "they look like 0..1000; declare that with --box_unit 0..1000"),
        ([(0, 0, 1700, 1900)], "percent", (2000, 2000), "they look like pixels; declare that with --box_unit pixels"),
        ([(0, 0, 1700, 1900)], "percent", None, "they look like pixels; declare that with --box_unit pixels"),
        ([(0, 0, 1700, 1900)], "pixels", (600, 800), "they fit no other unit; declare their"),
        ([(-80, 0, -20, 1900)], "percent", (600, 800), "they fit no other unit"),
        ([(0, 0, 60, 90)], "0..1", (600, 800), "they look like percent or pixels"),
    ],
)
def test_the_likely_unit_is_named(boxes: list, unit: str, pixels: Any, message: str):
    with pytest.raises(InputError) as error:
        check_boxes(boxes, Unit(unit), pixels, "here")
    assert message in str(error.value)


def test_an_unknown_unit():
    for unit in ("", *UNITS):
        check_unit(unit)
    with pytest.raises(InputError, match=r"--box_unit inches: expected pixels, 0..1000, percent, 0..1"):
        check_unit("inches")
