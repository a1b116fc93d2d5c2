"""Sections of the report: the methods on the same examples of a data set, which are compared with each other."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from evaluate import metrics
from evaluate.comparison import compare_methods, short_names
from evaluate.intervals import Groups
from evaluate.methods import Method, methods_of
from evaluate.result import Result
from evaluate.statistics import Comparison
from evaluate.table import SIGNIFICANT, against_best, gather

SHOWN = 4  # methods whose confusion matrices and reliability diagrams are shown by default
LARGE = 20  # with more classes, the largest confusions replace the matrix


class Section:
    """The methods on the same examples, in the order of the table.

    Args:
        title: The data set, numbered if it has several sections.
        methods: At least one, all with the same ids.
    """

    def __init__(self, title: str, methods: Sequence[Method]):
        self.title = title
        self.methods = list(methods)
        self.names = short_names(self.methods)
        self.first = self.methods[0]

    @property
    def groups(self) -> Groups:
        """The pages of the examples, in the order of `order`."""
        return self.order.groups

    @property
    def order(self) -> Method:
        """The method whose order of examples, and whose pages if any, the section uses."""
        return next((method for method in self.methods if method.groups.are_pages), self.first)

    @property
    def majority(self) -> float | None:
        """The accuracy of the most frequent class."""
        return self.first.first.majority

    @cached_property
    def best(self) -> int:
        """Index of the method with the highest mean accuracy."""
        return max(range(len(self.methods)), key=lambda place: self.methods[place].accuracy)

    @cached_property
    def against(self) -> dict[int, float | None]:
        """See `against_best`."""
        return against_best(self.methods)

    @cached_property
    def p_values(self) -> list[float | None]:
        """Adjusted p-value of the difference from the best; None for the best and for methods that cannot be tested."""
        return [self.against.get(id(method)) for method in self.methods]

    @property
    def as_good(self) -> list[int]:
        """Indices of the methods with the highest accuracy."""
        return [n for n, method in enumerate(self.methods) if method.accuracy == self.methods[self.best].accuracy]

    @property
    def like_best(self) -> list[int]:
        """Indices of the methods that are not significantly different from the best."""
        return [place for place, p in enumerate(self.p_values) if p is not None and p >= SIGNIFICANT]

    @property
    def draws(self) -> list[Result]:
        """The draws of all methods."""
        return [draw for method in self.methods for draw in method.draws]

    @property
    def results(self) -> list[Result]:
        """Draws and orders of all methods."""
        return [result for method in self.methods for result in (*method.draws, *method.orders)]

    @cached_property
    def from_best(self) -> list[Comparison | None]:
        """Comparison of each method with the best; None without a common draw."""
        return [compare_methods(method, self.methods[self.best], self.order) for method in self.methods]

    @cached_property
    def shown(self) -> list[int]:
        """Indices of at most four methods: the best of each kind, then the best of each variant."""
        by_accuracy = sorted(range(len(self.methods)), key=lambda place: -self.methods[place].accuracy)
        kinds, variants = {}, {}
        for place in by_accuracy:
            kinds.setdefault(self.methods[place].first.meta.get("method"), place)
            variants.setdefault(self.methods[place].name, place)
        return sorted(list(dict.fromkeys([*kinds.values(), *variants.values()]))[:SHOWN])

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """The classes that occur as ground truth or prediction in any draw, in the order of the label words; empty
        without ground truths."""
        if any(draw.truths is None for draw in self.draws):
            return ()
        words = dict.fromkeys(word for draw in self.draws for word in draw.all_label_words)
        predicted = dict.fromkeys(word for draw in self.draws for word in draw.predicted)
        return metrics.classes_of(list(predicted), self.first.first.truths or (), list(words))

    @cached_property
    def frequent_classes(self) -> tuple[str, ...]:
        """All classes, or the LARGE ones with the most examples."""
        if len(self.classes) <= LARGE:
            return self.classes
        counts = dict.fromkeys(self.classes, 0)
        for truth in self.first.first.truths or ():
            counts[truth] += 1
        return tuple(sorted(self.classes, key=lambda word: -counts[word])[:LARGE])

    def confusion(self, method: Method) -> np.ndarray:
        """Confusion matrix summed over all draws (C, C + 1), see `evaluate.metrics.confusion_matrix`."""
        return sum(metrics.confusion_matrix(d.predicted, d.truths or (), self.classes) for d in method.draws)

    def groups_of(self) -> dict[str, list[int]]:
        """Indices of the methods by heading; headings name the checkpoint and k if these differ between methods."""
        checkpoints, ks = ({key(method) for method in self.methods} for key in (checkpoint_of, k_of))
        found: dict[str, list[int]] = {}
        for place, method in enumerate(self.methods):
            parts = [checkpoint_of(method)] if len(checkpoints) > 1 else []
            parts += [k_of(method)] if len(ks) > 1 and method.k is not None else []
            found.setdefault(", ".join(parts), []).append(place)
        return found

    def row_names(self) -> list[str]:
        """Names of the methods below the headings of `groups_of`."""
        names = list(self.names)
        for places in self.groups_of().values():
            own = [self.methods[place].name or self.names[place] for place in places]
            for place, name in zip(places, own, strict=True):
                names[place] = name if own.count(name) == 1 else self.names[place]
        return names

    def curves(self) -> dict[str | None, list[list[Method]]]:
        """Learning curves by checkpoint: the methods of each name, by k. Only checkpoints with several k."""
        found: dict[str | None, list[list[Method]]] = {}
        known = [method for method in self.methods if method.k is not None]
        for checkpoint, members in gather(known, lambda method: method.checkpoint).items():
            lines = list(gather(members, lambda method: method.name).values())
            if any(len({method.k for method in line}) > 1 for line in lines):
                found[checkpoint] = [sorted(line, key=lambda method: method.k) for line in lines]
        return found


def checkpoint_of(method: Method) -> str:
    """The checkpoint of a method, as text."""
    return method.checkpoint or "no checkpoint"


def k_of(method: Method) -> str:
    """k of a method, as text."""
    return "no k" if method.k is None else f"k = {method.k}"


def sections_of(results: Sequence[Result]) -> list[Section]:
    """Sections of methods with the same data set, ids and ground truths. A file with neither data set nor ground truths
    has its own section, since nothing says that its examples are those of another file."""

    def examples_of(method: Method) -> tuple:
        first = method.first
        alone = first.path if method.dataset is None and first.truths is None else None
        return method.dataset, frozenset(zip(first.ids, first.truths or [None] * len(first.ids), strict=True)), alone

    found = list(gather(methods_of(results), examples_of).values())
    names = [members[0].dataset or "Data set without a name" for members in found]
    return [
        Section(name + (f" ({1 + names[:number].count(name)})" if names.count(name) > 1 else ""), members)
        for number, (name, members) in enumerate(zip(names, found, strict=True))
    ]
