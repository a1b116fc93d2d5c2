"""The annotated pages of an export: Label Studio's "JSON" or "JSON-MIN", or {file_name, height, width, annotations}.

Regions have their own text, or that of the words from OCR inside them.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from documents.image_names import find_image
from documents.images import image_size
from documents.words import words_of_page
from finetune.annotations import json_min
from finetune.annotations.label_studio import IN_PERCENT, Notes, TaskReading, row_of_task
from finetune.annotations.region_words import words_in_regions
from preprocess.blocks import on_page
from preprocess.errors import InputError
from preprocess.files import read_json
from preprocess.layout import is_number
from preprocess.units import PIXELS, Size, Unit, check_boxes

NO_TEXT = "regions without text, left out"


@dataclass(frozen=True)
class ExportReading:
    """How an export is read.

    Args:
        names: Names of the classes.
        unlabelled: Class of regions without a label; empty: they are left out.
        images: Folder of the images; None: use the sizes in the export.
        words: Folder of the words from OCR, for regions without text.
        words_unit: Unit of the words' boxes.
        unit: Unit of the regions' boxes.
        annotator, predictions: As for `TaskReading`.
        size: Size in pixels of the only image of interest.
        notes: Receives what was skipped or corrected.
    """

    names: Sequence[str]
    unlabelled: str = ""
    images: Path | None = None
    words: Path | None = None
    words_unit: str = ""
    unit: Unit = IN_PERCENT
    annotator: str = ""
    predictions: bool = False
    size: Size | None = None
    notes: Notes = field(default_factory=lambda: defaultdict(list))

    def size_of(self, name: str) -> Size | None:
        """Size in pixels of the image that an export calls `name`."""
        path = None if self.images is None else find_image(self.images, name)
        return self.size if path is None else image_size(self.images / path, name)


@dataclass(frozen=True)
class LabelledPage:
    """A page with its regions, in the order of the export.

    Args:
        place: Its row, for messages.
        file_name: Name of the image, as in the row.
        size: Width and height in pixels, as in the row.
        tokens: The texts, of one or more words each.
        bboxes: x0, y0, x1, y1 of each text, scaled to 0..1000, with corners in order, clipped to the page.
        ner_tags: Indices into the names of the classes.
    """

    place: str
    file_name: str
    size: tuple[Any, Any]
    tokens: list[str]
    bboxes: list[list[int]]
    ner_tags: list[int]


@dataclass(frozen=True)
class Region:
    """One region, with its box in the unit of the export, corners in order, clipped to the page."""

    box: tuple[float, float, float, float]
    text: str
    tag: int | None
    place: str


def read_pages(path: str, reading: ExportReading) -> list[LabelledPage]:
    """The pages that have regions.

    Raises:
        InputError: The format is unknown, boxes are in another unit, or no page has a region.
    """
    rows = read_json(path, "--annotations")
    if not isinstance(rows, list):
        raise InputError(f"{path}: expected a list of pages, found {rows!r:.40} (--annotations)")
    pages = []
    for place, row in plain_rows(rows, path, reading):
        page = read_page(row, place, reading)
        if page.tokens:
            pages.append(page)
        else:
            reading.notes["pages without a region, left out"].append(f"{place}: {page.file_name}")
    if not pages:
        bare = len(reading.notes.get(NO_TEXT, ()))
        reason = f": {bare} regions have no text; use --words for a folder of words from OCR" if bare else ""
        raise InputError(f"{path}: no page with a region{reason} (--annotations)")
    return pages


def plain_rows(rows: Sequence[Any], path: str, reading: ExportReading) -> list[tuple[str, dict[str, Any]]]:
    """The rows of an export in any format as {file_name, height, width, annotations}, each with its place."""
    if rows and all(json_min.is_row(row) and "annotations" not in row for row in rows):
        placed = json_min.tasks_of(rows, path, needs_text=reading.words is None)
    else:
        placed = [(f"{path}: row {number}", row) for number, row in enumerate(rows)]
    return [(place, plain_row(row, place, reading)) for place, row in placed]


def plain_row(row: Any, place: str, reading: ExportReading) -> dict[str, Any]:
    """A row as {file_name, height, width, annotations}."""
    fields = row if isinstance(row, dict) else {}
    if "data" in fields and any(key in fields for key in ("annotations", "completions", "predictions")):
        task = TaskReading(reading.annotator, reading.predictions, reading.unit, reading.size_of)
        return row_of_task(row, place, reading.notes, task)
    if "annotations" in fields and "file_name" in fields:
        return row
    expected = "file_name, height, width and annotations, or a task of Label Studio with data and annotations"
    raise InputError(f"{place}: {row!r:.40}, expected {expected} (--annotations)")


def read_page(row: dict[str, Any], place: str, reading: ExportReading) -> LabelledPage:
    """A page from a row {file_name, height, width, annotations: [{box, text, label}]}.

    Raises:
        InputError: A field or label is invalid, or boxes are in another unit; the message begins with `place`.
    """
    file_name, entries = row["file_name"], row["annotations"]
    if not isinstance(file_name, str) or not file_name.strip():
        raise InputError(f"{place}: file_name {file_name!r:.80}, expected the name of an image")
    if not isinstance(entries, list) or not all(isinstance(region, dict) for region in entries):
        raise InputError(f"{place}: annotations {entries!r:.80}, expected a list of objects with box, text and label")
    page = LabelledPage(place, file_name, (row.get("width"), row.get("height")), [], [], [])
    pixels = pixels_of(page, reading)
    regions = read_regions(entries, place, reading, pixels)
    texts = [region.text for region in regions]
    if reading.words is not None and not all(texts):
        texts = filled_texts(regions, texts, page, reading)
    size = reading.unit.size(pixels or (100, 100))
    for region, text in zip(regions, texts, strict=True):
        tag = region.tag
        if not text:
            reading.notes[NO_TEXT].append(region.place)
            continue
        if tag is None:
            use = f"read as {reading.unlabelled}" if reading.unlabelled else "left out (see --unlabelled)"
            reading.notes[f"regions without a label, {use}"].append(region.place)
            if not reading.unlabelled:
                continue
            tag = reading.names.index(reading.unlabelled)
        page.tokens.append(text)
        # `scale` divides first, and would round some halves of a percent differently
        page.bboxes.append([round(value * (1000 / side)) for value, side in zip(region.box, size * 2, strict=True)])
        page.ner_tags.append(tag)
    return page


def pixels_of(page: LabelledPage, reading: ExportReading) -> Size | None:
    """The size of a page in pixels; None if it is unknown and not needed.

    Raises:
        InputError: It is needed, but neither its image nor its row states it.
    """
    stated = page.size if all(is_number(side) and side > 0 for side in page.size) else None
    if reading.unit.name != PIXELS and reading.words is None:
        return stated
    size = reading.size_of(page.file_name) or stated
    if size is None:
        raise InputError(f"{page.place}: width and height {page.size}, expected those of the page (--images)")
    return size


def read_regions(
    entries: Sequence[dict[str, Any]], place: str, reading: ExportReading, pixels: Size | None
) -> list[Region]:
    """The regions of a page, checked, with boxes in order and clipped to the page."""
    size = reading.unit.size(pixels or (100, 100))
    boxes = []
    for number, region in enumerate(entries):
        box = region.get("box")
        if not isinstance(box, list) or len(box) != 4 or not all(map(is_number, box)):
            where = f"{place}: region {region.get('id', number)}"
            raise InputError(f"{where}: box {box!r:.80}, expected [xmin, ymin, xmax, ymax] in percent of the page")
        boxes.append(tuple(box))
    check_boxes(boxes, reading.unit, pixels, place)
    regions = []
    for number, (region, box) in enumerate(zip(entries, boxes, strict=True)):
        where = f"{place}: region {region.get('id', number)}"
        corners, inverted, outside = on_page(box, size)
        if outside:
            reading.notes["boxes that exceed the page, clipped to it"].append(where)
        if inverted:
            reading.notes["boxes with swapped corners, put in order"].append(where)
        text, label = region.get("text") or "", region.get("label")
        if not isinstance(text, str):
            raise InputError(f"{where}: text {text!r:.80}, expected a string")
        tag = None if label is None else read_label(label, reading.names, where)
        regions.append(Region(corners, text.strip(), tag, where))
    return regions


def read_label(label: Any, names: Sequence[str], place: str) -> int:
    """The index of a label, which is an index or a name."""
    if isinstance(label, str) and label in names:
        return names.index(label)
    if isinstance(label, int) and not isinstance(label, bool) and 0 <= label < len(names):
        return label
    known = ", ".join(f"{number} {name}" for number, name in enumerate(names))
    raise InputError(f"{place}: label {label!r:.80}, expected one of {known} (--labels)")


def filled_texts(
    regions: Sequence[Region], texts: Sequence[str], page: LabelledPage, reading: ExportReading
) -> list[str]:
    """The texts of regions; regions without a text get the words from OCR inside them."""
    pixels = pixels_of(page, reading)
    by = tuple(whole / side for whole, side in zip(pixels, reading.unit.size(pixels), strict=True)) * 2
    boxes = [tuple(value * factor for value, factor in zip(region.box, by, strict=True)) for region in regions]
    words = words_of_page(reading.words, page.file_name, pixels, reading.words_unit, page.place)
    from_words = words_in_regions(boxes, words)
    return [text or other for text, other in zip(texts, from_words, strict=True)]
