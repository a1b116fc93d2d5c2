"""Which data set is meant: FUNSD, rows of annotated images, or the pages of DocLayNet and DocBank."""

from collections import Counter
from collections.abc import Iterator
from functools import partial

from documents.boxes import count
from documents.forms import forms_folder, forms_source
from documents.pages import Source, dataset_of
from documents.rows import rows_source
from preprocess.blocks import LABEL_WORDS, Page
from preprocess.doclaynet import DOCLAYNET
from preprocess.errors import InputError
from preprocess.pages import read_pages

FUNSD_PATH = "nielsr/funsd-layoutlmv3"


def source_of(dataset: str, dataset_path: str = "", box_unit: str = "") -> Source:
    """The data set that is meant by `--dataset` and `--dataset_path`; without a path that of the hub.

    Raises:
        InputError: Another data set, no path where one is needed, or a path at which there is no such data set.
    """
    if dataset == "doclaynet":
        path = dataset_path or DOCLAYNET.path
        known = dataset_of(path)
        repairs: Counter[str] = Counter()
        read = partial(read_layout, repairs, box_unit)
        return Source(known.name, LABEL_WORDS, read, path, known.table_name(path), repairs=repairs)
    if dataset == "funsd":
        path = dataset_path or FUNSD_PATH
        return forms_source(path) if forms_folder(path) else rows_source(dataset, path)
    if dataset != "annotations":
        raise InputError(f"--dataset {dataset}: expected funsd, doclaynet or annotations")
    if not dataset_path:
        raise InputError("--dataset annotations: expected --dataset_path, a folder of `save_to_disk` or a hub id")
    return rows_source(dataset, dataset_path)


def read_layout(
    repairs: Counter[str], box_unit: str, path: str, split: str, flag: str, images: bool
) -> Iterator[Page] | None:
    """As `read_pages`, with what was mended counted."""
    pages = read_pages(path, split, flag, images, box_unit)
    return None if pages is None else counted(pages, repairs)


def counted(pages: Iterator[Page], repairs: Counter[str]) -> Iterator[Page]:
    """The pages, with what was mended of the boxes of texts counted."""
    for page in pages:
        for block in page.blocks:
            if block.text:
                count(repairs, block.inverted, block.outside)
        yield page
