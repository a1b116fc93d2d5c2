"""Whether one result is better than another: all pairs of results on the same examples.

McNemar's test takes examples as independent; the bootstrap beside it draws the blocks of a page together.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from evaluate.result import Result, read_results
from evaluate.statistics import Comparison, compare, holm
from evaluate.table import FORMATS, Column
from preprocess.errors import InputError


@dataclass(frozen=True)
class CompareConfig:
    """Print, for every pair of results on the same examples, whether their difference is more than chance.

    Args:
        paths: Predictions files, or folders that hold outputs_*.json at any depth.
        format: markdown, latex (needs the package booktabs) or csv.
    """

    paths: tuple[str, ...] = ("results",)
    format: str = "markdown"

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise InputError(f"--format {self.format}: expected {', '.join(FORMATS)}")


class Pair(NamedTuple):
    """Two results of one data set.

    Args:
        dataset: Its name.
        first, second: What tells the two from the data set's other results.
        found: The comparison.
        adjusted_p: McNemar's probability after Holm's correction over all pairs of the data set.
    """

    dataset: str | None
    first: str
    second: str
    found: Comparison
    adjusted_p: float


def probability(value: float) -> str:
    return f"{value:.4f}" if value >= 0.0001 else "< 0.0001"


COLUMNS = (
    Column("dataset", lambda pair: pair.dataset, is_number=False),
    Column("first", lambda pair: pair.first, is_number=False),
    Column("second", lambda pair: pair.second, is_number=False),
    Column("difference", lambda pair: pair.found.difference, lambda value: f"{value:+.4f}"),
    Column("95 % interval", lambda pair: pair.found[1:3], lambda ends: f"{ends[0]:+.4f} to {ends[1]:+.4f}"),
    Column("bootstrap p", lambda pair: pair.found.bootstrap_p, probability),
    Column("McNemar p", lambda pair: pair.found.mcnemar_p, probability),
    Column("Holm", lambda pair: pair.adjusted_p, probability),
)


def print_comparison(config: CompareConfig) -> None:
    """Read, check and print all pairs of each data set."""
    pairs = compare_all(read_results(config.paths))
    if not pairs:
        raise InputError(f"{', '.join(config.paths)}: no two results of one data set, nothing to compare")
    print(FORMATS[config.format](COLUMNS, [[column.cell(pair) for column in COLUMNS] for pair in pairs]))


def compare_all(results: Sequence[Result]) -> list[Pair]:
    """All pairs of each data set, in the order of the results.

    Raises:
        InputError: Two results of one data set are not of the same examples.
    """
    pairs = []
    for dataset, members in itertools.groupby(results, key=lambda result: result.dataset):
        group = list(members)
        for other in group[1:]:
            check_same_examples(group[0], other)
        names = describe(group)
        places = list(itertools.combinations(range(len(group)), 2))
        found = [
            compare(group[one].correct, aligned(group[other], group[one]), group[one].groups) for one, other in places
        ]
        adjusted = holm([comparison.mcnemar_p for comparison in found])
        pairs += [
            Pair(dataset, names[one], names[other], comparison, p)
            for (one, other), comparison, p in zip(places, found, adjusted, strict=True)
        ]
    return pairs


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


def describe(results: Sequence[Result]) -> list[str]:
    """A short name of each: what differs among them, and the file where that is not enough."""
    parts = {
        "{}": [result.method for result in results],
        "k = {}": [result.k for result in results],
        "seed = {}": [result.seed for result in results],
        "checkpoint {}": [result.checkpoint for result in results],
    }
    told = {form: values for form, values in parts.items() if form == "{}" or len(set(values)) > 1}
    rows = zip(*told.values(), strict=True)
    names = [", ".join(form.format(value) for form, value in zip(told, row, strict=True)) for row in rows]
    return [
        name if names.count(name) == 1 else f"{name} ({result.path})"
        for name, result in zip(names, results, strict=True)
    ]
