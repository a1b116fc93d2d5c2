"""Methods and their draws, the unit of tables, comparisons and figures.

A method is a scoring rule with its calibration and settings, k, the checkpoint, the data set and its examples. Its
results are its draws, which differ in the demonstrations that `--seed` draws. Without demonstrations there is one.
"""

import itertools
import json
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from evaluate import metrics
from evaluate.intervals import Groups, Interval, mean_interval
from evaluate.predictions import IDENTITY
from evaluate.result import Result

NOT_SETTINGS = ("seed", "direct_sha256", "channel_sha256")  # they depend on the draw


class ClassF1(NamedTuple):
    """F1 of a class with its 95 % interval; None if the class occurs on too few pages."""

    value: float
    interval: Interval | None


class Method:
    """Results that differ only in their draw, on the same examples.

    Args:
        draws: The results of all draws of demonstrations; examples are in the order of the first. Several with the same
            prompts, which differ in the seed of their samples or random words, count as one draw, by their mean.
        orders: Results of other orders of the demonstrations of one draw.
    """

    def __init__(self, draws: Sequence[Result], orders: Sequence[Result] = ()):
        self.draws = list(draws)
        self.orders = list(orders)
        self.first = self.draws[0]

    @property
    def dataset(self) -> str | None:
        return self.first.dataset

    @property
    def name(self) -> str | None:
        return self.first.method

    @property
    def k(self) -> int | None:
        return self.first.k

    @property
    def checkpoint(self) -> str | None:
        return self.first.checkpoint

    @property
    def dtype(self) -> str | None:
        return self.first.dtype

    @cached_property
    def seeds(self) -> list[int | None]:
        """The seed of each draw (D)."""
        return [results[0].seed for results in by_demonstrations(self.draws)]

    @property
    def is_drawn(self) -> bool:
        """Whether the result depends on a draw: there are demonstrations, or several draws."""
        return len(self.seeds) > 1 or bool(self.k)

    @property
    def ids(self) -> list[str]:
        """The ids of the examples, in the order of the first draw."""
        return self.first.ids

    @property
    def groups(self) -> Groups:
        """The pages of the examples, if they are blocks of pages."""
        return self.first.grouping

    @cached_property
    def correct(self) -> np.ndarray:
        """Whether each draw's predictions are correct (D, N); of a draw with several results, how often."""
        return mean_of_draws(self.draws, lambda draw: aligned(draw, self.ids, draw.correct))

    @cached_property
    def accuracies(self) -> np.ndarray:
        """Accuracy of each draw (D)."""
        return self.correct.mean(-1)

    @property
    def accuracy(self) -> float:
        """Mean accuracy over the draws."""
        return float(self.accuracies.mean())

    @cached_property
    def accuracy_interval(self) -> Interval | None:
        """95 % interval of the mean over examples and draws; None with fewer than five pages."""
        return mean_interval(self.correct, self.groups)

    @cached_property
    def macro_f1s(self) -> np.ndarray | None:
        """macro-F1 of each draw (D)."""
        if None in [draw.truths for draw in self.draws]:
            return None
        return mean_of_draws(self.draws, lambda draw: np.array(draw.of_confusion(metrics.macro_f1)))

    @cached_property
    def macro_f1_interval(self) -> Interval | None:
        """95 % interval of macro-F1, from the influence of each example."""
        if self.macro_f1s is None:
            return None
        values = mean_of_draws(self.draws, lambda draw: aligned(draw, self.ids, draw.macro_f1_values))
        return mean_interval(values, self.groups)

    def class_f1(self, word: str) -> ClassF1 | None:
        """F1 of a class: mean over the draws in which it occurs as ground truth or prediction; None if it occurs in
        none. The interval uses only the pages, or examples, where it occurs."""
        draws = [draw for draw in self.draws if word in draw.classes]
        if not draws:
            return None
        moved = mean_of_draws(draws, lambda draw: aligned(draw, self.ids, draw.class_f1_values(word)))
        concerned = np.flatnonzero(np.any([aligned(draw, self.ids, draw.concerns(word)) for draw in draws], axis=0))
        means = moved.mean(-1, keepdims=True)
        values = means + (moved - means)[:, concerned] * len(concerned) / len(self.ids)
        return ClassF1(float(means.mean()), mean_interval(values, among(self.groups, concerned)))

    def mean(self, metric: Callable[[Result], float | None]) -> float | None:
        """Mean of a metric over the draws; None if it is unknown for one of them."""
        values = {id(draw): metric(draw) for draw in self.draws}
        if None in values.values():
            return None
        return float(mean_of_draws(self.draws, lambda draw: np.array(values[id(draw)])).mean())

    @cached_property
    def disagreement(self) -> float | None:
        """Fraction of examples for which two draws give different predictions, averaged over all pairs of draws."""
        if len(self.draws) < 2:
            return None
        places: dict[str | None, int] = {}
        codes = [np.array([places.setdefault(word, len(places)) for word in draw.predicted]) for draw in self.draws]
        codes = [aligned(draw, self.ids, row) for draw, row in zip(self.draws, codes, strict=True)]
        return float(np.mean([(one != other).mean() for one, other in itertools.combinations(codes, 2)]))

    @cached_property
    def accuracies_by_seed(self) -> list[list[float]]:
        """Accuracies of all orders of each draw's demonstrations, the original order first; only of draws with other
        orders."""
        seeds = dict.fromkeys(result.seed for result in self.orders)
        results = [[one for one in (*self.draws, *self.orders) if one.seed == seed] for seed in seeds]
        return [mean_of_draws(of_seed, lambda one: np.array(one.accuracy)).tolist() for of_seed in results]

    @property
    def order_accuracies(self) -> list[float]:
        """Those of all draws."""
        return [value for values in self.accuracies_by_seed for value in values]

    @property
    def order_deviation(self) -> float | None:
        """Standard deviation over orders of the same demonstrations, pooled over the draws; None without others."""
        squares = sum(len(values) * np.var(values) for values in self.accuracies_by_seed)
        freedom = sum(len(values) - 1 for values in self.accuracies_by_seed)
        return float(np.sqrt(squares / freedom)) if freedom else None

    def of_seeds(self, seeds: Iterable[int]) -> np.ndarray:
        """The rows of `correct` of the draws with these seeds (D, N)."""
        return self.correct[[self.seeds.index(seed) for seed in seeds]]


