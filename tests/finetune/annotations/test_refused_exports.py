"""Exports that are refused, in one line that names the place."""

import pytest

pytest.importorskip("PIL", reason="needs requirements-finetune.txt")

from finetune.annotations.labelled_pages import ExportReading, read_pages
from preprocess.errors import InputError
from tests.finetune.annotations.exports import COMPACT, NAMES, NUMBER, REGION, annotation, plain, results, task


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
