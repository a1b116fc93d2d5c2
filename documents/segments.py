"""Words -> segments: lines of a page, split at wide gaps, which give words from OCR their segment boxes."""

from collections.abc import Sequence
from statistics import median

from preprocess.blocks import Cell, Corners, lines_of

WIDE = 0.8  # median word heights; on FUNSD's train forms, segments then agree best with entities


def segments(boxes: Sequence[Corners]) -> list[list[int]]:
    """The words of each segment, from left to right; segments top-down.

    Args:
        boxes: x0, y0, x1, y1 of each word, in the same unit in both directions.
    """
    cells = [Cell(str(word), (x0, y0, x1 - x0, y1 - y0)) for word, (x0, y0, x1, y1) in enumerate(boxes)]
    result: list[list[int]] = []
    for line in lines_of(cells):
        gap = WIDE * median(cell.box[3] for cell in line)
        end = None  # right end of the current segment
        for cell in line:
            if end is None or cell.box[0] - end > gap:
                result.append([])
            result[-1].append(int(cell.text))
            right = cell.box[0] + cell.box[2]
            end = right if end is None else max(end, right)
    return result
