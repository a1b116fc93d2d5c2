"""Comparison of methods in pairs, on the same examples and the same draws."""

import itertools
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from evaluate.formats import Column, Rows, check_format, ends, number, probability, signed, to_text
from evaluate.intervals import FEW_DRAWS
from evaluate.methods import Method, aligned, dtypes_differ, methods_of
from evaluate.reading import read_results
from evaluate.result import Result
from evaluate.statistics import Comparison, compare, holm
from preprocess.errors import InputError
from preprocess.files import PathFlag

FEW_DRAWS_NOTE = (
    f"Fewer than {FEW_DRAWS} draws: their variance is poorly estimated, so intervals are wider and p-values larger."
)


@dataclass(frozen=True)
class CompareConfig:
    """Test, for every pair of methods on the same examples, whether they differ significantly.
    All draws (--seed) of a method are compared together, on the draws that both methods have. difference is the mean
    accuracy of the first method minus that of the second, with its 95 % interval. p is the p-value, and Holm is p
    adjusted for all pairs of the data set, or for all comparisons with --baseline (Holm 1979). Tests: for one draw each
    and independent examples, McNemar's exact test (McNemar 1947) with the interval of Bonett and Price (2012); for
    blocks of pages, and means of several results with the same demonstrations, a t test of the paired differences
    clustered by page, with CR2 variance and the degrees of freedom of Bell and McCaffrey (2002); for several draws, the
    same clustered also by draw (Cameron, Gelbach and Miller 2011; squared half-widths added as in Howe 1974). There is
    no test for fewer than five pages.

    Args:
        paths: Predictions files, or folders that are searched recursively for outputs_*.json.
        format: markdown, latex (needs the package booktabs) or csv.
        baseline: Compare only this method with each of the others; a name from the table of all pairs.
    """

    paths: tuple[PathFlag, ...] = ("results",)
    format: str = "markdown"
    baseline: str = ""

    def __post_init__(self) -> None:
        check_format(self.format)


class Pair(NamedTuple):
    """Two methods on the same examples, and how they differ.

    Args:
        first, second: Their indices among the methods.
        comparison: Their difference, with the unadjusted p-value.
        p: The p-value adjusted for all pairs (Holm); None if the comparison has none.
    """

    first: int
    second: int
    comparison: Comparison
    p: float | None


# A row is (data set, names of its methods, pair).
COLUMNS = (
    Column("dataset", lambda row: row[0], is_number=False),
    Column("first", lambda row: row[1][row[2].first], is_number=False),
    Column("second", lambda row: row[1][row[2].second], is_number=False),
    Column("draws", lambda row: row[2].comparison.draws),
    number("difference", lambda row: row[2].comparison.difference, signed),
    ends("95 % interval", lambda row: row[2].comparison.interval, signed, between=" to "),
    number("p", lambda row: row[2].comparison.p, probability),
    number("Holm", lambda row: row[2].p, probability),
    Column("test", lambda row: row[2].comparison.test, is_number=False),
)


def print_comparison(config: CompareConfig) -> None:
    """Read, check and print the pairs of each data set.

    Raises:
        InputError: There are no two methods of one data set, or no --baseline.
    """
    rows, notes, all_names = [], [], []
    for dataset, members in itertools.groupby(read_results(config.paths), key=lambda result: result.dataset):
        kept, left_out = on_the_same_examples(list(members))
        methods = methods_of(kept)
        names = short_names(methods)
        pairs, unpaired = compare_pairs(methods, names, config.baseline)
        rows += [(dataset, names, pair) for pair in pairs]
        notes += left_out + unpaired
        all_names += names
    if not rows and config.baseline and not {*all_names} & {config.baseline}:
        raise InputError(f"--baseline {config.baseline}: expected one of {'; '.join(dict.fromkeys(all_names))}")
    if not rows:
        for note in notes:
            print(note, file=sys.stderr)
        raise InputError(f"{', '.join(config.paths)}: no two methods on the same data set to compare")
    if any(1 < row[2].comparison.draws < FEW_DRAWS for row in rows):
        notes.append(FEW_DRAWS_NOTE)
    print(to_text(config.format, COLUMNS, [Rows("", rows)], None, notes))


