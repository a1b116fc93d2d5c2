"""CORD (Park et al. 2019) in the hub's format: rows of an image and its annotation, JSON in the column ground_truth."""

from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import Any

from documents.forms import Form, form_page, iob_words, lines_of_receipt, tags_of
from documents.pages import Source
from preprocess.blocks import Page
from preprocess.errors import InputError
from preprocess.files import parse_json
from preprocess.pages import row_image
from preprocess.sources import Table, find_table
from preprocess.units import Unit

ANNOTATION = "ground_truth"
SPLITS = ("train", "validation", "test")


def cord_source(path: str, unit: Unit, boxes: str) -> Source | None:
    """The receipts at a path, with the label words that they use; None if its rows are not receipts.

    Args:
        unit: Unit of the boxes.
        boxes: As for `forms_source`.

    Raises:
        InputError: A row is not a receipt.
    """
    first = find_table(path, "train") or find_table(path, "test")
    if first is None or not has_annotation(first):
        return None
    labels: set[str] = set()
    for split in SPLITS:
        table = find_table(path, split)
        for number, row in enumerate(() if table is None else table.rows()):
            labels |= tags_of(receipt(row, number, f"{path}: {split} row {number}", "--dataset_path"))
    label_words, repairs = iob_words(labels), Counter[str]()
    read = partial(read_receipts, label_words, unit, boxes, repairs)
    return Source("cord", label_words, read, path, "cord", named=False, repairs=repairs)


def has_annotation(table: Table) -> bool:
    """Whether a table has the column, judged by its declared columns or else by its first row."""
    return ANNOTATION in (table.features() or next(table.rows(), {}))


def receipt(row: dict[str, Any], number: int, place: str, flag: str) -> Form:
    """The lines of the receipt in a row.

    Raises:
        InputError: The annotation is not JSON, or not in CORD's format.
    """
    raw = row.get(ANNOTATION)
    content = parse_json(raw, place, flag) if isinstance(raw, str) else None
    if not isinstance(content, dict) or not isinstance(content.get("valid_line"), list):
        raise InputError(f"{place}: expected JSON with a list 'valid_line' in the column {ANNOTATION} ({flag})")
    return Form(str(number), place, [], list(lines_of_receipt(content["valid_line"], place)))


def read_receipts(
    label_words: tuple[str, ...],
    unit: Unit,
    boxes: str,
    repairs: Counter[str],
    path: str,
    split: str,
    flag: str,
    images: bool,
) -> Iterator[Page] | None:
    """The receipts of a split; None if there is no such split."""
    table = find_table(path, split, flag)
    if table is None:
        return None
    rows = ((row, number, f"{path}: {split} row {number}") for number, row in enumerate(table.rows(images=True)))
    return (
        form_page(receipt(row, number, place, flag), row_image(row, place), label_words, unit, boxes, repairs, images)
        for row, number, place in rows
    )
