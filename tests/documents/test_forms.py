"""Forms of three data sets: user's labels, rotated images, word and segment boxes, boxes in another unit."""

import codecs
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("PIL", reason="needs requirements-finetune.txt")

import datasets
from PIL import Image

from documents.forms import FUNSD_WORDS
from documents.images import open_image
from documents.pages import PageOptions, flat, read_splits
from documents.segments import segments
from documents.sources import source_of
from preprocess.blocks import Block, Page
from preprocess.errors import InputError

FLAG = "--dataset_path"
ROTATED = {1: None, 3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}


def word(text: str, *box: float) -> dict[str, Any]:
    return {"text": text, "box": list(box)}


def entity(label: str, *words: dict[str, Any]) -> dict[str, Any]:
    return {"label": label, "words": list(words), "box": [0, 0, 1, 1], "text": "", "linking": [], "id": 0}


FORM = [
    entity("question", word("Name", 60, 80, 120, 96), word("of", 126, 80, 150, 96)),
    entity("answer", word("Ann", 300, 80, 360, 96)),
]


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """(form, ending of the image, EXIF orientation, byte order mark) -> a folder with one form of 600 x 800."""

    def written(form: Any = FORM, ending: str = ".png", orientation: int = 1, bom: bool = False) -> Path:
        for split in ("training", "testing"):
            for name in ("annotations", "images"):
                (tmp_path / f"{split}_data" / name).mkdir(parents=True, exist_ok=True)
            content = json.dumps({"form": form}).encode()
            start = codecs.BOM_UTF8 if bom else b""
            (tmp_path / f"{split}_data/annotations/{split}.json").write_bytes(start + content)
            page = Image.new("RGB", (600, 800), "white")
            page.paste("black", (200, 40, 346, 56))
            exif = Image.Exif()
            exif[0x0112] = orientation
            turn = ROTATED[orientation]
            stored = page if turn is None else page.transpose(turn)
            kind = {"jpg": "JPEG", "peg": "JPEG", "png": "PNG", "tif": "TIFF", "iff": "TIFF"}[ending.lower()[-3:]]
            stored.save(tmp_path / f"{split}_data/images/{split}{ending}", kind, exif=exif)
        return tmp_path

    return written


def read(path: Path, split: str = "train", **options: str) -> Page:
    source = source_of("funsd", str(path), **options)
    (page,) = source.read(source.path, split, FLAG, True)
    return page


def found(page: Page) -> list[tuple]:
    return [(block.text, block.label_word, block.box) for block in page.blocks]


