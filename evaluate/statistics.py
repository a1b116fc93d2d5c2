"""Whether one method is better than another on the same examples, and Holm's correction for many such questions."""

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
        difference: Of the accuracies, first minus second.
        interval: 95 % interval of that; None where there are too few pages.
        p: Of a difference as large as this if there is none; None where there are too few pages.
        test: MCNEMAR, CLUSTERED or DRAWN; where there is none, why.
        draws: How many were compared.
    """

    difference: float
    interval: Interval | None
    p: float | None
    test: str
    draws: int


def compare(first: np.ndarray, second: np.ndarray, groups: Groups) -> Comparison:
    """Compare what two methods got right (D, N), draw by draw; of one draw each or as many as the other has.

    One draw each of examples that stand alone: McNemar's exact test. Else the differences of each example and draw are
    clustered as in `evaluate.intervals`.
    """
    differences = first.astype(float) - second  # one draw is held against each of several
    draws = len(differences)
    if groups.too_few:
        return Comparison(float(differences.mean()), None, None, groups.too_few, draws)
    if draws == 1 and not groups.are_pages:
        gains, losses = int((differences > 0).sum()), int((differences < 0).sum())
        interval = paired_interval(gains, losses, differences.size)
        return Comparison(float(differences.mean()), interval, mcnemar(gains, losses), MCNEMAR, 1)
    found, count = estimate(groups.sums(differences), groups.sizes), len(groups.sizes)
    test = CLUSTERED if draws == 1 else DRAWN
    return Comparison(float(found.mean), difference_interval(found, count), p_value(found, count), test, draws)


def mcnemar(first_alone: int, second_alone: int) -> float:
    """Two-sided exact probability that two systems of equal accuracy differ as much as this (McNemar 1947).

    Args:
        first_alone, second_alone: Examples that only the first, only the second got right. Under the null hypothesis
            each of them falls to either by the toss of a coin.
    """
    return min(1.0, 2 * float(bdtr(min(first_alone, second_alone), first_alone + second_alone, 0.5)))


def paired_interval(gains: int, losses: int, count: int) -> Interval:
    """95 % interval of a difference of paired proportions (Bonett and Price 2012): Wald's with one more gain and one
    more loss, which covers what it says with few of them and is never empty."""
    gained, lost = (gains + 1) / (count + 2), (losses + 1) / (count + 2)
    half = Z95 * math.sqrt((gained + lost - (gained - lost) ** 2) / (count + 2))
    return max(-1.0, gained - lost - half), min(1.0, gained - lost + half)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted so that all comparisons together err with the probability that one would (Holm 1979)."""
    order = sorted(range(len(p_values)), key=lambda number: p_values[number])
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, number in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * p_values[number]))
        adjusted[number] = largest
    return adjusted
