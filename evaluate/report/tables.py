"""Tables of the page, made from the columns of the results table."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from evaluate.columns import COLUMNS
from evaluate.formats import Column, ends, number, probability, signed
from evaluate.methods import Method, dtypes_differ
from evaluate.report.sections import LARGE, Section
from evaluate.report.style import LEVELS
from evaluate.result import Result

OF_DRAWS = ("worst", "best", "disagreement", "orders", "order_sd", "order_worst")
FIRST = ("k", "checkpoint", "draws", "accuracy", "interval")
NOT_SHOWN = ("dataset", "num_examples", "method", "seed", "majority")  # shown above the table, or in its first column
OF_A_DRAW = ("accuracy", "interval", "macro_f1", "macro_f1_interval", "ece", "nll", "unanswered", "tokens", "time")
FILE_FIELDS = ("method", "checkpoint_path", "fingerprint", "dtype", "device", "git_commit", "prompt_path")
DIFFERING = ("k", "checkpoint")  # shown above the table if equal for all methods
NO_ANSWER = "no answer"


class Cell(NamedTuple):
    """Args:
    text: Shown text.
    rank: Number to sort by; None: sort by text, or unknown.
    """

    text: str
    rank: float | None = None


class Row(NamedTuple):
    """A row; `kind` contains best or like-best, and group if a group begins."""

    cells: list[Cell]
    kind: str = ""


class Table(NamedTuple):
    """Args:
    numbers: Whether each column is right-aligned.
    fixed: Number of columns that stay in place while the others scroll.
    """

    caption: str
    header: list[str]
    numbers: list[bool]
    rows: list[Row]
    fixed: int = 1


def cell(column: Column, about: Any) -> Cell:
    """The cell of a column for the object of a row."""
    value = column.value(about)
    first = value[0] if isinstance(value, tuple) else value
    is_known = column.is_number and isinstance(first, int | float | np.number)
    return Cell(column.cell(about), float(first) if is_known else None)


def table(caption: str, columns: Sequence[Column], about: Iterable[Any], fixed: int = 1) -> Table:
    """A table with one row for each item of `about`."""
    rows = [Row([cell(column, one) for column in columns]) for one in about]
    return Table(caption, [c.header for c in columns], [c.is_number for c in columns], rows, fixed)


def summary(section: Section) -> Table:
    """All columns with known values. Columns of draws and orders need several, k, checkpoint and dtype are shown if
    they differ."""
    methods, names = section.methods, section.row_names()
    several = any(len(method.draws) > 1 or method.orders for method in methods)
    left_out = NOT_SHOWN + (() if several else (*OF_DRAWS, "draws"))
    keys = [key for key in COLUMNS if key not in left_out and any(COLUMNS[key].value(m) is not None for m in methods)]
    keys = [key for key in keys if key != "dtype" or dtypes_differ(methods)]
    keys = [key for key in keys if key not in DIFFERING or len({COLUMNS[key].cell(m) for m in methods}) > 1]
    keys = list(dict.fromkeys([*(key for key in (*FIRST, *OF_DRAWS) if key in keys), *keys]))
    columns = [of_place(section, COLUMNS[key]) for key in keys]
    if len(methods) > 1:
        columns.insert(keys.index("interval") + 1, Column("p vs. best method", against(section), text_or(probability)))
    named = Column("method", lambda place: names[place], is_number=False)
    made = table(f"Methods on {section.title}", [named, *columns], range(len(methods)), 2 if "k" in keys else 1)
    kinds = dict.fromkeys(section.like_best, "like-best") | dict.fromkeys(section.as_good, "best")
    begins = {places[0] for places in section.groups_of().values()} - {0}
    marked = [kinds.get(place, "") + " group" * (place in begins) for place in range(len(methods))]
    return made._replace(rows=[row._replace(kind=kind.strip()) for row, kind in zip(made.rows, marked, strict=True)])


def of_place(section: Section, column: Column) -> Column:
    """The column for the index of a method instead of the method."""
    return column._replace(value=lambda place: column.value(section.methods[place]))


def against(section: Section) -> Callable[[int], float | str | None]:
    """Adjusted p-value of the difference from the best; None without a test."""

    def p_value(place: int) -> float | str | None:
        if place in section.as_good:
            return "best"
        return section.p_values[place]

    return p_value


def text_or(show: Callable[[float], str]) -> Callable[[float | str], str]:
    """Formats numbers with `show` and leaves texts unchanged."""
    return lambda value: value if isinstance(value, str) else show(value)


def differences(section: Section) -> Table | None:
    """Difference of each method from the best."""
    compared = section.from_best
    places = [place for place, comparison in enumerate(compared) if comparison and place not in section.as_good]
    columns = [
        Column("method", lambda place: section.names[place], is_number=False),
        number("difference", lambda place: compared[place].difference, signed),
        ends("95 % interval", lambda place: compared[place].interval, signed, between=" to "),
        number("p", lambda place: compared[place].p, probability),
        number("Holm", lambda place: section.p_values[place], probability),
        Column("test", lambda place: compared[place].test, is_number=False),
        Column("draws", lambda place: compared[place].draws),
    ]
    return table(f"Accuracy minus that of {section.names[section.best]}", columns, places) if places else None


def draws(section: Section) -> Table:
    """One row for each draw and each order of demonstrations."""
    about = [
        (name, Method([result]))
        for name, method in zip(section.names, section.methods, strict=True)
        for result in (*method.draws, *method.orders)
    ]
    columns = [COLUMNS[key]._replace(value=of_pair(COLUMNS[key])) for key in ("seed", *OF_A_DRAW)]
    columns = [column for column in columns if any(column.value(pair) is not None for pair in about)]
    return table(
        f"Draws on {section.title}", [Column("method", lambda pair: pair[0], is_number=False), *columns], about
    )


def of_pair(column: Column) -> Callable[[tuple[str, Method]], Any]:
    """The value of a column for a pair (name, method)."""
    return lambda pair: column.value(pair[1])


def class_f1(section: Section) -> Table | None:
    """Mean F1 over draws: one row for each method, one column for each class."""
    words = section.frequent_classes
    columns = [
        Column("method", lambda place: section.names[place], is_number=False),
        *(number(word, f1_of(section, word), three_digits) for word in words),
    ]
    return table(f"F1 of each class on {section.title}", columns, range(len(section.methods))) if words else None


def f1_of(section: Section, word: str) -> Callable[[int], float | None]:
    """A function from the index of a method to its F1 of a class."""
    found = [method.class_f1(word) for method in section.methods]
    return lambda place: None if found[place] is None else found[place].value


def three_digits(value: float) -> str:
    return f"{value:.3f}"


class Matrix(NamedTuple):
    """A confusion matrix.

    Args:
        rows: Each ground truth with (count, level of colour) of each prediction.
    """

    columns: list[str]
    rows: list[tuple[str, list[tuple[int, int]]]]


def matrix(section: Section, method: Method) -> Matrix | None:
    """Confusion matrix; None with too many classes, or without ground truths."""
    if not 0 < len(section.classes) <= LARGE:
        return None
    counts = section.confusion(method)
    columns = [*section.classes, *(["no answer"] if counts[:, -1].any() else [])]
    levels = np.rint(LEVELS * counts / np.maximum(counts.sum(1, keepdims=True), 1)).astype(int)
    cells = [list(zip(row, level, strict=True)) for row, level in zip(counts.tolist(), levels.tolist(), strict=True)]
    return Matrix(columns, [(word, row[: len(columns)]) for word, row in zip(section.classes, cells, strict=True)])


class Confused(NamedTuple):
    """Examples of one class that were predicted as another, or not answered.

    Args:
        truth, says: Indices of the classes; -1 for no answer.
        count: Number of examples, over all draws.
        share: Share of the examples of the class.
    """

    truth: int
    says: int
    count: int
    share: float


def largest_confusions(section: Section, method: Method) -> list[Confused]:
    """The most frequent confusions over all draws, for large label sets."""
    place = {word: number for number, word in enumerate(section.classes)} | {None: -1}
    pairs = Counter(pair for draw in method.draws for pair in zip(draw.truths or (), draw.predicted, strict=True))
    occurs = Counter(truth for draw in method.draws for truth in draw.truths or ())
    wrong = sorted((pair for pair in pairs if pair[0] != pair[1]), key=lambda pair: -pairs[pair])[:LARGE]
    return [Confused(place[t], place[p], pairs[t, p], pairs[t, p] / occurs[t]) for t, p in wrong]


def files(results: Iterable[Result]) -> Table:
    """The predictions files and their provenance."""
    columns = [
        Column("predictions", lambda result: str(result.path), is_number=False),
        *(Column(f.replace("_", " "), lambda result, f=f: result.meta.get(f), shortened, False) for f in FILE_FIELDS),
    ]
    return table("Files", columns, results)


def shortened(value: object) -> str:
    """The beginning of a hash; other values as text."""
    return str(value)[:12] if re.fullmatch("[0-9a-f]{40,64}", str(value)) else str(value)
