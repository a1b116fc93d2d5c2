"""Sources of DocLayNet pages: its own zip, packed and unpacked, the folders that IBM published, parts on the hub."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import huggingface_hub
import pytest

from preprocess.blocks import LABEL_WORDS, Block
from preprocess.doclaynet import BlockOptions, DocLayNetConfig
from preprocess.errors import InputError
from preprocess.pages import dataset_of_size, find_image, read_pages

ABOUT = {"page_hash": "f00d", "coco_width": 1025, "coco_height": 1025, "doc_category": "manuals"}
TITLE, TEXT = [100, 50, 400, 30], [100, 100, 800, 60.5]
FORM = [
    {"text": "below", "category": "Text", "box": TEXT, "box_line": [100, 130, 90, 12], "id_box": 1, "font": {}},
    {"text": "Safe ", "category": "Title", "box": TITLE, "box_line": [100, 52, 80, 20], "id_box": 0, "font": {}},
    {"text": "above", "category": "text", "box": TEXT, "box_line": [100, 102, 90, 12], "id_box": 1, "font": {}},
    {"text": "pumps", "category": "Title", "box": TITLE, "box_line": [190, 52, 80, 20], "id_box": 0, "font": {}},
]
FOUND = [("Title", "Safe pumps", (98, 49, 488, 78)), ("Text", "above below", (98, 98, 878, 157))]


def content(blocks: list[Block]) -> list[tuple]:
    return [(block.label_word, block.text, block.box) for block in blocks]


def own_layout(folder: Path, row: Any = None, splits: tuple[str, ...] = ("train", "val", "test")) -> Path:
    """The layout of its zip, with one page per split and images of a few bytes."""
    for split in splits:
        page = {"metadata": ABOUT | {"page_hash": split}, "form": FORM} if row is None else row
        for name, ending, written in (("annotations", "json", json.dumps(page)), ("images", "png", split)):
            (folder / split / name).mkdir(parents=True)
            (folder / split / name / f"{split}_0.{ending}").write_text(written)
    return folder


def packed(folder: Path, path: Path) -> Path:
    with ZipFile(path, "w") as opened:
        for file in sorted(folder.rglob("*.*")):
            opened.write(file, file.relative_to(folder))
        opened.writestr("__MACOSX/small_dataset/test/annotations/._test_0.json", "no JSON")
    return path


@pytest.fixture
def layouts(tmp_path: Path) -> dict[str, Path]:
    """The same pages in a folder, in a folder of the zip's name, and in the zip."""
    (tmp_path / "unpacked").mkdir()
    own_layout(tmp_path / "unpacked/small_dataset")
    zipped = packed(tmp_path / "unpacked", tmp_path / "dataset_small.zip")
    return {"plain": own_layout(tmp_path / "plain"), "nested": tmp_path / "unpacked", "zip": zipped}


@pytest.mark.parametrize("layout", ["plain", "nested", "zip"])
@pytest.mark.parametrize(
    ("split", "called"), [("train", "train"), ("validation", "val"), ("val", "val"), ("test", "test")]
)
def test_its_own_layout(layout: str, split: str, called: str, layouts: dict[str, Path]):
    (page,) = read_pages(str(layouts[layout]), split, images=True)
    assert content(page.blocks) == FOUND
    assert (page.blocks[0].page, page.blocks[0].doc_category) == (called, "manuals")
    image = page.image["bytes"] if isinstance(page.image, dict) else page.image.read_bytes()
    assert image == called.encode()
    assert page.place.endswith(f"{called}/annotations/{called}_0.json")
    (blind,) = read_pages(str(layouts[layout]), split)
    assert blind.image is None
    assert read_pages(str(layouts[layout]), "other") is None


@pytest.mark.parametrize("size", ["small", "base", "large"])
def test_a_size_is_fetched_as_zips(size: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """`datasets` no longer runs scripts, so the zips are read; a large one has parts."""
    for part in (0, 1):
        (tmp_path / "data").mkdir(exist_ok=True)
        packed(own_layout(tmp_path / str(part) / "part_dataset"), tmp_path / f"data/part_dataset_{part}.zip")
    asked = []

    def fetch(name: str, **options: Any) -> str:
        asked.append((name, options))
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetch)
    path = dataset_of_size(size, "")
    pages = list(read_pages(path, "validation"))
    assert [content(page.blocks) for page in pages] == [FOUND, FOUND]
    assert asked == [
        (f"pierreguillou/DocLayNet-{size}", {"repo_type": "dataset", "allow_patterns": "data/*.zip"}),
    ]


