"""Data sets of pages with images: FUNSD, rows of annotated images, and the pages of DocLayNet and DocBank.

FUNSD (Jaume et al. 2019) in its original form is a folder of forms, each a JSON file and a PNG. As the hub has it, and
as annotated images are stored, a page is a row: id, image, tokens, bboxes (0..1000) and ner_tags (classes by number).
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from finetune.images import image_size
from finetune.pages import Source, dataset_of
from preprocess.blocks import LABEL_WORDS, Block, Corners, Page, on_page, scale
from preprocess.doclaynet import DOCLAYNET, docbank_files, find_image, is_number, read_pages, row_image
from preprocess.errors import InputError
from preprocess.files import read_json
from preprocess.sources import Table, find_table

FUNSD_PATH = "nielsr/funsd-layoutlmv3"
FUNSD_WORDS = ("O", "B-HEADER", "I-HEADER", "B-QUESTION", "I-QUESTION", "B-ANSWER", "I-ANSWER")
FUNSD_LABELS = ("header", "question", "answer", "other")
FUNSD_FOLDERS = {"train": "training_data", "test": "testing_data"}
COLUMNS = ("id", "tokens", "bboxes", "ner_tags")


def source_of(dataset: str, dataset_path: str = "") -> Source:
    """The data set that is meant by `--dataset` and `--dataset_path`; without a path that of the hub.

    Raises:
        InputError: Another data set, no path where one is needed, or a path at which there is no such data set.
    """
    if dataset == "doclaynet":
        path = dataset_path or DOCLAYNET.path
        known = dataset_of(path)
        repairs: Counter[str] = Counter()
        read = partial(read_layout, repairs)
        return Source(known.name, LABEL_WORDS, read, path, known.table_name(path), repairs=repairs)
    if dataset == "funsd":
        path = dataset_path or FUNSD_PATH
        return forms_source(path) if forms_folder(path) else rows_source(dataset, path)
    if dataset != "annotations":
        raise InputError(f"--dataset {dataset}: expected funsd, doclaynet or annotations")
    if not dataset_path:
        raise InputError("--dataset annotations: expected --dataset_path, a folder of `save_to_disk` or a hub id")
    return rows_source(dataset, dataset_path)


def read_layout(repairs: Counter[str], path: str, split: str, flag: str, images: bool) -> Iterator[Page] | None:
    """As `read_pages`; a split of DocBank may also be a folder of its name."""
    inside = str(Path(path) / split)
    pages = read_pages(inside, "test", flag, images) if docbank_files(inside) else read_pages(path, split, flag, images)
    return None if pages is None else counted(pages, repairs)


def counted(pages: Iterator[Page], repairs: Counter[str]) -> Iterator[Page]:
    """The pages, with what was mended of the boxes of texts counted."""
    for page in pages:
        for block in page.blocks:
            if block.text:
                count(repairs, block.inverted, block.outside)
        yield page


def forms_folder(path: str) -> Path | None:
    """The folder in which training_data/ or testing_data/ of FUNSD lies: `path` or its dataset/."""
    for folder in (Path(path), Path(path) / "dataset"):
        if any((folder / name).is_dir() for name in FUNSD_FOLDERS.values()):
            return folder
    return None


def forms_source(path: str) -> Source:
    repairs: Counter[str] = Counter()
    return Source("funsd", FUNSD_WORDS, partial(read_forms, repairs), path, "funsd", repairs=repairs)


def read_forms(repairs: Counter[str], path: str, split: str, flag: str, images: bool) -> Iterator[Page] | None:
    """The forms of a split, by name."""
    folder = forms_folder(path)
    if folder is None:
        names = " or ".join(f"{name}/" for name in FUNSD_FOLDERS.values())
        raise InputError(f"{path}: expected a folder with {names} ({flag})")
    files = sorted((folder / FUNSD_FOLDERS.get(split, split) / "annotations").glob("*.json"))
    return (read_form(file, flag, images, repairs) for file in files) if files else None


def read_form(file: Path, flag: str, images: bool, repairs: Counter[str]) -> Page:
    """The words of a form with IOB labels, each with the box of its entity: LayoutLMv3 reads positions of segments.

    Raises:
        InputError: No form, no image of it, an entity or a word that is broken.
    """
    content = read_json(file, flag)
    entities = content.get("form") if isinstance(content, dict) else None
    if not isinstance(entities, list):
        raise InputError(f"{file}: no form: expected an object with a list 'form'")
    image = find_image(file, [file.parent.parent / "images" / file.stem, file.parent / file.stem])
    size = image_size(image, str(file))
    blocks: list[Block] = []
    seen = 0  # words, blank ones included: ids stay when a blank one is mended
    for place, entity in enumerate(entities):
        words, label = read_entity(entity, f"{file}: entity {place}")
        kept = [(seen + number, text, box) for number, (text, box) in enumerate(words) if text]
        seen += len(words)
        repairs["blank_words"] += len(words) - len(kept)
        if not kept:
            continue
        segment = hull([corners_on_page(box, size, repairs) for _, _, box in kept], size)
        for number, text, _ in kept:
            begins = "B" if number == kept[0][0] else "I"
            label_word = "O" if label == "other" else f"{begins}-{label.upper()}"
            blocks.append(Block(f"{file.stem}-{number}", text, label_word, segment, file.stem, "", 1))
    return Page(blocks, image if images else None, str(file))


def read_entity(entity: Any, place: str) -> tuple[list[tuple[str, Corners]], str]:
    """The words of an entity, stripped, with their boxes in pixels, and its label."""
    if not isinstance(entity, dict) or not isinstance(entity.get("words"), list):
        raise InputError(f"{place}: expected an object with label and a list of words")
    if entity.get("label") not in FUNSD_LABELS:
        raise InputError(f"{place}: label {entity.get('label')!r} is none of {', '.join(FUNSD_LABELS)}")
    words = []
    for number, word in enumerate(entity["words"]):
        where = f"{place}: word {number}"
        if not isinstance(word, dict):
            raise InputError(f"{where}: {word!r}, expected an object with text and box")
        words.append((read_token(word.get("text"), where), read_corners(word.get("box"), where)))
    return words, entity["label"]


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


def read_token(text: Any, place: str) -> str:
    if not isinstance(text, str):
        raise InputError(f"{place}: text {text!r}, expected a string")
    return text.strip()


def read_corners(box: Any, place: str) -> Corners:
    if not isinstance(box, list | tuple) or len(box) != 4 or not all(map(is_number, box)):
        raise InputError(f"{place}: box {box!r}, expected [x0, y0, x1, y1]")
    return tuple(box)


def corners_on_page(box: Corners, size: tuple[int, int], repairs: Counter[str]) -> Corners:
    """A box with its corners in order and on the page; what had to be mended is counted."""
    corners, inverted, outside = on_page(box, size)
    count(repairs, inverted, outside)
    return corners


def count(repairs: Counter[str], inverted: bool, outside: bool) -> None:
    repairs["inverted_boxes"] += inverted
    repairs["boxes_outside_the_page"] += outside


def hull(boxes: Sequence[Corners], size: tuple[int, int]) -> tuple[int, int, int, int]:
    """The box around boxes that are on the page, scaled to 0..1000."""
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return scale((min(lefts), min(tops), max(rights), max(bottoms)), size)
