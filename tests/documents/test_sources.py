"""FUNSD and annotated images as blocks with labels, boxes and images; damaged data is a one-line error."""

import json
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import datasets
import pytest

pytest.importorskip("PIL", reason="needs requirements-finetune.txt")

from PIL import Image

from documents.forms import FUNSD_WORDS
from documents.images import open_image
from documents.pages import PageOptions, Source, flat, read_splits
from documents.sources import source_of
from preprocess.blocks import Page
from preprocess.errors import InputError

TAGS = ["O", "B-NAME", "I-NAME"]
FLAG = "--dataset_path"


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the cache of `datasets` out of the user's folders."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path_factory.mktemp("cache")))


def read(source: Source, split: str, images: bool = False) -> list[Page]:
    return list(source.read(source.path, split, FLAG, images))


def word(text: str, *box: float) -> dict[str, Any]:
    return {"text": text, "box": list(box)}


def entity(label: str, *words: dict[str, Any]) -> dict[str, Any]:
    return {"label": label, "words": list(words), "box": [0, 0, 1, 1], "text": "", "linking": [], "id": 0}


FORM = [
    entity("question", word("Name", 10, 20, 30, 40), word(" ", 0, 0, 0, 0), word("of:", 35, 18, 60, 39)),
    entity("other", word("7", 100, 20, 110, 40), word("8", 120, 20, 130, 40)),
    entity("answer", word("", 70, 20, 80, 40), word("Ann", 80, 20, 110, 40)),
    entity("header", word("\t", 1, 1, 2, 2)),
]


def write_forms(folder: Path, **splits: list[Any]) -> Path:
    """Write forms of 200 x 100 pixels: split -> contents of `form`."""
    for split, forms in splits.items():
        for name in ("annotations", "images"):
            (folder / f"{split}_data" / name).mkdir(parents=True)
        for number, form in enumerate(forms):
            content = form if isinstance(form, dict) else {"form": form}
            (folder / f"{split}_data/annotations/{split}{number}.json").write_text(json.dumps(content))
            Image.new("L", (200, 100), 255).save(folder / f"{split}_data/images/{split}{number}.png")
    return folder


def test_the_words_of_a_form(tmp_path):
    """IOB tags start at the first word that is not blank; each word has the bounding box of its entity."""
    source = source_of(
        "funsd", str(write_forms(tmp_path / "funsd/dataset", training=[FORM], testing=[[], FORM]).parent)
    )
    (page,) = read(source, "train", images=True)
    assert [(block.id, block.text, block.label_word, block.box) for block in page.blocks] == [
        ("training0-0", "Name", "B-QUESTION", (50, 180, 300, 400)),
        ("training0-2", "of:", "I-QUESTION", (50, 180, 300, 400)),
        ("training0-3", "7", "O", (500, 200, 650, 400)),
        ("training0-4", "8", "O", (500, 200, 650, 400)),
        ("training0-6", "Ann", "B-ANSWER", (400, 200, 550, 400)),
    ]
    assert {block.page for block in page.blocks} == {"training0"}
    assert page.image == tmp_path / "funsd/dataset/training_data/images/training0.png"
    assert source.repairs == {"blank_words": 3, "inverted_boxes": 0, "boxes_outside_the_page": 0}
    assert [(len(page.blocks), page.image) for page in read(source, "test")] == [(0, None), (5, None)]
    assert source.read(source.path, "validation", FLAG, False) is None
    assert (source.name, source.table_name, source.label_words) == ("funsd", "funsd", FUNSD_WORDS)


def test_boxes_are_repaired_and_counted(tmp_path):
    form = [entity("other", word("a", 50, 40, 10, 20)), entity("other", word("b", -20, 90, 210, 104))]
    rows = [row(tokens=["a", "b"], bboxes=[[250, 400, 50, 200], [-100, 900, 1050, 1040]], ner_tags=[0, 0])]
    for source in (
        source_of("funsd", str(write_forms(tmp_path / "forms", training=[form]))),
        source_of("annotations", str(save(tmp_path / "rows", train=rows))),
    ):
        assert [block.box for block in flat(read(source, "train"))] == [(50, 200, 250, 400), (0, 900, 1000, 1000)]
        assert source.repairs == {"blank_words": 0, "inverted_boxes": 1, "boxes_outside_the_page": 1}


