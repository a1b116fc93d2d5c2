"""CSV and similar formats, against output of the csv module; and the line number of every defect."""

import csv
import gzip
import io
from pathlib import Path

import pytest

from preprocess.delimited import CLASS, Format, is_headerless, read_delimited
from preprocess.errors import InputError

TEXTS = [
    "plain",
    " spaces ",
    "",
    "NA",
    "01",
    "2020-01-01",
    'He said "no", twice',
    "two\nlines",
    "three\r\nmore\rlines\n",
    "tab\there; semicolon| bar",
    "null\x00 bell\x07 \x1b[31m",
    "\u2028 \x85 \x0c no line breaks of csv",
    "👩‍👩‍👧 مرحبا e\u0301",
    "x" * 300_000,
]


def write(path: Path, rows: list[list[str]], delimiter: str = ",", encoding: str = "utf-8") -> Path:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter, lineterminator="\n").writerows(rows)
    content = text.getvalue().encode(encoding)
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize(
    ("name", "delimiter"),
    [("a.csv", ","), ("a.csv", ";"), ("a.csv", "\t"), ("a.tsv", "\t"), ("a.CSV.gz", "|"), ("a.tsv.gz", "\t")],
)
def test_every_text_is_read_as_written(name: str, delimiter: str, encoding: str, tmp_path: Path):
    rows = [[text, str(number)] for number, text in enumerate(TEXTS)]
    path = write(tmp_path / name, [["text", "label"], *rows], delimiter, encoding)
    form = Format("utf-8" if encoding == "utf-8-sig" else encoding)
    found = list(read_delimited(path, form))
    assert [list(row.values()) for _, row in found] == rows
    assert {tuple(row) for _, row in found} == {("text", "label")}


def test_lines_are_those_of_the_file(tmp_path: Path):
    """Line breaks in quotes count, and so do empty lines above the header."""
    path = tmp_path / "a.csv"
    path.write_bytes(b'\ntext,label\r\n"a\nb\r\nc",1\nd,2\r\n"e\n",3\n\n\n')
    assert [line for line, _ in read_delimited(path, Format())] == [3, 6, 7]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "text,label\nStocks fall, oil rises,1\n",
            "line 2: 3 fields, expected 2: text, label; a field that contains the delimiter",
        ),
        ("text,label\na,1\nb\n", "line 3: 1 fields, expected 2: text, label"),
        ('text,label\n"a\nb",1\nc\n', "line 4: 1 fields, expected 2"),
        ("text,label\na,1\n\nb,2\n", "line 3: an empty line between rows"),
        ("text,label,text\n", "line 1: duplicate column 'text' in the header"),
        ("text, text\n", "line 1: duplicate column 'text' in the header"),
        ("", "a.csv: is empty"),
        ("\n \n", "a.csv: is empty"),
        ('text,label\na,1\n"b,2\nc,3\n', "line 3: invalid csv: unclosed quote; double"),
        ('text,label\n"a\nb","c\nd\n', "line 3: invalid csv: unclosed quote"),
        (
            'text,label\n"a ""b"" \nc","",,"d""\ne\n',
            "line 3: invalid csv: unclosed quote",
        ),
        ('text,label\na"b,"c\nd\n', "line 2: invalid csv: unclosed quote"),
        ('text,label\n"a" b,1\n', "line 2: invalid csv: ',' expected after '\"'; double the quotes"),
        ('text,label\n"a,1\nb,2\n"c",3\n', "line 4, in the row that begins in line 2: invalid csv"),
        (b"text,label\na,1\ncaf\xe9,2\n", "line 3: not utf-8: 0xe9 (invalid continuation byte); convert it to UTF-8"),
        (b'text,label\r\n"a\r\nb",1\rcaf\xe9,2\n', "line 4: not utf-8: 0xe9"),
        (
            "text,label\n".encode("utf-16"),
            "line 1: not utf-8: it begins with the byte order mark of UTF-16; convert it to UTF-8, or",
        ),
        ("text;more,label\n", "line 1: ambiguous delimiter (comma and semicolon); set `delimiter: ...`"),
    ],
)
def test_every_defect_has_a_message(content: str | bytes, message: str, tmp_path: Path):
    path = tmp_path / "a.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError) as error:
        list(read_delimited(path, Format()))
    assert str(error.value).startswith(f"{path}: ")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("lines", [10, 5000])
