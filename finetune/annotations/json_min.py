"""Converts Label Studio's compact export (JSON-MIN) to tasks of the full export.

A row is one annotation: the task's data, and for each control its values for all regions. Shapes and labels contain
their geometry, which links them. Texts do not: they are in the order of the regions, or a single string for one region.
If their number differs from that of the regions, they cannot be assigned.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from finetune.annotations.label_studio import shape_key
from preprocess.errors import InputError

MARKS = ("annotation_id", "annotator")  # a row has at least one
ABOUT = (*MARKS, "id", "created_at", "updated_at", "lead_time", "agreement")
TEXT_NAMES = ("text", "transcription")  # names, or ends of names, of controls whose single text is a string


def is_row(row: Any) -> bool:
    """Whether a row is from a compact export."""
    return isinstance(row, dict) and any(mark in row for mark in MARKS)


def tasks_of(rows: Sequence[dict[str, Any]], path: str, needs_text: bool) -> list[tuple[str, dict[str, Any]]]:
    """The tasks of the annotations in `rows`, each with its place.

    Args:
        needs_text: Whether to read texts.
    """
    tasks: dict[Any, tuple[str, dict[str, Any]]] = {}
    for number, row in enumerate(rows):
        place = f"{path}: row {number}"
        results = [] if row.get("was_cancelled") else results_of(row, place, needs_text)
        data = {key: value for key, value in row.items() if isinstance(value, str) and key not in ABOUT}
        _, task = tasks.setdefault(row.get("id", ("row", number)), (place, {"data": data, "annotations": []}))
        task["annotations"].append({"completed_by": row.get("annotator"), "result": results})
    return list(tasks.values())


def results_of(row: dict[str, Any], place: str, needs_text: bool) -> list[dict[str, Any]]:
    """The results of one annotation; those of a region have the same id."""
    controls = {key: value for key, value in row.items() if key not in ABOUT}
    numbers: dict[tuple[Any, int], str] = {}
    results = []
    for values in (value for value in controls.values() if isinstance(value, list)):
        seen: Counter[Any] = Counter()  # two regions may have one shape
        for value in (value for value in values if isinstance(value, dict)):
            key = shape_key(value)
            if key is None:
                continue
            region = numbers.setdefault((key, seen[key]), str(len(numbers)))
            seen[key] += 1
            kind = next((name for name in value if name.endswith("labels")), "textarea" if "text" in value else "shape")
            size = {name: value[name] for name in ("original_width", "original_height") if name in value}
            results.append({"id": region, "type": kind, "value": value} | size)
    if needs_text:
        results += texts_of(controls, len(numbers), place)
    return results


def texts_of(controls: dict[str, Any], regions: int, place: str) -> list[dict[str, Any]]:
    """The texts as results of the regions, in order."""
    lists = [value for value in controls.values() if isinstance(value, list) and any(isinstance(v, str) for v in value)]
    lone = [[value] for name, value in controls.items() if isinstance(value, str) and name.lower().endswith(TEXT_NAMES)]
    candidates = [texts for texts in [*lists, *lone] if texts]
    if not candidates or not regions:
        return []
    if len(candidates) > 1 or len(candidates[0]) != regions:
        counts = " and ".join(str(len(texts)) for texts in candidates)
        raise InputError(
            f"{place}: {counts} texts for {regions} regions: a compact export (JSON-MIN) does not link them;"
            ' export as "JSON", or use --words (--annotations)'
        )
    return [
        {"id": str(number), "type": "textarea", "value": {"text": text}}
        for number, text in enumerate(candidates[0])
        if isinstance(text, str)
    ]
