"""The results table, made from predictions files and their meta files alone."""

import csv
import io
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from evaluate import metrics
from evaluate.result import Result, read_results
from preprocess.errors import InputError
from preprocess.files import PathFlag

UNKNOWN = "-"


class Column(NamedTuple):
    """A column of the table.

    Args:
        header: As it is printed.
        value: Of what a row is about, a result as a rule; None where the files do not tell.
        show: The value as text.
        is_number: Set right.
    """

    header: str
    value: Callable[[Any], Any]
    show: Callable[[Any], str] = str
    is_number: bool = True

    def cell(self, about: Any) -> str:
        value = self.value(about)
        return UNKNOWN if value is None else self.show(value)


def four_digits(value: float) -> str:
    return f"{value:.4f}"


def from_to(interval: tuple[float, float]) -> str:
    return f"{interval[0]:.4f}-{interval[1]:.4f}"


def clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{rest:02d}"


COLUMNS = {
    "dataset": Column("dataset", lambda result: result.dataset, is_number=False),
    "num_examples": Column("num_examples", lambda result: len(result.rows)),
    "k": Column("k", lambda result: result.k),
    "seed": Column("seed", lambda result: result.seed),
    "method": Column("method", lambda result: result.method, is_number=False),
    "accuracy": Column("accuracy", lambda result: result.accuracy, four_digits),
    "interval": Column("95 % interval", lambda result: result.accuracy_interval, from_to),
    "wilson": Column("Wilson interval", lambda result: result.wilson_interval, from_to),
    "macro_f1": Column("macro-F1", lambda result: result.of_confusion(metrics.macro_f1), four_digits),
    "macro_f1_interval": Column("of macro-F1", lambda result: result.interval_of(metrics.macro_f1), from_to),
    "macro_f1_all": Column("macro-F1 of all", lambda result: result.macro_f1_of_all, four_digits),
    "weighted_f1": Column("weighted F1", lambda result: result.of_confusion(metrics.weighted_f1), four_digits),
    "mcc": Column("MCC", lambda result: result.of_confusion(metrics.matthews_correlation), four_digits),
    "ece": Column("ECE", lambda result: result.calibration_error, four_digits),
    "brier": Column("Brier", lambda result: result.brier_score, four_digits),
    "nll": Column("NLL", lambda result: result.negative_log_likelihood, four_digits),
    "unanswered": Column("unanswered", lambda result: result.unanswered),
    "tokens": Column("tokens", lambda result: result.tokens),
    "time": Column("inference time", lambda result: result.seconds, clock),
    "checkpoint": Column("checkpoint", lambda result: result.checkpoint, is_number=False),
}
DEFAULT = "dataset,num_examples,k,method,accuracy,interval,macro_f1,unanswered,time,checkpoint"


# Of all results of a method that differ in the demonstrations they show.
DRAWS_COLUMNS = (
    Column("dataset", lambda draws: draws[0].dataset, is_number=False),
    Column("num_examples", lambda draws: len(draws[0].rows)),
    Column("k", lambda draws: draws[0].k),
    Column("method", lambda draws: draws[0].method, is_number=False),
    Column("draws", len),
    Column("mean accuracy", lambda draws: np.mean([draw.accuracy for draw in draws]), four_digits),
    Column("deviation", lambda draws: deviation([draw.accuracy for draw in draws]), four_digits),
    Column("worst", lambda draws: min(draw.accuracy for draw in draws), four_digits),
    Column("best", lambda draws: max(draw.accuracy for draw in draws), four_digits),
    Column("mean macro-F1", lambda draws: np.mean([macro_f1(draw) for draw in draws]), four_digits),
    Column("its deviation", lambda draws: deviation([macro_f1(draw) for draw in draws]), four_digits),
    Column("checkpoint", lambda draws: draws[0].checkpoint, is_number=False),
)


def macro_f1(result: Result) -> float:
    value = result.of_confusion(metrics.macro_f1)
    return math.nan if value is None else value