@pytest.mark.parametrize("ending", [".png", ".jpg", ".tiff"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_rotated_image_is_rotated_once_and_boxes_refer_to_the_displayed_page(ending: str, orientation: int, write):
    page = read(write([entity("other", word("x", 200, 40, 346, 56))], ending, orientation))
    assert page.blocks[0].box == (333, 50, 577, 70)
    image = open_image(page.image, page.place)
    assert image.size == (600, 800)
    assert max(image.getpixel((270, 48))) < 60
    assert min(image.getpixel((270, 100))) > 200
    assert open_image(image, "again").size == (600, 800)


@pytest.mark.parametrize("ending", [".PNG", ".jpg", ".Jpeg", ".tif", ".TIFF"])
def test_the_file_extension_of_an_image(ending: str, write):
    assert read(write(ending=ending)).image.name == f"training{ending}"


def test_a_byte_order_mark_is_ignored(write):
    assert found(read(write(bom=True))) == found(read(write()))


def test_other_labels(write):
    """Labels in any case become tags; if all are FUNSD's, the tags are FUNSD's, in its order."""
    form = [
        entity("Total", word("7", 10, 10, 40, 30), word("EUR", 50, 10, 90, 30)),
        entity("date", word("May", 10, 60, 40, 80)),
        entity("O", word("x", 10, 160, 40, 180)),
        entity("Other", word("y", 10, 260, 40, 280)),
    ]
    source = source_of("funsd", str(write(form)))
    assert source.label_words == ("O", "B-DATE", "I-DATE", "B-TOTAL", "I-TOTAL")
    (page,) = source.read(source.path, "train", FLAG, False)
    assert [block.label_word for block in page.blocks] == ["B-TOTAL", "I-TOTAL", "B-DATE", "O", "O"]
    assert source_of("funsd", str(write())).label_words == FUNSD_WORDS


def test_boxes_of_words_and_segments(write):
    expected = [("Name", "B-QUESTION"), ("of", "I-QUESTION"), ("Ann", "B-ANSWER")]
    entities, own = [(100, 100, 250, 120)] * 2, [(100, 100, 200, 120), (210, 100, 250, 120)]
    last = (500, 100, 600, 120)
    for boxes, places in (("segment", [*entities, last]), ("word", [*own, last])):
        told = [(*pair, box) for pair, box in zip(expected, places, strict=True)]
        assert found(read(write(), boxes=boxes)) == told


UNITS = {"percent": (100, 100), "0..1000": (1000, 1000), "0..1": (1, 1)}


@pytest.mark.parametrize("unit", UNITS)
def test_boxes_in_another_unit(unit: str, write):
    """Refused if they cannot be pixels, read if they are declared."""
    wide, high = UNITS[unit]
    ratios = (wide / 600, high / 800) * 2
    lines = [(10, y, 590, y + 10) for y in range(10, 700, 10)]
    form = [entity("answer", *(word("x", *(v * by for v, by in zip(box, ratios, strict=True))) for box in lines))]
    folder = write(form)
    page = read(folder, box_unit=unit, boxes="word")
    assert page.blocks[0].box == (17, 12, 983, 25)
    if unit == "percent":
        return  # fits into the page
    with pytest.raises(InputError) as error:
        read(folder)
    assert f"they look like {unit}" in str(error.value)
    assert "--box_unit" in str(error.value)
    assert str(error.value).startswith(f"{folder}/training_data/annotations/training.json: ")


@pytest.fixture
def xfund(tmp_path: Path) -> Path:
    for split, names in (("train", ["zh_train_0", "zh_train_1"]), ("val", ["zh_val_0"])):
        documents = [
            {"id": name, "uid": "u", "document": FORM, "img": {"fname": f"{name}.jpg", "width": 600, "height": 800}}
            for name in names
        ]
        content = {"lang": "zh", "version": "0.1", "split": split, "documents": documents}
        (tmp_path / f"zh.{split}.json").write_text(json.dumps(content))
        (tmp_path / f"zh.{split}").mkdir()
        for name in names:
            Image.new("RGB", (600, 800)).save(tmp_path / f"zh.{split}" / f"{name}.jpg")
    return tmp_path


def test_xfund(xfund: Path):
    """Its test split is called val; images are in a folder named after the file, in images/ or beside the file."""
    source = source_of("funsd", str(xfund))
    assert (source.name, source.table_name, source.label_words) == ("xfund", "xfund", FUNSD_WORDS)
    pages = list(source.read(source.path, "train", FLAG, True))
    assert [block.id for block in flat(pages)] == [f"zh_train_{page}-{n}" for page in (0, 1) for n in range(3)]
    assert pages[1].blocks[2].box == (500, 100, 600, 120)
    assert pages[1].image == xfund / "zh.train/zh_train_1.jpg"
    for split in ("test", "validation", "val"):
        (page,) = source.read(source.path, split, FLAG, False)
        assert page.blocks[0].page == "zh_val_0"
    (xfund / "zh.val").rename(xfund / "images")
    (page,) = source.read(source.path, "test", FLAG, True)
    assert page.image.parent.name == "images"
    (xfund / "zh.train.json").write_text(json.dumps({"documents": [{"img": {}}]}))
    with pytest.raises(InputError, match=r"zh\.train\.json: document 0: expected an object with img, whose fname"):
        list(source.read(source.path, "train", FLAG, False))


def receipt_word(text: str, x0: int, y0: int, x1: int, y1: int) -> dict[str, Any]:
    corners = {"x1": x0, "y1": y0 + 2, "x2": x1, "y2": y0, "x3": x1, "y3": y1 - 2, "x4": x0, "y4": y1}
    return {"quad": corners, "is_key": 0, "row_id": 1, "text": text}


def test_cord(tmp_path: Path):
    lines = [
        {
            "words": [receipt_word("Tea", 60, 80, 120, 96), receipt_word("green", 126, 80, 180, 96)],
            "category": "menu.nm",
        },
        {"words": [receipt_word("2.50", 300, 80, 360, 96)], "category": "menu.price"},
        {"words": [receipt_word("2.50", 300, 180, 360, 196)], "category": "total.total_price"},
    ]
    content = {"valid_line": lines, "meta": {"image_size": {"width": 600, "height": 800}}, "roi": {}, "dontcare": []}
    for split in ("train", "dev", "test"):
        for folder in ("json", "image"):
            (tmp_path / "CORD" / split / folder).mkdir(parents=True)
        (tmp_path / f"CORD/{split}/json/receipt_00000.json").write_text(json.dumps(content))
        Image.new("RGB", (600, 800)).save(tmp_path / f"CORD/{split}/image/receipt_00000.png")
    source = source_of("funsd", str(tmp_path))
    kinds = [f"{part}-{name}" for name in ("MENU.NM", "MENU.PRICE", "TOTAL.TOTAL_PRICE") for part in "BI"]
    assert (source.name, source.label_words) == ("cord", ("O", *kinds))
    assert not source.named  # the receipts of all splits have the same names
    for split in ("train", "validation", "test"):
        (page,) = source.read(source.path, split, FLAG, True)
        assert found(page)[:3] == [
            ("Tea", "B-MENU.NM", (100, 100, 300, 120)),
            ("green", "I-MENU.NM", (100, 100, 300, 120)),
            ("2.50", "B-MENU.PRICE", (500, 100, 600, 120)),
        ]
    lines[0]["words"][1]["quad"] = {"x1": 1}
    (tmp_path / "CORD/train/json/receipt_00000.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"receipt_00000\.json: line 0: word 1: box \{'x1': 1\}, expected \[x0, y0"):
        list(source.read(source.path, "train", FLAG, False))


@pytest.mark.parametrize("parquet", [True, False])
def test_cord_in_the_hubs_format(parquet: bool, tmp_path: Path):
    """An image and its annotation as JSON; receipts with the same number in different splits are different receipts."""
    tables = {}
    for split, text in (("train", "Tea"), ("validation", "Rice"), ("test", "Milk")):
        line = {"words": [receipt_word(text, 60, 80, 120, 96)], "category": f"menu.{split}", "group_id": 1}
        annotation = json.dumps({"valid_line": [line], "meta": {"image_id": 0}, "gt_parse": {"menu": []}})
        columns = {"image": [Image.new("RGB", (600, 800))] * 2, "ground_truth": [annotation] * 2}
        kinds = {"image": datasets.Image(), "ground_truth": datasets.Value("string")}
        tables[split] = datasets.Dataset.from_dict(columns, features=datasets.Features(kinds))
        if parquet:
            tables[split].to_parquet(tmp_path / f"data/{split}-00000-of-00001.parquet")
    if not parquet:
        datasets.DatasetDict(tables).save_to_disk(tmp_path)
    source = source_of("funsd", str(tmp_path / "data" if parquet else tmp_path))
    kinds = [f"{part}-MENU.{name}" for name in ("TEST", "TRAIN", "VALIDATION") for part in "BI"]
    assert (source.name, source.table_name, source.label_words) == ("cord", "cord", ("O", *kinds))
    pages = list(source.read(source.path, "test", FLAG, True))
    assert [found(page) for page in pages] == [[("Milk", "B-MENU.TEST", (100, 100, 200, 120))]] * 2
    assert open_image(pages[0].image, pages[0].place).size == (600, 800)
    splits = read_splits(PageOptions(validation_split="validation"), 0, source)
    assert (len(splits.train), len(splits.validation), splits.leaked) == (2, 2, 0)


@pytest.mark.parametrize(
    ("annotation", "message"),
    [
        ("{", r"train row 0: not JSON: line 1 column 2: .* \(--dataset_path\)$"),
        (
            '{"gt_parse": {}}',
            r"train row 0: expected JSON with a list 'valid_line' in the column ground_truth \(--data",
        ),
        ('{"valid_line": [{"words": 3}]}', "train row 0: line 0: expected an object with category and a list of words"),
    ],
)
def test_rows_that_are_not_receipts(annotation: str, message: str, tmp_path: Path):
    datasets.Dataset.from_dict({"ground_truth": [annotation]}).to_parquet(tmp_path / "train.parquet")
    with pytest.raises(InputError, match=message):
        source_of("funsd", str(tmp_path))


def test_cord_as_rows_of_words(tmp_path: Path):
    """The format of nielsr/cord-layoutlmv3, in which tokens are called words."""
    kinds = {"id": datasets.Value("string"), "words": datasets.List(datasets.Value("string"))}
    kinds |= {"bboxes": datasets.List(datasets.List(datasets.Value("int64")))}
    kinds |= {"ner_tags": datasets.List(datasets.ClassLabel(names=["O", "B-MENU.NM"])), "image": datasets.Image()}
    columns = {"id": ["0"], "words": [["Tea", "x"]], "bboxes": [[[10, 10, 60, 20], [600, 10, 700, 20]]]}
    columns |= {"ner_tags": [[1, 0]], "image": [Image.new("RGB", (500, 1000))]}
    table = datasets.Dataset.from_dict(columns, features=datasets.Features(kinds))
    datasets.DatasetDict({"train": table, "test": table}).save_to_disk(tmp_path)
    source = source_of("funsd", str(tmp_path))
    (page,) = source.read(source.path, "test", FLAG, False)
    assert (source.name, source.label_words) == ("cord", ("O", "B-MENU.NM"))
    assert found(page) == [("Tea", "B-MENU.NM", (10, 10, 60, 20)), ("x", "O", (600, 10, 700, 20))]


def test_words_make_segments():
    """Lines, split at wide gaps, for any order of the words and for columns whose lines are not aligned."""
    boxes = {
        "Invoice": (10, 10, 70, 22),
        "number": (74, 11, 130, 22),
        "F-17": (300, 10, 340, 22),
        "Total": (10, 40, 50, 52),
        "due": (53, 40, 80, 53),
        "42.00": (300, 44, 345, 56),
    }
    for order in (list(boxes), list(boxes)[::-1]):
        made = [[order[place] for place in segment] for segment in segments([boxes[name] for name in order])]
        assert made == [["Invoice", "number"], ["F-17"], ["Total", "due"], ["42.00"]]
    assert segments([]) == []
    assert segments([(5, 5, 5, 5)]) == [[0]]


def blocks_of(told: list[list[float]], tokens: list[str], tmp_path: Path, **options: str) -> list[Block]:
    columns = {"id": ["0"], "tokens": [tokens], "bboxes": [told], "ner_tags": [[0] * len(tokens)]}
    columns["image"] = [Image.new("RGB", (500, 1000))]
    kinds = {
        "tokens": datasets.List(datasets.Value("string")),
        "bboxes": datasets.List(datasets.List(datasets.Value("float64"))),
    }
    kinds |= {"id": datasets.Value("string"), "ner_tags": datasets.List(datasets.ClassLabel(names=["a", "b"]))}
    table = datasets.Dataset.from_dict(columns, features=datasets.Features(kinds | {"image": datasets.Image()}))
    datasets.DatasetDict({"train": table}).save_to_disk(tmp_path)
    source = source_of("annotations", str(tmp_path), **options)
    (page,) = source.read(source.path, "train", FLAG, False)
    return page.blocks


def test_rows_of_words_and_of_segments(tmp_path: Path):
    """Shared boxes and texts of several words are unchanged; boxes of single words are combined to segments."""
    words = [[10, 10, 60, 20], [64, 10, 110, 20], [600, 10, 700, 20]]
    assert [block.box for block in blocks_of(words, ["a", "b", "c"], tmp_path / "words")] == [
        (10, 10, 110, 20),
        (10, 10, 110, 20),
        (600, 10, 700, 20),
    ]
    own = [tuple(box) for box in words]
    assert [block.box for block in blocks_of(words, ["a", "b", "c"], tmp_path / "own", boxes="word")] == own
    assert [block.box for block in blocks_of(words, ["a b", "b", "c"], tmp_path / "texts")] == own
    shared = [[10, 10, 110, 20], [10, 10, 110, 20], [112, 10, 700, 20]]
    assert [block.box for block in blocks_of(shared, ["a", "b", "c"], tmp_path / "shared")] == [*map(tuple, shared)]


@pytest.mark.parametrize(
    ("boxes", "unit"),
    [([[50, 100, 250, 200]], "pixels"), ([[10, 10, 50, 20]], "percent"), ([[0.1, 0.1, 0.5, 0.2]], "0..1")],
)
def test_units_of_rows(boxes: list, unit: str, tmp_path: Path):
    (block,) = blocks_of(boxes, ["a b"], tmp_path, box_unit=unit)
    assert block.box == (100, 100, 500, 200)


def test_rows_in_another_unit(tmp_path: Path):
    with pytest.raises(InputError, match=r"train row 0: 1 of 1 boxes are outside .*: they look like pixels; declare"):
        blocks_of([[50, 1100, 250, 1200]], ["a"], tmp_path / "pixels")
    with pytest.raises(InputError, match=r"train row 0: all boxes \(1\) are between 0 and 1: they look like 0\.\.1"):
        blocks_of([[0.1, 0.1, 0.5, 0.2]], ["a"], tmp_path / "shares")


def test_word_boxes_of_blocks_are_refused():
    with pytest.raises(InputError, match="--boxes word: expected segment with --dataset doclaynet"):
        source_of("doclaynet", "anywhere", boxes="word")
