"""Forms: pages of entities, each with a label and its words, as blocks with IOB labels.

    FUNSD (Jaume et al. 2019)  {training,testing}_data/annotations/*.json form: [{label, words: [{text, box}]}]
    XFUND (Xu et al. 2022)     LANGUAGE.{train,val}.json                  documents: [{img, document: as form}]
    CORD (Park et al. 2019)    {train,dev,test}/json/*.json               valid_line: [{category, words: text, quad}]

Boxes are in pixels of the image, which is in images/, image/ or a folder with the name of the file.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from documents.boxes import SEGMENT, boxes_on_page, hull, read_corners, read_token
from documents.images import image_size
from documents.pages import Source
from preprocess.blocks import Block, Corners, Page, scale
from preprocess.errors import InputError
from preprocess.files import read_json
from preprocess.pages import find_image, names_of
from preprocess.units import Unit

FUNSD_WORDS = ("O", "B-HEADER", "I-HEADER", "B-QUESTION", "I-QUESTION", "B-ANSWER", "I-ANSWER")
OUTSIDE = ("other", "o")  # labels that mean no class
SPLIT_FOLDERS = {"train": ("training_data", "train"), "test": ("testing_data", "test")}
ROOTS = ("", "dataset", "CORD")
FOLDERS = ("annotations", "json")  # within a split


@dataclass(frozen=True)
class Form:
    """A page, as stored in its file.

    Args:
        images: Possible paths of its image, without file extension.
        entities: Label, words, and place (for messages) of each entity.
    """

    name: str
    place: str
    images: Sequence[Path]
    entities: Sequence[tuple[Any, Any, str]]


def form_files(path: str, split: str) -> list[Path]:
    """The files of a split, sorted by name; empty if there is no such split."""
    for root in (Path(path) / name for name in ROOTS):
        for name in (*SPLIT_FOLDERS.get(split, ()), *names_of(split)):
            for folder in FOLDERS:
                files = sorted((root / name / folder).glob("*.json"))
                if files:
                    return files
    wanted = names_of(split) if split != "test" else ("test", *names_of("val"))  # XFUND is tested on val
    return next((files for name in wanted if (files := sorted(Path(path).glob(f"*.{name}.json")))), [])


def forms_folder(path: str) -> bool:
    """Whether a folder contains forms."""
    return any(form_files(path, split) for split in ("train", "test", "validation"))


def forms_source(path: str, unit: Unit, boxes: str) -> Source:
    """The forms at a path, with the label words that they use.

    Args:
        unit: Unit of the boxes.
        boxes: segment: a word has the box of its entity; word: its own box.

    Raises:
        InputError: A file is not a form.
    """
    repairs: Counter[str] = Counter()
    label_words, name = survey(path)
    read = partial(read_forms, label_words, unit, boxes, repairs)
    # CORD numbers receipts within each split
    return Source(name, label_words, read, path, name, named=name != "cord", repairs=repairs)


def survey(path: str) -> tuple[tuple[str, ...], str]:
    """The label words of all forms at a path (FUNSD's if these suffice), and the name of the data set."""
    files = [file for split in ("train", "validation", "test") for file in form_files(path, split)]
    labels: set[str] = set()
    names: Counter[str] = Counter()
    for file in dict.fromkeys(files):
        content = read_json(file, "--dataset_path")
        names[kind_of(content) or "funsd"] += 1
        with suppress(InputError):  # reported when the form is read
            for form in forms_of(content, file):
                labels |= tags_of(form)
    return iob_words(labels), names.most_common(1)[0][0]


def tags_of(form: Form) -> set[str]:
    """The names of a form's labels in IOB tags."""
    return {tag_of(label) for label, _, _ in form.entities if isinstance(label, str) and label.strip()}


def iob_words(tags: set[str]) -> tuple[str, ...]:
    """The label words for these tags; FUNSD's if these suffice."""
    if not (named := tags - {"O"}) - {word[2:] for word in FUNSD_WORDS[1:]}:
        return FUNSD_WORDS
    return ("O", *(f"{part}-{label}" for label in sorted(named) for part in "BI"))


def tag_of(label: str) -> str:
    """The name of an entity's label in IOB tags; O for no class."""
    return "O" if label.strip().lower() in OUTSIDE else label.strip().upper()


def kind_of(content: Any) -> str | None:
    """The format of a file: funsd, xfund or cord; None if unknown."""
    keys = {"form": "funsd", "documents": "xfund", "valid_line": "cord"}
    return next((kind for key, kind in keys.items() if isinstance(content, dict) and key in content), None)


def forms_of(content: Any, file: Path) -> Iterator[Form]:
    """The forms in a file.

    Raises:
        InputError: The format is unknown.
    """
    kind = kind_of(content)
    near = [file.parent.parent / "images", file.parent, file.parent.parent / "image"]
    images = [folder / file.stem for folder in near]
    if kind == "funsd" and isinstance(content["form"], list):
        yield Form(file.stem, str(file), images, list(entities_of(content["form"], str(file))))
    elif kind == "cord" and isinstance(content["valid_line"], list):
        yield Form(file.stem, str(file), images, list(lines_of_receipt(content["valid_line"], str(file))))
    elif kind == "xfund" and isinstance(content["documents"], list):
        for number, document in enumerate(content["documents"]):
            yield document_of(document, file, f"{file}: document {number}")
    else:
        raise InputError(f"{file}: not a form: expected an object with a list 'form'")


def document_of(document: Any, file: Path, place: str) -> Form:
    """A document in a file of XFUND, which names its image."""
    fields = document if isinstance(document, dict) else {}
    image = fields.get("img") if isinstance(fields.get("img"), dict) else {}
    name = image.get("fname") or fields.get("id")
    if not isinstance(fields.get("document"), list) or not isinstance(name, str) or not name:
        raise InputError(f"{place}: expected an object with img, whose fname names an image, and a list 'document'")
    stem = Path(name.replace("\\", "/")).stem
    images = [file.parent / file.stem / stem, file.parent / "images" / stem, file.parent / stem]
    return Form(stem, place, images, list(entities_of(fields["document"], place)))


def entities_of(entities: Sequence[Any], place: str) -> Iterator[tuple[Any, Any, str]]:
    """Label, words and place of each entity."""
    for number, entity in enumerate(entities):
        where = f"{place}: entity {number}"
        if not isinstance(entity, dict) or not isinstance(entity.get("words"), list):
            raise InputError(f"{where}: expected an object with label and a list of words")
        yield entity.get("label"), entity["words"], where


def lines_of_receipt(lines: Sequence[Any], place: str) -> Iterator[tuple[Any, Any, str]]:
    """Category, words and place of each line of CORD; words get the bounding box of their four corners."""
    for number, line in enumerate(lines):
        where = f"{place}: line {number}"
        if not isinstance(line, dict) or not isinstance(line.get("words"), list):
            raise InputError(f"{where}: expected an object with category and a list of words")
        words = [
            word | {"box": quad_box(word.get("quad"))} if isinstance(word, dict) else word for word in line["words"]
        ]
        yield line.get("category"), words, where


def quad_box(quad: Any) -> Any:
    """The bounding box of four corners {x1, y1, ..., x4, y4}; an invalid value is returned unchanged, to be refused."""
    sides = [[quad.get(f"{axis}{corner}") for corner in range(1, 5)] for axis in "xy"] if isinstance(quad, dict) else []
    if not sides or not all(isinstance(value, int | float) for side in sides for value in side):
        return quad
    return [min(sides[0]), min(sides[1]), max(sides[0]), max(sides[1])]


def read_forms(
    label_words: tuple[str, ...],
    unit: Unit,
    boxes: str,
    repairs: Counter[str],
    path: str,
    split: str,
    flag: str,
    images: bool,
) -> Iterator[Page] | None:
    """The forms of a split, sorted by name; None if there is no such split.

    Raises:
        InputError: The folder contains no forms, or a form is invalid.
    """
    files = form_files(path, split)
    if not files:
        if not forms_folder(path):
            raise InputError(f"{path}: expected a folder with training_data/ or testing_data/ ({flag})")
        return None
    return (
        form_page(form, find_image(Path(form.place), form.images), label_words, unit, boxes, repairs, images)
        for file in files
        for form in forms_of(read_json(file, flag), file)
    )


def form_page(
    form: Form, image: Any, label_words: tuple[str, ...], unit: Unit, boxes: str, repairs: Counter[str], images: bool
) -> Page:
    """The words of a form as blocks with IOB labels, each with the box of its entity or its own.

    Raises:
        InputError: The image is missing, an entity or a word is invalid, or the boxes are in another unit.
    """
    pixels = image_size(image, form.place)
    entities: list[tuple[str, list[tuple[int, str, Corners]]]] = []
    seen = 0  # words, including blank ones, so that ids do not depend on them
    for label, words, place in form.entities:
        tag = read_tag(label, label_words, place)
        read = [read_word(word, f"{place}: word {number}") for number, word in enumerate(words)]
        entities.append((tag, [(seen + number, text, box) for number, (text, box) in enumerate(read) if text]))
        seen += len(read)
        repairs["blank_words"] += len(read) - len(entities[-1][1])
    raw = [box for _, words in entities for _, _, box in words]
    placed = iter(boxes_on_page(raw, unit, pixels, form.place, repairs))
    size, blocks = unit.size(pixels), []
    for tag, words in entities:
        corners = [next(placed) for _ in words]
        for place, (number, text, _) in enumerate(words):
            label_word = tag if tag == "O" else f"{'I' if place else 'B'}-{tag}"
            box = hull(corners, size) if boxes == SEGMENT else scale(corners[place], size)
            blocks.append(Block(f"{form.name}-{number}", text, label_word, box, form.name, "", 1))
    return Page(blocks, image if images else None, form.place)


def read_tag(label: Any, label_words: tuple[str, ...], place: str) -> str:
    """The tag of an entity's label; InputError if it is unknown."""
    tag = tag_of(label) if isinstance(label, str) and label.strip() else None
    if tag is None or (tag != "O" and f"B-{tag}" not in label_words):
        names = ", ".join(word[2:].lower() for word in label_words if word.startswith("B-"))
        raise InputError(f"{place}: label {label!r}, expected one of {names}, other")
    return tag


def read_word(word: Any, place: str) -> tuple[str, Corners]:
    """Text and box of a word; InputError if they are invalid."""
    if not isinstance(word, dict):
        raise InputError(f"{place}: {word!r}, expected an object with text and box")
    return read_token(word.get("text"), place), read_corners(word.get("box"), place)
