"""DocLayNet in its two formats: real pages, hand-made pages, and a message for every invalid page."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import Dataset, Features, Image, List, Value

from preprocess.blocks import LABEL_WORDS
from preprocess.docbank import page_files
from preprocess.errors import InputError
from preprocess.layout import row_blocks
from preprocess.pages import Reading, docbank_page, read_pages

ABOUT = ("page_hash", "original_filename", "page_no", "num_pages", "original_width", "original_height")
ABOUT += ("coco_width", "coco_height", "collection", "doc_category")
FONT = {"color": List(Value("int64")), "name": Value("string"), "size": Value("float64")}
CELL = {"bbox": List(Value("float64")), "font": FONT, "text": Value("string")}
FEATURES = Features(  # those of docling-project/DocLayNet-v1.2
    {
        "image": Image(),
        "bboxes": List(List(Value("float64"))),
        "category_id": List(Value("int64")),
        "pdf_cells": List(List(CELL)),
        "metadata": {
            name: Value("int64" if name.endswith(("no", "pages", "th", "ht")) else "string") for name in ABOUT
        },
    }
)


def page(cells: list[tuple[str, list, list, int]], name: str = "hash", **more: Any) -> dict[str, Any]:
    """A row in pierreguillou's format, from (text, box of the block, box of the cell, label)."""
    texts, blocks, lines, labels = map(list, zip(*cells, strict=True)) if cells else ([], [], [], [])
    row = {"id": "0", "texts": texts, "bboxes_block": blocks, "bboxes_line": lines, "categories": labels}
    return row | {"page_hash": name, "doc_category": "manuals", "coco_width": 1025, "coco_height": 1025} | more


def one_of_each(name: str, words: int = 1) -> dict[str, Any]:
    """A page with a block of every class."""
    texts = [" ".join([f"{name}.{label}", *["word"] * (words - 1)]) for label in range(11)]
    return page([(text, [9, 20 * n, 90, 15], [9, 20 * n, 90, 15], n) for n, text in enumerate(texts)], name)


def write_pages(folder: Path, **splits: list[dict[str, Any]]) -> Path:
    for split, rows in splits.items():
        (folder / split).mkdir(parents=True)
        for number, row in enumerate(rows):
            (folder / split / f"page_{number:02d}.json").write_text(json.dumps(row))
    return folder


def to_v12(row: dict[str, Any], seed: int = 0) -> dict[str, Any]:
    """The same page in the format of DocLayNet v1.2: one entry per block, with blocks and cells in any order."""
    generator = np.random.default_rng(seed)
    regions: dict[tuple, list[dict]] = {}
    columns = (row["texts"], row["bboxes_block"], row["bboxes_line"], row["categories"])
    font = {"color": [0, 0, 0, 255], "name": "Times", "size": 9.0}
    for text, block, line, label in zip(*columns, strict=True):
        regions.setdefault((tuple(block), label + 1), []).append({"bbox": line, "font": font, "text": text})
    keys = [list(regions)[place] for place in generator.permutation(len(regions))]
    cells = [[regions[key][place] for place in generator.permutation(len(regions[key]))] for key in keys]
    about = {name: row.get(name) for name in ABOUT}
    return {
        "bboxes": [list(box) for box, _ in keys],
        "category_id": [label for _, label in keys],
        "pdf_cells": cells,
        "metadata": about,
    }


def test_the_label_words_are_in_a_fixed_order():
    named = (
        "Caption, Footnote, Formula, List-item, Page-footer, Page-header, Picture, Section-header, Table, Text, Title"
    )
    assert ", ".join(LABEL_WORDS) == named


