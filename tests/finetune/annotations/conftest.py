"""Shared by the tests of exports."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.finetune.annotations.exports import NAMES

Read = Callable[..., tuple[list[Any], dict[str, list[str]]]]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """(rows, options of the reading) -> the pages, the notes."""
    from finetune.annotations.labelled_pages import ExportReading, read_pages

    def read(rows: Any, **options: Any) -> tuple[list[Any], dict[str, list[str]]]:
        path = tmp_path / "export.json"
        path.write_text(json.dumps(rows))
        reading = ExportReading(NAMES, **options)
        return read_pages(str(path), reading), reading.notes

    return read


@pytest.fixture
def scanned(tmp_path: Path) -> dict[str, Any]:
    """An image of 200 x 100 and its words from OCR."""
    from PIL import Image

    for name in ("images", "words"):
        (tmp_path / name).mkdir()
    Image.new("RGB", (200, 100)).save(tmp_path / "images/Ex1.png")
    found = {"F-17": (22, 21, 40, 25), "May": (118, 20, 130, 24), "1": (108, 20, 112, 25), "far": (1, 90, 9, 99)}
    found |= {"42,00": (150, 81, 170, 84), "below": (110, 27, 118, 29)}
    words = [{"text": text, "box": list(box)} for text, box in found.items()]
    (tmp_path / "words/Ex1.json").write_text(json.dumps(words))
    return {"images": tmp_path / "images", "words": tmp_path / "words"}