def layout_row(page: str, *boxes: list[float]) -> dict[str, Any]:
    """A page of DocLayNet with one block per box; the first has no text."""
    cells = [[{"text": str(number) if number else " ", "bbox": box}] for number, box in enumerate(boxes)]
    about = {"page_hash": page, "coco_width": 1025, "coco_height": 1025}
    return {"bboxes": boxes, "category_id": [10] * len(boxes), "pdf_cells": cells, "metadata": about}


def test_boxes_of_layout_are_repaired_and_counted(tmp_path):
    """Only blocks with text count; a box that is outside by less than a unit was only rounded."""
    good, bare = [20, 10, 30, 40], [700, -500, -50, 2000]
    inside = [[20, y, 9, 9] for y in range(1, 32)]
    rows = {
        "train": layout_row("a", bare, [900, 900, -300, -200], good, [-0.5, 1020, 1026, 5.5]),
        "test": layout_row("b", bare, [500, 1000, -700, 300], [1500, 600, 10, 10], *inside),
    }
    for split, content in rows.items():
        (tmp_path / split).mkdir()
        (tmp_path / split / "page.json").write_text(json.dumps(content))
    source = source_of("doclaynet", str(tmp_path))
    boxes = {block.text: block.box for block in flat(read(source, "train")) if block.text}
    assert boxes == {"1": (585, 683, 878, 878), "2": (20, 10, 49, 49), "3": (0, 995, 1000, 1000)}
    assert source.repairs == {"inverted_boxes": 1, "boxes_outside_the_page": 0}
    boxes = {block.text: block.box for block in flat(read(source, "test")) if block.text in ("1", "2")}
    assert boxes == {"1": (0, 976, 488, 1000), "2": (1000, 585, 1000, 595)}
    assert source.repairs == {"inverted_boxes": 2, "boxes_outside_the_page": 2}
    assert source.read(source.path, "validation", FLAG, False) is None


def test_boxes_of_docbank_are_repaired_and_counted(tmp_path):
    places = {"a": "300 20 100 40", "b": "990 90 1040 99", "c": "10 300 50 310"}
    for split in ("train", "test"):
        (tmp_path / split).mkdir()
        labels = zip(places.items(), ("title", "paragraph", "caption"), strict=True)
        lines = ["\t".join([text, *box.split(), "0", "0", "0", "Times", label]) for (text, box), label in labels]
        (tmp_path / split / f"{split}.txt").write_text("\n".join(lines))
    source = source_of("doclaynet", str(tmp_path))
    expected = [("a", (100, 20, 300, 40)), ("b", (990, 90, 1000, 99)), ("c", (10, 300, 50, 310))]
    assert [(block.text, block.box) for block in flat(read(source, "test"))] == expected
    assert source.repairs == {"inverted_boxes": 1, "boxes_outside_the_page": 1}


def test_real_layout_needs_no_repairs(data):
    for name in ("doclaynet", "docbank"):
        source = source_of("doclaynet", str(data / name))
        assert flat(read(source, "test"))
        assert source.repairs == {"inverted_boxes": 0, "boxes_outside_the_page": 0}


