"""DocBank's samples: tokens of a page as labelled blocks."""

import json
import os
from collections import Counter
from pathlib import Path

import pytest

from preprocess.blocks import LABEL_WORDS
from preprocess.docbank import page_files, read_page
from preprocess.errors import InputError
from preprocess.pages import docbank_files, read_pages

STROKES = {"##LTLine##", "##LTRect##", "##LTCurve##", "##LTFigure##"}


def line(token: str, y0: int, label: str, x0: int = 100, height: int = 10) -> str:
    return f"{token}\t{x0}\t{y0}\t{x0 + 50}\t{y0 + height}\t0\t0\t0\tTimes\t{label}\n"


def blocks(tmp_path: Path, *lines: str) -> list[tuple[str, str]]:
    (tmp_path / "page.txt").write_bytes("".join(lines).encode())
    return [(block.text, block.label_word) for block in read_page(tmp_path / "page.txt")]


@pytest.mark.parametrize(
    ("label", "word"),
    [
        ("caption", "Caption"),
        ("equation", "Formula"),
        ("list", "List-item"),
        ("footer", "Page-footer"),
        ("figure", "Picture"),
        ("section", "Section-header"),
        ("table", "Table"),
        ("title", "Title"),
        ("abstract", "Text"),
        ("author", "Text"),
        ("date", "Text"),
        ("paragraph", "Text"),
        ("reference", "Text"),
    ],
)
def test_labels_become_those_of_doclaynet(label: str, word: str, tmp_path: Path):
    assert blocks(tmp_path, line("one", 10, label), line("two", 10, label, 200)) == [("one two", word)]


@pytest.mark.parametrize(
    ("tops", "expected"),
    [
        ((10, 25, 40), ["a b c"]),  # gaps of half a line
        ((10, 35, 60), ["a b c"]),  # of 1.5 line heights: not more
        ((10, 36, 61), ["a", "b c"]),  # of 1.6
        ((500, 515, 20), ["c", "a b"]),  # y jumps up: a second column; blocks are sorted by y
        ((500, 512, 507), ["a c b"]),  # a small step back is no line break: c starts before b ends
    ],
)
def test_a_run_is_split_at_gaps_and_where_y_jumps_up(tops: tuple[int, ...], expected: list[str], tmp_path: Path):
    lines = [line(token, top, "paragraph") for token, top in zip("abc", tops, strict=True)]
    assert [text for text, _ in blocks(tmp_path, *lines)] == expected


def test_a_run_ends_where_the_label_changes_even_to_one_of_the_same_class(tmp_path: Path):
    lines = [line("a", 10, "author"), line("b", 20, "date"), line("c", 30, "title"), line("d", 40, "author")]
    assert blocks(tmp_path, *lines) == [("a", "Text"), ("b", "Text"), ("c", "Title"), ("d", "Text")]


def test_figures_have_no_text_and_strokes_are_not_blocks(tmp_path: Path):
    lines = [
        line("##LTFigure##", 10, "figure"),
        line("##LTLine##", 200, "table"),
        line("a\x0cb\rc\u2028", 300, "table"),
    ]
    assert blocks(tmp_path, *lines) == [("", "Picture"), ("a\x0cb\rc", "Table")]
    assert blocks(tmp_path) == []


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("a\t1\t2\t3\n", "page.txt: line 2: expected token, four numbers, R, G, B, font and label"),
        (line("a", 1, "paragraph").replace("\t1\t", "\t1.5\t"), "page.txt: line 2: expected token, four numbers"),
        (line("a", 1, "paragraph").replace("\t1\t", "\t²\t"), "page.txt: line 2: expected token, four numbers"),
        (line("a", 1, "heading"), "page.txt: line 2: label 'heading', expected one of caption, equation"),
        ("\n", "page.txt: line 2: expected token"),
    ],
)
def test_a_malformed_line_is_named(bad: str, message: str, tmp_path: Path):
    with pytest.raises(InputError) as error:
        blocks(tmp_path, line("a", 1, "paragraph"), bad)
    assert message in str(error.value)


@pytest.mark.parametrize("folder", ["", "txt"])
def test_pages_come_in_the_order_of_the_c_locale(folder: str, tmp_path: Path):
    names = ["10.txt", "9.txt", "A.txt", "B.txt", "_.txt", "a.txt", "é.txt"]  # bytes: digits, capitals, _, small, rest
    (tmp_path / folder).mkdir(exist_ok=True)
    for name in [*reversed(names), "a.json"]:
        (tmp_path / folder / name).touch()
    assert [path.name for path in page_files(tmp_path)] == names


def test_no_token_of_the_real_pages_is_lost(data: Path):
    """Each is in exactly one block; tokens that a page prints twice in one place (bold type) occur once."""
    pages = page_files(data / "docbank")
    assert len(pages) == 100
    assert [page.name for page in pages] == sorted(os.listdir(data / "docbank" / "txt"), key=os.fsencode)
    labels: Counter[str] = Counter()
    for page in pages:
        rows = {tuple(row.split("\t")) for row in page.read_text(encoding="utf-8").split("\n") if row}
        written = {(row[0].strip(), *row[1:5], row[9]) for row in rows if row[0] not in STROKES and row[0].strip()}
        found = read_page(page)
        assert sum(len(block.text.split()) for block in found) == sum(len(row[0].split()) for row in written), page.name
        assert {token for block in found for token in block.text.split()} == {t for r in written for t in r[0].split()}
        assert len({block.id for block in found}) == len(found)
        assert all(0 <= value <= 1000 for block in found for value in block.box)
        labels.update(block.label_word for block in found)
    assert set(labels) < set(LABEL_WORDS)


