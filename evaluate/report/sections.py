"""Which results stand together: those of the same examples, whose differences are tested."""

from collections.abc import Callable, Sequence
from functools import cached_property

from evaluate.comparison import Pair, compare_pairs, short_names
from evaluate.intervals import Groups
from evaluate.methods import Method
from evaluate.result import ClassF1, Result

SIGNIFICANT = 0.05


class Section:
    """The results of the same examples, in the order of the table.

    Args:
        title: The data set, and a number where several sections are of one.
        results: At least one; all with the same ids in the same order.
    """

    def __init__(self, title: str, results: Sequence[Result]):
        self.title = title
        self.results = list(results)
        self.methods = [Method([result]) for result in self.results]
        self.names = short_names(self.methods)

    @property
    def groups(self) -> Groups:
        return next((r.grouping for r in self.results if r.grouping.are_pages), self.results[0].grouping)

    @property
    def majority(self) -> float | None:
        return self.results[0].majority

    @cached_property
    def pairs(self) -> list[Pair]:
        return compare_pairs(self.methods, self.names)[0]

    @cached_property
    def class_f1(self) -> list[list[ClassF1]]:
        """Of each result."""
        return [result.class_f1 for result in self.results]

    @property
    def best(self) -> int:
        return max(range(len(self.results)), key=lambda place: self.results[place].accuracy)

    def against_best(self, place: int) -> float | None:
        """The adjusted probability of no difference from the best; None for itself, and with too few pages."""
        pair = next((pair for pair in self.pairs if {pair.first, pair.second} == {place, self.best}), None)
        return None if pair is None or place == self.best else pair.p

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