def test_funsd(data):
    """The whole data set against an independent count: words with text, entities with text, boxes on the page."""
    source = source_of("funsd", str(data / "funsd"))
    for split, folder, forms in (("train", "training_data", 149), ("test", "testing_data", 50)):
        pages = read(source, split, images=True)
        files = sorted((data / "funsd/dataset" / folder / "annotations").glob("*.json"))
        content = [json.loads(file.read_text())["form"] for file in files]
        words = [[w["text"].split() for e in form for w in e["words"] if w["text"].split()] for form in content]
        assert len(pages) == len(files) == forms
        assert [[block.text.split() for block in page.blocks] for page in pages] == words
        entities = Counter(e["label"] for form in content for e in form if any(w["text"].strip() for w in e["words"]))
        begun = Counter(block.label_word for block in flat(pages) if block.label_word.startswith("B-"))
        assert begun == {f"B-{label.upper()}": entities[label] for label in ("header", "question", "answer")}
        for one, other in pairwise(block for page in pages for block in page.blocks):
            assert not other.label_word.startswith("I-") or one.label_word[2:] == other.label_word[2:]
            assert not other.label_word.startswith("I-") or one.box == other.box
        assert all(0 <= block.box[0] <= block.box[2] <= 1000 for block in flat(pages))
        assert all(0 <= block.box[1] <= block.box[3] <= 1000 for block in flat(pages))
    assert open_image(pages[0].image, pages[0].place).mode == "RGB"
    splits = read_splits(PageOptions(), 0, source)
    assert (len(splits.train) + len(splits.validation), len(splits.test), splits.leaked) == (149, 50, 0)


def row(number: int = 0, **more: Any) -> dict[str, Any]:
    columns = {"tokens": ["Ann of", " ", "7"], "bboxes": [[0, 10, 20, 30], [1, 1, 2, 2], [5, 6, 7, 8]]}
    image = Image.new("P", (20, 10), number)
    return {"id": str(number), "image": image, **columns, "ner_tags": [1, 0, 2]} | more


def features(tags: Any) -> datasets.Features:
    sequence, boxes = datasets.Sequence, datasets.Sequence(datasets.Value("int64"))
    columns = {"tokens": sequence(datasets.Value("string")), "bboxes": sequence(boxes), "ner_tags": sequence(tags)}
    return datasets.Features({"id": datasets.Value("string"), "image": datasets.Image(), **columns})


def save(folder: Path, tags: Any = None, parquet: bool = False, **splits: list[dict[str, Any]]) -> Path:
    """Rows written by `save_to_disk`, or as parquet."""
    kind = features(tags or datasets.ClassLabel(names=TAGS))
    tables = {split: datasets.Dataset.from_list(rows, features=kind) for split, rows in splits.items()}
    if parquet:
        for split, table in tables.items():
            table.to_parquet(folder / f"data/{split}-00000-of-00001.parquet")
    else:
        datasets.DatasetDict(tables).save_to_disk(folder)
    return folder


@pytest.mark.parametrize("dataset", ["annotations", "funsd"])
@pytest.mark.parametrize("parquet", [True, False])
def test_the_tokens_of_rows(dataset, parquet, tmp_path):
    """Labels are the data set's; a token is a text; a blank token is dropped together with its number."""
    source = source_of(dataset, str(save(tmp_path, parquet=parquet, train=[row(3)], test=[row(4), row(5)])))
    table_name = tmp_path.name if dataset == "annotations" else dataset
    assert (source.name, source.table_name, source.label_words) == (dataset, table_name, tuple(TAGS))
    (page,) = read(source, "train", images=True)
    assert [(block.id, block.text, block.label_word, block.box) for block in page.blocks] == [
        ("3-0", "Ann of", "B-NAME", (0, 10, 20, 30)),
        ("3-2", "7", "I-NAME", (5, 6, 7, 8)),
    ]
    assert open_image(page.image, page.place).size == (20, 10)
    assert page.place == f"{tmp_path}: train row 0"
    assert [page.image for page in read(source, "test")] == [None, None]
    assert source.repairs["blank_words"] == 3
    assert source.read(source.path, "validation", FLAG, False) is None


def test_the_hub_is_asked(tmp_path, monkeypatch):
    """For FUNSD as rows, if no path is given."""
    save(tmp_path, parquet=True, train=[row(1)], test=[row(2)])
    asked, load = [], datasets.load_dataset

    def load_from_here(path: str, **options: Any) -> Any:
        asked.append((path, options["split"]))
        return load(str(tmp_path), **options)

    monkeypatch.setattr(datasets, "load_dataset", load_from_here)
    source = source_of("funsd")
    assert source.label_words == tuple(TAGS)
    assert [block.id for block in flat(read(source, "test"))] == ["2-0", "2-2"]
    assert asked == [("nielsr/funsd-layoutlmv3", "train"), ("nielsr/funsd-layoutlmv3", "test")]


