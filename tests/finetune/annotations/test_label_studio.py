"""Exports as pages: results are joined by id, and missing ones do not shift others."""

import json
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("PIL", reason="needs requirements-finetune.txt")

from PIL import Image

from documents.image_names import find_image, is_named
from finetune.annotations.labelled_pages import ExportReading, LabelledPage, read_pages
from preprocess.errors import InputError
from preprocess.units import Unit

NAMES = ["InvNum", "InvDate", "Fourni", "TTC", "TVA", "TT", "Autre"]
Read = Callable[..., tuple[list[LabelledPage], dict[str, list[str]]]]


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


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """(rows, options of the reading) -> the pages, the notes."""

    def read(rows: Any, **options: Any) -> tuple[list[LabelledPage], dict[str, list[str]]]:
        path = tmp_path / "export.json"
        path.write_text(json.dumps(rows))
        reading = ExportReading(NAMES, **options)
        return read_pages(str(path), reading), reading.notes

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
    """RectangleLabels writes no separate rectangle; a relation has no id, and a choice for the image no box."""
    made = [result for result in NUMBER if result["type"] != "rectangle"]
    value = {key: value for key, value in made[0]["value"].items() if key != "labels"}
    made[0] = made[0] | {"type": "rectanglelabels", "value": value | {"rectanglelabels": ["InvNum"]}}
    relation = {"type": "relation", "from_id": "a", "to_id": "b", "direction": "right"}
    choice = {"type": "choices", "id": "z", "value": {"choices": ["invoice"]}}
    (page,), notes = read([task(annotation(made, [relation, choice]))])
    assert content(page) == ALL[:1]
    assert not notes


def test_a_region_without_label_or_text_shifts_no_others(read):
    bare = results("b", [50, 20, 20, 5], ["1 May"], None)
    (page,), notes = read([task(annotation(NUMBER, bare, TOTAL))])
    assert content(page) == [ALL[0], ALL[2]]
    ((what, places),) = notes.items()
    assert what.startswith("regions without a label, left out")
    assert places[0].endswith("export.json: row 0: region b")
    (page,), notes = read([task(annotation(NUMBER, bare, TOTAL))], unlabelled="Autre")
    assert content(page) == [ALL[0], ("1 May", "Autre", ALL[1][2]), ALL[2]]
    assert list(notes) == ["regions without a label, read as Autre"]
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


def test_several_annotations(read):
    """Cancelled and empty ones are ignored; the ground truth takes precedence; equal ones count once."""
    first, second, empty = annotation(NUMBER, DATE), annotation(TOTAL), annotation()
    cancelled, truth = annotation(DATE, was_cancelled=True), annotation(TOTAL, ground_truth=True)
    again = annotation(DATE, NUMBER)
    rows = [task(cancelled, second), task(first, truth), task(empty, cancelled, first), task(first, again), task(empty)]
    pages, notes = read(rows)
    assert [sorted(content(page)) for page in pages] == [ALL[2:], ALL[2:], sorted(ALL[:2]), sorted(ALL[:2])]
    assert {what: [place[-1] for place in places] for what, places in notes.items() if "left out" not in what} == {
        "tasks with several equal annotations, one of which is used": ["3"]
    }


@pytest.mark.parametrize(
    ("writers", "name"),
    [((1, 2), "2"), (({"id": 7, "email": "a@x.org"}, {"id": 8, "email": "b@x.org"}), "b@x.org"), ((1, {"id": 2}), "2")],
)
def test_annotators_who_differ(writers, name, read):
    rows = [task(*(annotation(made, completed_by=who) for made, who in zip((NUMBER, TOTAL), writers, strict=True)))]
    with pytest.raises(InputError, match=r"row 0: 2 annotations by .* differ; select one with --annotator"):
        read(rows)
    (page,), _ = read(rows, annotator=name)
    assert content(page) == ALL[2:]
    with pytest.raises(InputError, match=r"2 annotations by .* differ"):
        read(rows, annotator="nobody")
    alone = [task(annotation(NUMBER, completed_by=5))]
    assert content(read(alone, annotator=name)[0][0]) == ALL[:1]


def test_predictions(read):
    """Only with the flag, and only without an annotation."""
    guessed = {"model_version": "v1", "score": 0.5, "result": TOTAL}
    alone, both = task() | {"predictions": [guessed]}, task(annotation(NUMBER)) | {"predictions": [guessed]}
    pages, notes = read([alone, both])
    assert [content(page) for page in pages] == [ALL[:1]]
    assert any(what.startswith("tasks with predictions only, left out (--predictions") for what in notes)
    pages, _ = read([alone, both], predictions=True)
    assert [content(page) for page in pages] == [ALL[2:], ALL[:1]]
    without = {"data": alone["data"], "predictions": [guessed, guessed | {"model_version": "v2", "result": NUMBER}]}
    with pytest.raises(InputError, match="2 annotations by v1, v2 differ"):
        read([without], predictions=True)
    (page,), _ = read([without], predictions=True, annotator="v2")
    assert content(page) == ALL[:1]


