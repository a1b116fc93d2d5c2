"""DocBank's samples (Li et al. 2020): one file a page, one token a line, as labelled blocks under DocLayNet's labels.

A line: token, x0, y0, x1, y1 (0-1000), R, G, B, font, label, separated by tabs, in reading order.
"""

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from statistics import median

from preprocess.blocks import Block, Cell, page_blocks
from preprocess.errors import InputError

LABEL_WORDS = {
    "caption": "Caption",
    "equation": "Formula",
    "list": "List-item",
    "footer": "Page-footer",
    "figure": "Picture",
    "section": "Section-header",
    "table": "Table",
    "title": "Title",
    "abstract": "Text",
    "author": "Text",
    "date": "Text",
    "paragraph": "Text",
    "reference": "Text",
}
FIGURE = "##LTFigure##"  # stands for a picture, which has no text here
RULES = ("##LTLine##", "##LTRect##", "##LTCurve##")  # stand for strokes, which are no part of any block
MAX_GAP = 1.5  # median line heights between two lines of one block


def read_tokens(path: Path) -> list[tuple[Cell, str]]:
    """The tokens of a page, each with its DocBank label; strokes are left out.

    Raises:
        InputError: A line that is not of the form; names file and line.
    """
    tokens = []
    with path.open(encoding="utf-8", errors="replace", newline="\n") as file:
        for number, line in enumerate(file, start=1):
            columns = line.rstrip("\r\n").split("\t")
            if len(columns) != 10 or not all(column.isdecimal() for column in columns[1:5]):
                raise InputError(f"{path}: line {number}: expected token, four numbers, R, G, B, font and label")
            if columns[9] not in LABEL_WORDS:
                raise InputError(f"{path}: line {number}: label {columns[9]!r} is none of {', '.join(LABEL_WORDS)}")
            if columns[0] in RULES:
                continue
            x0, y0, x1, y1 = map(int, columns[1:5])
            text = "" if columns[0] == FIGURE else columns[0]
            tokens.append((Cell(text, (x0, y0, x1 - x0, y1 - y0)), columns[9]))
    return tokens


def split_run(cells: list[Cell]) -> Iterator[list[Cell]]:
    """Cut a run of tokens of one label into blocks: at a gap of more than 1.5 line heights, and where y jumps up."""
    height = median(cell.box[3] for cell in cells)
    block: list[Cell] = []
    top = bottom = 0.0  # of the line that is being read
    for cell in cells:
        y0, y1 = cell.box[1], cell.box[1] + cell.box[3]
        if block and (y0 - bottom > MAX_GAP * height or y1 < top):
            yield block
            block = []
        if not block or y0 >= bottom:  # the first token of a line
            top, bottom = y0, y1
        else:
            bottom = max(bottom, y1)
        block.append(cell)
    yield block


def read_page(path: Path) -> list[Block]:
    """The blocks of one page; the page is called by its file's name."""
    regions = []
    for label, run in groupby(read_tokens(path), key=lambda token: token[1]):
        for cells in split_run([cell for cell, _ in run]):
            x0, y0 = min(cell.box[0] for cell in cells), min(cell.box[1] for cell in cells)
            x1 = max(cell.box[0] + cell.box[2] for cell in cells)
            y1 = max(cell.box[1] + cell.box[3] for cell in cells)
            regions.append(((x0, y0, x1 - x0, y1 - y0), LABEL_WORDS[label], cells))
    return page_blocks(regions, path.stem, "scientific_articles", (1000, 1000))


def page_files(folder: Path) -> list[Path]:
    """The token files of a DocBank folder, by name in the C locale: those below txt/ if there is such a folder."""
    inside = folder / "txt" if (folder / "txt").is_dir() else folder
    return sorted(inside.glob("*.txt"), key=lambda path: path.name.encode())