def test_the_three_real_pages(data: Path, write_doclaynet):
    rows = [json.loads(path.read_text()) for path in sorted((data / "doclaynet").glob("*.json"))]
    done = write_doclaynet(data / "doclaynet", k=0)
    dropped = done.meta["dropped_without_text"]
    assert len(done.prompts) + sum(dropped.values()) == 55
    assert all(row["text"] == row["text"].strip() != "" for row in done.prompts)
    expected = Counter()  # by another way: distinct (page, box, label) with a text among its cells
    for row in rows:
        cells = zip(row["texts"], map(tuple, row["bboxes_block"]), row["categories"], strict=True)
        expected.update(LABEL_WORDS[label] for _, label in {(box, label) for text, box, label in cells if text.strip()})
    assert {word: count for word, count in done.meta["test_counts"].items() if count} == expected
    first = next(row for row in done.prompts if row["group"] == rows[1]["page_hash"])
    assert first["text"] == "270 Notes to the consolidated financial statements of Aegon N.V. Note 50"
    assert (first["id"], first["ground_truth"]) == (f"{rows[1]['page_hash']}-0", "Page-header")
    for row in rows:  # each word occurs once, except exact duplicates of cells
        cells = set(zip(row["texts"], map(tuple, row["bboxes_block"]), map(tuple, row["bboxes_line"]), strict=True))
        words = Counter(word for text, _, _ in cells for word in text.split())
        found = [prompt["text"] for prompt in done.prompts if prompt["group"] == row["page_hash"]]
        assert Counter(word for text in found for word in text.split()) == words


def test_both_formats_of_a_real_page_give_the_same_blocks(data: Path, tmp_path: Path):
    """As parquet with the hub's features and layout, with the page's image as PNG bytes."""
    names = ("base_train_0", "base_test_1")
    rows = [json.loads((data / "doclaynet" / f"{name}.json").read_text()) for name in names]
    images = [{"bytes": (data / "doclaynet" / f"{name}.png").read_bytes(), "path": None} for name in names]
    v12 = [to_v12(row, seed) | {"image": image} for seed, (row, image) in enumerate(zip(rows, images, strict=True))]
    Dataset.from_list(v12, features=FEATURES).to_parquet(tmp_path / "data" / "test-00000-of-00001.parquet")
    found = list(read_pages(str(tmp_path), "test", images=True))
    assert [page.blocks for page in found] == [row_blocks(row, "") for row in rows]
    assert [page.image["bytes"] for page in found] == [image["bytes"] for image in images]
    assert [page.place for page in found] == [f"{tmp_path}: test row 0", f"{tmp_path}: test row 1"]
    assert [page.image for page in read_pages(str(tmp_path), "test")] == [None, None]
    assert read_pages(str(tmp_path), "train") is None


def test_a_block_is_a_box_and_a_label_for_any_order_of_cells():
    """Interleaved cells of three blocks, two of which share their box; one cell occurs twice."""
    box, other = [10, 10, 200, 40], [10, 100, 200, 20]
    cells = [
        ("world", box, [60, 12, 40, 10], 9),
        ("Table", box, [10, 12, 40, 10], 8),
        ("below", other, [10, 100, 40, 10], 9),
        ("Hello", box, [10, 12.5, 40, 10], 9),
        ("again", box, [10, 30, 40, 10], 9),
        ("world", box, [60, 12, 40, 10], 9),
        ("cells", box, [60, 11, 40, 10], 8),
    ]
    expected = [("Hello world again", "Text", 2), ("Table cells", "Table", 1), ("below", "Text", 1)]
    for row in (page(cells), to_v12(page(cells))):
        found = [(block.text, block.label_word, block.n_lines) for block in row_blocks(row, "here")]
        assert sorted(found) == sorted(expected)
        assert found[2] == expected[2]


def test_a_box_that_v12_lists_twice_is_one_block():
    box, (font, cells) = [1.0, 2.0, 30.0, 40.0], ({}, [[4.0, 5.0, 6.0, 7.0], [14.0, 5.0, 6.0, 7.0]])
    inside = [[{"bbox": cell, "font": font, "text": text}] for cell, text in zip(cells, "ab", strict=True)]
    row = {"bboxes": [box, box], "category_id": [10, 10], "pdf_cells": inside, "metadata": None}
    assert [(block.text, block.id) for block in row_blocks(row, "here")] == [("a b", "here-0")]


def test_random_pages_give_the_same_blocks_in_both_formats_and_any_order():
    generator = np.random.default_rng(0)
    for seed in range(40):
        boxes = [generator.integers(-5, 1000, 4).tolist() for _ in range(5)]
        cells = []
        for number in range(int(generator.integers(1, 30))):
            label = int(generator.integers(11))
            line = [*generator.uniform(0, 900, 2), 30.0, float(generator.uniform(5, 20))]
            cells.append((f"t{number}", boxes[generator.integers(5)], line, label))
        blocks = {(block.box, block.label_word, block.text) for block in row_blocks(page(cells), "here")}
        shuffled = [cells[place] for place in generator.permutation(len(cells))]
        for row in (page(shuffled), to_v12(page(cells), seed)):
            assert {(block.box, block.label_word, block.text) for block in row_blocks(row, "here")} == blocks