def test_completions_are_annotations_of_older_versions(read):
    made = task(annotation(NUMBER))
    made["completions"] = made.pop("annotations")
    assert content(read([made])[0][0]) == ALL[:1]


def test_results_without_an_id(read):
    """Results with the same shape form one region."""
    bare = [{key: value for key, value in result.items() if key != "id"} for result in [*NUMBER, *TOTAL]]
    choice = {"type": "choices", "value": {"choices": ["invoice"]}}
    (page,), notes = read([task(annotation([*bare, choice], DATE))])
    assert sorted(content(page)) == sorted(ALL)
    assert not notes


def test_notes(read):
    """Shapes without a box are left out; of two labels, the first is used."""
    brush = {"id": "p", "type": "brushlabels", "value": {"format": "rle", "rle": [1, 2], "brushlabels": ["TVA"]}}
    twice = [TOTAL[0], TOTAL[1] | {"value": TOTAL[1]["value"] | {"labels": ["TTC", "TT"]}}, TOTAL[2]]
    shown = [result | {"image_rotation": 90} for result in DATE]
    (page,), notes = read([task(annotation(NUMBER, [brush], shown, twice)), task()])
    assert content(page) == ALL
    assert {what.partition(",")[0]: len(places) for what, places in notes.items()} == {
        "regions whose shape has no box": 1,
        "regions of an image that was displayed rotated": 1,
        "regions with several labels": 1,
        "pages without a region": 1,
    }


def sized(results: list[dict[str, Any]], width: int | None, height: int | None) -> list[dict[str, Any]]:
    return [result | {"original_width": width, "original_height": height} for result in results]


@pytest.mark.parametrize(
    ("size", "box", "rotation", "expected"),
    [
        ((1000, 1000), [80, 20, 30, 4], 90, [760, 200, 800, 500]),
        ((1000, 500), [20, 20, 30, 20], 90, [100, 200, 200, 800]),  # 300 x 100 pixels at (200, 100)
        ((1000, 500), [20, 60, 30, 20], 270, [200, 0, 300, 600]),
        ((1000, 500), [20, 60, 30, 20], -90, [200, 0, 300, 600]),
        ((1000, 500), [60, 60, 30, 20], 180, [300, 400, 600, 600]),
        ((1000, 500), [20, 20, 30, 20], 360, [200, 200, 500, 400]),
        ((600, 800), [50, 50, 20, 10], 45, [406, 500, 641, 677]),
        ((600, 800), [50, 50, 20, 10], 30.5, [432, 500, 672, 662]),
    ],
)
def test_rotated_rectangles(size, box, rotation, expected, read):
    """Rotated clockwise about the top left corner, in pixels; then the bounding box. The oracle rotates the corners."""
    made = sized(results("q", box, ["x"], "TTC", rotation=rotation), *size)
    (page,), _ = read([task(annotation(made))])
    assert page.bboxes == [expected]
    x, y, width, height = (value * side / 100 for value, side in zip(box, size * 2, strict=True))
    corners = np.array([[0, 0], [width, 0], [0, height], [width, height]])
    angle = np.deg2rad(rotation)
    spun = corners @ np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) + [x, y]
    around = np.concatenate([spun.min(0), spun.max(0)]) * 1000 / np.array(size * 2)
    assert np.abs(around - expected).max() <= 0.5 + 1e-9
    bare = sized(made, None, None)
    if rotation % 360:
        with pytest.raises(InputError, match=r"region q: rotated by .*, but original_width and original_height"):
            read([task(annotation(bare))])
        (page,), _ = read([task(annotation(bare))], size=size)
        assert page.bboxes == [expected]


def test_polygons_and_ellipses_become_bounding_boxes(read):
    def shaped(name: str, label: str, **value: Any) -> list[dict[str, Any]]:
        shape = {"id": name, "type": f"{label}labels", "value": value | {f"{label}labels": ["TTC"]}}
        return sized([shape, shape | {"type": "textarea", "value": value | {"text": ["x"]}}], 1000, 500)

    polygon = shaped("p", "polygon", points=[[10, 20], [30.5, 15], [25, 40]])
    ellipse = shaped("e", "ellipse", x=50, y=50, radiusX=10, radiusY=5, rotation=0)
    turned = shaped("t", "ellipse", x=50, y=50, radiusX=10, radiusY=4, rotation=90)  # 100 x 20 pixels
    (page,), notes = read([task(annotation(polygon, ellipse, turned))])
    assert page.bboxes == [[100, 150, 305, 400], [400, 450, 600, 550], [480, 300, 520, 700]]
    assert not notes
    for points in ([], [[1]], 7, [[1, "2"]]):
        with pytest.raises(InputError, match=r"region p: points .*, expected a list of \[x, y\] in percent"):
            read([task(annotation(shaped("p", "polygon", points=points)))])
    with pytest.raises(InputError, match=r"region q: rotation 'x', expected degrees"):
        read([task(annotation(results("q", [1, 2, 3, 4], ["x"], "TTC", rotation="x")))])