def by_demonstrations(results: Iterable[Result]) -> list[list[Result]]:
    """Results grouped by their prompts: those of a draw, in one order. Trained models, and results of which neither
    prompts nor seed are known, are alone."""
    groups: dict[Any, list[Result]] = {}
    for result in results:
        alone = result.k is None or (result.seed is None and not knows_identity(result))
        groups.setdefault(str(result.path) if alone else prompts_of(result), []).append(result)
    return list(groups.values())


def mean_of_draws(results: Iterable[Result], value: Callable[[Result], np.ndarray]) -> np.ndarray:
    """A measurement of each draw (D, ...): that of its result, or the mean over several."""
    values = [[value(result) for result in draw] for draw in by_demonstrations(results)]
    return np.stack([of_draw[0] if len(of_draw) == 1 else np.mean(of_draw, axis=0) for of_draw in values])


def dtypes_differ(methods: Iterable[Method]) -> bool:
    """Whether the weights had several dtypes; fine-tuned systems and baselines state none."""
    return len({method.dtype for method in methods} - {None}) > 1


def aligned(result: Result, ids: Sequence[str], values: np.ndarray) -> np.ndarray:
    """Values of a result's examples, in the order of `ids`."""
    if result.ids == ids:
        return values
    place = {key: number for number, key in enumerate(result.ids)}
    return values[[place[key] for key in ids]]


def among(groups: Groups, places: np.ndarray) -> Groups:
    """Groups of the examples at some indices."""
    if not groups.are_pages:
        return Groups(np.arange(len(places)), np.ones(len(places)), False)
    _, place = np.unique(groups.place[places], return_inverse=True)
    return Groups(place, np.bincount(place).astype(float), True)


def methods_of(results: Sequence[Result]) -> list[Method]:
    """Results grouped into methods, sorted by data set, checkpoint, k and method. Duplicate results count once."""
    draws: dict[tuple, dict[tuple, Result]] = {}
    orders: dict[tuple, dict[tuple, Result]] = {}
    for result in results:
        kind = orders if result.order else draws
        kind.setdefault(unit(result), {}).setdefault(draw_of(result), result)
    lone = [Method(list(of_one.values())) for key, of_one in orders.items() if key not in draws]
    with_draws = [Method(list(drawn.values()), list(orders.get(key, {}).values())) for key, drawn in draws.items()]
    return sorted(with_draws + lone, key=lambda method: (*method.first.sort_key[:3], *method.first.sort_key[5:]))


def unit(result: Result) -> tuple:
    """A key that is the same for all draws of a method."""
    settings = {key: value for key, value in (result.meta.get("settings") or {}).items() if key not in NOT_SETTINGS}
    shown = [result.prompt_meta.get(key) for key in ("template", "demonstrations_path", "split")]
    trained = result.k is None  # trained models: each seed has its own weights
    about = (result.dataset, result.checkpoint, None if trained else result.meta.get("fingerprint"), result.k)
    says_too_little = result.meta.get("method") is None or (result.seed is None and not knows_identity(result))
    alone = str(result.path) if says_too_little else None
    truths = hash(tuple(sorted(zip(result.ids, result.truths or [""] * len(result.ids), strict=True))))
    return (*about, result.meta.get("method"), json.dumps([settings, shown], sort_keys=True), alone, truths)


def draw_of(result: Result) -> tuple:
    """A key that distinguishes the draws of a method. The same prompts with the same settings are the same draw."""
    settings: dict[str, Any] = result.meta.get("settings") or {}
    seed = None if settings.get("temperature") == 0 else settings.get("seed")
    return (*prompts_of(result), seed)


def prompts_of(result: Result) -> tuple:
    """A key that is the same for results with the same prompts, as far as the meta file states them."""
    return (result.meta["prompt_sha256"],) if knows_identity(result) else (result.seed, result.order)


def knows_identity(result: Result) -> bool:
    """Whether the meta file states the inputs of a result."""
    return all(result.meta.get(key) is not None for key in IDENTITY if key != "fingerprint")
