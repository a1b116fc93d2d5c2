"""Tables as Markdown, LaTeX or CSV: columns, rows, groups of rows, notes."""

import csv
import io
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from preprocess.errors import InputError

UNKNOWN = "-"
PAGE = 345  # text width of LaTeX's article class in points; wider tables are scaled to it
GAP = 12  # points between two columns
WIDTHS = {3.9: " .,:;!'ijlrtfI()[]/-", 8.4: "mwMW%@−±≥–", 7.6: "ABCDEFGHJKLNOPQRSTUVXYZ&"}  # upper bounds in points
OTHER = 5.6  # other characters
LINE_BREAKS = re.compile("[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]+")
FORMULA = re.compile("[=+\\-@\t\r\n＝＋－＠]")  # first characters that a spreadsheet evaluates
NUMBER = re.compile(r"[+-]?\d+(\.\d+)?(e[+-]?\d+)?")


class Column(NamedTuple):
    """A column of a table.

    Args:
        header: Its printed header.
        value: The value for the object of a row; None if it is unknown.
        show: Formats the value.
        is_number: Whether it is right-aligned.
        parts: Columns that replace it in CSV, as numbers: header, and the number from the value.
    """

    header: str
    value: Callable[[Any], Any]
    show: Callable[[Any], str] = str
    is_number: bool = True
    parts: tuple[tuple[str, Callable[[Any], Any]], ...] = ()

    def cell(self, about: Any) -> str:
        """The text of the cell for the object of a row."""
        value = self.value(about)
        return UNKNOWN if value is None else self.show(value)


class Rows(NamedTuple):
    """Rows with a heading.

    Args:
        heading: May be empty.
        rows: The objects that the rows show.
        best: Indices of the rows whose `marked` cell is bold.
        like_best: Indices of the rows whose `marked` cell gets a mark.
    """

    heading: str
    rows: Sequence[Any]
    best: Sequence[int] = ()
    like_best: Sequence[int] = ()


def four_digits(value: float) -> str:
    """A number with four decimals."""
    return f"{value:.4f}"


def signed(value: float) -> str:
    """A number with sign and four decimals."""
    return f"{value:+.4f}".replace("-", "−")


def probability(value: float) -> str:
    """A p-value; small ones are not rounded to 0."""
    return f"{value:.4f}" if value >= 0.0001 else "< 0.0001"