def test_blocks_without_text_are_dropped_and_counted(tmp_path: Path, write_doclaynet):
    empty = [(" ", [5, 5, 50, 50], [5, 5, 9, 9], 6), ("", [5, 500, 50, 50], [5, 500, 9, 9], 8)]
    text = [("Words", [5, 200, 50, 50], [5, 200, 9, 9], 9)]
    v12 = to_v12(page(text, "b"))
    v12["bboxes"].append([0.5, 0.5, 9.0, 9.0])
    v12["category_id"].append(7)
    v12["pdf_cells"].append([])  # a picture in v1.2 has no cells at all
    done = write_doclaynet(write_pages(tmp_path / "set", test=[page(empty + text, "a"), v12]), k=0)
    assert [(row["id"], row["text"]) for row in done.prompts] == [("a-1", "Words"), ("b-1", "Words")]
    assert done.meta["dropped_without_text"] == {"Picture": 2, "Table": 1}
    assert "dropped, no text: 2 Picture, 1 Table" in done.screen


@pytest.mark.parametrize("method", ["direct", "channel"])
def test_prompts_show_k_blocks_of_every_class_of_the_first_train_pages(method: str, tmp_path: Path, write_doclaynet):
    train = [one_of_each(f"train{number}", words=60) for number in range(6)]
    folder = write_pages(tmp_path / "set", train=train, test=[one_of_each("test")])
    done = write_doclaynet(folder, method, train_pages=3, max_demo_words=5, k=2, seed=1)
    shown = done.meta["demonstrations"]
    assert Counter(int(name.rpartition("-")[2]) for name in shown) == dict.fromkeys(range(11), 2)
    assert {name.rpartition("-")[0] for name in shown} == {"train0", "train1", "train2"}
    texts = [f"train{name[5]}.{name.rpartition('-')[2]} word word word word" for name in shown]
    words = [LABEL_WORDS[int(name.rpartition("-")[2])] for name in shown]
    pairs = list(zip(texts, words, strict=True))
    if method == "direct":
        prompt = "".join(f"Block: {text}\nCategory: {word}\n" for text, word in pairs) + "Block: {text}\nCategory:"
    else:
        prompt = (
            "".join(f"Category: {word}\nBlock: {text}\n" for text, word in pairs) + "Category: {label_word}\nBlock:"
        )
    assert {row["prompt"] for row in done.prompts} == {prompt}
    assert [row["ground_truth"] for row in done.prompts] == list(LABEL_WORDS)
    assert done.meta["train_counts"] == dict.fromkeys(LABEL_WORDS, 3)
    assert done.meta["dataset"] == "doclaynet"
    assert write_doclaynet(folder, method, train_pages=3, k=2, seed=2).meta["demonstrations"] != shown
    with pytest.raises(InputError, match="--k 2: class Caption has 1 examples"):
        write_doclaynet(folder, train_pages=1, k=2)


def test_limit_ends_in_the_middle_of_a_page(tmp_path: Path, write_doclaynet):
    folder = write_pages(tmp_path / "set", test=[one_of_each("a"), one_of_each("b"), one_of_each("c")])
    ids = [row["id"] for row in write_doclaynet(folder, k=0, limit=13).prompts]
    assert ids == [f"a-{n}" for n in range(11)] + ["b-0", "b-1"]


def test_the_sample_pages_are_not_called_doclaynet(write_doclaynet):
    done = write_doclaynet()
    assert done.meta["dataset"] == "doclaynet_sample"
    assert all(count for count in done.meta["test_counts"].values())
    assert not {row["group"] for row in done.prompts} & {n.rpartition("-")[0] for n in done.meta["demonstrations"]}


