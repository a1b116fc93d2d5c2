"""DocLayNet (Pfitzmann et al. 2022): the text blocks of document pages, eleven classes. DocBank fits too."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

from tqdm import tqdm

from preprocess.blocks import LABEL_WORDS, Block, Box, Cell, Page, page_blocks
from preprocess.build import DataSet, Plan, PromptOptions, limited, locate, read_test, read_train, write_prompt_file
from preprocess.demonstrations import draw_per_class
from preprocess.docbank import page_files, read_page
from preprocess.errors import InputError
from preprocess.files import read_json
from preprocess.prompts import Example
from preprocess.sources import load_rows
from preprocess.templates import read_template

DOCLAYNET = DataSet(
    "doclaynet",
    "docling-project/DocLayNet-v1.2",
    read_template("Block: {text}\nCategory: {label_word}", ["text"], LABEL_WORDS),
    LABEL_WORDS,
    draw_per_class,
    sample="samples/doclaynet",
)
DOCBANK = replace(DOCLAYNET, name="docbank")
FAR = 1e100  # what is farther off is no box: JSON holds integers that are no float
PAGE_SIZE = (1025, 1025)  # the space of DocLayNet's boxes
IMAGE_ENDINGS = (".png", ".jpg", ".jpeg")


@dataclass(frozen=True)
class DocLayNetConfig:
    """Turn the text blocks of document pages into a prompt file.

    Args:
        train_pages: Draw demonstrations from the blocks of so many train pages, the first ones.
        max_demo_words: Cut a demonstration's text to so many words.
        prompts: The options that all data sets share.
    """

    train_pages: int = 500
    max_demo_words: int = 40
    prompts: PromptOptions = field(default_factory=PromptOptions)

    def __post_init__(self) -> None:
        for flag in ("train_pages", "max_demo_words"):
            if getattr(self, flag) < 1:
                raise InputError(f"--{flag} {getattr(self, flag)}: expected 1 or more")


def preprocess_direct(config: DocLayNetConfig) -> None:
    """Page blocks as prompts of the direct method."""
    preprocess(config, "direct")


def preprocess_channel(config: DocLayNetConfig) -> None:
    """Page blocks as prompts of the channel method."""
    preprocess(config, "channel")


def preprocess(config: DocLayNetConfig, method: str) -> None:
    plan = locate(DOCBANK if docbank_files(config.prompts.dataset_path) else DOCLAYNET, config.prompts, method)
    blocks, dropped = [], Counter()
    for page in tqdm(read_test(read_pages, plan), desc="pages", unit="page", disable=None):
        dropped += Counter(block.label_word for block in page.blocks if not block.text)
        blocks += [block.example() for block in page.blocks if block.text]
        if plan.options.shuffle is None and plan.options.limit and len(blocks) >= plan.options.limit:
            break
    test = limited(blocks, plan)
    train = train_blocks(plan, config.train_pages) if plan.options.k else []
    more = {"train_pages": config.train_pages, "max_demo_words": config.max_demo_words}
    write_prompt_file(plan, test, train, dropped=dropped, max_demo_words=config.max_demo_words, more=more)


def train_blocks(plan: Plan, train_pages: int) -> list[Example]:
    """The blocks with text of the first train pages."""
    first = tqdm(islice(read_train(read_pages, plan), train_pages), desc="train pages", unit="page", disable=None)
    return [block.example() for page in first for block in page.blocks if block.text]


def read_pages(
    dataset_path: str, split: str, flag: str = "--dataset_path", images: bool = False
) -> Iterator[Page] | None:
    """The pages of a split, one by one; None where there is no such split.

    A folder of pages is a split called by its name, or, where it has no such folders, all `test`.

    Args:
        images: With the image of each page.

    Raises:
        InputError: A page that is broken, or one without an image where images are asked for.
    """
    tokens = docbank_files(dataset_path)
    if tokens:
        return (docbank_page(file, images) for file in tokens) if split == "test" else None
    path = Path(dataset_path)
    if path.is_dir():
        has_splits = (path / "train").is_dir() or (path / "test").is_dir()
        files = sorted((path / split).glob("*.json") if has_splits else path.glob("*.json"))
        if files and (has_splits or split == "test"):
            return (json_page(file, flag, images) for file in files)
        if files:
            return None
    rows = load_rows(dataset_path, split, flag, images=images)
    return None if rows is None else pages_of_rows(rows, f"{dataset_path}: {split}", images)


def docbank_files(dataset_path: str) -> list[Path]:
    """The pages of a folder that is DocBank's: it has txt/, or text files and no JSON beside them."""
    folder = Path(dataset_path)
    if not dataset_path or not folder.is_dir() or (any(folder.glob("*.json")) and not (folder / "txt").is_dir()):
        return []
    return page_files(folder)


def docbank_page(file: Path, images: bool) -> Page:
    """A page of DocBank; its image stands beside it or, as DocBank has it, in ori_jpg/ beside txt/."""
    beside = [file.parent / file.stem, file.parent / f"{file.stem}_ori"]
    if file.parent.name == "txt":
        beside.insert(0, file.parent.parent / "ori_jpg" / f"{file.stem}_ori")
    return Page(read_page(file), find_image(file, beside) if images else None, str(file))


