"""The labelled pages of an export: Label Studio's "JSON" in full, or {file_name, height, width, annotations} a page.

In Label Studio's, a region is several results with one id: its rectangle, its text, its label, each of which may be
missing. Its compact export ("JSON-MIN") has a list of each instead, in which nothing tells which are: it is refused.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote

from preprocess.blocks import on_page
from preprocess.errors import InputError
from preprocess.files import read_json
from preprocess.layout import is_number

Notes = dict[str, list[str]]  # what was left out or put right -> where
IMAGE_KEYS = ("image", "ocr")  # what Label Studio's templates call the image in a task's data
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif", ".webp")
UPLOADED = re.compile(r"[0-9a-f]{8}-(.+)")  # what it puts before the name of an uploaded file


@dataclass(frozen=True)
class LabelledPage:
    """A page with its regions, in the order of the export.

    Args:
        place: Of its row, for messages.
        file_name: Of the image, as the row has it.
        size: Width and height in pixels, as the row has them.
        tokens: The texts, each of one word or more.
        bboxes: x0, y0, x1, y1 of each on the page scaled to 0..1000, in order and clamped to the page.
        ner_tags: Indices into the names of the classes.
    """

    place: str
    file_name: str
    size: tuple[Any, Any]
    tokens: list[str]
    bboxes: list[list[int]]
    ner_tags: list[int]


def read_pages(path: str, names: Sequence[str], unlabelled: str, notes: Notes) -> list[LabelledPage]:
    """The pages that have regions.

    Args:
        names: Of the classes.
        unlabelled: The class of a region without a label; empty: it is left out.
        notes: Takes what was left out or put right.

    Raises:
        InputError: The file or a row of it is of no form that is known, or of the compact one; no page has a region.
    """
    rows = read_json(path, "--annotations")
    if not isinstance(rows, list):
        raise InputError(f"{path}: expected a list of pages, found {rows!r:.40} (--annotations)")
    pages = []
    for number, row in enumerate(rows):
        place = f"{path}: row {number}"
        page = read_page(plain_row(row, place, notes), names, unlabelled, place, notes)
        if page.tokens:
            pages.append(page)
        else:
            notes["pages without a region, left out"].append(f"{place}: {page.file_name}")
    if not pages:
        raise InputError(f"{path}: no page with a region in it (--annotations)")
    return pages


def plain_row(row: Any, place: str, notes: Notes) -> dict[str, Any]:
    """A row of either form as {file_name, height, width, annotations}."""
    fields = row if isinstance(row, dict) else {}
    if "annotations" in fields and "data" in fields:
        return row_of_task(row, place, notes)
    if "annotations" in fields and "file_name" in fields:
        return row
    if "annotation_id" in fields or "annotator" in fields:
        raise InputError(f'{place}: is of a compact export (JSON-MIN); export as "JSON", in full (--annotations)')
    expected = "file_name, height, width and annotations, or a task of Label Studio with data and annotations"
    raise InputError(f"{place}: {row!r:.40}, expected {expected} (--annotations)")


def read_page(row: dict[str, Any], names: Sequence[str], unlabelled: str, place: str, notes: Notes) -> LabelledPage:
    """A page of a row {file_name, height, width, annotations: [{box, text, label}]}, boxes in percent of the page.

    Raises:
        InputError: A field that is none, a label that is none of ours; begins with `place`.
    """
    file_name, regions = row["file_name"], row["annotations"]
    if not isinstance(file_name, str) or not file_name.strip():
        raise InputError(f"{place}: file_name {file_name!r:.80}, expected the name of an image")
    if not isinstance(regions, list) or not all(isinstance(region, dict) for region in regions):
        raise InputError(f"{place}: annotations {regions!r:.80}, expected a list of objects with box, text and label")
    page = LabelledPage(place, file_name, (row.get("width"), row.get("height")), [], [], [])
    for number, region in enumerate(regions):
        where = f"{place}: region {region.get('id', number)}"
        box = scale(region.get("box"), where, notes)
        text, label = region.get("text") or "", region.get("label")
        if not isinstance(text, str):
            raise InputError(f"{where}: text {text!r:.80}, expected a string")
        tag = None if label is None else read_label(label, names, where)
        if not text.strip():
            notes["regions without text, left out"].append(where)
            continue
        if label is None:
            taken = f"taken as {unlabelled}" if unlabelled else "left out (--unlabelled takes them)"
            notes[f"regions without a label, {taken}"].append(where)
            if not unlabelled:
                continue
            tag = names.index(unlabelled)
        page.tokens.append(text.strip())
        page.bboxes.append(box)
        page.ner_tags.append(tag)
    return page


def read_label(label: Any, names: Sequence[str], place: str) -> int:
    """The index of a label, which is that or a name."""
    if isinstance(label, str) and label in names:
        return names.index(label)
    if isinstance(label, int) and not isinstance(label, bool) and 0 <= label < len(names):
        return label
    known = ", ".join(f"{number} {name}" for number, name in enumerate(names))
    raise InputError(f"{place}: label {label!r:.80}, expected one of {known} (--labels)")


def scale(box: Any, place: str, notes: Notes) -> list[int]:
    """xmin, ymin, xmax, ymax in percent of the page to 0..1000, in order and clamped to the page."""
    if not isinstance(box, list) or len(box) != 4 or not all(map(is_number, box)):
        raise InputError(f"{place}: box {box!r:.80}, expected [xmin, ymin, xmax, ymax] in percent of the page")
    corners, inverted, outside = on_page(box, (100, 100))
    if outside:
        notes["boxes that leave the page, cut at its edge"].append(place)
    if inverted:
        notes["boxes with corners exchanged, put in order"].append(place)
    return [round(10 * value) for value in corners]  # `scale` would divide first, and round some halves otherwise


def row_of_task(task: dict[str, Any], place: str, notes: Notes) -> dict[str, Any]:
    """The task as {file_name, height, width, annotations: [{id, box, text, label}]}.

    The size is None where no result tells it, the label None where the region has none, the text empty likewise.
    """
    regions: dict[str, list[dict[str, Any]]] = {}
    size = (None, None)
    for result in results_of(task, place, notes):
        if not isinstance(result, dict):
            raise InputError(f"{place}: result {result!r:.80}, expected an object")
        if "id" not in result or not isinstance(result.get("value"), dict):
            continue  # a relation between two regions
        regions.setdefault(str(result["id"]), []).append(result)
        size = (result.get("original_width", size[0]), result.get("original_height", size[1]))
    joined = [join(results, name, f"{place}: region {name}", notes) for name, results in regions.items()]
    found = [region for region in joined if region is not None]
    return {"file_name": image_of(task, place), "width": size[0], "height": size[1], "annotations": found}


def results_of(task: dict[str, Any], place: str, notes: Notes) -> list[Any]:
    """Those of the first annotation that is called ground truth, else of the first; none of cancelled ones."""
    annotations = task["annotations"]
    if not isinstance(annotations, list) or not all(isinstance(annotation, dict) for annotation in annotations):
        raise InputError(f"{place}: annotations {annotations!r:.80}, expected a list of objects with a result each")
    valid = [annotation for annotation in annotations if not annotation.get("was_cancelled")]
    if not valid:
        return []
    if len(valid) > 1:
        notes["tasks with several annotations, one of which was taken"].append(place)
    results = min(valid, key=lambda annotation: not annotation.get("ground_truth")).get("result")
    if not isinstance(results, list):
        raise InputError(f"{place}: result {results!r:.80}, expected a list")
    return results


def join(results: Sequence[dict[str, Any]], name: str, place: str, notes: Notes) -> dict[str, Any] | None:
    """One region of its results; None without a rectangle: another shape, or what is said of the whole image."""
    values = [result["value"] for result in results]
    labels = [name for result in results for name in labels_of(result)]
    texts = [text for result in results if result.get("type") == "textarea" for text in listed(result["value"], "text")]
    if not all(isinstance(text, str) for text in texts):
        raise InputError(f"{place}: text {texts!r:.80}, expected strings")
    rectangle = next((value for value in values if "width" in value and "height" in value), None)
    if rectangle is None:
        if labels or texts:
            notes["regions that are no rectangles, left out"].append(place)
        return None
    if any(result.get("image_rotation") or result["value"].get("rotation") for result in results):
        notes["rotated regions, taken as if upright"].append(place)
    if len(labels) > 1:
        notes["regions with several labels, the first of which was taken"].append(place)
    sides = [rectangle.get(key) for key in ("x", "y", "width", "height")]
    if not all(map(is_number, sides)):
        raise InputError(f"{place}: rectangle {sides!r:.80}, expected x, y, width and height in percent of the page")
    x, y, width, height = sides
    box = [x, y, x + width, y + height]
    return {"id": name, "box": box, "text": " ".join(texts), "label": labels[0] if labels else None}


def labels_of(result: dict[str, Any]) -> list[Any]:
    """The names that a result of type labels, rectanglelabels and the like gives to its region."""
    kind = str(result.get("type"))
    return listed(result["value"], kind) if kind.endswith("labels") else []


def listed(value: dict[str, Any], key: str) -> list[Any]:
    """What is under `key`, as a list: Label Studio writes a lone text as a string, which is not to be walked."""
    found = value.get(key)
    if found is None:
        return []
    return found if isinstance(found, list) else [found]


def image_of(task: dict[str, Any], place: str) -> str:
    """The path of the image in what may be an address: of an upload, of a local file, of a bucket.

    Raises:
        InputError: The data name no image file.
    """
    data = task["data"] if isinstance(task["data"], dict) else {}
    named = [data[key] for key in IMAGE_KEYS if isinstance(data.get(key), str)]
    named += [value for value in data.values() if isinstance(value, str) and value.lower().endswith(IMAGE_SUFFIXES)]
    if not named:
        raise InputError(f"{place}: data {task['data']!r:.80}, expected an image file under image or ocr")
    address = named[0]
    if "://" not in address and not address.startswith("/data/"):
        return address
    path, _, query = address.partition("?")
    return parse_qs(query)["d"][0] if "d" in parse_qs(query) else unquote(path)


def find_image(folder: Path, name: str) -> str | None:
    """The path within `folder` of the image that an export calls `name`; None where there is none.

    Tried are `name`, then less and less of the folders in it, then the file without what an upload puts before it.
    """
    parts = [part for part in name.split("/") if part not in ("", ".", "..")]
    tries = ["/".join(parts[start:]) for start in range(len(parts))]
    uploaded = UPLOADED.fullmatch(parts[-1]) if parts else None
    if uploaded:
        tries.append(uploaded[1])
    return next((found for found in tries if os.path.isfile(folder / found)), None)


def is_named(name: str, file_name: str) -> bool:
    """Whether an export's `name` means an image file, wherever it lies, with or without what an upload puts before."""
    last = Path(name).name
    uploaded = UPLOADED.fullmatch(last)
    return file_name == last or (uploaded is not None and file_name == uploaded[1])
