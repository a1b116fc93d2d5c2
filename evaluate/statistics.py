"""Paired tests of two methods on the same examples, and Holm's correction for several tests."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import bdtr

from evaluate.intervals import Groups, Interval, difference_interval, estimate, p_value
from evaluate.metrics import Z95

MCNEMAR, CLUSTERED, DRAWN = "McNemar", "CR2 t", "CR2 t, draws"


class Comparison(NamedTuple):
    """Two methods on the same examples and the same draws.

    Args:
        difference: Accuracy of the first method minus that of the second.
        interval: Its 95 % interval; None with too few pages.
        p: p-value; None with too few pages.
        test: MCNEMAR, CLUSTERED or DRAWN; or the reason why there is no test.
        draws: Number of draws compared.
    """

    difference: float
    interval: Interval | None
    p: float | None
    test: str
    draws: int


def compare(first: np.ndarray, second: np.ndarray, groups: Groups) -> Comparison:
    """Compare two methods draw by draw: McNemar's exact test for one result each and independent examples, otherwise a
    t test of the differences, clustered as in `evaluate.intervals`.

    Args:
        first, second: Whether, or how often, each method's predictions are correct (D, N); with D = 1, for each draw of
            the other.
        groups: The pages of the examples.
    """
    differences = first.astype(float) - second  # one draw is compared with each of several
    draws = len(differences)
    if groups.too_few:
        return Comparison(float(differences.mean()), None, None, groups.too_few, draws)
    if draws == 1 and not groups.are_pages and np.isin(differences, (-1, 0, 1)).all():
        gains, losses = int((differences > 0).sum()), int((differences < 0).sum())
        interval = paired_interval(gains, losses, differences.size)
        return Comparison(float(differences.mean()), interval, mcnemar(gains, losses), MCNEMAR, 1)
    mean, count = estimate(groups.sums(differences), groups.sizes), len(groups.sizes)
    test = CLUSTERED if draws == 1 else DRAWN
    return Comparison(float(mean.mean), difference_interval(mean, count), p_value(mean, count), test, draws)


def mcnemar(first_alone: int, second_alone: int) -> float:
    """Two-sided p-value of McNemar's exact test (McNemar 1947).

    Args:
        first_alone, second_alone: Number of examples that only the first, or only the second method classifies
            correctly. Under the null hypothesis both are equally likely.
    """
    return min(1.0, 2 * float(bdtr(min(first_alone, second_alone), first_alone + second_alone, 0.5)))


def paired_interval(gains: int, losses: int, count: int) -> Interval:
    """95 % interval of a difference of paired proportions (Bonett and Price 2012): Wald's, with one gain and one loss
    added, which keeps its coverage for small numbers.

    Args:
        gains, losses: Number of examples that only the first, or only the second method classifies correctly.
        count: Number of all examples.
    """
    gained, lost = (gains + 1) / (count + 2), (losses + 1) / (count + 2)
    half = Z95 * math.sqrt((gained + lost - (gained - lost) ** 2) / (count + 2))
    return max(-1.0, gained - lost - half), min(1.0, gained - lost + half)


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted for multiple comparisons, which controls the family-wise error rate (Holm 1979)."""
    order = sorted(range(len(p_values)), key=lambda number: p_values[number])
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, number in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * p_values[number]))
        adjusted[number] = largest
    return adjusted