def clock(seconds: float) -> str:
    """Seconds as hours:minutes:seconds."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{rest:02d}"


def number(header: str, value: Callable[[Any], float | None], show: Callable[[float], str] = four_digits) -> Column:
    """A column of numbers, which CSV does not round."""
    return Column(header, value, show, True, ((header, lambda value: value),))


def ends(
    header: str,
    interval: Callable[[Any], tuple[float, float] | str | None],
    show: Callable[[float], str],
    of: str = "",
    between: str = "–",
) -> Column:
    """A column of intervals, low – high, or a text with the reason why there is none; in CSV two columns of numbers."""

    def shown(value: tuple[float, float] | str) -> str:
        return value if isinstance(value, str) else f"{show(value[0])}{between}{show(value[1])}"

    def end(place: int) -> Callable[[Any], Any]:
        return lambda value: None if isinstance(value, str) else value[place]

    return Column(header, interval, shown, True, ((f"{of}low", end(0)), (f"{of}high", end(1))))


def mean_and_sd(
    header: str, mean: Callable[[Any], Any], sd: Callable[[Any], Any], show: Callable[[float], str]
) -> Column:
    """A column `mean ± standard deviation over draws`; in CSV two columns of numbers."""

    def value(about: Any) -> Any:
        average = mean(about)
        return None if average is None else (average, sd(about))

    def shown(pair: tuple[float, float | None]) -> str:
        return show(pair[0]) + ("" if pair[1] is None else f" ± {show(pair[1])}")

    return Column(header, value, shown, True, ((header, lambda pair: pair[0]), (f"{header} sd", lambda pair: pair[1])))


def check_format(form: str) -> None:
    """Raises InputError if `--format` is unknown."""
    if form not in FORMATS:
        raise InputError(f"--format {form}: expected {', '.join(FORMATS)}")


def to_text(
    form: str, columns: Sequence[Column], groups: Sequence[Rows], marked: Column | None, notes: Sequence[str]
) -> str:
    """The table and its notes; for CSV the notes are printed to standard error.

    Line breaks in names, which come from users' files, are replaced, and spreadsheets evaluate no cell. Control
    characters are left to `options.Harmless`.

    Args:
        form: markdown, latex or csv.
        marked: The column in which the best are bold.
    """
    groups = [group._replace(heading=one_line(group.heading)) for group in groups]
    notes = list(map(one_line, notes))
    if form == "csv":
        for note in notes:
            print(note, file=sys.stderr)
    return FORMATS[form](columns, groups, marked, notes)


def one_line(text: str) -> str:
    """The text with a space for each line break."""
    return LINE_BREAKS.sub(" ", text)


def cells_of(
    columns: Sequence[Column], group: Rows, marked: Column | None, bold: Callable[[str], str], mark: str
) -> list[list[str]]:
    """The text of each cell, with the best in bold and those without a significant difference from it marked."""
    lines = []
    for number, about in enumerate(group.rows):
        line = [one_line(column.cell(about)) for column in columns]
        if marked in columns:
            place = columns.index(marked)
            line[place] = bold(line[place]) if number in group.best else line[place]
            line[place] += mark if number in group.like_best else ""
        lines.append(line)
    return lines


def to_markdown(columns: Sequence[Column], groups: Sequence[Rows], marked: Column | None, notes: Sequence[str]) -> str:
    """A Markdown table with padded cells, and the notes below it."""
    body: list[list[str]] = []
    for group in groups:
        body += [[f"**{group.heading}**"] + [""] * (len(columns) - 1)] if group.heading else []
        body += cells_of(columns, group, marked, lambda cell: f"**{cell}**", " †")
    lines = [[cell.replace("|", "\\|") for cell in cells] for cells in [[column.header for column in columns], *body]]
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]

    def line(cells: Sequence[str]) -> str:
        padded = (
            cell.rjust(width) if column.is_number else cell.ljust(width)
            for cell, width, column in zip(cells, widths, columns, strict=True)
        )
        return f"| {' | '.join(padded)} |"

    rule = "|".join(
        "-" * (width + 1) + (":" if column.is_number else "-") for width, column in zip(widths, columns, strict=True)
    )
    header, *rest = map(line, lines)
    return "\n".join([header, f"|{rule}|", *rest, *(f"\n{note}" for note in notes)])


def to_latex(columns: Sequence[Column], groups: Sequence[Rows], marked: Column | None, notes: Sequence[str]) -> str:
    """A tabular environment with booktabs rules, and the notes as comments above it. Tables wider than the page are
    scaled to it (package graphicx)."""
    alignment = "".join("r" if column.is_number else "l" for column in columns)
    headers = [escape(column.header) for column in columns]
    lines, plain = [" & ".join(headers) + r" \\"], [[column.header for column in columns]]
    for group in groups:
        lines.append(r"\midrule")
        if group.heading:
            lines += [rf"\multicolumn{{{len(columns)}}}{{@{{}}l@{{}}}}{{\textit{{{escape(group.heading)}}}}} \\"]
        plain += cells_of(columns, group, marked, str, " *")
        cells = cells_of(columns, group, marked, lambda cell: "\0" + cell + "\1", "\2")
        lines += [" & ".join(map(escape, row)) + r" \\" for row in cells]
    body = [r"\toprule", *lines, r"\bottomrule"]
    table = "\n".join([rf"\begin{{tabular}}{{@{{}}{alignment}@{{}}}}", *body, r"\end{tabular}"])
    width = sum(max(map(width_of, cells)) for cells in zip(*plain, strict=True)) + GAP * (len(columns) - 1)
    if width > PAGE:
        table = "\\resizebox{\\textwidth}{!}{%\n" + table + "%\n}"
    packages = "booktabs, graphicx" if width > PAGE else "booktabs"
    comments = [f"packages: {packages}", *notes]
    return "\n".join([*("% " + " ".join(note.split()) for note in comments), table])


def width_of(text: str) -> float:
    """Upper bound of a text's width in points, in LaTeX's default font at 10 points."""
    widths = {character: width for width, characters in WIDTHS.items() for character in characters}
    return sum(widths.get(character, OTHER) for character in text)


SPECIAL = {character: "\\" + character for character in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": "$<$",
    ">": "$>$",
    "|": r"\textbar{}",
    '"': r"\textquotedblright{}",
    "−": "$-$",
    "–": "--",
    "±": r"$\pm$",
    "≥": r"$\geq$",
    "\0": r"\textbf{",
    "\1": "}",
    "\2": r"$^\dagger$",
}


def escape(text: str) -> str:
    """`text` with LaTeX's special characters escaped."""
    return "".join(SPECIAL.get(character, character) for character in text)


def to_csv(columns: Sequence[Column], groups: Sequence[Rows], marked: Column | None, notes: Sequence[str]) -> str:
    """CSV with numbers of six digits, and `-` for unknown values. Notes are left out."""
    lines = [csv_line([header for column in columns for header in headers_of(column)])]
    for about in (about for group in groups for about in group.rows):
        lines.append(csv_line([cell for column in columns for cell in csv_cells(column, about)]))
    return "\n".join(lines)


def csv_line(cells: Sequence[str]) -> str:
    """A line of CSV without line terminator. With \\r\\n as terminator, the writer quotes both characters in cells."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerow(cells)
    return text.getvalue().removesuffix("\r\n")


def headers_of(column: Column) -> list[str]:
    """The headers of a column in CSV."""
    return [header for header, _ in column.parts] or [column.header]


def csv_cells(column: Column, about: Any) -> list[str]:
    """The cells of a column in CSV."""
    if not column.parts:
        return [as_text(column.cell(about))]
    value = column.value(about)
    taken = [None if value is None else take(value) for _, take in column.parts]
    return [UNKNOWN if part is None else f"{part:.6g}" for part in taken]


def as_text(cell: str) -> str:
    """Text with a quote before it if a spreadsheet would evaluate it as a formula."""
    is_formula = FORMULA.match(cell) and cell != UNKNOWN and not NUMBER.fullmatch(cell)
    return f"'{cell}" if is_formula else cell


FORMATS = {"markdown": to_markdown, "latex": to_latex, "csv": to_csv}