def test_a_byte_far_into_the_file_is_named_by_its_line(lines: int, tmp_path: Path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"text,label\n" + b"a longer text,1\n" * lines + b"caf\xe9,2\n" + b"b,3\n" * lines)
    with pytest.raises(InputError, match=f"line {lines + 2}: not utf-8"):
        list(read_delimited(path, Format()))
    assert len(list(read_delimited(path, Format("latin-1")))) == 2 * lines + 1


@pytest.mark.parametrize(
    ("header", "form", "names"),
    [
        ("text;label", Format(), ["text", "label"]),
        ("text;more,label", Format(delimiter=";"), ["text", "more,label"]),
        ("text;more,label", Format(needed=("text;more", "label")), ["text;more", "label"]),
        ('"a;b",label', Format(), ["a;b", "label"]),
        ("text label", Format(), ["text label"]),
        ("\ufefftext,label", Format(), ["text", "label"]),
        ('\ufeff"text",label', Format(), ["text", "label"]),
        (" text , label", Format(), ["text", "label"]),
        ("1,a; b,c", Format(headerless=("title", "body")), [CLASS, "title", "body"]),
        ('"1","a; b","c|d"', Format(headerless=("title", "body")), [CLASS, "title", "body"]),
    ],
)
def test_the_delimiter_is_found_in_the_header(header: str, form: Format, names: list[str], tmp_path: Path):
    delimiter = form.delimiter or (";" if header.startswith("text;label") else ",")
    path = tmp_path / "a.csv"
    path.write_text(header + "\n" + delimiter.join("x" * len(names)) + "\n", encoding="utf-8")
    assert [list(row) for _, row in read_delimited(path, form)][-1] == names


def test_without_quoting_a_quote_is_a_character(tmp_path: Path):
    path = tmp_path / "a.tsv"
    path.write_text('text\tlabel\n"Open\t1\n6" disk"\t2\n', encoding="utf-8")
    assert [row["text"] for _, row in read_delimited(path, Format(quoted=False))] == ['"Open', '6" disk"']


@pytest.mark.parametrize(
    ("first", "expected"), [("1", True), ("0", True), ("01", True), ("5", True), ("a", False), (CLASS, False)]
)
def test_a_file_without_a_header_starts_with_a_number(first: str, expected: bool, tmp_path: Path):
    path = write(tmp_path / "a.csv", [[first, "b", "c"]])
    assert is_headerless(path, Format(headerless=("title", "body"))) is expected
    assert not is_headerless(path, Format()), "it declares no such form"
    rows = list(read_delimited(path, Format(headerless=("title", "body"))))
    assert rows == ([(1, {CLASS: first, "title": "b", "body": "c"})] if expected else [])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"text,label\na,1\n", "a.csv.gz: invalid gzip: Not a gzipped file"),
        (gzip.compress(b"text,label\na,1\n", mtime=0)[:-4], "a.csv.gz: invalid gzip: Compressed file ended"),
        (gzip.compress(b"", mtime=0), "a.csv.gz: is empty"),
        (gzip.compress(b"text,label\ncaf\xe9,1\n", mtime=0), "a.csv.gz: line 2: not utf-8: 0xe9"),
    ],
)
def test_damaged_compressed_files(content: bytes, message: str, tmp_path: Path):
    path = tmp_path / "a.csv.gz"
    path.write_bytes(content)
    with pytest.raises(InputError) as error:
        list(read_delimited(path, Format()))
    assert message in str(error.value)
