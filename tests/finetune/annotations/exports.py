"""Exports as Label Studio writes them, and the pages that they contain."""

from itertools import chain
from typing import Any

NAMES = ["InvNum", "InvDate", "Fourni", "TTC", "TVA", "TT", "Autre"]


def results(name: str, box: list[float], text: Any, label: str | None, **more: Any) -> list[dict[str, Any]]:
    """The results of a region as Label Studio writes them; without text or label if these are None."""
    geometry = dict(zip(("x", "y", "width", "height"), box, strict=True)) | {"rotation": 0} | more
    shared = {"id": name, "to_name": "image", "original_width": 200, "original_height": 100, "image_rotation": 0}
    made = [{"type": "rectangle", "from_name": "bbox", "value": geometry}]
    if label is not None:
        made.append({"type": "labels", "from_name": "label", "value": geometry | {"labels": [label]}})
    if text is not None:
        made.append({"type": "textarea", "from_name": "transcription", "value": geometry | {"text": text}})
    return [shared | result for result in made]


def annotation(*regions: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    return {"was_cancelled": False, "ground_truth": False, "result": list(chain(*regions))} | more


def task(*annotations: dict[str, Any], image: str = "/data/upload/1/0a1b2c3d-Ex1.png", key: str = "ocr") -> dict:
    return {"id": 1, "annotations": list(annotations), "drafts": [], "predictions": [], "data": {key: image}}


def plain(*regions: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A page in the format {file_name, height, width, annotations}."""
    return {"file_name": "Ex1.png", "height": 100, "width": 200, "annotations": list(regions)} | more


NUMBER = results("a", [10, 20, 30, 5.5], ["F-17"], "InvNum")
DATE = results("b", [50, 20, 20, 5], ["1 May"], "InvDate")
TOTAL = results("c", [70.26, 80, 20, 5], ["42,00"], "TTC")
REGION = {"box": [1, 2, 3, 4], "text": "42,00", "label": 3}


def content(page: Any) -> list[tuple]:
    """Text, label and box of each region of a LabelledPage."""
    return list(zip(page.tokens, [NAMES[tag] for tag in page.ner_tags], page.bboxes, strict=True))


ALL = [
    ("F-17", "InvNum", [100, 200, 400, 255]),
    ("1 May", "InvDate", [500, 200, 700, 250]),
    ("42,00", "TTC", [703, 800, 903, 850]),
]


def sized(results: list[dict[str, Any]], width: int | None, height: int | None) -> list[dict[str, Any]]:
    return [result | {"original_width": width, "original_height": height} for result in results]


def compact(*regions: tuple[list[float], str | None], **more: Any) -> dict[str, Any]:
    """A row of JSON-MIN from pairs (box, label)."""
    shapes = [dict(zip(("x", "y", "width", "height"), box, strict=True)) | {"rotation": 0} for box, _ in regions]
    size = {"original_width": 200, "original_height": 100}
    labels = [shape | {"labels": [name]} | size for shape, (_, name) in zip(shapes, regions, strict=True) if name]
    row = {"ocr": "/data/upload/1/0a1b2c3d-Ex1.png", "id": 1, "bbox": [shape | size for shape in shapes]}
    return (
        row
        | {"label": labels, "annotator": 1, "annotation_id": 1, "created_at": "", "updated_at": "", "lead_time": 1.5}
        | more
    )


BOXES = [[10, 20, 30, 5.5], [50, 20, 20, 5], [70.26, 80, 20, 5]]
COMPACT = compact(*zip(BOXES, ["InvNum", "InvDate", "TTC"], strict=True), transcription=["F-17", "1 May", "42,00"])
