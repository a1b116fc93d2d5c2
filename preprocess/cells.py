"""The text of a page without classes: words or cells with their own boxes. Classes and regions are not read.

It reads the formats of `preprocess.layout`, DocBank's lines, and the cells beside DocLayNet's COCO files.
"""

from collections.abc import Sequence
from typing import Any

from preprocess.blocks import Block, Cell, on_page, scale
from preprocess.errors import InputError
from preprocess.layout import corners, layout_of, read_cell
from preprocess.units import Size, Unit, check_boxes

FORMS = {"texts": ("texts", "bboxes_line"), "form": ("text", "box_line"), "pdf_cells": ("text", "bbox")}
NO_CLASS = ""


def row_cells(row: Any, place: str, unit: Unit | None = None) -> list[Block]:
    """The cells of one page, in the order of its row, without duplicates and cells without text.

    Raises:
        InputError: Unknown format, an invalid cell, or boxes in another unit; the message begins with `place`.
    """
    if not isinstance(row, dict):
        raise InputError(f"{place}: expected an object for a page")
    form = next((name for name in FORMS if name in row), None)
    if form is None:
        raise InputError(f"{place}: not a DocLayNet page, expected a field 'texts', 'pdf_cells' or 'form'")
    about = row if form == "texts" else row.get("metadata") or {}
    if not isinstance(about, dict):
        raise InputError(f"{place}: metadata {about!r}, expected an object")
    page = layout_of({}, about, str(about.get("page_hash") or row.get("id") or place), place)
    return placed(all_cells(row, form, place), page.page, page.size, place, unit)


def all_cells(row: dict[str, Any], form: str, place: str) -> list[Cell]:
    """All cells of a row, regardless of their regions."""
    text, box = FORMS[form]
    if form == "texts":
        columns = [row.get(name) for name in (text, box)]
        if not all(isinstance(column, list) for column in columns) or len(columns[0]) != len(columns[1]):
            raise InputError(f"{place}: expected equally long lists {text}, {box}")
        pairs = list(zip(*columns, strict=True))
    else:
        entries = row[form]
        if form == "pdf_cells" and isinstance(entries, list):  # a list of them for each region
            entries = [
                cell for inside in entries for cell in (inside if isinstance(inside, list) else [inside]) if cell
            ]
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise InputError(f"{place}: {form} {entries!r:.80}, expected objects with {text} and {box}")
        pairs = [(entry.get(text), entry.get(box)) for entry in entries]
    return [read_cell(*pair, f"{place}: cell {number}") for number, pair in enumerate(pairs)]


def placed(cells: Sequence[Cell], page: str, pixels: Size, place: str, unit: Unit | None) -> list[Block]:
    """Cells as blocks without a class, on the page scaled to 0..1000.

    Args:
        page: Name of the page.
        pixels: Size of the page in pixels.
        unit: Unit of the boxes, which are checked against it; None: pixels, not checked.
    """
    size = pixels if unit is None else unit.size(pixels)
    if unit is not None:
        check_boxes([corners(cell.box) for cell in cells], unit, pixels, place)
    blocks = []
    for number, cell in enumerate(dict.fromkeys(cells)):
        box, inverted, outside = on_page(corners(cell.box), size)
        about = (page, "", 1, inverted, outside)
        blocks.append(Block(f"{page}-{number}", cell.text.strip(), NO_CLASS, scale(box, size), *about))
    return [block for block in blocks if block.text]
