"""Images of exports are found by their names."""

from pathlib import Path

import pytest

pytest.importorskip("PIL", reason="needs requirements-finetune.txt")

from documents.image_names import find_image, is_named
from tests.finetune.annotations.exports import (
    NUMBER,
    annotation,
    task,
)


@pytest.mark.parametrize(
    "address, name",
    [
        ("/data/upload/1/0a1b2c3d-Ex1.png", "Ex1.png"),
        ("/data/upload/1/0a1b2c3d-Ex%201.png", "Ex 1.png"),
        ("/data/local-files/?d=scans/2024/Ex1.png", "2024/Ex1.png"),
        ("/data/local-files/?d=scans%2FEx1.png", "Ex1.png"),
        ("s3://bucket/scans/Ex1.png", "scans/Ex1.png"),
        ("https://host/scans/Ex1.png?token=a/b", "Ex1.png"),
        ("No #3? 100%25.png", "No #3? 100%25.png"),
        ("0a1b2c3d-Ex1.png", "0a1b2c3d-Ex1.png"),
        ("d1\\img1.jpg", "img1.jpg"),
        ("C:\\scans\\d1\\img1.jpg", "d1/img1.jpg"),
        ("d1%5Cimg1.jpg", "d1/img1.jpg"),
        ("/data/local-files/?d=d1%5Cimg1.jpg", "img1.jpg"),
        ("/data/local-files/?d=d1\\img1.jpg", "d1/img1.jpg"),
        ("/data/upload/0a1b2c3d-img1.jpg", "img1.jpg"),
    ],
)
def test_names_of_images(read, tmp_path, address, name):
    """Of all candidates, the file with the most matching folders."""
    for file in {name, "Ex1.png"}:
        path = tmp_path / "images" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    for key in ("image", "ocr"):
        (page,), _ = read([task(annotation(NUMBER), image=address, key=key)])
        assert find_image(tmp_path / "images", page.file_name) == name
        assert is_named(page.file_name, Path(name).name)


def test_an_image_under_another_key(read):
    """It is the only value with the extension of an image file."""
    made = task(annotation(NUMBER), key="scan", image="/data/upload/1/0a1b2c3d-Ex1.PNG")
    (page,), _ = read([made | {"data": {"note": "blurred"} | made["data"]}])
    assert page.file_name == "/data/upload/1/0a1b2c3d-Ex1.PNG"


@pytest.mark.parametrize("name", ["Ex2.png", "", "/", "../outside.png", "x" * 5000, "a\0b", "0a1b2c3-Ex1.png"])
def test_missing_images(tmp_path, name):
    (tmp_path / "images").mkdir()
    (tmp_path / "images/Ex1.png").touch()
    (tmp_path / "outside.png").touch()
    assert find_image(tmp_path / "images", name) is None