def test_rows_with_the_same_number_are_different_pages(tmp_path):
    """Each split counts from 0; a train page is left out only if it has the words and boxes of a test page."""
    train = [row(number, tokens=["train", "", str(number)]) for number in range(4)]
    test = [row(number, tokens=["test", "", str(number)]) for number in range(2)]
    copy = row(9, tokens=["test", "", "1"])
    source = source_of("annotations", str(save(tmp_path, train=[*train, copy], test=test)))
    splits = read_splits(PageOptions(), 0, source)
    assert (splits.leaked, len(splits.train) + len(splits.validation), len(splits.test)) == (1, 4, 2)
    assert splits.repairs == {"blank_words": 7, "inverted_boxes": 0, "boxes_outside_the_page": 0}


def test_layout(data, pages, root, monkeypatch):
    """Names in tables and files are those of the prompts; a real page has its image."""
    monkeypatch.chdir(root)
    names = [("samples/doclaynet", "doclaynet_sample"), (str(pages), "doclaynet"), ("", "doclaynet")]
    for path, name in names:
        source = source_of("doclaynet", path)
        assert (source.name, source.table_name) == ("doclaynet", name)
    assert source.path == "docling-project/DocLayNet-v1.2"
    docbank = source_of("doclaynet", str(data / "docbank"))
    assert (docbank.name, docbank.table_name) == ("docbank", "docbank")
    source = source_of("doclaynet", str(data / "doclaynet"))
    page = next(source.read(source.path, "test", FLAG, True))
    assert open_image(page.image, page.place).size == (1025, 1025)


WORD = word("a", 1, 2, 3, 4)


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ({"forms": []}, "not a form: expected an object with a list 'form'"),
        ({"form": {}}, "not a form: expected an object with a list 'form'"),
        ([FORM[1], {"label": "other", "text": "a"}], "entity 1: expected an object with label and a list of words"),
        (["a"], "entity 0: expected an object with label and a list of words"),
        ([entity(" ", WORD)], "entity 0: label ' ', expected one of header, question, answer, other"),
        ([entity(["a"], WORD)], "entity 0: label ['a'], expected one of header, question, answer, other"),
        ([entity("other", WORD, {"text": "b"})], "entity 0: word 1: box None, expected [x0, y0, x1, y1]"),
        ([entity("other", word("a", 1, 2, 3))], "entity 0: word 0: box [1, 2, 3], expected [x0, y0, x1, y1]"),
        ([entity("other", {"box": [1, 2, 3, 4]})], "entity 0: word 0: text None, expected a string"),
        ([entity("other", "a")], "entity 0: word 0: 'a', expected an object with text and box"),
    ],
)
def test_every_defect_of_a_form_has_a_message(form, message, tmp_path):
    source = source_of("funsd", str(write_forms(tmp_path, training=[FORM, form])))
    with pytest.raises(InputError) as error:
        read(source, "train")
    assert str(error.value) == f"{tmp_path}/training_data/annotations/training1.json: {message}"


def test_the_image_of_a_form_is_required(tmp_path):
    """At least for the size of its page."""
    source = source_of("funsd", str(write_forms(tmp_path, training=[FORM])))
    image = tmp_path / "training_data/images/training0.png"
    image.write_text("no image")
    with pytest.raises(InputError, match=r"training0\.json: the image cannot be read: .*images/training0\.png: "):
        read(source, "train")
    image.unlink()
    with pytest.raises(InputError, match=r"training0\.json: no image of this page: no .*/images/training0, .*\.tiff$"):
        read(source, "train")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tokens": ["a"]}, "expected equally long lists tokens, bboxes, ner_tags; found [1, 3, 3]"),
        ({"bboxes": None}, "expected equally long lists tokens, bboxes, ner_tags; found [3, None, 3]"),
        ({"ner_tags": [1, 0, -1]}, "token 2: ner_tag -1, expected 0 to 2"),
        ({"ner_tags": [None, 0, 1]}, "token 0: ner_tag None, expected 0 to 2"),
        ({"bboxes": [[0, 1, 2, 3], [4, 5, 6], [7, 8, 9, 9]]}, "token 1: box [4, 5, 6], expected [x0, y0, x1, y1]"),
        ({"tokens": ["a", None, "b"]}, "token 1: text None, expected a string"),
        ({"image": None}, "no image of this page: the column image is missing or empty"),
    ],
)
def test_every_defect_of_a_row_has_a_message(change, message, tmp_path):
    source = source_of("annotations", str(save(tmp_path, train=[row(0), row(1, **change)])))
    with pytest.raises(InputError) as error:
        read(source, "train", images=True)
    assert str(error.value) == f"{tmp_path}: train row 1: {message}"


