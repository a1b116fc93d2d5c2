"""CSV and TSV files: fields are strings, rows have the fields of the header, and errors name the line."""

import csv
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from preprocess.errors import InputError
from preprocess.lines import read_lines

CANDIDATES = ",;\t|"
NAMES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
CLASS = "class"  # the first column of a file without a header

csv.field_size_limit(sys.maxsize)  # the standard library's default is 131,072 characters


@dataclass(frozen=True)
class Format:
    """The format of a data set's text files.

    Args:
        encoding: As named in Python; a byte order mark of UTF-8 is skipped.
        delimiter: One character; empty: a tab in .tsv, else detected from the header.
        quoted: Whether fields may be in double quotes, which are doubled inside; such fields may contain line breaks.
        headerless: Names of the fields after the class in files without a header, which begin with a number. Empty:
            every file has a header.
        needed: Columns that will be read; they help to detect the delimiter.
    """

    encoding: str = "utf-8"
    delimiter: str = ""
    quoted: bool = True
    headerless: tuple[str, ...] = ()
    needed: tuple[str, ...] = ()


def read_delimited(path: Path, form: Format) -> Iterator[tuple[int, dict[str, str]]]:
    """(first line, row) of each row.

    Raises:
        InputError: A duplicate column, an ambiguous delimiter, a row with more or fewer fields, an unclosed quote, or
            an empty line between rows; the message names the line.
    """
    header, rows, _ = open_rows(path, form)
    empty = 0
    for line, row in rows:
        if is_blank(row) and len(header) > 1:
            empty = empty or line
        elif empty:
            raise InputError(f"{path}: line {empty}: an empty line between rows")
        elif len(row) != len(header):
            raise InputError(
                f"{path}: line {line}: {len(row)} fields, expected {len(header)}: {', '.join(header)}; "
                "a field that contains the delimiter must be in double quotes"
            )
        else:
            yield line, dict(zip(header, row, strict=True))


def is_headerless(path: Path, form: Format) -> bool:
    """Whether a file has no header: its first row begins with a number, and the format allows it."""
    return bool(form.headerless) and open_rows(path, form)[2]


def open_rows(path: Path, form: Format) -> tuple[tuple[str, ...], Iterator[tuple[int, list[str]]], bool]:
    """The column names, the rows of data, and whether the file has no header."""
    lines = read_lines(path, form.encoding)
    skipped, first = 0, next(lines, "")
    while first and not first.strip():
        skipped, first = skipped + 1, next(lines, "")
    if not first:
        raise InputError(f"{path}: is empty")
    rows = numbered(path, chain([first], lines), find_delimiter(path, first, form), form.quoted, skipped)
    line, top = next(rows)
    if form.headerless and top[0].strip().isdecimal():
        return (CLASS, *form.headerless), chain([(line, top)], rows), True
    header = tuple(name.strip() for name in top)
    repeated = next((name for number, name in enumerate(header) if name and name in header[:number]), None)
    if repeated is not None:
        raise InputError(f"{path}: line {line}: duplicate column {repeated!r} in the header")
    return header, rows, False


def find_delimiter(path: Path, line: str, form: Format) -> str:
    """The declared delimiter, the tab of .tsv, or else the only candidate that splits the first line.

    Raises:
        InputError: Several do, and neither the needed columns nor the format without a header decides.
    """
    if form.delimiter:
        return form.delimiter
    if ".tsv" in (suffix.lower() for suffix in path.suffixes[-2:]):
        return "\t"
    cut = {each: fields for each in CANDIDATES if len(fields := cut_line(line, each, form.quoted)) > 1}
    if len(cut) > 1:
        expected = {each: fields for each, fields in cut.items() if is_expected(fields, form)}
        cut = expected if len(expected) == 1 else cut
    if len(cut) > 1:
        names = " and ".join(NAMES[each] for each in cut)
        raise InputError(
            f"{path}: line 1: ambiguous delimiter ({names}); set `delimiter: ...` in the YAML file of the data set"
        )
    return next(iter(cut), ",")


def cut_line(line: str, delimiter: str, quoted: bool) -> list[str]:
    """The fields of a line; empty if a quoted field extends beyond it."""
    try:
        return next(make_reader([line], delimiter, quoted), [])
    except csv.Error:
        return []


def is_expected(fields: list[str], form: Format) -> bool:
    """Whether the fields of the first line include the needed columns, or fit the format without a header."""
    names = {name.strip() for name in fields}
    if form.headerless and fields[0].strip().isdecimal():
        return len(fields) == 1 + len(form.headerless)
    return bool(form.needed) and all(name in names for name in form.needed)


def make_reader(lines: Iterable[str], delimiter: str, quoted: bool) -> Iterator[list[str]]:
    """A strict csv reader of `lines`."""
    quoting = csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE
    return csv.reader(lines, delimiter=delimiter, quoting=quoting, strict=True)


def numbered(
    path: Path, lines: Iterable[str], delimiter: str, quoted: bool, skipped: int
) -> Iterator[tuple[int, list[str]]]:
    """(first line, fields) of each record. A quoted line break does not end a record."""
    record: list[str] = []  # the lines of the current record

    def kept() -> Iterator[str]:
        for line in lines:
            record.append(line)
            yield line

    begins = skipped + 1
    try:
        for row in make_reader(kept(), delimiter, quoted):
            yield begins, row
            begins += len(record)
            record.clear()
    except csv.Error as error:
        raise InputError(csv_message(path, begins, record, delimiter, error)) from None


def csv_message(path: Path, begins: int, record: list[str], delimiter: str, error: csv.Error) -> str:
    """The message for an invalid record that begins in line `begins`."""
    advice = "double the quotes inside quoted fields, or set `quote: none` in the YAML file of the data set"
    if "end of data" in str(error):
        line = begins + last_quote(record, delimiter)
        return f"{path}: line {line}: invalid csv: unclosed quote; {advice}"
    line = begins + len(record) - 1
    where = f"line {line}" if line == begins else f"line {line}, in the row that begins in line {begins}"
    return f"{path}: {where}: invalid csv: {error}; {advice}"


def last_quote(record: list[str], delimiter: str) -> int:
    """The line of a record, from 0, in which its last quoted field begins."""
    opened, inside, before = 0, False, delimiter
    for number, line in enumerate(record):
        for character in line:
            if character == '"' and inside:
                inside = False
            elif character == '"' and before in (delimiter, '"'):  # a doubled quote belongs to the text
                opened, inside = (opened if before == '"' else number), True
            before = character
    return opened


def is_blank(row: list[str]) -> bool:
    """Whether a row comes from an empty line."""
    return not row or (len(row) == 1 and not row[0].strip())
