"""Pages without labels for pre-training: images with words and boxes of any supported data set; labels are not read.

doclaynet, docbank    text cells or tokens; regions are not read either
funsd, annotations    words of forms, rows of annotated images
pages                 a folder of images, each with its words from OCR in a JSON file of the same name
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from tqdm import tqdm

from documents.boxes import SEGMENT, segment_boxes
from documents.forms import FUNSD_WORDS, form_files, form_page, forms_folder, forms_of
from documents.images import image_size
from documents.pages import Keep, Splits, hold_out
from documents.rows import RowReading, are_words, row_page
from documents.sources import FORMS, counted
from documents.words import words_of_page
from preprocess.blocks import Block, Page, scale
from preprocess.cells import NO_CLASS
from preprocess.doclaynet import DOCLAYNET
from preprocess.errors import InputError
from preprocess.files import PathFlag, read_json
from preprocess.pages import IMAGE_ENDINGS, dataset_of_size, find_image, read_pages
from preprocess.sources import find_table
from preprocess.units import PIXELS, THOUSANDTHS, check_unit, unit_of

DATASETS = ("doclaynet", "docbank", "funsd", "annotations", "pages")
FLAG = "--dataset_path"
ALL_SPLITS = ("train", "test")  # pages without splits are read as `test`


@dataclass(frozen=True)
class UnlabelledOptions:
    """Where pages come from; their labels are not read.

    Args:
        dataset: Comma-separated: doclaynet, docbank, funsd, annotations, pages (a folder of images, each with a JSON
            list of {text, box} of the same name beside it or in words/). If there are splits, train is read.
        dataset_path: Hub ids or folders of the data sets, comma-separated; default the hub for doclaynet and funsd.
        train_pages: Number of pages of each data set, the first in order; 0 uses all.
        validation_fraction: Fraction of the pages that is held out.
        dataset_size: small, base or large: that part of DocLayNet on the hub, instead of --dataset_path.
        box_unit: Unit of the boxes: pixels, percent, 0..1000 or 0..1; default pixels, for rows and DocBank 0..1000.
    """

    dataset: str = "doclaynet"
    dataset_path: PathFlag = ""
    train_pages: int = 0
    validation_fraction: float = 0.1
    dataset_size: str = ""
    box_unit: str = ""

    def __post_init__(self) -> None:
        for name in self.datasets:
            if name not in DATASETS:
                raise InputError(f"--dataset {name}: expected {', '.join(DATASETS)}")
        if self.train_pages < 0:
            raise InputError(f"--train_pages {self.train_pages}: expected 0 or more")
        if not 0 < self.validation_fraction < 1:
            raise InputError(f"--validation_fraction {self.validation_fraction}: expected a number between 0 and 1")
        check_unit(self.box_unit)
        paths = self.paths()
        if len(paths) != len(self.datasets):
            raise InputError(f"--dataset_path: {len(paths)} paths for {len(self.datasets)} data sets (--dataset)")
        for name, path in zip(self.datasets, paths, strict=True):
            if not path:
                raise InputError(f"--dataset {name}: expected its path in --dataset_path")

    @property
    def datasets(self) -> list[str]:
        """The names in `dataset`."""
        return [name.strip() for name in self.dataset.split(",")]

    def paths(self) -> list[str]:
        """The hub id or folder of each data set; empty if there is no default."""
        given = dataset_of_size(self.dataset_size, self.dataset_path)
        if given:
            return [path.strip() for path in given.split(",")]
        return [({"doclaynet": DOCLAYNET.path} | FORMS).get(name, "") for name in self.datasets]


def read_unlabelled(options: UnlabelledOptions, boxes: str, seed: int, keep: Keep) -> Splits:
    """The train pages and held-out pages that have text.

    Args:
        boxes: Box of each word: that of its segment (segment) or its own (word).
        keep: Converts a page with its image.

    Raises:
        InputError: There is no such data set, fewer than two pages have text, or a page is invalid.
    """
    repairs: Counter[str] = Counter()
    pages, blank = [], 0
    for name, path in zip(options.datasets, options.paths(), strict=True):
        read = islice(pages_of(name, path, options.box_unit, boxes, repairs), options.train_pages or None)
        for page in tqdm(read, desc=f"{name} pages", unit="page", disable=None):
            page = in_words(page)
            if page.blocks:
                pages.append(keep(page))
            blank += not page.blocks
    train, validation = hold_out(pages, options.validation_fraction, seed)
    return Splits(train, validation, [], {}, 0, {"train": blank}, dict(repairs))


def pages_of(dataset: str, path: str, box_unit: str, boxes: str, repairs: Counter[str]) -> Iterator[Page]:
    """The pages of one data set, with their images.

    Raises:
        InputError: There are none.
    """
    if dataset == "pages":
        return pages_of_folder(Path(path), box_unit, boxes, repairs)
    for split in ALL_SPLITS:
        pages = split_of(dataset, path, split, box_unit, boxes, repairs)
        if pages is not None:
            return pages
    raise InputError(f"{path}: no pages of --dataset {dataset} in it ({FLAG})")


def split_of(
    dataset: str, path: str, split: str, box_unit: str, boxes: str, repairs: Counter[str]
) -> Iterator[Page] | None:
    """The pages of a split; None if there is no such split."""
    if dataset in ("doclaynet", "docbank"):
        pages = read_pages(path, split, FLAG, True, box_unit, labelled=False)
        return None if pages is None else (in_segments(page, boxes) for page in counted(pages, repairs))
    if dataset in FORMS and forms_folder(path):
        unit, files = unit_of(box_unit, PIXELS), form_files(path, split)
        forms = (form for file in files for form in forms_of(read_json(file, FLAG), file))
        hidden = (replace(form, entities=[("other", words, at) for _, words, at in form.entities]) for form in forms)
        pages = (
            form_page(form, find_image(Path(form.place), form.images), FUNSD_WORDS, unit, boxes, repairs, True)
            for form in hidden
        )
        return pages if files else None
    table = find_table(path, split, FLAG)
    reading = RowReading((NO_CLASS,), unit_of(box_unit, THOUSANDTHS), boxes, repairs)
    return None if table is None else pages_of_table(table.rows(True), f"{path}: {split}", reading)


def pages_of_table(rows: Iterator[dict[str, Any]], place: str, reading: RowReading) -> Iterator[Page]:
    """The pages of rows, with their labels hidden."""
    for number, row in enumerate(rows):
        tokens = row.get("tokens")
        hidden = row | {"ner_tags": [0] * len(tokens) if isinstance(tokens, list) else None}
        yield row_page(hidden, f"{place} row {number}", reading, True)


def in_segments(page: Page, boxes: str) -> Page:
    """The page with segment boxes, if `boxes` is segment and its blocks are single words."""
    texts, own = [block.text for block in page.blocks], [block.box for block in page.blocks]
    if boxes != SEGMENT or not are_words(texts, own):
        return page
    placed = segment_boxes(own, (1000, 1000), image_size(page.image, page.place))
    return replace(page, blocks=[replace(block, box=box) for block, box in zip(page.blocks, placed, strict=True)])


def in_words(page: Page) -> Page:
    """A page with a block for each word; the words of a cell have its box."""
    words = [(block, number, word) for block in page.blocks for number, word in enumerate(block.text.split())]
    return replace(page, blocks=[replace(block, id=f"{block.id}-{number}", text=word) for block, number, word in words])


def pages_of_folder(folder: Path, box_unit: str, boxes: str, repairs: Counter[str]) -> Iterator[Page]:
    """The images of a folder or of its subfolder images/, sorted by name, each with its words from OCR.

    Raises:
        InputError: There are no images, or an image has no file of words.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder ({FLAG})")
    places = [place for place in (folder, folder / "images") if place.is_dir()]
    images = [file for place in places for file in sorted(place.iterdir()) if file.suffix.lower() in IMAGE_ENDINGS]
    if not images:
        raise InputError(f"{folder}: no image in it with {', '.join(IMAGE_ENDINGS)} ({FLAG})")
    for image in images:
        near = [image.parent, folder / "words", folder]
        words = next((place for place in near if (place / f"{image.stem}.json").is_file()), image.parent)
        yield page_of_words(image, words, box_unit, boxes, repairs)


def page_of_words(image: Path, folder: Path, box_unit: str, boxes: str, repairs: Counter[str]) -> Page:
    """The page of an image, with its words from the file in `folder`."""
    size = image_size(image, FLAG)
    read = words_of_page(folder, image.name, size, box_unit, str(image), FLAG, "--box_unit", repairs)
    words = [(text.strip(), box) for text, box in read if text.strip()]
    placed = [scale(box, size) for _, box in words]
    if boxes == SEGMENT and are_words([text for text, _ in words], [box for _, box in words]):
        placed = segment_boxes([box for _, box in words], size, size)
    blocks = [
        Block(f"{image.stem}-{number}", text, NO_CLASS, place, image.stem, "", 1)
        for number, ((text, _), place) in enumerate(zip(words, placed, strict=True))
    ]
    return Page(blocks, image, str(image))