def test_a_docbank_folder_with_demonstrations_of_page_blocks(data: Path, write_doclaynet):
    done = write_doclaynet(data / "docbank", demonstrations="samples/doclaynet", limit=120)
    assert done.meta["dataset"] == "docbank"
    assert (len(done.prompts), len(done.meta["demonstrations"])) == (120, 11)
    assert done.meta["label_words"] == list(LABEL_WORDS)
    pages = list(dict.fromkeys(row["group"] for row in done.prompts))
    assert pages == [path.stem for path in page_files(data / "docbank")][: len(pages)]
    with pytest.raises(InputError, match="docbank: no train split to draw demonstrations from"):
        write_doclaynet(data / "docbank")


@pytest.mark.parametrize(
    ("names", "count"),
    [(["txt/a.txt", "notes.json"], 1), (["a.txt", "b.txt"], 2), (["page.json", "LICENSE.txt"], 0), (["page.json"], 0)],
)
def test_a_folder_is_docbanks_by_its_files(tmp_path: Path, names: list[str], count: int) -> None:
    """JSON pages with a licence file beside them are not DocBank's."""
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = docbank_files(str(tmp_path))
    assert len(found or []) == count
    assert (found is None) == (count == 0)


def write_whole(folder: Path, nested: bool = False) -> dict[str, str]:
    """Write the 500K layout, with texts and images in the original folders or in two others; page -> split."""
    pages = {"9.tar_1": "train", "1.tar_2": "train", "a_3": "valid", "b_4": "test"}
    for name, ending in (("DocBank_500K_txt", ".txt"), ("DocBank_500K_ori_img", "_ori.jpg")):
        inside = folder / name / name if nested else folder / name
        inside.mkdir(parents=True)
        for page in pages:
            (inside / f"{page}{ending}").write_text(line(page, 10, "paragraph"))
    lists = folder / "MSCOCO_Format_Annotation"
    lists.mkdir()
    for split in ("train", "valid", "test"):
        images = [{"file_name": f"{page}_ori.jpg"} for page, found in pages.items() if found == split]
        (lists / f"500K_{split}.json").write_text(json.dumps({"images": images, "annotations": []}))
    return pages


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("inside", ["", "DocBank_500K_txt"])
def test_the_whole_of_docbank(nested: bool, inside: str, tmp_path: Path):
    """Splits are those listed in its files; the path of the folder of texts works too."""
    write_whole(tmp_path, nested)
    path = str(tmp_path / inside)
    splits = {"train": ["1.tar_2", "9.tar_1"], "validation": ["a_3"], "val": ["a_3"], "test": ["b_4"]}
    for split, names in splits.items():
        pages = list(read_pages(path, split, images=True))
        assert [page.blocks[0].text for page in pages] == names
        assert [page.image.name for page in pages] == [f"{name}_ori.jpg" for name in names]
    for file in (tmp_path / "MSCOCO_Format_Annotation").iterdir():
        file.unlink()
    assert len(list(read_pages(path, "test"))) == 4
    assert read_pages(path, "train") is None


def test_an_index_of_another_format(tmp_path: Path):
    write_whole(tmp_path)
    (tmp_path / "MSCOCO_Format_Annotation/500K_test.json").write_text("{}")
    with pytest.raises(InputError, match=r"500K_test\.json: expected COCO's form"):
        read_pages(str(tmp_path), "test")


def test_tokens_that_leave_the_page_are_clamped_and_counted(tmp_path: Path):
    tokens = ["a\t-3\t20\t40\t30", "b\t500\t-12\t560\t8", *(f"c\t{x}\t200\t{x + 9}\t210" for x in range(0, 900, 10))]
    labels = ["caption", "title", *["paragraph"] * 90]
    rows = [f"{token}\t0\t0\t0\tTimes\t{label}" for token, label in zip(tokens, labels, strict=True)]
    (tmp_path / "page.txt").write_text("\n".join(rows))
    (page,) = read_pages(str(tmp_path), "test")
    assert [(block.text[:1], block.box, block.repairs()) for block in page.blocks] == [
        ("b", (500, 0, 560, 8), ["boxes_outside_the_page"]),
        ("a", (0, 20, 40, 30), ["boxes_outside_the_page"]),
        ("c", (0, 200, 899, 210), []),
    ]


def test_docbank_boxes_in_pixels_are_refused(tmp_path: Path):
    (tmp_path / "page.txt").write_text(line("a", 10, "paragraph"))
    with pytest.raises(InputError, match=r"page\.txt: --box_unit pixels: DocBank's files do not contain the page size"):
        list(read_pages(str(tmp_path), "test", box_unit="pixels"))
    (page,) = read_pages(str(tmp_path), "test", box_unit="0..1000")
    assert page.blocks[0].box[1] == 10
