"""Selects the reader of a data set: FUNSD and other forms, rows of annotated images, or DocLayNet and DocBank pages."""

from collections import Counter
from collections.abc import Iterator
from functools import partial

from documents.boxes import SEGMENT, count
from documents.cord import cord_source
from documents.forms import forms_folder, forms_source
from documents.pages import Source, dataset_of
from documents.rows import rows_source
from preprocess.blocks import LABEL_WORDS, Page
from preprocess.doclaynet import DOCLAYNET
from preprocess.errors import InputError
from preprocess.pages import read_pages
from preprocess.units import PIXELS, THOUSANDTHS, unit_of

FORMS = {"funsd": "nielsr/funsd-layoutlmv3"}  # data set of forms -> its rows on the hub


def source_of(dataset: str, dataset_path: str = "", box_unit: str = "", boxes: str = SEGMENT) -> Source:
    """The data set of `--dataset` and `--dataset_path`; without a path, that of the hub.

    Args:
        box_unit: Unit of the boxes; empty: the default of the format.
        boxes: segment: a word has the box of its segment; word: its own box.

    Raises:
        InputError: The data set is unknown, or its path is unset or wrong.
    """
    path, unit = dataset_path, box_unit
    if dataset == "doclaynet":
        if boxes != SEGMENT:
            raise InputError(f"--boxes {boxes}: expected {SEGMENT} with --dataset doclaynet, which is read by blocks")
        path = path or DOCLAYNET.path
        known = dataset_of(path)
        repairs: Counter[str] = Counter()
        read = partial(read_layout, repairs, unit)
        return Source(known.name, LABEL_WORDS, read, path, known.table_name(path), repairs=repairs)
    if dataset in FORMS:
        path = path or FORMS[dataset]
        if forms_folder(path):
            return forms_source(path, unit_of(unit, PIXELS), boxes)
        receipts = cord_source(path, unit_of(unit, PIXELS), boxes) if path != FORMS[dataset] else None
        if receipts is not None:
            return receipts
        return rows_source(dataset, path, unit_of(unit, THOUSANDTHS), boxes)
    if dataset != "annotations":
        raise InputError(f"--dataset {dataset}: expected funsd, doclaynet or annotations")
    if not path:
        raise InputError("--dataset annotations: expected --dataset_path, a folder of `save_to_disk` or a hub id")
    return rows_source(dataset, path, unit_of(unit, THOUSANDTHS), boxes)


def read_layout(
    repairs: Counter[str], box_unit: str, path: str, split: str, flag: str, images: bool
) -> Iterator[Page] | None:
    """As `read_pages`, with repairs counted."""
    pages = read_pages(path, split, flag, images, box_unit)
    return None if pages is None else counted(pages, repairs)


def counted(pages: Iterator[Page], repairs: Counter[str]) -> Iterator[Page]:
    """The pages, with the repairs of boxes counted."""
    for page in pages:
        for block in page.blocks:
            if block.text:
                count(repairs, block.inverted, block.outside)
        yield page
