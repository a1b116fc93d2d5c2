"""Unlabelled pages: with labels hidden, the same words and boxes are read as with labels."""

import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import datasets
import pytest
from PIL import Image

pytest.importorskip("transformers", reason="needs requirements-finetune.txt")

from documents.unlabelled import UnlabelledOptions, in_words, pages_of, read_unlabelled
from preprocess.blocks import Page
from preprocess.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
SECRET = "hidden label"


def read(dataset: str, path: Path, boxes: str = "segment") -> list[Page]:
    return [in_words(page) for page in pages_of(dataset, str(path), "", boxes, Counter())]


def words(pages: list[Page]) -> list[list[tuple]]:
    return [[(block.id, block.text, block.box) for block in page.blocks] for page in pages]


def image(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (100, 200), "white").save(path)


def form(folder: Path) -> None:
    """Two entities of FUNSD on one form."""
    image(folder / "training_data/images/a.png")
    entities = [
        {
            "label": "question",
            "words": [{"text": "Name", "box": [10, 20, 30, 40]}, {"text": "of", "box": [35, 20, 45, 40]}],
        },
        {"label": "other", "words": [{"text": "Ada", "box": [50, 20, 70, 40]}]},
    ]
    path = folder / "training_data/annotations/a.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"form": entities}))


def hide_in_form(folder: Path) -> None:
    path = folder / "training_data/annotations/a.json"
    content = json.loads(path.read_text())
    for number, entity in enumerate(content["form"]):
        if number:
            del entity["label"]
        else:
            entity["label"] = SECRET
    path.write_text(json.dumps(content))


def layout(folder: Path) -> None:
    """A page of DocLayNet v1.2 with two regions."""
    image(folder / "train/p.png")
    cells = [[{"text": "two words", "bbox": [100, 100, 300, 20]}], [{"text": "more", "bbox": [100, 200, 300, 20]}]]
    row = {"bboxes": [[90, 90, 400, 50], [90, 190, 400, 50]], "category_id": [1, 10], "pdf_cells": cells}
    (folder / "train/p.json").write_text(json.dumps(row | {"metadata": {"page_hash": "p"}}))


def hide_in_layout(folder: Path) -> None:
    """Regions are hidden too."""
    row = json.loads((folder / "train/p.json").read_text())
    (folder / "train/p.json").write_text(json.dumps(row | {"category_id": SECRET, "bboxes": None}))


def docbank(folder: Path) -> None:
    image(folder / "ori_jpg/p_ori.jpg")
    lines = [f"word{n}\t{100 + 60 * n}\t100\t{150 + 60 * n}\t120\t0\t0\t0\tfont\tparagraph" for n in range(4)]
    (folder / "txt").mkdir()
    (folder / "txt/p.txt").write_text("\n".join(lines))


def hide_in_docbank(folder: Path) -> None:
    path = folder / "txt/p.txt"
    first, *rest = path.read_text().splitlines()
    path.write_text("\n".join([first.replace("paragraph", SECRET), *(line.rpartition("\t")[0] for line in rest)]))


CASES = {"funsd": (form, hide_in_form), "doclaynet": (layout, hide_in_layout), "docbank": (docbank, hide_in_docbank)}


@pytest.mark.parametrize("dataset", CASES)
@pytest.mark.parametrize("boxes", ["segment", "word"])
def test_no_label_is_read(dataset, boxes, tmp_path):
    make, hide = CASES[dataset]
    make(tmp_path)
    with_labels = read(dataset, tmp_path, boxes)
    hide(tmp_path)
    without = read(dataset, tmp_path, boxes)
    assert words(with_labels) == words(without) != []
    assert with_labels == without


def test_no_label_of_rows_is_read(tmp_path):
    image(tmp_path / "a.png")
    row = {"id": "0", "tokens": ["a", "b"], "bboxes": [[0, 0, 100, 100], [500, 0, 600, 100]]}
    features = {"image": datasets.Image()}
    made = {key: [value] for key, value in row.items()} | {"image": [str(tmp_path / "a.png")]}
    plain = datasets.Dataset.from_dict(made).cast_column("image", features["image"])
    tags = datasets.Sequence(datasets.ClassLabel(names=["O", "X"]))
    labelled = plain.add_column("ner_tags", [[0, 1]]).cast_column("ner_tags", tags)
    for name, data in (("plain", plain), ("labelled", labelled)):
        datasets.DatasetDict(train=data).save_to_disk(tmp_path / name)
    found = words(read("annotations", tmp_path / "labelled"))
    assert found == words(read("annotations", tmp_path / "plain"))
    assert [text for _, text, _ in found[0]] == ["a", "b"]


