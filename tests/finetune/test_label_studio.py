"""Exports, as pages: what belongs together is joined by its id, what is missing shifts nothing."""

import json
from collections import defaultdict
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from finetune.label_studio import LabelledPage, find_image, read_pages
from preprocess.errors import InputError

NAMES = ["InvNum", "InvDate", "Fourni", "TTC", "TVA", "TT", "Autre"]
Read = Callable[..., tuple[list[LabelledPage], dict[str, list[str]]]]


def results(name: str, box: list[float], text: Any, label: str | None, **more: Any) -> list[dict[str, Any]]:
    """The results of a region as Label Studio writes them; without text or label where these are None."""
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
    """A page in the form that needs no joining."""
    return {"file_name": "Ex1.png", "height": 100, "width": 200, "annotations": list(regions)} | more


NUMBER = results("a", [10, 20, 30, 5.5], ["F-17"], "InvNum")
DATE = results("b", [50, 20, 20, 5], ["1 May"], "InvDate")
TOTAL = results("c", [70.26, 80, 20, 5], ["42,00"], "TTC")
REGION = {"box": [1, 2, 3, 4], "text": "42,00", "label": 3}


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """(rows, unlabelled="") -> the pages, the notes."""

    def read(rows: Any, unlabelled: str = "") -> tuple[list[LabelledPage], dict[str, list[str]]]:
        path = tmp_path / "export.json"
        path.write_text(json.dumps(rows))
        notes = defaultdict(list)
        return read_pages(str(path), NAMES, unlabelled, notes), notes

    return read


def content(page: LabelledPage) -> list[tuple]:
    return list(zip(page.tokens, [NAMES[tag] for tag in page.ner_tags], page.bboxes, strict=True))


ALL = [
    ("F-17", "InvNum", [100, 200, 400, 255]),
    ("1 May", "InvDate", [500, 200, 700, 250]),
    ("42,00", "TTC", [703, 800, 903, 850]),
]


def test_a_task(read):
    (page,), notes = read([task(annotation(NUMBER, DATE, TOTAL))])
    assert content(page) == ALL
    assert (page.file_name, page.size) == ("/data/upload/1/0a1b2c3d-Ex1.png", (200, 100))
    assert not notes


def test_results_in_any_order_are_joined_by_their_ids(read):
    mixed = [NUMBER[2], DATE[1], TOTAL[0], DATE[2], NUMBER[0], TOTAL[1], TOTAL[2], DATE[0], NUMBER[1]]
    (page,), _ = read([task(annotation(mixed))])
    assert sorted(content(page)) == sorted(ALL)


def test_rectangles_that_are_labels_and_relations(read):
    """RectangleLabels writes no rectangle of its own; a relation has no id, a choice for the image no box."""
    made = [result for result in NUMBER if result["type"] != "rectangle"]
    value = {key: value for key, value in made[0]["value"].items() if key != "labels"}
    made[0] = made[0] | {"type": "rectanglelabels", "value": value | {"rectanglelabels": ["InvNum"]}}
    relation = {"type": "relation", "from_id": "a", "to_id": "b", "direction": "right"}
    choice = {"type": "choices", "id": "z", "value": {"choices": ["invoice"]}}
    (page,), notes = read([task(annotation(made, [relation, choice]))])
    assert content(page) == ALL[:1]
    assert not notes


def test_a_region_without_label_or_text_shifts_none(read):
    bare = results("b", [50, 20, 20, 5], ["1 May"], None)
    (page,), notes = read([task(annotation(NUMBER, bare, TOTAL))])
    assert content(page) == [ALL[0], ALL[2]]
    ((what, places),) = notes.items()
    assert what.startswith("regions without a label, left out")
    assert places[0].endswith("export.json: row 0: region b")
    (page,), notes = read([task(annotation(NUMBER, bare, TOTAL))], unlabelled="Autre")
    assert content(page) == [ALL[0], ("1 May", "Autre", ALL[1][2]), ALL[2]]
    assert list(notes) == ["regions without a label, taken as Autre"]
    for text in (None, [], [" \n"], ""):
        (page,), notes = read([task(annotation(NUMBER, results("b", [50, 20, 20, 5], text, "InvDate"), TOTAL))])
        assert content(page) == [ALL[0], ALL[2]]
        assert {what: len(places) for what, places in notes.items()} == {"regions without text, left out": 1}