SCALED = {"0..1000": 10, "0..1": 0.01, "pixels": 2}


@pytest.mark.parametrize("unit", SCALED)
def test_boxes_in_another_unit(unit, read):
    """Refused unless declared, on a page of 200 x 200 pixels."""
    regions = [REGION | {"box": [value * SCALED[unit] for value in (10, y, 90, y + 2)]} for y in range(2, 90, 8)]
    rows = [plain(*regions, width=200, height=200)]
    with pytest.raises(InputError, match=f"row 0: .*they look like .*{unit}.*--box_unit"):
        read(rows)
    (page,), _ = read(rows, unit=Unit(unit, declared=True))
    assert page.bboxes[0] == [100, 20, 900, 40]
    with pytest.raises(InputError, match="width and height"):
        read([plain(*regions, width=None)], unit=Unit("pixels", declared=True))


@pytest.fixture
def scanned(tmp_path: Path) -> dict[str, Any]:
    """An image of 200 x 100 and its words from OCR."""
    for name in ("images", "words"):
        (tmp_path / name).mkdir()
    Image.new("RGB", (200, 100)).save(tmp_path / "images/Ex1.png")
    found = {"F-17": (22, 21, 40, 25), "May": (118, 20, 130, 24), "1": (108, 20, 112, 25), "far": (1, 90, 9, 99)}
    found |= {"42,00": (150, 81, 170, 84), "below": (110, 27, 118, 29)}
    words = [{"text": text, "box": list(box)} for text, box in found.items()]
    (tmp_path / "words/Ex1.json").write_text(json.dumps(words))
    return {"images": tmp_path / "images", "words": tmp_path / "words"}


def test_words_from_ocr(scanned, read):
    """Words with their centre in a region form its text, by lines; if regions overlap, the smallest gets them."""
    blank = [results("a", [10, 20, 30, 5.5], None, "InvNum"), results("b", [50, 18, 20, 12], None, "InvDate")]
    around = results("c", [0, 0, 100, 86], None, "Autre")
    nothing = results("d", [0, 60, 10, 5], None, "TVA")
    (page,), notes = read([task(annotation(*blank, around, nothing))], **scanned)
    assert page.tokens == ["F-17", "1 May below", "42,00"]
    assert {what: len(places) for what, places in notes.items()} == {"regions without text, left out": 1}
    own = results("a", [10, 20, 30, 5.5], ["its own"], "InvNum")
    (page,), _ = read([task(annotation(own, blank[1]))], **scanned)
    assert page.tokens == ["its own", "1 May below"]
    (page,), _ = read([plain({"box": [10, 20, 40, 26], "label": 0})], **scanned)
    assert page.tokens == ["F-17"]


def test_invalid_words(scanned, read):
    rows = [task(annotation(results("a", [10, 20, 30, 5.5], None, "InvNum")))]
    with pytest.raises(InputError, match=r"no page with a region: 1 regions have no text; use --words"):
        read(rows)
    file = scanned["words"] / "Ex1.json"
    for content, message in (
        ("{}", r"Ex1.json: \{\}, expected a list of words"),
        ('[{"text": "a"}]', "Ex1.json: row 0: box None, expected"),
        ('[{"text": "a", "box": [0.1, 0.2, 0.2, 0.3]}]', "Ex1.json: all boxes .*: they look like .*--words_unit"),
        ('[{"text": "a", "box": [900, 900, 990, 990]}]', "look like 0..1000; declare that with --words_unit 0..1000"),
    ):
        file.write_text(content)
        with pytest.raises(InputError, match=message):
            read(rows, **scanned)
    file.write_text('[{"text": "a", "box": [0.11, 0.21, 0.2, 0.25]}]')
    assert read(rows, **scanned, words_unit="0..1")[0][0].tokens == ["a"]
    file.unlink()
    with pytest.raises(InputError, match=r"row 0: no words of '.*0a1b2c3d-Ex1.png': no .*Ex1.json \(--words\)"):
        read(rows, **scanned)


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