def test_unknown_sizes(monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(InputError, match="--dataset_size huge: expected small, base, large"):
        DocLayNetConfig(BlockOptions(dataset_size="huge"))
    with pytest.raises(InputError, match="--dataset_size small: cannot be combined with --dataset_path"):
        dataset_of_size("small", "elsewhere")

    def fail(*_: Any, **__: Any) -> str:
        raise OSError("no network\nat all")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    with pytest.raises(InputError, match=r"DocLayNet-base: no such folder; on the hub: no network \(--data"):
        read_pages("pierreguillou/DocLayNet-base", "test")
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_, **__: "/nowhere")
    with pytest.raises(InputError, match="no zip of pages on the hub"):
        read_pages("pierreguillou/DocLayNet-base", "test")


CATEGORIES = [{"id": number + 1, "name": word, "supercategory": word} for number, word in enumerate(LABEL_WORDS)]


def annotation(image: int, label: int, *box: float, **more: Any) -> dict[str, Any]:
    return {"id": 0, "image_id": image, "category_id": label, "bbox": list(box), "precedence": 0, "iscrowd": 0} | more


def cell(text: str, *box: float) -> dict[str, Any]:
    return {"text": text, "bbox": list(box), "font": {"name": "/Times", "size": 1, "color": [0, 0, 0, 255]}}


CELLS = [
    cell("Safe", 100, 52, 80, 20),
    cell("pumps", 190, 52, 80, 20),
    cell("in a picture", 610, 610, 50, 10),
    cell("mostly text", 880, 110, 100, 10),  # a tenth outside of its box
    cell("mostly outside", 940, 130, 100, 10),
    cell("nowhere", 20, 900, 50, 10),
    cell("flat", 120, 120, 50, 0),
]
BOXES = [
    annotation(1, 11, *TITLE),
    annotation(1, 10, 100, 100, 870, 60),
    annotation(1, 7, 600, 500, 425.49, 300),
    annotation(1, 1, 600, 600, 100, 50),  # a caption in the picture: the smaller box has the cell
    annotation(1, 9, 0, 0, 1025, 1025, precedence=1),
    annotation(2, 10, 0, 0, 9, 9),
]


@pytest.fixture
def write_core(tmp_path: Path) -> Callable[..., Path]:
    """(location of the folders of the two zips, changes) -> the folder."""

    def write(core: str = "", extra: str = "", boxes: Any = BOXES, cells: Any = CELLS, names: Any = CATEGORIES) -> Path:
        images = [
            {"id": 1, "file_name": "beef.png", "width": 1025, "height": 1025, "precedence": 0, "doc_category": "laws"},
            {"id": 3, "file_name": "beef.png", "width": 1025, "height": 1025, "precedence": 1},
        ]
        for name, file, written in (
            (f"{core}/COCO", "test.json", {"images": images, "annotations": boxes, "categories": names}),
            (f"{core}/COCO", "val.json", {"images": [], "annotations": [], "categories": names}),
            (f"{core}/PNG", "beef.png", "image"),
            (f"{extra}/JSON", "beef.json", {"metadata": ABOUT | {"page_hash": "beef"}, "cells": cells}),
        ):
            (tmp_path / "set" / name.strip("/")).mkdir(parents=True, exist_ok=True)
            (tmp_path / "set" / name.strip("/") / file).write_text(json.dumps(written))
        return tmp_path / "set"

    return write


@pytest.mark.parametrize(("core", "extra"), [("", ""), ("DocLayNet_core", "DocLayNet_extra")])
def test_the_core(core: str, extra: str, write_core):
    folder = write_core(core, extra)
    for path in {folder, folder / core}:
        (page,) = read_pages(str(path), "test", images=True)
        assert [(block.label_word, block.text) for block in page.blocks] == [
            ("Title", "Safe pumps"),
            ("Text", "mostly text flat"),
            ("Picture", ""),
            ("Caption", "in a picture"),
        ]
        assert (page.blocks[0].page, page.blocks[0].doc_category) == ("beef", "laws")
        assert page.image.name == "beef.png"
        assert list(read_pages(str(path), "validation")) == []
        assert read_pages(str(path), "train") is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"boxes": [annotation(1, 12, *TITLE)]}, "annotation 0: category_id 12, expected one of 1, 2, 3, 4"),
        ({"boxes": [annotation(1, 1, 1, 2, 3)]}, "annotation 0: box [1, 2, 3], expected [x, y, width, height]"),
        ({"boxes": 7}, "test.json: expected COCO's format: an object with lists of images, annotations, categories"),
        ({"names": [{"id": 1, "name": "Heading"}]}, "category 0: category 'Heading', expected one of Caption, Foot"),
        ({"cells": [cell("a", 1, 2, 3)]}, "beef.json: cell 0: box [1, 2, 3], expected [x, y, width, height]"),
        ({"cells": {}}, "beef.json: expected an object with metadata and a list of cells with text and bbox"),
    ],
)
def test_every_defect_of_the_core_has_a_message(change: dict, message: str, write_core):
    with pytest.raises(InputError) as error:
        list(read_pages(str(write_core(**change)), "test"))
    assert message in str(error.value)


