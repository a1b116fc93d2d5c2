"""Whether one result is better than another: all pairs of results on the same examples.

McNemar's test takes examples as independent; the bootstrap beside it draws the blocks of a page together.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from evaluate.result import Result, read_results
from evaluate.statistics import Comparison, compare, holm
from evaluate.table import FORMATS, Column, check_format
from preprocess.errors import InputError
from preprocess.files import PathFlag


@dataclass(frozen=True)
class CompareConfig:
    """Print, for every pair of results on the same examples, whether their difference is more than chance.

    Args:
        paths: Predictions files, or folders that hold outputs_*.json at any depth.
        format: markdown, latex (needs the package booktabs) or csv.
    """

    paths: tuple[PathFlag, ...] = ("results",)
    format: str = "markdown"

    def __post_init__(self) -> None:
        check_format(self.format)


class Pair(NamedTuple):
    """Two results of the same examples, and how they differ.

    Args:
        first, second: Their places among those compared.
        comparison: With probabilities as they are.
        bootstrap_p, mcnemar_p: Adjusted for all pairs (Holm).
    """

    first: int
    second: int
    comparison: Comparison
    bootstrap_p: float
    mcnemar_p: float


def probability(value: float) -> str:
    return f"{value:.4f}" if value >= 0.0001 else "< 0.0001"


# Of (data set, names of its results, pair).
COLUMNS = (
    Column("dataset", lambda row: row[0], is_number=False),
    Column("first", lambda row: row[1][row[2].first], is_number=False),
    Column("second", lambda row: row[1][row[2].second], is_number=False),
    Column("difference", lambda row: row[2].comparison.difference, lambda value: f"{value:+.4f}"),
    Column("95 % interval", lambda row: row[2].comparison[1:3], lambda ends: f"{ends[0]:+.4f} to {ends[1]:+.4f}"),
    Column("bootstrap p", lambda row: row[2].comparison.bootstrap_p, probability),
    Column("Holm", lambda row: row[2].bootstrap_p, probability),
    Column("McNemar p", lambda row: row[2].comparison.mcnemar_p, probability),
    Column("Holm", lambda row: row[2].mcnemar_p, probability),
)


def print_comparison(config: CompareConfig) -> None:
    """Read, check and print all pairs of each data set.

    Raises:
        InputError: Two results of one data set are not of the same examples, or there are no two.
    """
    rows = []
    for dataset, members in itertools.groupby(read_results(config.paths), key=lambda result: result.dataset):
        results = list(members)
        for other in results[1:]:
            check_same_examples(results[0], other)
        names = short_names(results)
        rows += [(dataset, names, pair) for pair in compare_pairs(results)]
    if not rows:
        raise InputError(f"{', '.join(config.paths)}: no two results of one data set, nothing to compare")
    print(FORMATS[config.format](COLUMNS, [[column.cell(row) for column in COLUMNS] for row in rows]))


def compare_pairs(results: Sequence[Result]) -> list[Pair]:
    """All pairs of results of the same examples, in their order."""
    places = list(itertools.combinations(range(len(results)), 2))
    correct = [aligned(result, results[0]) for result in results]
    found = [compare(correct[one], correct[other], shared_groups(results)) for one, other in places]
    bootstrap, mcnemar = holm([one.bootstrap_p for one in found]), holm([one.mcnemar_p for one in found])
    return [Pair(*place, *rest) for place, *rest in zip(places, found, bootstrap, mcnemar, strict=True)]


def shared_groups(results: Sequence[Result]) -> list[str] | None:
    """The pages that the examples stand on, in the order of the first result; None where not all results know them."""
    known = [result.groups for result in results]
    return None if None in known else known[0]


def check_same_examples(first: Result, second: Result) -> None:
    """Raises InputError where ids or ground truths differ; names the first that does."""
    truths = dict(zip(first.ids, first.truths or [None] * len(first.ids), strict=True))
    others = dict(zip(second.ids, second.truths or [None] * len(second.ids), strict=True))
    missing = next((key for key in [*truths, *others] if key not in truths or key not in others), None)
    if missing is not None:
        has, lacks = (first, second) if missing in truths else (second, first)
        raise InputError(
            f"{lacks.path}: has no example {missing!r}, {has.path} has:"
            " only results on the same examples can be compared"
        )
    for key, truth in truths.items():
        if truth is not None and others[key] is not None and truth != others[key]:
            raise InputError(f"{second.path}: example {key!r} is {others[key]!r}, in {first.path} it is {truth!r}")


def aligned(result: Result, order: Result) -> list[bool]:
    """What `result` got right, in the order of another one's examples."""
    correct = dict(zip(result.ids, result.correct.tolist(), strict=True))
    return [correct[key] for key in order.ids]


def short_names(results: Sequence[Result]) -> list[str]:
    """The method, and what else tells a result from the others; its path where nothing does."""
    parts = [
        [result.method or result.path.stem for result in results],
        ["no k" if result.k is None else f"k = {result.k}" for result in results],
        ["no seed" if result.seed is None else f"seed {result.seed}" for result in results],
        [result.checkpoint or "no checkpoint" for result in results],
    ]
    telling = [values for number, values in enumerate(parts) if number == 0 or len(set(values)) > 1]
    names = [", ".join(values) for values in zip(*telling, strict=True)]
    return [
        name if names.count(name) == 1 else f"{name}, {result.path}"
        for name, result in zip(names, results, strict=True)
    ]
