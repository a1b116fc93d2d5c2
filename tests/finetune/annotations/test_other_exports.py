"""Exports in the compact and in the plain format, and texts from the words of OCR."""

import json

import pytest

pytest.importorskip("PIL", reason="needs requirements-finetune.txt")

from finetune.annotations.labelled_pages import ExportReading, read_pages
from preprocess.errors import InputError
from tests.finetune.annotations.exports import (
    ALL,
    BOXES,
    COMPACT,
    NAMES,
    REGION,
    annotation,
    compact,
    content,
    plain,
    results,
    task,
)


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
    for words, message in (
        ("{}", r"Ex1.json: \{\}, expected a list of words"),
        ('[{"text": "a"}]', "Ex1.json: row 0: box None, expected"),
        ('[{"text": "a", "box": [0.1, 0.2, 0.2, 0.3]}]', "Ex1.json: all boxes .*: they look like .*--words_unit"),
        ('[{"text": "a", "box": [900, 900, 990, 990]}]', "look like 0..1000; declare that with --words_unit 0..1000"),
    ):
        file.write_text(words)
        with pytest.raises(InputError, match=message):
            read(rows, **scanned)
    file.write_text('[{"text": "a", "box": [0.11, 0.21, 0.2, 0.25]}]')
    assert read(rows, **scanned, words_unit="0..1")[0][0].tokens == ["a"]
    file.unlink()
    with pytest.raises(InputError, match=r"row 0: no words of '.*0a1b2c3d-Ex1.png': no .*Ex1.json \(--words\)"):
        read(rows, **scanned)


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