def test_the_texts_of_the_core_are_missing(write_core):
    folder = write_core()
    (folder / "JSON/beef.json").unlink()
    with pytest.raises(InputError, match=r"beef.json: no such file \(--dataset_path\)"):
        list(read_pages(str(folder), "test"))
    (folder / "JSON").rmdir()
    with pytest.raises(InputError, match="no folder JSON with the text of the pages: also unpack DocLayNet_extra"):
        list(read_pages(str(folder), "test"))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"form": 7}, "form 7, expected a list of objects with text, category, box, box_line"),
        ({"form": [FORM[0] | {"category": "Heading"}]}, "cell 0: category 'Heading', expected one of Caption"),
        ({"form": [FORM[0] | {"category": 9}]}, "cell 0: category 9, expected one of Caption"),
        ({"form": [FORM[0], FORM[0] | {"box_line": None}]}, "cell 1: box None, expected [x, y, width, height]"),
        ({"form": [FORM[0] | {"text": None}]}, "cell 0: text None, expected a string"),
        ({"form": FORM, "metadata": []}, ""),
        ({"form": FORM, "metadata": "x"}, "metadata 'x', expected an object"),
        ("no page", "expected an object for a page"),
    ],
)
def test_every_defect_of_its_own_layout_has_a_message(row: Any, message: str, tmp_path: Path):
    folder = own_layout(tmp_path / "set", row, ("test",))
    for path in (folder, packed(folder, tmp_path / "set.zip")):
        try:
            list(read_pages(str(path), "test"))
        except InputError as error:
            assert message in str(error)
        else:
            assert not message


def test_invalid_zips(tmp_path: Path):
    (tmp_path / "set.zip").write_text("no zip")
    with pytest.raises(InputError, match=r"set.zip: not a zip: .*\(--dataset_path\)"):
        read_pages(str(tmp_path / "set.zip"), "test")
    with ZipFile(tmp_path / "set.zip", "w") as opened:
        opened.writestr("test/annotations/a.json", "no JSON")
        opened.writestr("train/annotations/a.json", json.dumps({"metadata": ABOUT, "form": FORM}))
    with pytest.raises(InputError, match=r"set.zip: test/annotations/a.json: cannot be read: .*\(--dataset_path\)"):
        list(read_pages(str(tmp_path / "set.zip"), "test"))
    with pytest.raises(InputError, match=r"no image of this page: no train/images/a with \.png, \.jpg"):
        list(read_pages(str(tmp_path / "set.zip"), "train", images=True))


def test_boxes_in_another_unit(tmp_path: Path, run_script):
    """0..1 is refused before anything is written, and read if it is declared."""
    shares = [cell | {name: [value / 1025 for value in cell[name]] for name in ("box", "box_line")} for cell in FORM]
    folder = own_layout(tmp_path / "set", {"metadata": ABOUT, "form": shares}, ("test",))
    command = ["run_preprocess_direct_doclaynet.py", "--dataset_path", folder, "--k", 0]
    command += ["--data_path", tmp_path / "inputs.json"]
    done = run_script(*command)
    assert (done.returncode, done.stdout, (tmp_path / "inputs.json").exists()) == (2, "", False)
    (line,) = [line for line in done.stderr.splitlines() if "page" not in line[:6]]
    assert "test_0.json: all boxes (2) are between 0 and 1: they look like 0..1, not pixels; declare" in line
    (page,) = read_pages(str(folder), "test", box_unit="0..1")
    assert content(page.blocks) == FOUND
    assert run_script(*command, "--box_unit", "0..1").returncode == 0
    with pytest.raises(InputError, match="--box_unit miles: expected pixels"):
        BlockOptions(box_unit="miles")


@pytest.mark.parametrize("ending", [".png", ".PNG", ".Jpg", ".jpeg", ".tif", ".TIFF"])
def test_the_file_extension_of_an_image(ending: str, tmp_path: Path):
    for name in (f"a [1].b{ending}", "a [1].b.txt", "a [1].b.c.png"):
        (tmp_path / name).touch()
    assert find_image(tmp_path / "a.json", [tmp_path / "none/a", tmp_path / "a [1].b"]).name == f"a [1].b{ending}"
