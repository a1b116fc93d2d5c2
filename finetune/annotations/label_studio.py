"""A task of Label Studio's export "JSON" -> the regions of a page: {file_name, width, height, annotations}.

A region consists of several results with the same id: shape, text and label, all optional. Results without an id belong
together if their shapes are equal.

Shapes are in percent of the image. `rotation` rotates a rectangle clockwise about its top left corner, in pixels, so
the aspect ratio matters. `image_rotation` is how the image was displayed; Label Studio stores regions for the unrotated
image, so they need no correction.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from preprocess.errors import InputError
from preprocess.layout import is_number
from preprocess.units import PERCENT, Size, Unit

Notes = dict[str, list[str]]  # what was skipped or corrected -> the places
IMAGE_KEYS = ("image", "ocr")  # names of the image in the data of Label Studio's templates
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif", ".webp")
SHOWN = 6  # annotators in a message
IN_PERCENT = Unit(PERCENT)


@dataclass(frozen=True)
class TaskReading:
    """How tasks are read.

    Args:
        annotator: The annotator to use if several annotations differ: an id, an e-mail address, a model version.
        predictions: Whether to use a model's predictions for tasks without annotation.
        unit: Unit of the shapes.
        size_of: Returns the size in pixels of an image, if the task does not state it.
    """

    annotator: str = ""
    predictions: bool = False
    unit: Unit = IN_PERCENT
    size_of: Callable[[str], Size | None] = lambda _: None


def row_of_task(task: dict[str, Any], place: str, notes: Notes, reading: TaskReading) -> dict[str, Any]:
    """The task as {file_name, height, width, annotations: [{id, box, text, label}]}, boxes in its unit.

    Unknown sizes and missing labels are None; missing texts are empty.
    """
    name, entries = image_of(task, place), chosen(task, place, notes, reading)
    read = [regions_of(entry["result"], name, place, notes, reading) for entry in entries]
    if any(content_of(regions) != content_of(read[0][0]) for regions, _ in read[1:]):
        writers = list(dict.fromkeys(map(writer_of, entries)))
        names = ", ".join(writers[:SHOWN]) + (" ..." if len(writers) > SHOWN else "")
        raise InputError(f"{place}: {len(read)} annotations by {names} differ; select one with --annotator")
    if len(read) > 1:
        notes["tasks with several equal annotations, one of which is used"].append(place)
    regions, size = read[0] if read else ([], (None, None))
    return {"file_name": name, "width": size[0], "height": size[1], "annotations": regions}


def content_of(regions: Sequence[dict[str, Any]]) -> list[Any]:
    """A key that is equal for annotations with the same content."""
    return sorted(([region[key] for key in ("box", "label", "text")] for region in regions), key=repr)


def chosen(task: dict[str, Any], place: str, notes: Notes, reading: TaskReading) -> list[dict[str, Any]]:
    """The annotations to use: not cancelled, with results; the ground truth, if any, else the annotator's."""
    entries = entries_of(task, "annotations" if "annotations" in task else "completions", place)
    valid = [entry for entry in entries if not entry.get("was_cancelled") and entry["result"]]
    if not valid:
        guessed = [entry for entry in entries_of(task, "predictions", place) if entry["result"]]
        if guessed and not reading.predictions:
            notes["tasks with predictions only, left out (--predictions uses them)"].append(place)
        valid = guessed if reading.predictions else []
    valid = [entry for entry in valid if entry.get("ground_truth")] or valid
    mine = [entry for entry in valid if reading.annotator and reading.annotator in names_of_writer(entry)]
    return mine or valid


def entries_of(task: dict[str, Any], key: str, place: str) -> list[dict[str, Any]]:
    """The annotations or predictions of a task; InputError if they are invalid."""
    entries = task.get(key) or []
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise InputError(f"{place}: {key} {entries!r:.80}, expected a list of objects with a result each")
    for entry in entries:
        if not isinstance(entry.get("result"), list) and not entry.get("was_cancelled"):
            raise InputError(f"{place}: result {entry.get('result')!r:.80}, expected a list")
    return entries


