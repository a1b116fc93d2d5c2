"""Predicts with a fine-tuned LayoutLMv3 on one page: its image and words with boxes -> labels with probabilities."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from PIL.Image import Image

from documents.boxes import SEGMENT, check_boxes_flag, segment_boxes
from documents.image_names import is_named
from documents.images import open_image
from documents.layoutlmv3 import pixels
from documents.pages import Splits
from documents.rows import are_words
from documents.words import Word, read_words
from finetune.annotations.labelled_pages import ExportReading, plain_row
from finetune.drawing import drawn
from finetune.layoutlmv3.fine_tuning import LayoutLMv3Config, collate_layout, encode
from finetune.layoutlmv3.model import PageReading, load_classifier, page_reading
from finetune.page_predictions import rows_of, summary
from finetune.predicting import predict_scores
from preprocess.blocks import Block, Corners, Page, scale
from preprocess.errors import InputError
from preprocess.files import PathFlag, check_writable, read_json, write_bytes, write_json
from preprocess.units import PERCENT, PIXELS, check_unit, unit_of
from training.run_folder import quiet_libraries

NEEDED = {
    "model": "a run folder of run_finetune_layoutlmv3.py, or a hub id",
    "image": "the image of a page",
    "words": "the file of its words",
    "output_path": "the file to write",
}


@dataclass(frozen=True)
class PredictionConfig:
    """Label the words of one page with a fine-tuned LayoutLMv3.

    Args:
        model: Run folder of run_finetune_layoutlmv3.py (or its model/), or a hub id.
        image: Image of the page.
        words: Words from OCR: a JSON list of {text, box}, box x0, y0, x1, y1 in pixels; or an input of
            run_preprocess_annotations.py that contains the image.
        output_path: Output file, a JSON list of {text, label, score, box} in the order of the words.
        preview: Write the image with boxes and labels drawn on it to this PNG file.
        box_unit: Unit of the words' boxes: pixels, percent, 0..1000 or 0..1; default as above.
        boxes: Box of each word: segment (its part of a line) or word; default as in training.
        max_length: Tokens in a chunk, at most the model's maximum; default as in training, else 512.
        stride: Tokens that a chunk shares with the previous one; default as in training, else 128.
    """

    model: PathFlag = ""
    image: PathFlag = ""
    words: PathFlag = ""
    output_path: PathFlag = ""
    preview: PathFlag = ""
    box_unit: str = ""
    boxes: str = ""
    max_length: int | None = None
    stride: int | None = None

    def __post_init__(self) -> None:
        check_unit(self.box_unit)
        if self.boxes:
            check_boxes_flag(self.boxes)

    def training_options(self, reading: PageReading) -> LayoutLMv3Config:
        """The settings of training, overridden by flags, and checked as in training."""
        asked = {"boxes": self.boxes or None, "max_length": self.max_length, "stride": self.stride}
        options = asdict(reading) | {flag: value for flag, value in asked.items() if value is not None}
        return LayoutLMv3Config(self.model, **options)


def predict_layoutlmv3(config: PredictionConfig) -> None:
    """Label the words of a page, write them and print a summary."""
    check(config)
    image = open_image(config.image, "--image")
    repairs: Counter[str] = Counter()
    words = page_words(config, image.size, repairs)
    rows = predict_words(config, image, words)
    if config.preview:
        write_bytes(config.preview, drawn(image, rows))
    write_json(config.output_path, rows)
    written = [path for path in (config.output_path, config.preview) if path]
    print(summary(f"{config.image}: {len(rows)} words", rows, repairs, written))


def check(config: PredictionConfig) -> None:
    """Check the flags before the work.

    Raises:
        InputError: A flag is missing, or its file cannot be written or is that of another flag.
    """
    for flag, expected in NEEDED.items():
        if not getattr(config, flag):
            raise InputError(f"--{flag}: expected {expected}")
    used = {Path(config.image).resolve(): "image", Path(config.words).resolve(): "words"}
    for flag in ("output_path", "preview"):
        path = getattr(config, flag)
        if path:
            check_writable(path, f"--{flag}")
            other = used.setdefault(Path(path).resolve(), flag)
            if other != flag:
                raise InputError(f"--{flag} {path}: is the file of --{other}")


def page_words(config: PredictionConfig, size: tuple[int, int], repairs: Counter[str]) -> list[Word]:
    """The words of the page, in the order of the file, with boxes in pixels.

    Args:
        size: Size of the page's image.
        repairs: Counts the repairs.

    Raises:
        InputError: The format is unknown, there are no words, a row is invalid, or boxes are in another unit.
    """
    path = config.words
    content = read_json(path, "--words")
    page, place = find_page(content, path, Path(config.image).name, size)
    rows = content if page is None else page["annotations"]
    if not isinstance(rows, list):
        raise InputError(f"{place}: {rows!r:.40}, expected a list of words or {{file_name, annotations}} (--words)")
    if not rows:
        raise InputError(f"{place}: no words in it (--words)")
    unit = unit_of(config.box_unit, PIXELS if page is None else PERCENT)
    return read_words(rows, place, unit, size, repairs, "row" if page is None else "region")


def find_page(content: Any, path: str, image: str, size: tuple[int, int]) -> tuple[dict[str, Any] | None, str]:
    """The page {file_name, annotations} of an image, and its place; None if the content does not consist of pages.

    Args:
        image: The file name of the page's image.
        size: Its width and height, for rotated regions.

    Raises:
        InputError: Not exactly one page has this image.
    """
    if isinstance(content, dict) and "annotations" in content:
        return content, path
    rows = content if isinstance(content, list) else []
    reading = ExportReading(names=(), size=size)  # labels are not used here
    pages = {
        number: plain_row(row, f"{path}: row {number}", reading)
        for number, row in enumerate(rows)
        if isinstance(row, dict) and "annotations" in row
    }
    if not pages:
        return None, path
    found = [number for number, page in pages.items() if is_named(str(page["file_name"]), image)]
    if len(found) != 1:
        raise InputError(f"{path}: {len(found)} pages with the file_name {image}, expected one (--words)")
    return pages[found[0]], f"{path}: row {found[0]}"


def predict_words(config: PredictionConfig, image: Image, words: Sequence[Word]) -> list[dict[str, Any]]:
    """A row {text, label, score, box} for each word; label and score are None for blank texts."""
    quiet_libraries()
    base = load_classifier(model_folder(config.model))
    options = config.training_options(page_reading(base.model.config))
    label_words = tuple(base.model.config.id2label.values())
    unknown = label_words[0]  # a block requires a label, which is not used here
    places = word_places([text.strip() for text, _ in words], [box for _, box in words], image.size, options.boxes)
    blocks = [
        Block(str(number), text.strip(), unknown, place, config.image, "", 1)
        for number, ((text, _), place) in enumerate(zip(words, places, strict=True))
    ]
    splits = Splits([], [], [Page(blocks, image=0)], dropped={}, leaked=0, blank={}, repairs={})
    encoded = encode(options, splits, base, label_words)["test"]
    images = pixels(base.processor.image_processor, image)[None]
    scores = predict_scores(base.model, encoded, partial(collate_layout, base=base, images=images), batch_size=1)
    return rows_of(words, scores, label_words)


def word_places(
    texts: Sequence[str], boxes: Sequence[Corners], size: tuple[int, int], whose: str
) -> list[tuple[int, int, int, int]]:
    """The model's input box of each word: its own, or that of its segment. Blank words belong to no segment.

    Args:
        boxes: Boxes in pixels.
        size: Size of the page in pixels.
        whose: segment or word.
    """
    kept = [number for number, text in enumerate(texts) if text]
    places = [scale(box, size) for box in boxes]
    inside = [boxes[number] for number in kept]
    if whose == SEGMENT and are_words([texts[number] for number in kept], inside):
        for number, place in zip(kept, segment_boxes(inside, size, size), strict=True):
            places[number] = place
    return places


def model_folder(model: str) -> str:
    """The folder of the model: `model`, or its subfolder if it is a run folder."""
    inside = Path(model) / "model"
    is_run = (inside / "config.json").is_file() and not (Path(model) / "config.json").is_file()
    return str(inside) if is_run else model
