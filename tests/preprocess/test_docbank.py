"""DocBank's samples: tokens of a page as labelled blocks."""

import os
from collections import Counter
from pathlib import Path

import pytest

from preprocess.blocks import LABEL_WORDS
from preprocess.docbank import page_files, read_page
from preprocess.doclaynet import docbank_files
from preprocess.errors import InputError

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
        ((500, 512, 507), ["a c b"]),  # a step back within a line is none: c begins before b ends
    ],
)
def test_a_run_is_cut_at_gaps_and_where_y_jumps_up(tops: tuple[int, ...], expected: list[str], tmp_path: Path):
    lines = [line(token, top, "paragraph") for token, top in zip("abc", tops, strict=True)]
    assert [text for text, _ in blocks(tmp_path, *lines)] == expected


def test_a_run_ends_where_the_label_changes_even_to_one_of_the_same_class(tmp_path: Path):
    lines = [line("a", 10, "author"), line("b", 20, "date"), line("c", 30, "title"), line("d", 40, "author")]
    assert blocks(tmp_path, *lines) == [("a", "Text"), ("b", "Text"), ("c", "Title"), ("d", "Text")]


def test_figures_have_no_text_and_strokes_are_no_blocks(tmp_path: Path):
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
        (line("a", 1, "heading"), "page.txt: line 2: label 'heading' is none of caption, equation"),
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
    """Each stands in exactly one block; what a page writes twice in one place (bold print) stands once."""
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
    """A licence beside JSON pages does not make them DocBank's."""
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert len(docbank_files(str(tmp_path))) == count