def names_of_writer(entry: dict[str, Any]) -> set[str]:
    """The possible names of an annotation's author."""
    writer = entry.get("completed_by", entry.get("model_version"))
    names = [writer.get(key) for key in ("id", "email")] if isinstance(writer, dict) else [writer]
    names += str(entry.get("created_username") or "").split(",")
    return {str(name).strip() for name in names if name not in (None, "")}


def writer_of(entry: dict[str, Any]) -> str:
    """The names of an annotation's author, as text."""
    return " ".join(sorted(names_of_writer(entry))) or "an unknown annotator"


def regions_of(
    results: Sequence[Any], name: str, place: str, notes: Notes, reading: TaskReading
) -> tuple[list[dict[str, Any]], tuple[Any, Any]]:
    """The regions of one annotation, and the size of the image that it states."""
    regions: dict[Any, list[dict[str, Any]]] = {}
    size = (None, None)
    for result in results:
        if not isinstance(result, dict):
            raise InputError(f"{place}: result {result!r:.80}, expected an object")
        if not isinstance(result.get("value"), dict):
            continue  # a relation between two regions
        key = str(result["id"]) if result.get("id") is not None else shape_key(result["value"])
        if key is None:
            continue  # it concerns the whole image, such as a choice
        regions.setdefault(key, []).append(result)
        size = (result.get("original_width", size[0]), result.get("original_height", size[1]))
    known_size = size if all(is_number(side) and side > 0 for side in size) else None
    joined = []
    for number, (key, group) in enumerate(regions.items()):
        name_of = key if isinstance(key, str) else number
        joined.append(join(group, name_of, f"{place}: region {name_of}", notes, reading, known_size, name))
    return [region for region in joined if region is not None], size


def shape_key(value: dict[str, Any]) -> Any:
    """A key that is equal for equal shapes; None without a shape."""
    if isinstance(value.get("points"), list):
        return ("points", str(value["points"]))
    sides = [value.get(key) for key in ("x", "y", "width", "height", "radiusX", "radiusY", "rotation")]
    return None if sides[:2] == [None, None] else ("sides", *(side if side is None else str(side) for side in sides))


def join(
    results: Sequence[dict[str, Any]],
    name: Any,
    place: str,
    notes: Notes,
    reading: TaskReading,
    size: Size | None,
    image: str,
) -> dict[str, Any] | None:
    """One region from its results; None if it has no box, or concerns the whole image."""
    values = [result["value"] for result in results]
    labels = [label for result in results for label in labels_of(result)]
    texts = [text for result in results if result.get("type") == "textarea" for text in listed(result["value"], "text")]
    if not all(isinstance(text, str) for text in texts):
        raise InputError(f"{place}: text {texts!r:.80}, expected strings")
    shape = next((value for value in values if has_box(value)), None)
    if shape is None:
        if labels or texts:
            notes["regions whose shape has no box, left out"].append(place)
        return None
    if any(result.get("image_rotation") for result in results):
        notes["regions of an image that was displayed rotated, with boxes of the unrotated file"].append(place)
    if len(labels) > 1:
        notes["regions with several labels, the first of which is used"].append(place)
    rotation = shape.get("rotation") or 0
    if rotation and size is None:
        size = reading.size_of(image)
        if size is None:
            raise InputError(f"{place}: rotated by {rotation}, but original_width and original_height are missing")
    box = box_of(shape, rotation, reading.unit.size(size or (100, 100)), size, place)
    return {"id": name, "box": box, "text": " ".join(texts), "label": labels[0] if labels else None}


def has_box(value: dict[str, Any]) -> bool:
    """Whether a shape has a bounding box."""
    return any(all(key in value for key in keys) for keys in (("width", "height"), ("points",), ("radiusX", "radiusY")))


