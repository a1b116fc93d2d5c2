"""Text blocks of document pages: text cells with boxes are joined into lines, and lines into blocks."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from preprocess.prompts import Example

LABEL_WORDS = (
    "Caption",
    "Footnote",
    "Formula",
    "List-item",
    "Page-footer",
    "Page-header",
    "Picture",
    "Section-header",
    "Table",
    "Text",
    "Title",
)  # DocLayNet's classes, in this order everywhere

Box = tuple[float, float, float, float]  # x, y, width, height
Corners = tuple[float, float, float, float]  # x0, y0, x1, y1
UNIT = 1 / 1000  # of a side: the resolution of boxes
INVERTED, OUTSIDE = "inverted_boxes", "boxes_outside_the_page"  # counted repairs


@dataclass(frozen=True)
class Cell:
    """A text cell of the PDF, with its box."""

    text: str
    box: Box


@dataclass(frozen=True)
class Block:
    """A labelled region of a page.

    Args:
        id: `<page>-<n>`; n is its index on the page, by y, then x, including blocks without text.
        text: Text of its lines, top-down; empty if the region contains no text.
        label_word: One of LABEL_WORDS.
        box: x0, y0, x1, y1 on the page scaled to 0..1000, with corners in order, clipped to the page.
        page: Hash or name of the page.
        doc_category: Kind of document; empty if unknown.
        n_lines: Number of lines.
        inverted: Whether the corners of its box were out of order.
        outside: Whether its box extended beyond the page.
    """

    id: str
    text: str
    label_word: str
    box: tuple[int, int, int, int]
    page: str
    doc_category: str
    n_lines: int
    inverted: bool = False
    outside: bool = False

    def repairs(self) -> list[str]:
        """The repairs of its box, for counting."""
        return [INVERTED] * self.inverted + [OUTSIDE] * self.outside

    def example(self) -> Example:
        """The block as an example of a data set, in the group of its page."""
        return Example(self.id, self.text, self.label_word, self.page)


@dataclass(frozen=True)
class Page:
    """The blocks of a page, in order.

    Args:
        image: A path, or the {"bytes", "path"} of `datasets`; None if images were not requested.
        place: The page's file or row, for messages.
    """

    blocks: list[Block]
    image: Any = None
    place: str = ""


def lines_of(cells: Sequence[Cell]) -> list[list[Cell]]:
    """Lines of cells, top-down, each from left to right.

    A cell joins the line with the nearest mean vertical centre, if the distance is at most half the median height of
    the block's cells. Exact duplicates (same box, same text) and cells without text are dropped.
    """
    cells = [cell for cell in dict.fromkeys(cells) if cell.text.strip()]
    if not cells:
        return []
    reach = median(cell.box[3] for cell in cells) / 2
    lines: list[list[Cell]] = []
    for cell in sorted(cells, key=lambda cell: (centre(cell), cell.box[0])):
        distances = [abs(centre(cell) - mean_centre(line)) for line in lines]
        if lines and min(distances) <= reach:
            lines[distances.index(min(distances))].append(cell)
        else:
            lines.append([cell])
    return [sorted(line, key=lambda cell: cell.box[0]) for line in sorted(lines, key=mean_centre)]


def centre(cell: Cell) -> float:
    """The vertical centre of a cell."""
    return cell.box[1] + cell.box[3] / 2


def mean_centre(line: Sequence[Cell]) -> float:
    """The mean vertical centre of a line's cells."""
    return sum(map(centre, line)) / len(line)


def page_blocks(
    regions: Sequence[tuple[Box, str, Sequence[Cell]]], page: str, doc_category: str, size: tuple[float, float]
) -> list[Block]:
    """The blocks of a page, by y, then x.

    Args:
        regions: Box, label word and cells of each region, in any order.
        size: Width and height of the page, in the unit of the boxes.
    """
    blocks = []
    for number, (box, label_word, cells) in enumerate(sorted(regions, key=lambda region: (region[0][1], region[0][0]))):
        lines = lines_of(cells)
        text = " ".join(cell.text.strip() for line in lines for cell in line)
        x, y, width, height = box
        corners, inverted, outside = on_page((x, y, x + width, y + height), size)
        about = (page, doc_category, len(lines), inverted, outside)
        blocks.append(Block(f"{page}-{number}", text, label_word, scale(corners, size), *about))
    return blocks


def on_page(box: Corners, size: tuple[float, float]) -> tuple[Corners, bool, bool]:
    """A box with its corners in order, clipped to the page; whether it was inverted; whether it was outside.

    A box that extends beyond the page by less than 1/1000 of a side was rounded and does not count as outside.

    Args:
        size: Width and height of the page, in the unit of the box.
    """
    (x0, x1), (y0, y1), (width, height) = sorted(box[::2]), sorted(box[1::2]), size
    inverted = (x0, y0, x1, y1) != tuple(box)
    outside = min(x0 / width, y0 / height) <= -UNIT or max(x1 / width, y1 / height) >= 1 + UNIT
    clamped = min(max(x0, 0), width), min(max(y0, 0), height), min(max(x1, 0), width), min(max(y1, 0), height)
    return clamped, inverted, outside


def scale(box: Corners, size: tuple[float, float]) -> tuple[int, int, int, int]:
    """A box on a page of `size`, scaled to 0..1000."""
    x0, y0, x1, y1 = (round(1000 * (value / whole)) for value, whole in zip(box, size * 2, strict=True))
    return x0, y0, x1, y1