def test_the_compact_export(read):
    """Labels belong to the shape that they repeat; texts are in the order of the regions."""
    (page,), notes = read([COMPACT])
    assert (content(page), page.file_name, notes) == (ALL, "/data/upload/1/0a1b2c3d-Ex1.png", {})
    middle = compact(*zip(BOXES, ["InvNum", None, "TTC"], strict=True), transcription=["F-17", "1 May", "42,00"])
    (page,), notes = read([middle])
    assert content(page) == [ALL[0], ALL[2]]
    (page,), _ = read([compact((BOXES[0], "InvNum"), transcription="F-17")])
    assert content(page) == ALL[:1]
    lines = {"text": ["1", "May"]} | dict(zip(("x", "y", "width", "height"), BOXES[1], strict=True)) | {"rotation": 0}
    (page,), _ = read([COMPACT | {"transcription": ["F-17", lines, "42,00"]}])
    assert content(page) == ALL
    rectangles = {"rectanglelabels": ["InvNum"], **COMPACT["bbox"][0], "rotation": 90}
    row = {"image": "Ex1.png", "id": 3, "annotation_id": 1, "annotator": 1, "label": [rectangles], "text": "F-17"}
    assert read([row])[0][0].bboxes == [[72, 200, 100, 800]]


def test_the_compact_export_may_not_assign_texts(read, scanned):
    for texts in (["F-17", "42,00"], ["a"] * 4, "F-17"):
        with pytest.raises(InputError, match=r'row 0: \d texts for 3 regions: a compact .* as "JSON", or use'):
            read([COMPACT | {"transcription": texts}])
        (page,), _ = read([COMPACT | {"transcription": texts}], **scanned)
        assert page.tokens == ["F-17", "1 May", "42,00"]


def test_the_compact_export_of_two_annotators(read):
    """One row for each annotator, with the same task id."""
    other = compact((BOXES[2], "TTC"), transcription="42,00") | {"annotator": "b@x.org", "annotation_id": 2}
    with pytest.raises(InputError, match=r"row 0: 2 annotations by 1, b@x\.org differ; select one with --annotator"):
        read([COMPACT, other])
    (page,), _ = read([COMPACT, other], annotator="b@x.org")
    assert content(page) == ALL[2:]
    pages, _ = read([COMPACT, other | {"id": 2}])
    assert len(pages) == 2


def test_boxes_are_rounded_put_in_order_and_clamped(read):
    boxes = [[9.96, 0, 20.04, 100.0000001], [20, 40, 10, 30], [-3, 50, 50, 170], [1e99, 0, 0, 0]]
    (page,), notes = read([plain(*({"box": box, "text": "x", "label": 0} for box in boxes))])
    assert page.bboxes == [[100, 0, 200, 1000], [100, 300, 200, 400], [0, 500, 500, 1000], [0, 0, 1000, 0]]
    found = {what.partition(",")[0]: [place[-1] for place in places] for what, places in notes.items()}
    assert found == {"boxes that exceed the page": ["2", "3"], "boxes with swapped corners": ["1", "3"]}


def test_the_plain_format(read):
    """A label is a number or a name; labels and texts may be missing here too."""
    named, none, blank = REGION | {"label": "TTC"}, {"box": [1, 2, 3, 4], "text": "x"}, REGION | {"text": None}
    (page,), notes = read([plain(REGION, named, none, blank), plain()])
    assert (page.ner_tags, page.tokens, page.place[-5:]) == ([3, 3], ["42,00", "42,00"], "row 0")
    assert sum(map(len, notes.values())) == 3


def test_real_pages(data):
    """Boxes within 1 of the original's, which truncated instead of rounding; text and labels are equal."""
    path, reading = data / "textra/Exemple_Training.json", ExportReading(NAMES)
    pages, rows = read_pages(str(path), reading), json.loads(path.read_text())
    assert [len(page.tokens) for page in pages] == [24, 43]
    assert not reading.notes
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


@pytest.mark.parametrize(
    "rows, message",
    [
        ({"images": [], "annotations": []}, r"export.json: expected a list of pages, found \{'images'"),
        ([], "no page with a region"),
        ([task(annotation(NUMBER, was_cancelled=True))], "no page with a region"),
        ([plain(REGION), {"text": "x"}], r"row 1: \{'text': 'x'\}, expected file_name, height, .* Label Studio"),
        ([7], "row 0: 7, expected file_name"),
        ([COMPACT, {"text": "x"}], "row 0: .* expected file_name, height"),
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
        read_pages(str(tmp_path / "none.json"), ExportReading(NAMES))
    (tmp_path / "export.json").write_text("id,box")
    with pytest.raises(InputError, match=r"export.json: not JSON: line 1 .*\(--annotations\)"):
        read_pages(str(tmp_path / "export.json"), ExportReading(NAMES))