def test_missing_columns_and_classes(tmp_path):
    table = datasets.Dataset.from_list([row()], features=features(datasets.ClassLabel(names=TAGS)))
    datasets.DatasetDict({"train": table.remove_columns(["bboxes", "image"])}).save_to_disk(tmp_path / "few")
    with pytest.raises(
        InputError, match="row 0: expected the columns id, tokens, bboxes, ner_tags; found id, tokens, n"
    ):
        read(source_of("annotations", str(tmp_path / "few")), "train")
    datasets.DatasetDict({"train": table.remove_columns("image")}).save_to_disk(tmp_path / "blind")
    with pytest.raises(InputError, match="row 0: no image of this page: the column image is missing or empty"):
        read(source_of("annotations", str(tmp_path / "blind")), "train", images=True)
    for name, tags in (("numbers", datasets.Value("int64")), ("strings", datasets.Value("string"))):
        save(tmp_path / name, tags, train=[row()])
        with pytest.raises(InputError, match=rf"{name}/train: no class names: .*ClassLabel, .*DocBank \({FLAG}\)"):
            source_of("annotations", str(tmp_path / name))
    (tmp_path / "json").mkdir()
    (tmp_path / "json/train.jsonl").write_text('{"id": "a", "ner_tags": [1]}\n')
    with pytest.raises(InputError, match="json: no class names"):
        source_of("annotations", str(tmp_path / "json"))


def test_train_path_with_other_classes(tmp_path):
    one = save(tmp_path / "one", train=[row()])
    two = save(tmp_path / "two", datasets.ClassLabel(names=["O", "B-DATE", "I-DATE"]), train=[row()])
    with pytest.raises(InputError, match=r"two: the classes of train are O, B-DATE, .* data set O, B-NAME, .*\(--tr"):
        source_of("annotations", str(one)).read(str(two), "train", "--train_path", False)
    source = source_of("funsd", str(write_forms(tmp_path / "forms", testing=[FORM])))
    with pytest.raises(
        InputError, match=r"two: expected a folder with training_data/ or testing_data/ \(--train_path\)"
    ):
        source.read(str(two), "train", "--train_path", False)


@pytest.mark.parametrize(
    ("dataset", "path", "message"),
    [
        ("docbank", "", "--dataset docbank: expected funsd, doclaynet or annotations"),
        ("annotations", "", "--dataset annotations: expected --dataset_path, a folder of `save_to_disk` or a hub id"),
        ("annotations", "empty", "empty: no data set for --dataset annotations: expected dataset_dict.json"),
        ("funsd", "empty", "empty: no data set for --dataset funsd: expected training_data/ and testing_data/ or"),
        ("funsd", "no/such/folder", "no/such/folder: no such file or folder, and not a hub id (--dataset_path)"),
    ],
)
def test_an_invalid_data_set_is_named(dataset, path, message, tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as error:
        source_of(dataset, path)
    assert str(error.value).startswith(message)


def test_pages_without_words_and_without_a_split(tmp_path):
    source = source_of("funsd", str(write_forms(tmp_path, training=[FORM, [], FORM], testing=[FORM, FORM[3:]])))
    assert read_splits(PageOptions(), 0, source).blank == {"train": 1, "test": 1}
    with pytest.raises(InputError, match=r"no validation split \(--validation_split\)"):
        read_splits(PageOptions(validation_split="validation"), 0, source)
