"""Whether a number, or a difference of two, is more than chance: the bootstrap, McNemar's test, Holm's correction.

Examples of one group (the blocks of a page) are drawn together or not at all: they are not independent of each other.
Shapes: R resamples, K counts, G groups.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

RESAMPLES = 2000
SEED = 0


class Comparison(NamedTuple):
    """Two systems on the same examples.

    Args:
        difference: Of the accuracies, first minus second.
        low, high: 95 % interval of that, by the paired bootstrap.
        bootstrap_p: Of no difference, by the paired bootstrap.
        mcnemar_p: Of no difference, by McNemar's exact test.
    """

    difference: float
    low: float
    high: float
    bootstrap_p: float
    mcnemar_p: float


def resample(
    cells: np.ndarray, size: int, groups: Sequence[str] | None, resamples: int = RESAMPLES, seed: int = SEED
) -> np.ndarray:
    """Counts (R, K) of the cells in draws with replacement of as many examples as there are, or as many groups.

    Args:
        cells: The cell that each example falls into (N).
        size: K, the number of cells.
        groups: Of each example; None: each is drawn alone.
    """
    generator = np.random.default_rng(seed)
    if groups is None or len(set(groups)) == len(cells):  # so many draws of N cells have the multinomial distribution
        return generator.multinomial(len(cells), np.bincount(cells, minlength=size) / len(cells), size=resamples)
    place = {group: number for number, group in enumerate(dict.fromkeys(groups))}
    counts = np.zeros((len(place), size), dtype=np.int64)
    np.add.at(counts, (np.array([place[group] for group in groups]), cells), 1)
    drawn = generator.multinomial(len(place), np.full(len(place), 1 / len(place)), size=resamples)
    return drawn @ counts


def interval(values: np.ndarray) -> tuple[float, float]:
    """The middle 95 % of resampled values (percentile method, Efron and Tibshirani 1993, section 13.3)."""
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return float(low), float(high)


def bootstrap_interval(
    metric: Callable[[np.ndarray], np.ndarray], cells: np.ndarray, shape: tuple[int, ...], groups: Sequence[str] | None
) -> tuple[float, float]:
    """95 % interval of a metric of counts.

    Args:
        metric: Of counts (R, *shape): (R).
        cells: Place of each example in the flattened counts (N).
    """
    return interval(metric(resample(cells, math.prod(shape), groups).reshape(-1, *shape)))


def compare(first: Sequence[bool], second: Sequence[bool], groups: Sequence[str] | None) -> Comparison:
    """Compare what two systems got right on the same examples, in the same order."""
    gains = np.array(first, dtype=int) - np.array(second, dtype=int)
    drawn = resample(gains + 1, 3, groups)
    differences = (drawn[:, 2] - drawn[:, 0]) / drawn.sum(-1)
    low, high = interval(differences)
    # The observed sample counts as one resample, so that no probability is 0 (Davison and Hinkley 1997, section 4.2).
    tails = [(1 + int(tail.sum())) / (1 + len(differences)) for tail in (differences <= 0, differences >= 0)]
    p = mcnemar(int((gains > 0).sum()), int((gains < 0).sum()))
    return Comparison(float(gains.mean()), low, high, min(1.0, 2 * min(tails)), p)


def mcnemar(first_alone: int, second_alone: int) -> float:
    """Two-sided exact probability that two systems of equal accuracy differ as much as this (McNemar 1947).

    Args:
        first_alone, second_alone: Examples that only the first, only the second got right. Under the null hypothesis
            each of them falls to either by the toss of a coin.
    """
    count = first_alone + second_alone
    tail, ways = 0, 1  # whole numbers: exact; each binomial coefficient from the one before it
    for number in range(min(first_alone, second_alone) + 1):
        tail += ways
        ways = ways * (count - number) // (number + 1)
    return min(1.0, 2 * tail / 2**count)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted so that all comparisons together err with the probability that one would (Holm 1979)."""
    order = sorted(range(len(p_values)), key=lambda number: p_values[number])
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, number in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * p_values[number]))
        adjusted[number] = largest
    return adjusted
