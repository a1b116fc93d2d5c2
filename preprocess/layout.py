"""A DocLayNet page in each of its formats: regions with a class and their text cells.

    texts, bboxes_block, bboxes_line, categories   parallel lists, an entry for each cell (rows of pierreguillou's sets)
    form: [{text, category, box, box_line}]        an entry for each cell (files in their zip), with metadata
    bboxes, category_id, pdf_cells                 an entry for each region, with its cells (v1.2), with metadata

All boxes are x, y, width, height in pixels of the page image.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from preprocess.blocks import LABEL_WORDS, Block, Box, Cell, Corners, page_blocks
from preprocess.errors import InputError
from preprocess.units import Size, Unit, check_boxes

FAR = 1e100  # maximum coordinate; JSON allows integers that are too large for a float
PAGE_SIZE = (1025, 1025)  # default page size of DocLayNet, in pixels
LABEL_NUMBERS = {word.lower(): number for number, word in enumerate(LABEL_WORDS)}

Regions = dict[tuple[Box, int], list[Cell]]  # (box, number of the label word) -> cells


@dataclass(frozen=True)
class Layout:
    """A page as stored in its file.

    Args:
        size: Width and height in pixels.
        page: Its hash or name.
        place: Its file or row, for messages.
    """

    regions: Regions
    size: Size
    page: str
    doc_category: str
    place: str

    def blocks(self, unit: Unit | None = None) -> list[Block]:
        """The blocks of the page, by y, then x.

        Args:
            unit: Unit of the boxes, which are checked against it; None: pixels, not checked.

        Raises:
            InputError: The boxes are in another unit.
        """
        if unit is not None:
            check_boxes([corners(box) for box, _ in self.regions], unit, self.size, self.place)
        labelled = [(box, LABEL_WORDS[label], cells) for (box, label), cells in self.regions.items()]
        return page_blocks(labelled, self.page, self.doc_category, self.size if unit is None else unit.size(self.size))


def corners(box: Box) -> Corners:
    """x0, y0, x1, y1 of a box x, y, width, height."""
    x, y, width, height = box
    return x, y, x + width, y + height


def row_blocks(row: dict[str, Any], place: str, unit: Unit | None = None) -> list[Block]:
    """The blocks of one page, from a row in any format; see `read_layout` and `Layout.blocks`."""
    return read_layout(row, place).blocks(unit)


def read_layout(row: dict[str, Any], place: str) -> Layout:
    """The page in a row of any format.

    Raises:
        InputError: Unknown format, lists of unequal length, an invalid box or label; the message begins with `place`.
    """
    if not isinstance(row, dict):
        raise InputError(f"{place}: expected an object for a page")
    forms = {"texts": regions_of_cells, "form": regions_of_form, "pdf_cells": regions_of_annotations}
    form = next((name for name in forms if name in row), None)
    if form is None:
        raise InputError(f"{place}: not a DocLayNet page, expected a field 'texts', 'pdf_cells' or 'form'")
    about = row if form == "texts" else row.get("metadata") or {}
    if not isinstance(about, dict):
        raise InputError(f"{place}: metadata {about!r}, expected an object")
    return layout_of(forms[form](row, place), about, str(about.get("page_hash") or row.get("id") or place), place)


def layout_of(regions: Regions, about: dict[str, Any], page: str, place: str) -> Layout:
    """A page from its regions and its metadata, `about`.

    Raises:
        InputError: The page size is invalid.
    """
    size = (about.get("coco_width") or PAGE_SIZE[0], about.get("coco_height") or PAGE_SIZE[1])
    if not all(is_number(side) and side > 0 for side in size):
        raise InputError(f"{place}: page size {size}, expected two numbers above 0")
    return Layout(regions, size, page, str(about.get("doc_category") or ""), place)


def equal_lists(row: dict[str, Any], names: tuple[str, ...], place: str) -> list[list[Any]]:
    """The columns with these names; InputError unless they are lists of equal length."""
    columns = [row.get(name) for name in names]
    lengths = [len(column) if isinstance(column, list) else None for column in columns]
    if None in lengths or len(set(lengths)) > 1:
        raise InputError(f"{place}: expected equally long lists {', '.join(names)}; found {lengths}")
    return columns


def regions_of_cells(row: dict[str, Any], place: str) -> Regions:
    """Regions from parallel lists of cells: a region is all cells with the same region box and label."""
    columns = equal_lists(row, ("texts", "bboxes_block", "bboxes_line", "categories"), place)
    return grouped(list(zip(*columns, strict=True)), lambda label, where: read_label(label, 0, where), place)


def regions_of_form(row: dict[str, Any], place: str) -> Regions:
    """Regions from a list of cell objects, which name the class."""
    items = row["form"]
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise InputError(f"{place}: form {items!r:.80}, expected a list of objects with text, category, box, box_line")
    cells = [tuple(item.get(name) for name in ("text", "box", "box_line", "category")) for item in items]
    return grouped(cells, read_name, place)


def grouped(cells: list[tuple], read: Callable[[Any, str], int], place: str) -> Regions:
    """Cells (text, box of the region, box of the cell, label) grouped by region."""
    regions: Regions = {}
    for number, (text, block, line, label) in enumerate(cells):
        where = f"{place}: cell {number}"
        regions.setdefault((read_box(block, where), read(label, where)), []).append(read_cell(text, line, where))
    return regions


def regions_of_annotations(row: dict[str, Any], place: str) -> Regions:
    """Regions from parallel lists with an entry for each region; labels count from 1."""
    columns = equal_lists(row, ("bboxes", "category_id", "pdf_cells"), place)
    regions: Regions = {}
    for number, (box, label, inside) in enumerate(zip(*columns, strict=True)):
        where = f"{place}: box {number}"
        key = (read_box(box, where), read_label(label, 1, where))
        if not all(isinstance(cell, dict) for cell in inside or []):
            raise InputError(f"{where}: pdf_cells {inside!r}, expected objects with text and bbox")
        regions.setdefault(key, []).extend(
            read_cell(cell.get("text"), cell.get("bbox"), where) for cell in inside or []
        )
    return regions


def is_number(value: Any) -> bool:
    """Whether a value is a valid coordinate. Python's JSON also reads NaN and Infinity, and true is an int."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < FAR


def read_box(box: Any, place: str) -> Box:
    """A box x, y, width, height; InputError if it is invalid."""
    if not isinstance(box, list | tuple) or len(box) != 4 or not all(map(is_number, box)):
        raise InputError(f"{place}: box {box!r}, expected [x, y, width, height]")
    return tuple(box)


def read_label(label: Any, first: int, place: str) -> int:
    """The index of a label that counts from `first`; InputError if it is invalid."""
    last = first + len(LABEL_WORDS) - 1
    if not isinstance(label, int) or isinstance(label, bool) or not first <= label <= last:
        raise InputError(f"{place}: label {label!r}, expected {first} to {last}")
    return label - first


def read_name(label: Any, place: str) -> int:
    """The index of a class name, ignoring case; InputError if it is unknown."""
    number = LABEL_NUMBERS.get(label.strip().lower()) if isinstance(label, str) else None
    if number is None:
        raise InputError(f"{place}: category {label!r}, expected one of {', '.join(LABEL_WORDS)}")
    return number


def read_cell(text: Any, box: Any, place: str) -> Cell:
    """A cell; InputError if its text or box is invalid."""
    if not isinstance(text, str):
        raise InputError(f"{place}: text {text!r}, expected a string")
    return Cell(text, read_box(box, place))