def on_the_same_examples(results: Sequence[Result]) -> tuple[list[Result], list[str]]:
    """The largest set of results of a data set with the same examples and ground truths, and a line for each other
    result."""
    examples = [dict(zip(result.ids, result.truths or [None] * len(result.ids), strict=True)) for result in results]
    together: list[list[int]] = []
    for place, own in enumerate(examples):
        like = next((places for places in together if difference(own, examples[places[0]]) is None), None)
        if like is None:
            together.append([place])
        else:
            like.append(place)
    most = max(together, key=lambda places: (len(places), len(examples[places[0]])))
    kept = results[most[0]].path
    lines = [
        f"{results[place].path}: left out, {difference(examples[place], examples[most[0]])} of {kept}"
        for place in sorted(set(range(len(results))) - set(most))
    ]
    return [results[place] for place in most], lines


def difference(examples: dict[str, str | None], others: dict[str, str | None]) -> str | None:
    """How some examples, with their ground truths, differ from others; None if they do not."""
    if examples.keys() != others.keys():
        shared = len(examples.keys() & others.keys())
        return f"{shared} of its {len(examples)} examples are among the {len(others)} examples"
    for key, truth in examples.items():
        if truth is not None and others[key] is not None and truth != others[key]:
            return f"example {key!r} is {truth!r}, not {others[key]!r} as in the examples"
    return None


def compare_pairs(methods: Sequence[Method], names: Sequence[str], baseline: str = "") -> tuple[list[Pair], list[str]]:
    """All pairs of methods, or those with the baseline, compared; and a line for each pair without a common draw."""
    places = list(itertools.combinations(range(len(methods)), 2))
    if baseline:
        place = baseline_place(methods, names, baseline)
        places = [(place, other) for other in range(len(methods)) if place is not None and other != place]
    with_pages = next((method for method in methods if method.groups.are_pages), methods[0])
    pairs, lines = [], []
    for one, other in places:
        compared = compare_methods(methods[one], methods[other], with_pages)
        if compared is None:
            lines.append(f"{names[one]} and {names[other]}: not compared, no draw (--seed) in common")
        else:
            pairs.append((one, other, compared))
    adjusted = iter(holm([compared.p for _, _, compared in pairs if compared.p is not None]))
    return [Pair(*pair, None if pair[2].p is None else next(adjusted)) for pair in pairs], lines


def baseline_place(methods: Sequence[Method], names: Sequence[str], baseline: str) -> int | None:
    """The index of the baseline; None if it is not among the methods. Raises InputError if the name is ambiguous."""
    places = [n for n, name in enumerate(names) if name == baseline]
    places = places or [n for n, method in enumerate(methods) if method.name == baseline]
    if len(places) > 1:
        raise InputError(
            f"--baseline {baseline}: ambiguous, expected one of {'; '.join(names[place] for place in places)}"
        )
    return places[0] if places else None


def compare_methods(first: Method, second: Method, order: Method) -> Comparison | None:
    """The comparison of two methods on their common draws; None if there are none.

    A method without demonstrations is compared with each draw of the other.

    Args:
        order: A method that determines the order of the examples and their pages.
    """
    both_drawn = first.is_drawn and second.is_drawn
    common = [seed for seed in first.seeds if seed is not None and seed in second.seeds]
    seeds = list(dict.fromkeys(common)) if both_drawn else []
    if both_drawn and not seeds and max(len(first.seeds), len(second.seeds)) > 1:
        return None
    draws = [method.of_seeds(seeds) if seeds else method.correct for method in (first, second)]
    ones, others = (
        np.stack([aligned(method.first, order.ids, row) for row in rows])
        for method, rows in zip((first, second), draws, strict=True)
    )
    return compare(ones, others, order.groups)


def short_names(methods: Sequence[Method]) -> list[str]:
    """Names that distinguish the methods: the method, and k, checkpoint, dtype, seed or path as needed."""
    parts = [
        [method.name or method.first.path.stem for method in methods],
        ["no k" if method.k is None else f"k = {method.k}" for method in methods],
        [method.checkpoint or "no checkpoint" for method in methods],
    ]
    if dtypes_differ(methods):
        parts.append([method.dtype or "no dtype" for method in methods])
    if all(len(method.draws) == 1 for method in methods):
        seeds = [method.first.seed for method in methods]
        parts.insert(2, ["no seed" if seed is None else f"seed {seed}" for seed in seeds])
    different = [values for place, values in enumerate(parts) if place == 0 or len(set(values)) > 1]
    names = [", ".join(values) for values in zip(*different, strict=True)]
    return [
        name if names.count(name) == 1 else f"{name}, {method.first.path}"
        for name, method in zip(names, methods, strict=True)
    ]
