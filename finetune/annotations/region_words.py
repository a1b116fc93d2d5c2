"""Words from OCR -> texts of regions: a word belongs to the region that contains its centre."""

from collections.abc import Sequence

from preprocess.blocks import Cell, Corners, lines_of


def words_in_regions(regions: Sequence[Corners], words: Sequence[tuple[str, Corners]]) -> list[str]:
    """The text of each region: its words by lines, from left to right. If regions overlap, a word belongs to the
    smallest.

    Args:
        regions: x0, y0, x1, y1 of each.
        words: Text and box of each word, in the same unit.
    """
    areas = [(x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in regions]
    inside: list[list[Cell]] = [[] for _ in regions]
    for text, (x0, y0, x1, y1) in words:
        across, down = (x0 + x1) / 2, (y0 + y1) / 2
        around = [n for n, box in enumerate(regions) if box[0] <= across <= box[2] and box[1] <= down <= box[3]]
        if around and text.strip():
            inside[min(around, key=areas.__getitem__)].append(Cell(text.strip(), (x0, y0, x1 - x0, y1 - y0)))
    return [" ".join(cell.text for line in lines_of(cells) for cell in line) for cells in inside]
