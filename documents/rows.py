"""Rows of a data set: id, image, tokens, bboxes (0..1000) and ner_tags (classes by number), a page each.

So FUNSD is on the hub, and so images are stored that were annotated.
"""

from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from documents.boxes import corners_on_page, hull, read_corners, read_token
from documents.pages import Source
from preprocess.blocks import Block, Page
from preprocess.errors import InputError
from preprocess.pages import row_image
from preprocess.sources import Table, find_table

COLUMNS = ("id", "tokens", "bboxes", "ner_tags")


def rows_source(name: str, path: str) -> Source:
    """A data set of rows, with the label words that it names itself.

    Raises:
        InputError: None at this path, or one whose classes have no names.
    """
    table = find_table(path, "train") or find_table(path, "test")
    if table is None:
        forms = "training_data/ and testing_data/ or " if name == "funsd" else ""
        raise InputError(
            f"{path}: no data set for --dataset {name}: expected {forms}dataset_dict.json as `save_to_disk` writes it, "
            "or parquet files named train and test (--dataset_path)"
        )
    label_words, repairs = class_names(table), Counter[str]()
    table_name = name if name == "funsd" else Path(path).resolve().name  # sets of one's own are told apart
    return Source(name, label_words, partial(read_rows, label_words, repairs), path, table_name, False, repairs)


def class_names(table: Table) -> tuple[str, ...]:
    names = table.class_names("ner_tags")
    if not names:
        raise InputError(
            f"{table.place}: no names of the classes: expected a column ner_tags of lists of ClassLabel, as --dataset "
            f"funsd and annotations have; --dataset doclaynet reads pages of DocLayNet and DocBank ({table.flag})"
        )
    return tuple(names)


def read_rows(
    label_words: tuple[str, ...], repairs: Counter[str], path: str, split: str, flag: str, images: bool
) -> Iterator[Page] | None:
    """The pages of a split of rows.

    Raises:
        InputError: Its classes are others than `label_words`; a row that is broken.
    """
    table = find_table(path, split, flag)
    if table is None:
        return None
    if class_names(table) != label_words:
        raise InputError(
            f"{path}: the classes of {split} are {', '.join(class_names(table))}, those of the data set "
            f"{', '.join(label_words)} ({flag})"
        )
    return (
        row_page(row, f"{path}: {split} row {number}", label_words, images, repairs)
        for number, row in enumerate(table.rows(images))
    )


def row_page(
    row: dict[str, Any], place: str, label_words: tuple[str, ...], images: bool, repairs: Counter[str]
) -> Page:
    """The tokens of a row; a token may be a text of several words."""
    if not all(column in row for column in COLUMNS):
        raise InputError(f"{place}: expected the columns {', '.join(COLUMNS)}; found {', '.join(row)}")
    columns = [row["tokens"], row["bboxes"], row["ner_tags"]]
    lengths = [len(column) if isinstance(column, list) else None for column in columns]
    if None in lengths or len(set(lengths)) > 1:
        raise InputError(f"{place}: expected equally long lists tokens, bboxes, ner_tags; found {lengths}")
    page, blocks = str(row["id"]), []
    for number, (token, box, tag) in enumerate(zip(*columns, strict=True)):
        where = f"{place}: token {number}"
        text, corners = read_token(token, where), read_corners(box, where)
        if not isinstance(tag, int) or isinstance(tag, bool) or not 0 <= tag < len(label_words):
            raise InputError(f"{where}: ner_tag {tag!r}, expected 0 to {len(label_words) - 1}")
        repairs["blank_words"] += not text
        if not text:
            continue
        scaled = hull([corners_on_page(corners, (1000, 1000), repairs)], (1000, 1000))
        blocks.append(Block(f"{page}-{number}", text, label_words[tag], scaled, page, "", 1))
    return Page(blocks, row_image(row, place) if images else None, place)