def box_of(shape: dict[str, Any], rotation: Any, page: Size, pixels: Size | None, place: str) -> list[float]:
    """xmin, ymin, xmax, ymax of a shape, in its unit.

    Args:
        rotation: In degrees, clockwise, about the top left corner of a rectangle or the centre of an ellipse.
        page: Size of the page in that unit.
        pixels: Size of the page in pixels; required if the shape is rotated.
    """
    if "points" in shape:
        points = shape["points"]
        whole = isinstance(points, list) and points and all(isinstance(p, list) and len(p) == 2 for p in points)
        if not whole or not all(is_number(value) for point in points for value in point):
            raise InputError(f"{place}: points {points!r:.80}, expected a list of [x, y] in percent of the page")
        return hull(points)
    is_rectangle = "width" in shape
    keys = ("x", "y", "width", "height") if is_rectangle else ("x", "y", "radiusX", "radiusY")
    sides = [shape.get(key) for key in keys]
    if not all(map(is_number, sides)):
        kind = "rectangle" if is_rectangle else "ellipse"
        raise InputError(f"{place}: {kind} {sides!r:.80}, expected {', '.join(keys[:-1])} and {keys[-1]} in percent")
    if not is_number(rotation):
        raise InputError(f"{place}: rotation {rotation!r:.80}, expected degrees")
    x, y, across, down = sides
    if not rotation:
        return [x, y, x + across, y + down] if is_rectangle else [x - across, y - down, x + across, y + down]
    # rotation preserves angles only in pixels
    by = (pixels[0] / page[0], pixels[1] / page[1])
    cosine, sine = turned(rotation)
    along, aside = (cosine * across * by[0], sine * across * by[0]), (-sine * down * by[1], cosine * down * by[1])
    if is_rectangle:
        corners = [(0, 0), along, aside, (along[0] + aside[0], along[1] + aside[1])]
    else:
        reach = math.hypot(along[0], aside[0]), math.hypot(along[1], aside[1])
        corners = [(-reach[0], -reach[1]), reach]
    return hull([[x + dx / by[0], y + dy / by[1]] for dx, dy in corners])


def turned(degrees: float) -> tuple[float, float]:
    """Cosine and sine of an angle, exact for multiples of 90 degrees."""
    quarters = {0.0: (1.0, 0.0), 90.0: (0.0, 1.0), 180.0: (-1.0, 0.0), 270.0: (0.0, -1.0)}
    angle = math.radians(degrees)
    return quarters.get(float(degrees) % 360, (math.cos(angle), math.sin(angle)))


def hull(points: Sequence[Sequence[float]]) -> list[float]:
    """The bounding box of points, xmin, ymin, xmax, ymax."""
    across, down = zip(*points, strict=True)
    return [min(across), min(down), max(across), max(down)]


def labels_of(result: dict[str, Any]) -> list[Any]:
    """The labels in a result of type labels, rectanglelabels and the like."""
    kind = str(result.get("type"))
    return listed(result["value"], kind) if kind.endswith("labels") else []


def listed(value: dict[str, Any], key: str) -> list[Any]:
    """The value of `key` as a list, because Label Studio writes a single text as a string."""
    entry = value.get(key)
    if entry is None:
        return []
    return entry if isinstance(entry, list) else [entry]


def image_of(task: dict[str, Any], place: str) -> str:
    """The path of a task's image, from a path or from the URL of an upload, a local file or a bucket.

    Raises:
        InputError: The data contain no image file.
    """
    data = task["data"] if isinstance(task["data"], dict) else {}
    named = [data[key] for key in IMAGE_KEYS if isinstance(data.get(key), str)]
    named += [value for value in data.values() if isinstance(value, str) and is_image(value)]
    if not named:
        raise InputError(f"{place}: data {task['data']!r:.80}, expected an image file under image or ocr")
    address = named[0]
    if "://" not in address and not address.startswith("/data/"):
        return address
    path, _, query = address.partition("?")
    return parse_qs(query)["d"][0] if "d" in parse_qs(query) else unquote(path)


def is_image(value: str) -> bool:
    """Whether a value of a task's data is the name or URL of an image."""
    try:
        path = urlsplit(value).path if "://" in value else value.partition("?d=")[2] or value
    except ValueError:  # an invalid URL
        return False
    return path.lower().endswith(IMAGE_SUFFIXES)