@pytest.mark.parametrize("text", ["F-17", ["F-17"], " F-17\n"])
def test_a_single_region_whose_text_is_a_string(read, text):
    (page,), _ = read([task(annotation(results("a", [10, 20, 30, 5.5], text, "InvNum")))])
    assert content(page) == ALL[:1]


def test_lines_of_one_region_are_one_text(read):
    (page,), _ = read([task(annotation(results("a", [10, 20, 30, 5.5], ["F", "17"], "InvNum")))])
    assert page.tokens == ["F 17"]


def test_two_annotators(read):
    """The first who did not cancel, or the one whose annotation is called the truth; others are told of."""
    first, second = annotation(NUMBER, DATE), annotation(TOTAL)
    cancelled, truth = annotation(DATE, was_cancelled=True), annotation(TOTAL, ground_truth=True)
    pages, notes = read([task(first, second), task(cancelled, second), task(first, truth), task(cancelled, first)])
    assert [content(page) for page in pages] == [ALL[:2], ALL[2:], ALL[2:], ALL[:2]]
    ((what, places),) = notes.items()
    assert "several annotations" in what
    assert [place.rpartition(" ")[2] for place in places] == ["0", "2"]


def test_what_is_told_of(read):
    """Other shapes are left out, rotation is not followed, of two labels the first is taken."""
    polygon = {"id": "p", "type": "polygonlabels", "value": {"points": [[1, 2]], "polygonlabels": ["TVA"]}}
    turned = results("b", [50, 20, 20, 5], ["1 May"], "InvDate", rotation=30)
    twice = [TOTAL[0], TOTAL[1] | {"value": TOTAL[1]["value"] | {"labels": ["TTC", "TT"]}}, TOTAL[2]]
    (page,), notes = read([task(annotation(NUMBER, [polygon], turned, twice)), task()])
    assert content(page) == ALL
    assert {what.partition(",")[0]: len(places) for what, places in notes.items()} == {
        "regions that are no rectangles": 1,
        "rotated regions": 1,
        "regions with several labels": 1,
        "pages without a region": 1,
    }


def test_boxes_are_rounded_put_in_order_and_clamped(read):
    boxes = [[9.96, 0, 20.04, 100.0000001], [20, 40, 10, 30], [-3, 50, 50, 170], [1e99, 0, 0, 0]]
    (page,), notes = read([plain(*({"box": box, "text": "x", "label": 0} for box in boxes))])
    assert page.bboxes == [[100, 0, 200, 1000], [100, 300, 200, 400], [0, 500, 500, 1000], [0, 0, 1000, 0]]
    found = {what.partition(",")[0]: [place[-1] for place in places] for what, places in notes.items()}
    assert found == {"boxes that leave the page": ["2", "3"], "boxes with corners exchanged": ["1", "3"]}


def test_the_plain_form(read):
    """A label is a number or a name; labels and texts may be missing there too."""
    named, none, blank = REGION | {"label": "TTC"}, {"box": [1, 2, 3, 4], "text": "x"}, REGION | {"text": None}
    (page,), notes = read([plain(REGION, named, none, blank), plain()])
    assert (page.ner_tags, page.tokens, page.place[-5:]) == ([3, 3], ["42,00", "42,00"], "row 0")
    assert sum(map(len, notes.values())) == 3


def test_real_pages(data):
    """Boxes within 1 of the original's, which cut off what it should have rounded; text and label as they are."""
    path, notes = data / "textra/Exemple_Training.json", defaultdict(list)
    pages, rows = read_pages(str(path), NAMES, "", notes), json.loads(path.read_text())
    assert [len(page.tokens) for page in pages] == [24, 43]
    assert not notes
    moved = 0
    for page, row in zip(pages, rows, strict=True):
        assert page.tokens == [region["text"] for region in row["annotations"]]
        assert page.ner_tags == [region["label"] for region in row["annotations"]]
        for box, region in zip(page.bboxes, row["annotations"], strict=True):
            differences = [ours - int(10 * value) for ours, value in zip(box, region["box"], strict=True)]
            assert set(differences) <= {0, 1}
            moved += any(differences)
    assert moved > 30


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
    ],
)
def test_names_of_images(read, tmp_path, address, name):
    """Of all that could be meant, the file whose path is named in most detail."""
    for file in {name, "Ex1.png"}:
        path = tmp_path / "images" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    for key in ("image", "ocr"):
        (page,), _ = read([task(annotation(NUMBER), image=address, key=key)])
        assert find_image(tmp_path / "images", page.file_name) == name


