"""Pages without labels, to pre-train on: images with words and boxes of any data set here, no class looked at.

doclaynet, docbank    cells of text, or tokens; regions are not looked at either
funsd, annotations    words of forms, rows of annotated images
pages                 a folder of images, each with the words that OCR has found in a JSON file of its name
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
ALL_SPLITS = ("train", "test")  # where pages have no split called train, all of them are `test`


@dataclass(frozen=True)
class UnlabelledOptions:
    """Where pages come from; no label of theirs is read.

    Args:
        dataset: doclaynet, docbank, funsd, annotations or pages (a folder of images, each with a JSON list of
            {text, box} of its name beside it or in words/); several with commas. Where there are splits, train is read.
        dataset_path: A hub id or a folder for each data set, with commas; doclaynet and funsd default to the hub's.
        train_pages: Read so many pages of each data set, the first ones; 0 takes all.
        validation_fraction: Part of the pages that is held out.
        dataset_size: small, base or large: that of DocLayNet's parts on the hub, instead of --dataset_path.
        box_unit: What boxes are told in: pixels, percent, 0..1000 or 0..1; default pixels, of rows and DocBank 0..1000.
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
                raise InputError(f"--dataset {name}: expected the path of it (--dataset_path)")

    @property
    def datasets(self) -> list[str]:
        return [name.strip() for name in self.dataset.split(",")]

    def paths(self) -> list[str]:
        """The hub id or folder of each data set; empty where there is no default."""
        told = dataset_of_size(self.dataset_size, self.dataset_path)
        if told:
            return [path.strip() for path in told.split(",")]
        return [({"doclaynet": DOCLAYNET.path} | FORMS).get(name, "") for name in self.datasets]


def read_unlabelled(options: UnlabelledOptions, boxes: str, seed: int, keep: Keep) -> Splits:
    """Train pages and held-out pages that have text.

    Args:
        boxes: Whose box a word has, where words are told: that of its segment (segment) or its own (word).
        keep: What is kept of each page.

    Raises:
        InputError: No such data set, fewer than two pages with text, a page that is broken.
    """
    repairs: Counter[str] = Counter()
    pages, blank = [], 0
    for name, path in zip(options.datasets, options.paths(), strict=True):
        found = islice(pages_of(name, path, options.box_unit, boxes, repairs), options.train_pages or None)
        for page in tqdm(found, desc=f"{name} pages", unit="page", disable=None):
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
        found = split_of(dataset, path, split, box_unit, boxes, repairs)
        if found is not None:
            return found
    raise InputError(f"{path}: no pages of --dataset {dataset} in it ({FLAG})")


def split_of(
    dataset: str, path: str, split: str, box_unit: str, boxes: str, repairs: Counter[str]
) -> Iterator[Page] | None:
    """The pages of a split; None where there is none of its name."""
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
    for number, row in enumerate(rows):
        tokens = row.get("tokens")
        hidden = row | {"ner_tags": [0] * len(tokens) if isinstance(tokens, list) else None}
        yield row_page(hidden, f"{place} row {number}", reading, True)


def in_segments(page: Page, boxes: str) -> Page:
    """A page whose words have the boxes of their segments, where those are asked for and its blocks are words."""
    texts, own = [block.text for block in page.blocks], [block.box for block in page.blocks]
    if boxes != SEGMENT or not are_words(texts, own):
        return page
    found = segment_boxes(own, (1000, 1000), image_size(page.image, page.place))
    return replace(page, blocks=[replace(block, box=box) for block, box in zip(page.blocks, found, strict=True)])


def in_words(page: Page) -> Page:
    """A page with a block for each word; those of a cell have its box."""
    words = [(block, number, word) for block in page.blocks for number, word in enumerate(block.text.split())]
    return replace(page, blocks=[replace(block, id=f"{block.id}-{number}", text=word) for block, number, word in words])


def pages_of_folder(folder: Path, box_unit: str, boxes: str, repairs: Counter[str]) -> Iterator[Page]:
    """The images of a folder, or of images/ in it, by name, each with the words that OCR has found.

    Raises:
        InputError: No image there; one without words.
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
    size = image_size(image, FLAG)
    found = words_of_page(folder, image.name, size, box_unit, str(image), FLAG, "--box_unit", repairs)
    words = [(text.strip(), box) for text, box in found if text.strip()]
    placed = [scale(box, size) for _, box in words]
    if boxes == SEGMENT and are_words([text for text, _ in words], [box for _, box in words]):
        placed = segment_boxes([box for _, box in words], size, size)
    blocks = [
        Block(f"{image.stem}-{number}", text, NO_CLASS, place, image.stem, "", 1)
        for number, ((text, _), place) in enumerate(zip(words, placed, strict=True))
    ]
    return Page(blocks, image, str(image))