def test_unusual_text_is_kept(tmp_path: Path, write_doclaynet):
    texts = [
        "{text} {} }{ {label_word}",
        "null\x00 \x1b[31m bell\x07",
        "👩‍👩‍👧 🇫🇷",
        "\u202eمرحبا עולם",
        "half \ud800 pair",
    ]
    cells = [(text, [0, 50 * n, 9, 9], [0, 50 * n, 9, 9], 9) for n, text in enumerate(texts)]
    done = write_doclaynet(write_pages(tmp_path / "set", test=[page(cells)]), k=0)
    assert [row["text"] for row in done.prompts] == [*texts[:4], "half \ufffd pair"]


GOOD = page([("a", [1, 2, 3, 4], [1, 2, 3, 4], 9), ("b", [5, 6, 7, 8], [5, 6, 7, 8], 0)])
V12 = to_v12(GOOD)
LENGTHS = "expected equally long lists texts, bboxes_block, bboxes_line, categories; found "


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([GOOD], "expected an object for a page"),
        ({"text": "a", "label": 1}, "not a DocLayNet page, expected a field 'texts', 'pdf_cells'"),
        (GOOD | {"categories": [9]}, LENGTHS + "[2, 2, 2, 1]"),
        (GOOD | {"bboxes_line": None}, LENGTHS + "[2, 2, None, 2]"),
        (GOOD | {"categories": [9, 11]}, "cell 1: label 11, expected 0 to 10"),
        (GOOD | {"categories": [-1, 0]}, "cell 0: label -1, expected 0 to 10"),
        (GOOD | {"categories": [9, "Text"]}, "cell 1: label 'Text', expected 0 to 10"),
        (GOOD | {"categories": [True, 0]}, "cell 0: label True, expected 0 to 10"),
        (GOOD | {"texts": ["a", None]}, "cell 1: text None, expected a string"),
        (GOOD | {"bboxes_block": [[1, 2, 3], [5, 6, 7, 8]]}, "cell 0: box [1, 2, 3], expected [x, y, width, height]"),
        (GOOD | {"bboxes_line": [[1, 2, 3, 4], [1, 2, 3, "4"]]}, "cell 1: box [1, 2, 3, '4'], expected [x, y"),
        (GOOD | {"bboxes_block": [[1, 2, 3, 10**400], [5, 6, 7, 8]]}, "cell 0: box [1, 2, 3, inf]"),
        (GOOD | {"bboxes_block": [[1, 2, 3, float("nan")], [5, 6, 7, 8]]}, "cell 0: box [1, 2, 3, nan], expected"),
        (GOOD | {"coco_width": "wide"}, "page size ('wide', 1025), expected two numbers above 0"),
        (GOOD | {"coco_height": -1}, "page size (1025, -1), expected two numbers above 0"),
        (V12 | {"category_id": [1]}, "expected equally long lists bboxes, category_id, pdf_cells; found [2, 1, 2]"),
        (V12 | {"category_id": [1, 12]}, "box 1: label 12, expected 1 to 11"),
        (V12 | {"category_id": [0, 1]}, "box 0: label 0, expected 1 to 11"),
        (V12 | {"bboxes": [[1, 2, 3, 4], 5]}, "box 1: box 5, expected [x, y, width, height]"),
        (V12 | {"pdf_cells": [[], [{"text": "a"}]]}, "box 1: box None, expected [x, y, width, height]"),
        (V12 | {"pdf_cells": [["a"], []]}, "box 0: pdf_cells ['a'], expected objects with text and bbox"),
        (V12 | {"metadata": "hash"}, "metadata 'hash', expected an object"),
    ],
)
def test_every_defect_of_a_page_has_a_message(row: Any, message: str, tmp_path: Path, write_doclaynet):
    folder = write_pages(tmp_path / "set", test=[GOOD, row])
    with pytest.raises(InputError) as error:
        write_doclaynet(folder, k=0)
    assert str(error.value).startswith(f"{folder / 'test' / 'page_01.json'}: ")
    assert message in str(error.value)
    assert not (tmp_path / "written").exists()