def test_an_image_under_another_key(read):
    """It is the one value that ends as image files do."""
    made = task(annotation(NUMBER), key="scan", image="/data/upload/1/0a1b2c3d-Ex1.PNG")
    (page,), _ = read([made | {"data": {"note": "blurred"} | made["data"]}])
    assert page.file_name == "/data/upload/1/0a1b2c3d-Ex1.PNG"


@pytest.mark.parametrize("name", ["Ex2.png", "", "/", "../outside.png", "x" * 5000, "a\0b", "0a1b2c3-Ex1.png"])
def test_images_that_are_not_there(tmp_path, name):
    (tmp_path / "images").mkdir()
    (tmp_path / "images/Ex1.png").touch()
    (tmp_path / "outside.png").touch()
    assert find_image(tmp_path / "images", name) is None


COMPACT = {
    "ocr": "/data/upload/1/0a1b2c3d-Ex1.png",
    "id": 1,
    "bbox": [{"x": 1, "y": 2, "width": 3, "height": 4}],
    "transcription": "F-17",
    "annotator": 1,
    "annotation_id": 1,
}


@pytest.mark.parametrize(
    "rows, message",
    [
        ({"images": [], "annotations": []}, r"export.json: expected a list of pages, found \{'images'"),
        ([], "no page with a region in it"),
        ([task(annotation(NUMBER, was_cancelled=True))], "no page with a region in it"),
        ([plain(REGION), {"text": "x"}], r"row 1: \{'text': 'x'\}, expected file_name, height, .* Label Studio"),
        ([7], "row 0: 7, expected file_name"),
        ([COMPACT], 'row 0: is of a compact export .*export as "JSON", in full'),
        ([plain(REGION, file_name=7)], "row 0: file_name 7, expected the name"),
        ([plain() | {"annotations": 7}], "row 0: annotations 7, expected a list"),
        ([plain(7)], r"row 0: annotations \[7\], expected a list of objects"),
        ([plain(REGION | {"box": [1, 2, 3]})], r"region 0: box \[1, 2, 3\], expected \[xmin"),
        ([plain(REGION, REGION | {"box": [1, 2, 3, "4"]})], "region 1: box"),
        ([plain(REGION | {"box": [1, 2, 3, float("nan")]})], "region 0: box"),
        ([plain({"text": "x", "label": 0})], "region 0: box None"),
        ([plain(REGION | {"text": 7})], "region 0: text 7, expected a string"),
        ([plain(REGION | {"label": 7})], "region 0: label 7, expected one of 0 InvNum, .*, 6 Autre"),
        ([plain(REGION | {"label": -1})], "region 0: label -1, expected one of"),
        ([plain(REGION | {"label": True})], "region 0: label True, expected one of"),
        ([plain(REGION | {"label": "TTX", "text": ""})], "region 0: label 'TTX', expected one of"),
        ([task(annotation(results("q", [1, 2, 3, 4], ["x"], "Total")))], "region q: label 'Total', expected one of"),
        ([task(annotation(results("q", [1, 2, "3", 4], ["x"], "TTC")))], "region q: rectangle .*, expected x, y"),
        ([task(annotation(results("q", [1, 2, 3, 4], [7], "TTC")))], r"region q: text \[7\], expected strings"),
        ([task(annotation([7]))], "row 0: result 7, expected an object"),
        ([task(annotation(result={}))], r"row 0: result \{\}, expected a list"),
        ([task(7)], r"row 0: annotations \[7\], expected a list of objects"),
        (
            [task(annotation(NUMBER), key="name", image="Ex1")],
            "row 0: data .*expected an image file under image or ocr",
        ),
    ],
)
def test_refused_exports(read, rows, message):
    with pytest.raises(InputError, match=message) as caught:
        read(rows)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500
    assert "export.json" in str(caught.value)


def test_refused_files(tmp_path):
    with pytest.raises(InputError, match=r"none.json: no such file \(--annotations\)"):
        read_pages(str(tmp_path / "none.json"), NAMES, "", {})
    (tmp_path / "export.json").write_text("id,box")
    with pytest.raises(InputError, match=r"export.json: not JSON: line 1 .*\(--annotations\)"):
        read_pages(str(tmp_path / "export.json"), NAMES, "", {})
