"""Data sets with a page in each row: id, image, tokens (or words), bboxes (0..1000) and ner_tags (class numbers).

FUNSD and CORD on the hub and the annotated images of run_preprocess_annotations.py have this format.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

from documents.boxes import SEGMENT, boxes_on_page, read_corners, read_token, segment_boxes
from documents.images import image_size
from documents.pages import Source
from preprocess.blocks import Block, Corners, Page, scale
from preprocess.errors import InputError
from preprocess.pages import row_image
from preprocess.sources import Table, find_table
from preprocess.units import PIXELS, Unit

COLUMNS = ("id", "tokens", "bboxes", "ner_tags")
WORDS = "words"  # name of the tokens in CORD


@dataclass(frozen=True)
class RowReading:
    """How rows are read.

    Args:
        label_words: In the order of the classes.
        unit: Unit of the boxes.
        boxes: segment or word, as for `--boxes`.
        repairs: Counts the repairs.
    """

    label_words: tuple[str, ...]
    unit: Unit
    boxes: str
    repairs: Counter[str]


def rows_source(name: str, path: str, unit: Unit, boxes: str) -> Source:
    """A data set of rows, with its own label words.

    Args:
        unit: Unit of the boxes.
        boxes: segment or word; segments are made from word boxes.

    Raises:
        InputError: There is no such data set, or its classes have no names.
    """
    table = find_table(path, "train") or find_table(path, "test")
    if table is None:
        forms = "training_data/ and testing_data/ or " if name == "funsd" else ""
        raise InputError(
            f"{path}: no data set for --dataset {name}: expected {forms}dataset_dict.json written by `save_to_disk`, "
            "or parquet files named train and test (--dataset_path)"
        )
    label_words, repairs = class_names(table), Counter[str]()
    if name == "funsd" and WORDS in (table.features() or {}):
        name = "cord"
    table_name = Path(path).resolve().name if name == "annotations" else name  # distinguishes users' data sets
    reading = RowReading(label_words, unit, boxes, repairs)
    return Source(name, label_words, partial(read_rows, reading), path, table_name, False, repairs)


def class_names(table: Table) -> tuple[str, ...]:
    """The class names of ner_tags; InputError if it has none."""
    names = table.class_names("ner_tags")
    if not names:
        raise InputError(
            f"{table.place}: no class names: expected a column ner_tags with lists of ClassLabel, as for --dataset "
            f"funsd and annotations; --dataset doclaynet reads pages of DocLayNet and DocBank ({table.flag})"
        )
    return tuple(names)


def read_rows(reading: RowReading, path: str, split: str, flag: str, images: bool) -> Iterator[Page] | None:
    """The pages of a split; None if there is no such split.

    Raises:
        InputError: Its classes differ from those of the data set, or a row is invalid.
    """
    table = find_table(path, split, flag)
    if table is None:
        return None
    if class_names(table) != reading.label_words:
        raise InputError(
            f"{path}: the classes of {split} are {', '.join(class_names(table))}, those of the data set "
            f"{', '.join(reading.label_words)} ({flag})"
        )
    return (
        row_page(row, f"{path}: {split} row {number}", reading, images)
        for number, row in enumerate(table.rows(images or reading.unit.name == PIXELS))
    )


def row_page(row: dict[str, Any], place: str, reading: RowReading, images: bool) -> Page:
    """The tokens of a row as blocks; a token may contain several words.

    Raises:
        InputError: A column is missing or invalid, boxes are in another unit, or a required image is missing.
    """
    if WORDS in row and "tokens" not in row:
        row = row | {"tokens": row[WORDS]}
    if not all(column in row for column in COLUMNS):
        raise InputError(f"{place}: expected the columns {', '.join(COLUMNS)}; found {', '.join(row)}")
    columns = [row["tokens"], row["bboxes"], row["ner_tags"]]
    lengths = [len(column) if isinstance(column, list) else None for column in columns]
    if None in lengths or len(set(lengths)) > 1:
        raise InputError(f"{place}: expected equally long lists tokens, bboxes, ner_tags; found {lengths}")
    kept: list[tuple[int, str, Corners, int]] = []
    for number, (token, box, tag) in enumerate(zip(*columns, strict=True)):
        where = f"{place}: token {number}"
        text, corners = read_token(token, where), read_corners(box, where)
        if not isinstance(tag, int) or isinstance(tag, bool) or not 0 <= tag < len(reading.label_words):
            raise InputError(f"{where}: ner_tag {tag!r}, expected 0 to {len(reading.label_words) - 1}")
        kept.append((number, text, corners, tag))
    kept = [entry for entry in kept if entry[1]]
    reading.repairs["blank_words"] += len(columns[0]) - len(kept)
    image = row_image(row, place) if images or reading.unit.name == PIXELS else None
    pixels = None if image is None else image_size(image, place)
    placed = boxes_on_page([box for _, _, box, _ in kept], reading.unit, pixels, place, reading.repairs)
    size = reading.unit.size(pixels or (0, 0))
    if reading.boxes == SEGMENT and are_words([text for _, text, _, _ in kept], placed):
        scaled = segment_boxes(placed, size, pixels or size)
    else:
        scaled = [scale(box, size) for box in placed]
    page = str(row["id"])
    blocks = [
        Block(f"{page}-{number}", text, reading.label_words[tag], box, page, "", 1)
        for (number, text, _, tag), box in zip(kept, scaled, strict=True)
    ]
    return Page(blocks, image if images else None, place)


def are_words(texts: Sequence[str], boxes: Sequence[Corners]) -> bool:
    """Whether the boxes are those of single words: each text is one word, and no two adjacent boxes are equal."""
    alone = all(one != other for one, other in pairwise(boxes))
    return len(boxes) > 1 and alone and all(len(text.split()) == 1 for text in texts)
