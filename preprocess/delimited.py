"""CSV and its like: every field is a string, every row has the fields of the header, every defect has its line."""

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

csv.field_size_limit(sys.maxsize)  # texts of any length; the limit of the standard library is 131,072 characters


@dataclass(frozen=True)
class Format:
    """How the text files of a data set are written.

    Args:
        encoding: As Python names it; with UTF-8, a byte order mark is no text.
        delimiter: One character; empty: a tab in .tsv, else what the header shows.
        quoted: Whether fields may stand in double quotes, doubled in them, with line breaks in them.
        headerless: Names of the fields that follow the class where a file has no header: its first field is then a
            number. Empty: every file has one.
        needed: Columns that will be read: they tell of the delimiter where the header alone does not.
    """

    encoding: str = "utf-8"
    delimiter: str = ""
    quoted: bool = True
    headerless: tuple[str, ...] = ()
    needed: tuple[str, ...] = ()


def read_delimited(path: Path, form: Format) -> Iterator[tuple[int, dict[str, str]]]:
    """(line on which it begins, row) of each row.

    Raises:
        InputError: A header that names a column twice or shows two delimiters; a row of more or fewer fields; a quote
            that does not close; an empty line between rows. Names the line.
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
                "a field with a delimiter in it stands in double quotes"
            )
        else:
            yield line, dict(zip(header, row, strict=True))


def is_headerless(path: Path, form: Format) -> bool:
    """Whether the first row is one of data: it begins with a number, and the data set has a form without a header."""
    return bool(form.headerless) and open_rows(path, form)[2]


def open_rows(path: Path, form: Format) -> tuple[tuple[str, ...], Iterator[tuple[int, list[str]]], bool]:
    """The names of the columns, the rows below the header, and whether there is no header."""
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
        raise InputError(f"{path}: line {line}: the header names the column {repeated!r} twice")
    return header, rows, False


def find_delimiter(path: Path, line: str, form: Format) -> str:
    """That which is declared; that of .tsv; else the only one that cuts the first line.

    Raises:
        InputError: Several do, and neither the columns that are needed nor the form without a header tells which.
    """
    if form.delimiter:
        return form.delimiter
    if ".tsv" in (suffix.lower() for suffix in path.suffixes[-2:]):
        return "\t"
    cut = {each: fields for each in CANDIDATES if len(fields := cut_line(line, each, form.quoted)) > 1}
    if len(cut) > 1:
        known = {each: fields for each, fields in cut.items() if is_known(fields, form)}
        cut = known if len(known) == 1 else cut
    if len(cut) > 1:
        found = " and ".join(NAMES[each] for each in cut)
        raise InputError(
            f"{path}: line 1: {found} may separate its columns; say `delimiter: ...` in the YAML file of the data set"
        )
    return next(iter(cut), ",")


def cut_line(line: str, delimiter: str, quoted: bool) -> list[str]:
    """The fields of a line; none where it is not whole by itself."""
    try:
        return next(make_reader([line], delimiter, quoted), [])
    except csv.Error:
        return []


def is_known(fields: list[str], form: Format) -> bool:
    names = {name.strip() for name in fields}
    if form.headerless and fields[0].strip().isdecimal():
        return len(fields) == 1 + len(form.headerless)
    return bool(form.needed) and all(name in names for name in form.needed)


def make_reader(lines: Iterable[str], delimiter: str, quoted: bool) -> Iterator[list[str]]:
    quoting = csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE
    return csv.reader(lines, delimiter=delimiter, quoting=quoting, strict=True)


def numbered(
    path: Path, lines: Iterable[str], delimiter: str, quoted: bool, skipped: int
) -> Iterator[tuple[int, list[str]]]:
    """(line on which it begins, fields) of each record. A line break in quotes ends a line, but no record."""
    record: list[str] = []  # the lines of the record that is being read

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
    """What is wrong in the record that begins in this line."""
    mend = "double the quotes in a quoted field, or say `quote: none` in the YAML file of the data set"
    if "end of data" in str(error):
        line = begins + last_quote(record, delimiter)
        return f"{path}: line {line}: not readable as csv: a quote that opens here never closes; {mend}"
    line = begins + len(record) - 1
    where = f"line {line}" if line == begins else f"line {line}, in the row that begins in line {begins}"
    return f"{path}: {where}: not readable as csv: {error}; {mend}"


def last_quote(record: list[str], delimiter: str) -> int:
    """On which line of a record, from 0, its last quoted field opens: a quote opens one at the beginning of a field."""
    opened, inside, before = 0, False, delimiter
    for number, line in enumerate(record):
        for character in line:
            if character == '"' and inside:
                inside = False
            elif character == '"' and before in (delimiter, '"'):  # a second quote after the first is one in the text
                opened, inside = (opened if before == '"' else number), True
            before = character
    return opened


def is_blank(row: list[str]) -> bool:
    return not row or (len(row) == 1 and not row[0].strip())