def test_an_invalid_set_of_pages_is_named(tmp_path: Path, write_doclaynet):
    folder = write_pages(tmp_path / "set", test=[GOOD], train=[])
    (folder / "test" / "page_00.json").write_text('{"texts": [')
    (tmp_path / "empty").mkdir()
    (tmp_path / "blank").mkdir()
    (tmp_path / "blank" / "page.json").write_text(json.dumps(page([(" ", [1, 2, 3, 4], [1, 2, 3, 4], 9)])))
    twice = write_pages(tmp_path / "twice", test=[GOOD, GOOD])
    for path, options, message in (
        (folder, {}, "page_00.json: not JSON: line 1 column 12"),
        (tmp_path / "empty", {}, "empty: no test split (--dataset_path)"),
        (tmp_path / "blank", {"k": 0}, "blank: no test examples with text (--dataset_path)"),
        (twice, {"k": 0}, "twice: 2 test examples have the id 'hash-0': a page occurs twice"),
        (twice, {}, "twice: no train split to draw demonstrations from; name one with --demonstrations, or --k 0"),
        (twice, {"demonstrations": str(tmp_path / "empty")}, "empty: no train split to draw demonstrations from"),
        (twice, {"demonstrations": str(twice)}, "--k 1: class Footnote has 0 examples to draw demonstrations from"),
        ("/no/such", {}, "/no/such: no such file or folder, and not a hub id (--dataset_path)"),
        (folder, {"train_pages": 0}, "--train_pages 0: expected 1 or more"),
        (folder, {"max_demo_words": -3}, "--max_demo_words -3: expected 1 or more"),
        (folder, {"seed": -1}, "--seed -1: expected 0 or more"),
    ):
        with pytest.raises(InputError) as error:
            write_doclaynet(path, **options)
        assert message in str(error.value)


def test_the_images_of_the_real_pages(data: Path):
    """DocLayNet's third page exists only as a PDF; DocBank's images belong to the pages of the same name."""
    pages = read_pages(str(data / "doclaynet"), "test", images=True)
    assert [next(pages).image for _ in range(2)] == [
        data / "doclaynet" / f"base_{n}.png" for n in ("test_1", "train_0")
    ]
    with pytest.raises(
        InputError, match=r"large_train_0\.json: no image of this page: no .*/png/large_train_0 with \.png"
    ):
        next(pages)
    images = {path.name for path in (data / "docbank/ori_jpg").iterdir()}
    files = page_files(data / "docbank")
    assert (len(images), len(files)) == (50, 100)
    for file in files:
        if f"{file.stem}_ori.jpg" in images:
            found = docbank_page(file, Reading(images=True))
            assert found.image == data / "docbank/ori_jpg" / f"{file.stem}_ori.jpg"
            assert found.blocks == docbank_page(file, Reading(images=False)).blocks
        else:
            with pytest.raises(InputError) as error:
                docbank_page(file, Reading(images=True))
            assert str(error.value).startswith(
                f"{file}: no image of this page: no {data}/docbank/ori_jpg/{file.stem}_ori"
            )


@pytest.mark.parametrize("image", ["p.1.png", "p.1.jpg", "p.1.jpeg", "images/p.1.png", "png/p.1.jpg"])
def test_the_image_of_a_page_in_json(image: str, tmp_path: Path):
    """Names may contain dots; the image of another page is not used."""
    path = tmp_path / "set" / "test" / "p.1.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(GOOD))
    (path.parent / "p.png").touch()
    with pytest.raises(InputError, match=r"p\.1\.json: no image of this page"):
        next(read_pages(str(tmp_path / "set"), "test", images=True))
    (path.parent / image).parent.mkdir(exist_ok=True)
    (path.parent / image).touch()
    assert next(read_pages(str(tmp_path / "set"), "test", images=True)).image == path.parent / image
    assert next(read_pages(str(tmp_path / "set"), "test")).image is None


@pytest.mark.parametrize("image", ["p.png", "p.jpeg", "p_ori.jpg", "p_ori.png"])
def test_the_image_of_a_docbank_page_may_be_beside_it(image: str, tmp_path: Path):
    (tmp_path / "p.txt").write_text("word\t1\t2\t3\t4\t0\t0\t0\tfont\ttitle\n")
    (tmp_path / image).touch()
    assert [page.image for page in read_pages(str(tmp_path), "test", images=True)] == [tmp_path / image]


def test_a_row_without_an_image_is_named(tmp_path: Path):
    (tmp_path / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in (V12 | {"image": "a.png"}, V12)))
    pages = read_pages(str(tmp_path), "test", images=True)
    assert next(pages).image == "a.png"
    with pytest.raises(InputError, match="test row 1: no image of this page: the column image is missing or empty"):
        next(pages)