def json_page(file: Path, flag: str, images: bool) -> Page:
    """A page in a JSON file; its image stands beside it, or in images/ or png/ there."""
    folders = (file.parent, file.parent / "images", file.parent / "png")
    image = find_image(file, [folder / file.stem for folder in folders]) if images else None
    return Page(row_blocks(read_json(file, flag), str(file)), image, str(file))


def find_image(page: Path, names: Sequence[Path]) -> Path:
    """The image of a page: the first of `names` that is there with an ending of images.

    Raises:
        InputError: There is none.
    """
    for name in names:
        for ending in IMAGE_ENDINGS:
            path = name.with_name(name.name + ending)  # a name may hold dots
            if path.is_file():
                return path
    found = ", ".join(map(str, names))
    raise InputError(f"{page}: no image of this page: no {found} with {', '.join(IMAGE_ENDINGS)}")


def pages_of_rows(rows: Iterable[dict[str, Any]], place: str, images: bool) -> Iterator[Page]:
    for number, row in enumerate(rows):
        where = f"{place} row {number}"
        yield Page(row_blocks(row, where), row_image(row, where) if images else None, where)


def row_image(row: dict[str, Any], place: str) -> Any:
    if row.get("image") is None:
        raise InputError(f"{place}: no image of this page: nothing in the column image")
    return row["image"]


def row_blocks(row: dict[str, Any], place: str) -> list[Block]:
    """The blocks of one page, from a row of either form.

    Raises:
        InputError: Neither form, lists of unequal length, a box or a label that is none; begins with `place`.
    """
    if not isinstance(row, dict):
        raise InputError(f"{place}: expected an object for a page")
    if "texts" in row:
        regions, about = regions_of_cells(row, place), row
    elif "pdf_cells" in row:
        about = row.get("metadata") or {}
        if not isinstance(about, dict):
            raise InputError(f"{place}: metadata {about!r}, expected an object")
        regions = regions_of_annotations(row, place)
    else:
        raise InputError(f"{place}: neither DocLayNet form: no field 'texts' and none 'pdf_cells'")
    page = str(about.get("page_hash") or row.get("id") or place)
    size = (about.get("coco_width") or PAGE_SIZE[0], about.get("coco_height") or PAGE_SIZE[1])
    if not all(is_number(side) and side > 0 for side in size):
        raise InputError(f"{place}: page size {size}, expected two numbers above 0")
    labelled = [(box, LABEL_WORDS[label], cells) for (box, label), cells in regions.items()]
    return page_blocks(labelled, page, str(about.get("doc_category") or ""), size)


Regions = dict[tuple[Box, int], list[Cell]]


def regions_of_cells(row: dict[str, Any], place: str) -> Regions:
    """pierreguillou's form: parallel lists with one entry a cell. A block is all cells with its box and its label."""
    columns = [row.get(name) for name in ("texts", "bboxes_block", "bboxes_line", "categories")]
    lengths = [len(column) if isinstance(column, list) else None for column in columns]
    if None in lengths or len(set(lengths)) > 1:
        raise InputError(
            f"{place}: expected equally long lists texts, bboxes_block, bboxes_line, categories; found {lengths}"
        )
    regions: Regions = {}
    for number, (text, block, line, label) in enumerate(zip(*columns, strict=True)):
        key = (read_box(block, f"{place}: cell {number}"), read_label(label, 0, f"{place}: cell {number}"))
        regions.setdefault(key, []).append(read_cell(text, line, f"{place}: cell {number}"))
    return regions


def regions_of_annotations(row: dict[str, Any], place: str) -> Regions:
    """DocLayNet v1.2's form: one entry a box, with the list of its cells; labels from 1."""
    boxes, labels, cells = row.get("bboxes"), row.get("category_id"), row.get("pdf_cells")
    lengths = [len(column) if isinstance(column, list) else None for column in (boxes, labels, cells)]
    if None in lengths or len(set(lengths)) > 1:
        raise InputError(f"{place}: expected equally long lists bboxes, category_id, pdf_cells; found {lengths}")
    regions: Regions = {}
    for number, (box, label, inside) in enumerate(zip(boxes, labels, cells, strict=True)):
        where = f"{place}: box {number}"
        key = (read_box(box, where), read_label(label, 1, where))
        if not all(isinstance(cell, dict) for cell in inside or []):
            raise InputError(f"{where}: pdf_cells {inside!r}, expected objects with text and bbox")
        regions.setdefault(key, []).extend(
            read_cell(cell.get("text"), cell.get("bbox"), where) for cell in inside or []
        )
    return regions


def is_number(value: Any) -> bool:
    """A number that a box may have; JSON, as Python reads it, also has NaN and Infinity, and true is an int."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < FAR


def read_box(box: Any, place: str) -> Box:
    if not isinstance(box, list | tuple) or len(box) != 4 or not all(map(is_number, box)):
        raise InputError(f"{place}: box {box!r}, expected [x, y, width, height]")
    return tuple(box)


def read_label(label: Any, first: int, place: str) -> int:
    last = first + len(LABEL_WORDS) - 1
    if not isinstance(label, int) or isinstance(label, bool) or not first <= label <= last:
        raise InputError(f"{place}: label {label!r}, expected {first} to {last}")
    return label - first


def read_cell(text: Any, box: Any, place: str) -> Cell:
    if not isinstance(text, str):
        raise InputError(f"{place}: text {text!r}, expected a string")
    return Cell(text, read_box(box, place))
