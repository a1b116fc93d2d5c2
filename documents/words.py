"""Words of a page from OCR: a JSON list of {text, box}, box x0, y0, x1, y1 in pixels of the image."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from documents.boxes import boxes_on_page, read_corners, read_token
from documents.image_names import file_names_of
from preprocess.blocks import Corners
from preprocess.errors import InputError
from preprocess.files import read_json
from preprocess.units import PIXELS, Size, Unit, unit_of

Word = tuple[str, Corners]  # the text, unchanged; its box in pixels, corners in order, clipped to the page


def read_words(
    rows: Sequence[Any], place: str, unit: Unit, pixels: Size, repairs: Counter[str], what: str = "row"
) -> list[Word]:
    """The words of a page, in order, with boxes in pixels.

    Args:
        unit: Unit of the boxes in `rows`.
        pixels: Width and height of the image.
        repairs: Counts the repairs.
        what: Name of a row in messages.

    Raises:
        InputError: A row is invalid, or the boxes are in another unit.
    """
    texts, boxes = [], []
    for number, row in enumerate(rows):
        where = f"{place}: {what} {number}"
        if not isinstance(row, dict):
            raise InputError(f"{where}: {row!r:.40}, expected an object with text and box (--words)")
        text = row.get("text")
        boxes.append(read_corners(row.get("box"), where))
        texts.append("" if text is None and what != "row" else text)  # a region may have no text
        read_token(texts[-1], where)
    placed = boxes_on_page(boxes, unit, pixels, place, repairs)
    if unit.name == PIXELS:
        return list(zip(texts, placed, strict=True))
    by = tuple(whole / side for whole, side in zip(pixels, unit.size(pixels), strict=True)) * 2
    scaled = [tuple(round(value * factor, 2) for value, factor in zip(box, by, strict=True)) for box in placed]
    return list(zip(texts, scaled, strict=True))


def words_of_page(
    folder: Path,
    image: str,
    pixels: Size,
    words_unit: str,
    place: str,
    flag: str = "--words",
    unit_flag: str = "--words_unit",
    repairs: Counter[str] | None = None,
) -> list[Word]:
    """The words of the page whose image an export calls `image`, from the JSON file of that name.

    Args:
        words_unit: The value of `unit_flag`; default pixels.
        place: The page, for messages.
        flag: The flag that names the folder.
        repairs: Counts the repairs.

    Raises:
        InputError: The file is missing or not a list of words.
    """
    names = [name for file in file_names_of(image) for name in (f"{Path(file).stem}.json", f"{file}.json")]
    path = next((folder / name for name in names if (folder / name).is_file()), None)
    if path is None:
        raise InputError(f"{place}: no words of {image!r:.200}: no {folder}/{(names or [''])[0]} ({flag})")
    rows = read_json(path, flag)
    if not isinstance(rows, list):
        raise InputError(f"{path}: {rows!r:.40}, expected a list of words {{text, box}} ({flag})")
    counts = Counter() if repairs is None else repairs
    return read_words(rows, str(path), unit_of(words_unit, PIXELS, unit_flag), pixels, counts)
