"""Which results stand together: those of the same examples, whose differences are tested."""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import NamedTuple

from evaluate import metrics
from evaluate.comparison import Pair, compare_pairs, shared_groups, short_names
from evaluate.result import Interval, Result
from evaluate.statistics import interval, resample

SIGNIFICANT = 0.05


class ClassF1(NamedTuple):
    """F1 of a class with its 95 % interval."""

    name: str
    value: float
    interval: Interval


class Section:
    """The results of the same examples, in the order of the table.

    Args:
        title: The data set, and a number where several sections are of one.
        results: At least one; all with the same ids in the same order.
    """

    def __init__(self, title: str, results: Sequence[Result]):
        self.title = title
        self.results = list(results)
        self.names = short_names(self.results)

    @property
    def groups(self) -> list[str] | None:
        return shared_groups(self.results)

    @cached_property
    def majority(self) -> float | None:
        """The accuracy of always answering the most frequent class."""
        confusion = self.results[0].confusion
        return None if confusion is None else float(confusion.sum(-1).max() / confusion.sum())

    @cached_property
    def pairs(self) -> list[Pair]:
        return compare_pairs(self.results)

    def p_value(self, pair: Pair) -> float:
        """McNemar's test holds for independent examples; blocks of a page are not, so there it is the bootstrap."""
        return pair.mcnemar_p if self.groups is None else pair.bootstrap_p

    @cached_property
    def class_f1(self) -> list[list[ClassF1]]:
        """Of each result."""
        return [class_f1(result) for result in self.results]

    @property
    def best(self) -> int:
        return max(range(len(self.results)), key=lambda place: self.results[place].accuracy)

    def against_best(self, place: int) -> float | None:
        """The adjusted probability of no difference from the best; None for itself."""
        pair = next((pair for pair in self.pairs if {pair.first, pair.second} == {place, self.best}), None)
        return None if pair is None or place == self.best else self.p_value(pair)

    def panels(self) -> list[list[int]]:
        """Places of the results that differ by method alone: of one checkpoint, k and seed."""
        return self.gather(lambda result: (result.checkpoint, result.k, result.seed))

    def curves(self) -> list[list[int]]:
        """Places of the results of one checkpoint, where a method has been measured with more than one k."""
        by_checkpoint = self.gather(lambda result: result.checkpoint if result.k is not None else None)
        return [places for places in by_checkpoint if self.has_several_k(places)]

    def has_several_k(self, places: Sequence[int]) -> bool:
        seen: dict[str | None, set[int | None]] = {}
        for place in places:
            seen.setdefault(self.results[place].method, set()).add(self.results[place].k)
        return any(len(ks - {None}) > 1 for ks in seen.values())

    def gather(self, key: Callable[[Result], object]) -> list[list[int]]:
        found: dict[object, list[int]] = {}
        for place, result in enumerate(self.results):
            found.setdefault(key(result), []).append(place)
        return list(found.values())


def sections_of(results: Sequence[Result]) -> list[Section]:
    """Results of the same data set, ids and ground truths stand together; where a file tells neither data set nor
    ground truths, nothing says that its examples are those of another file."""
    found: dict[tuple, list[Result]] = {}
    for result in results:
        truths = None if result.truths is None else tuple(result.truths)
        alone = result.path if result.dataset is None and truths is None else None
        found.setdefault((result.dataset, tuple(result.ids), truths, alone), []).append(result)
    sections, names = [], [key[0] or "Data set without a name" for key in found]
    for number, (name, together) in enumerate(zip(names, found.values(), strict=True)):
        several = f" ({1 + names[:number].count(name)})" if names.count(name) > 1 else ""
        sections.append(Section(name + several, together))
    return sections


def class_f1(result: Result) -> list[ClassF1]:
    """In the order of the label words; empty without ground truths."""
    if result.truths is None or result.confusion is None:
        return []
    cells = metrics.confusion_cells(result.predicted, result.truths, result.classes)
    drawn = resample(cells, result.confusion.size, result.groups).reshape(-1, *result.confusion.shape)
    spread = metrics.class_f1(drawn)  # nan, and left out, where a class is not in the resample
    values = metrics.class_f1(result.confusion)
    return [ClassF1(name, float(values[n]), interval(spread[:, n])) for n, name in enumerate(result.classes)]
