"""The results table, made from predictions files and their meta files alone."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from evaluate.columns import COLUMNS
from evaluate.comparison import FEW_DRAWS_NOTE, compare_methods, short_names
from evaluate.formats import Column, Rows, check_format, four_digits, to_text
from evaluate.intervals import FEW_DRAWS
from evaluate.methods import Method, dtypes_differ, methods_of
from evaluate.reading import read_results
from evaluate.result import Result
from evaluate.statistics import holm
from preprocess.errors import InputError
from preprocess.files import PathFlag

DEFAULT = "dataset,checkpoint,method,k,draws,accuracy,interval,macro_f1,unanswered"
CONSTANT = ("dataset", "checkpoint", "k", "draws", "unanswered")  # default columns that may be printed once
GROUPS = ("dataset", "checkpoint", "k")
SIGNIFICANT = 0.05


@dataclass(frozen=True)
class TableConfig:
    """Print the results table of predictions files, with one row for each method.
    accuracy and macro-F1 are means over the draws of demonstrations (--seed) ± their standard deviation. The 95 %
    interval covers the choice of examples and of draws. For one draw and independent examples it is that of Wilson
    (1927). For blocks of pages or several draws it uses two-way clustering by page and draw (Cameron, Gelbach and
    Miller 2011), CR2 variance and t distributions with the degrees of freedom of Bell and McCaffrey (2002), squared
    half-widths added as in Howe (1974), on the logit scale (Korn and Graubard 1998). Fewer than five pages give no
    interval. The best accuracy of a data set is bold. A dagger marks methods that do not differ significantly from it
    (p of .05 or more by the test of run_compare_results.py, Holm-adjusted for all comparisons with the best). Methods
    that cannot be tested have no mark, and a note says why.

    Args:
        paths: Predictions files, or folders that are searched recursively for outputs_*.json.
        format: markdown, latex (needs the package booktabs) or csv (six digits, an interval in two columns).
        columns: Comma-separated list of dataset, num_examples, checkpoint, method, dtype (of the weights; by default
            shown if it differs), k, draws, seed, accuracy, interval, worst, best, macro_f1, macro_f1_interval,
            macro_f1_all, weighted_f1, mcc, ece, brier, nll, disagreement (how often two draws disagree on an example),
            orders, order_sd, order_worst (over orders of the same demonstrations, run_sweep.py --orders), unanswered,
            tokens, time (calibrated results include direct's), majority (accuracy of the most frequent class); or all.
            macro_f1 averages the classes that occur as ground truth or prediction, macro_f1_all all label words.
            Without --columns, columns with the same value in all rows are printed once above the table, except in csv.
        draws: One row for each draw instead of one for each method.
        group_by: Comma-separated list of dataset, checkpoint, k: rows are grouped under headings; default dataset for
            latex without --columns.
        sort: Column to sort by: numbers descending, text ascending; default by data set, checkpoint, k and method.
    """

    paths: tuple[PathFlag, ...] = ("results",)
    format: str = "markdown"
    columns: str = ""
    draws: bool = False
    group_by: str = ""
    sort: str = ""

    def __post_init__(self) -> None:
        check_format(self.format)
        self.chosen_columns()
        for name in self.grouped_by():
            if name not in GROUPS:
                raise InputError(f"--group_by {name!r}: expected a comma-separated list of {', '.join(GROUPS)}")
        if self.sort and self.sort not in COLUMNS:
            raise InputError(f"--sort {self.sort!r}: expected one of {', '.join(COLUMNS)}")

    def chosen_columns(self) -> list[str]:
        """The names of the columns; raises InputError for an unknown one."""
        text = self.columns or (DEFAULT.replace("draws", "seed") if self.draws else DEFAULT)
        names = list(COLUMNS) if text == "all" else [name.strip() for name in text.split(",")]
        for name in names:
            if name not in COLUMNS:
                raise InputError(f"--columns {name!r}: expected a comma-separated list of {', '.join(COLUMNS)}, or all")
        return list(dict.fromkeys(names))

    def grouped_by(self) -> list[str]:
        """The names in `--group_by`."""
        return [name.strip() for name in self.group_by.split(",")] if self.group_by else []


def print_table(config: TableConfig) -> None:
    """Read and check the results, and print the table."""
    print(results_table(read_results(config.paths), config))


def results_table(results: Sequence[Result], config: TableConfig) -> str:
    """The table with its notes."""
    methods = methods_of(results) if not config.draws else [Method([result]) for result in results]
    if config.sort:
        methods = in_order(methods, COLUMNS[config.sort])
    names, notes, headings = config.chosen_columns(), [], config.grouped_by()
    if not config.columns and dtypes_differ(methods):
        names.insert(names.index("method") + 1, "dtype")
    if not config.columns and config.format != "csv":
        names, notes = without_constant_columns(names, methods, headings)
        if config.format == "latex" and not headings and "dataset" in names:
            headings = ["dataset"]
    by_group = gather(methods, lambda method: tuple(shown(name, method) for name in headings))
    beside = [name for name in names if name not in headings or config.format == "csv"]
    columns = [COLUMNS[name] for name in beside or names]  # a table of its headings alone would have none
    rows = []
    p_values = {} if config.draws else against_best(methods)
    for key, members in by_group.items():
        heading = ", ".join(key)
        best = [n for n, method in enumerate(members) if p_values.get(id(method), -1) is None]
        like = [n for n, method in enumerate(members) if (p_values.get(id(method)) or 0) >= SIGNIFICANT]
        rows.append(Rows(heading, members, best, like))
    notes += explanations(methods, None if config.draws else p_values)
    return to_text(config.format, columns, rows, COLUMNS["accuracy"], notes)


def in_order(methods: Sequence[Method], column: Column) -> list[Method]:
    """Methods sorted by a column: numbers descending, text ascending, unknown values last."""

    def key(method: Method) -> tuple[bool, Any]:
        value = column.value(method)
        first = value[0] if isinstance(value, tuple) else value
        if first is None or (column.is_number and isinstance(first, str)):
            return True, 0 if column.is_number else ""
        return False, -float(first) if column.is_number else first

    return sorted(methods, key=key)


def gather(methods: Sequence[Method], key: Callable[[Method], Any]) -> dict[Any, list[Method]]:
    """Methods grouped by a key."""
    groups: dict[Any, list[Method]] = {}
    for method in methods:
        groups.setdefault(key(method), []).append(method)
    return groups


def shown(name: str, method: Method) -> str:
    """The value of a column, with its name if needed."""
    cell = COLUMNS[name].cell(method)
    return cell if name == "dataset" else f"{name} {cell}" if name == "checkpoint" else f"{name} = {cell}"


def without_constant_columns(
    names: Sequence[str], methods: Sequence[Method], headings: Sequence[str]
) -> tuple[list[str], list[str]]:
    """The columns whose values differ, and a line with the values of the others."""
    same = [name for name in CONSTANT if len({COLUMNS[name].cell(method) for method in methods}) == 1]
    values = [shown(name, methods[0]) for name in same if name not in headings]
    return [name for name in names if name not in same], [f"All rows: {', '.join(values)}."] if values else []


def against_best(methods: Sequence[Method]) -> dict[int, float | None]:
    """The id() of each method -> Holm-adjusted p-value of its difference from the best method on the same examples.

    It is None for the best. Methods that cannot be tested are left out, and so are those without others on the same
    examples.
    """
    p_values_of: dict[int, float | None] = {}
    for members in gather(methods, lambda method: (method.dataset, frozenset(method.ids))).values():
        if len(members) < 2:
            continue
        best = max(members, key=lambda method: method.accuracy)
        order = next((method for method in members if method.groups.are_pages), members[0])
        others = [method for method in members if method.accuracy < best.accuracy]
        compared = {id(method): compare_methods(method, best, order) for method in others}
        tested = {key: one.p for key, one in compared.items() if one is not None and one.p is not None}
        p_values_of |= {id(method): None for method in members if method not in others}
        p_values_of |= dict(zip(tested, holm(list(tested.values())), strict=True))
    return p_values_of


def why_untested(members: Sequence[Method], p_values: dict[int, float | None]) -> str:
    """Why some methods on the same examples have no test against the best, in words."""
    groups = next((method.groups for method in members if method.groups.are_pages), members[0].groups)
    if groups.too_few:
        return f"no test against the best on {groups.too_few.replace(': too', ', which are too')}"
    names = [name for name, method in zip(short_names(members), members, strict=True) if id(method) not in p_values]
    return f"no test against the best for {', '.join(names)}: no draw (--seed) in common"


def explanations(methods: Sequence[Method], p_values: dict[int, float | None] | None) -> list[str]:
    """The notes below the table.

    Args:
        p_values: See `against_best`; None if nothing is compared.
    """
    lines, untested = [], []
    for members in gather(methods, lambda method: (method.dataset, frozenset(method.ids))).values():
        first = members[0]
        pages = f" on {len(first.groups.sizes):,} pages" if first.groups.are_pages else ""
        share = first.first.majority
        majority = "" if share is None else f"; accuracy of the most frequent class {four_digits(share)}"
        name = first.dataset or "Data set without a name"
        lines.append(f"{name}: {len(first.ids):,} examples{pages}{majority}.")
        if p_values is not None and len(members) > 1 and any(id(method) not in p_values for method in members):
            untested.append(f"{name}: {why_untested(members, p_values)}.")
    if any((p or 0) >= SIGNIFICANT for p in (p_values or {}).values()):
        lines.append("†: not significantly different from the best (p ≥ .05, Holm-adjusted).")
    lines += untested
    if any(1 < len(method.seeds) < FEW_DRAWS for method in methods):
        lines.append(FEW_DRAWS_NOTE)
    if any(method.is_drawn and len(method.seeds) == 1 for method in methods):
        lines.append("One draw of demonstrations: the interval is conditional on these demonstrations.")
    return lines
