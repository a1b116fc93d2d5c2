"""Forms with words and entities. FUNSD (Jaume et al. 2019) in its original form is a folder of forms, each a JSON file
and a PNG."""

from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from documents.boxes import corners_on_page, hull, read_corners, read_token
from documents.images import image_size
from documents.pages import Source
from preprocess.blocks import Block, Corners, Page
from preprocess.errors import InputError
from preprocess.files import read_json
from preprocess.pages import find_image

FUNSD_WORDS = ("O", "B-HEADER", "I-HEADER", "B-QUESTION", "I-QUESTION", "B-ANSWER", "I-ANSWER")
FUNSD_LABELS = ("header", "question", "answer", "other")
FUNSD_FOLDERS = {"train": "training_data", "test": "testing_data"}


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