def test_words_of_a_cell_have_its_box_and_words_of_a_line_that_of_the_line(tmp_path):
    layout(tmp_path / "layout")
    assert words(read("doclaynet", tmp_path / "layout"))[0] == [
        ("p-0-0", "two", (98, 98, 390, 117)),
        ("p-0-1", "words", (98, 98, 390, 117)),
        ("p-1-0", "more", (98, 195, 390, 215)),
    ]
    docbank(tmp_path / "bank") if (tmp_path / "bank").mkdir() is None else None
    assert {box for _, _, box in words(read("docbank", tmp_path / "bank"))[0]} == {(100, 100, 330, 120)}
    assert [box for _, _, box in words(read("docbank", tmp_path / "bank", "word"))[0]][1] == (160, 100, 210, 120)


def test_a_folder_of_pages():
    """samples/invoices with images/ and words/, as for prediction."""
    pages = read("pages", ROOT / "samples/invoices")
    assert len(pages) == 6
    told = json.loads((ROOT / "samples/invoices/words/ahornspan.json").read_text())
    assert [block.text for block in pages[0].blocks] == [word for row in told for word in row["text"].split()]
    assert Path(pages[0].image).name == "ahornspan.png"


def test_pages_without_words_are_refused(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        read("pages", tmp_path / "none")
    with pytest.raises(InputError, match=r"no image in it with \.png"):
        read("pages", tmp_path)
    image(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"a.png: no words of 'a.png': no .*a.json \(--dataset_path\)"):
        read("pages", tmp_path)
    (tmp_path / "a.json").write_text('[{"text": "x", "box": [0, 0, 9]}]')
    with pytest.raises(InputError, match=r"a.json: row 0: box \[0, 0, 9\], expected"):
        read("pages", tmp_path)


def test_several_data_sets_and_held_out_pages(tmp_path):
    form(tmp_path / "forms")
    shutil.copytree(ROOT / "samples/invoices", tmp_path / "invoices")
    paths = f"{tmp_path / 'forms'},{tmp_path / 'invoices'}"
    options = UnlabelledOptions(dataset="funsd,pages", dataset_path=paths, validation_fraction=0.3)
    splits = read_unlabelled(options, "segment", 0, lambda page: page)
    assert (len(splits.train), len(splits.validation), splits.test) == (5, 2, [])
    again = read_unlabelled(options, "segment", 0, lambda page: page)
    assert splits == again
    few = UnlabelledOptions(dataset="funsd,pages", dataset_path=paths, train_pages=2)
    assert len(read_unlabelled(few, "segment", 0, lambda page: page).train) == 2


@pytest.mark.parametrize(
    "options, said",
    [
        ({"dataset": "x"}, "--dataset x: expected doclaynet, docbank, funsd, annotations, pages"),
        ({"dataset": "pages"}, "--dataset pages: expected its path in --dataset_path"),
        ({"dataset": "funsd,docbank", "dataset_path": "a"}, "--dataset_path: 1 paths for 2 data sets"),
        ({"train_pages": -1}, "--train_pages -1: expected 0 or more"),
        ({"validation_fraction": 1.0}, "--validation_fraction 1.0: expected"),
    ],
)
def test_refused(options, said):
    with pytest.raises(InputError, match=said):
        UnlabelledOptions(**options)


def test_coco_cells_without_annotations(tmp_path, write_pages: Callable[..., Path]):
    for name in ("COCO", "JSON"):
        (tmp_path / name).mkdir()
    image(tmp_path / "PNG/h.png")
    listing = {"images": [{"id": 1, "file_name": "h.png", "width": 1000, "height": 1000}]}
    (tmp_path / "COCO/train.json").write_text(json.dumps(listing))
    cells = {"cells": [{"text": "a cell", "bbox": [0, 0, 100, 50]}], "metadata": {}}
    (tmp_path / "JSON/h.json").write_text(json.dumps(cells))
    assert words(read("doclaynet", tmp_path))[0][0] == ("h-0-0", "a", (0, 0, 100, 50))