def deviation(values: Sequence[float]) -> float | None:
    """Of a sample; one value has none."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else None


@dataclass(frozen=True)
class TableConfig:
    """Print the results table of predictions files: accuracy with its 95 % interval, macro-F1, time, and what --columns
    names.

    Args:
        paths: Predictions files, or folders that hold outputs_*.json at any depth.
        format: markdown, latex (needs the package booktabs) or csv.
        columns: Of dataset, num_examples, k, seed, method, accuracy, interval, wilson, macro_f1, macro_f1_interval,
            macro_f1_all, weighted_f1, mcc, ece, brier, nll, unanswered, tokens, time, checkpoint, with commas; all
            takes all. The intervals are of the bootstrap (2,000 resamples, whole pages where examples stand on pages),
            wilson that of the accuracy of independent examples. macro_f1 averages the classes that occur as ground
            truth or prediction, macro_f1_all all label words.
        draws: One row for all results of a method that differ in --seed alone: mean, deviation, worst.
    """

    paths: tuple[PathFlag, ...] = ("results",)
    format: str = "markdown"
    columns: str = DEFAULT
    draws: bool = False

    def __post_init__(self) -> None:
        check_format(self.format)
        self.chosen_columns()
        if self.draws and self.columns != DEFAULT:
            raise InputError("--columns: --draws has its own")

    def chosen_columns(self) -> list[Column]:
        """Raises InputError where a name is none of a column."""
        names = list(COLUMNS) if self.columns == "all" else [name.strip() for name in self.columns.split(",")]
        for name in names:
            if name not in COLUMNS:
                raise InputError(f"--columns {name!r}: expected {', '.join(COLUMNS)}, with commas, or all")
        return [COLUMNS[name] for name in dict.fromkeys(names)]


def print_table(config: TableConfig) -> None:
    """Read, check and print, sorted by data set, checkpoint, k, seed and method."""
    results = read_results(config.paths)
    if config.draws:
        print(draws_table(results, config.format))
        return
    columns = config.chosen_columns()
    print(FORMATS[config.format](columns, [[column.cell(result) for column in columns] for result in results]))


def draws_table(results: Sequence[Result], form: str) -> str:
    """One row for all results that differ in the seed of their demonstrations alone."""
    groups: dict[tuple, list[Result]] = {}
    for result in results:
        settings = {**result.meta.get("settings", {}), "direct_sha256": None, "channel_sha256": None}
        key = (result.dataset, result.checkpoint, result.k, result.method, len(result.rows))
        groups.setdefault((*key, json.dumps(settings, sort_keys=True)), []).append(result)
    order = sorted(groups.values(), key=lambda draws: (draws[0].sort_key[:3], draws[0].sort_key[4:]))
    return FORMATS[form](DRAWS_COLUMNS, [[column.cell(draws) for column in DRAWS_COLUMNS] for draws in order])


def to_markdown(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> str:
    """A table that reads well as plain text too."""
    lines = [[cell.replace("|", "\\|") for cell in cells] for cells in [[column.header for column in columns], *rows]]
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
    header, *body = map(line, lines)
    return "\n".join([header, f"|{rule}|", *body])


def to_latex(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> str:
    """A tabular environment with the rules of the package booktabs."""
    alignment = "".join("r" if column.is_number else "l" for column in columns)
    cells = [[column.header for column in columns], *rows]
    header, *body = (" & ".join(map(escape, line)) + r" \\" for line in cells)
    rules = [r"\toprule", header, r"\midrule", *body, r"\bottomrule"]
    return "\n".join([rf"\begin{{tabular}}{{@{{}}{alignment}@{{}}}}", *rules, r"\end{tabular}"])


def escape(text: str) -> str:
    """`text` with LaTeX's special characters made plain."""
    special = {character: "\\" + character for character in "&%$#_{}"}
    special |= {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    return "".join(special.get(character, character) for character in text)


def to_csv(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([[column.header for column in columns], *rows])
    return text.getvalue().rstrip("\n")


FORMATS = {"markdown": to_markdown, "latex": to_latex, "csv": to_csv}


def check_format(form: str) -> None:
    """Raises InputError where `--format` is none."""
    if form not in FORMATS:
        raise InputError(f"--format {form}: expected {', '.join(FORMATS)}")
