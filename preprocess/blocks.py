"""Text blocks of document pages: cells of text with boxes become lines, lines become the text of a block."""

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
)  # DocLayNet's classes in the order that is fixed everywhere

Box = tuple[float, float, float, float]  # x, y, width, height


@dataclass(frozen=True)
class Cell:
    """A piece of text as the PDF holds it, with its box."""

    text: str
    box: Box


@dataclass(frozen=True)
class Block:
    """A labelled region of a page.

    Args:
        id: `<page>-<n>`, n its place on the page, by y, then x, blocks without text included.
        text: Of its lines, top-down; empty where the region holds no text.
        label_word: One of LABEL_WORDS.
        box: x0, y0, x1, y1 on the page scaled to 0..1000, clamped to it.
        page: Hash or name of the page.
        doc_category: Kind of document, empty if not told.
        n_lines: Number of lines.
    """

    id: str
    text: str
    label_word: str
    box: tuple[int, int, int, int]
    page: str
    doc_category: str
    n_lines: int

    def example(self) -> Example:
        return Example(self.id, self.text, self.label_word, self.page)


@dataclass(frozen=True)
class Page:
    """The blocks of a page, in their order.

    Args:
        image: As its source holds it: a path, or the {"bytes", "path"} of `datasets`; None where it was not asked for.
        place: Where the page stands, for messages.
    """

    blocks: list[Block]
    image: Any = None
    place: str = ""


def lines_of(cells: Sequence[Cell]) -> list[list[Cell]]:
    """Cells in lines, top-down, each from left to right.

    A cell joins the line whose mean vertical centre is nearest, if it is within half the median height of the block's
    cells. Exact duplicates (same box, same text) and cells without text are left out.
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
    return cell.box[1] + cell.box[3] / 2


def mean_centre(line: Sequence[Cell]) -> float:
    return sum(map(centre, line)) / len(line)


def page_blocks(
    regions: Sequence[tuple[Box, str, Sequence[Cell]]], page: str, doc_category: str, size: tuple[float, float]
) -> list[Block]:
    """The blocks of a page, by y, then x.

    Args:
        regions: Box, label word and cells of each, in any order.
        size: Width and height of the page, in the units of the boxes.
    """
    blocks = []
    for number, (box, label_word, cells) in enumerate(sorted(regions, key=lambda region: (region[0][1], region[0][0]))):
        lines = lines_of(cells)
        text = " ".join(cell.text.strip() for line in lines for cell in line)
        scaled = scale(box, size)
        blocks.append(Block(f"{page}-{number}", text, label_word, scaled, page, doc_category, len(lines)))
    return blocks


def scale(box: Box, size: tuple[float, float]) -> tuple[int, int, int, int]:
    """x, y, width, height in page units to x0, y0, x1, y1 in 0..1000, clamped to the page."""
    x, y, width, height = box
    corners = [(x, size[0]), (y, size[1]), (x + width, size[0]), (y + height, size[1])]
    x0, y0, x1, y1 = (round(1000 * min(max(value / whole, 0.0), 1.0)) for value, whole in corners)
    return x0, y0, x1, y1
