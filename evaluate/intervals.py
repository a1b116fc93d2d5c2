"""95 % intervals of means over examples, pages and draws, and how probable a mean is if the true one is 0.

The blocks of a page are alike, and all examples of a draw share its demonstrations. So the variance comes from the sums
of pages, with the correction CR2 and the t distribution with Satterthwaite's degrees of freedom (Bell and McCaffrey
2002), and from the means of draws; the two are clusters in two directions (Cameron, Gelbach and Miller 2011). Measured
by benchmarks/intervals.py. Shapes: D draws, G groups (pages; an example that is on none is a group of its own), leading
dimensions `...` of simulations.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import stdtr, stdtrit

from evaluate.metrics import wilson_interval

Interval = tuple[float, float]

LEVEL = 0.95
MIN_GROUPS = 5  # with fewer pages, no interval holds what it says
FEW_DRAWS = 5  # with fewer, the interval is wider than it has to be
SMALLEST = 1e-300  # p-values are not told apart below


class Groups(NamedTuple):
    """Which examples stand together.

    Args:
        place: Of each example, the number of its group (N).
        sizes: Examples of each group (G).
        are_pages: False where each example is its own group.
    """

    place: np.ndarray
    sizes: np.ndarray
    are_pages: bool

    @property
    def too_few(self) -> str:
        """Why there is no interval; empty where there is one."""
        return f"{len(self.sizes)} pages: too few" if self.are_pages and len(self.sizes) < MIN_GROUPS else ""

    def sums(self, values: np.ndarray) -> np.ndarray:
        """Of each group (D, G), from values of the examples (D, N)."""
        if not self.are_pages:
            return values
        return np.stack([np.bincount(self.place, row, minlength=len(self.sizes)) for row in values])


class Estimate(NamedTuple):
    """A mean and where its variance comes from.

    Args:
        mean: (...).
        parts: Variance (...) and degrees of freedom of each source: draws, if there are several, then examples.
    """

    mean: np.ndarray
    parts: tuple[tuple[np.ndarray, float], ...]

    @property
    def variance(self) -> np.ndarray:
        return sum(variance for variance, _ in self.parts)

    def half_width(self, level: float = LEVEL) -> np.ndarray:
        """Half of the interval. The squared half widths of the sources add up (Howe 1974): exact where one of them has
        all the variance, and on the safe side between."""
        return np.sqrt(sum(stdtrit(df, (1 + level) / 2) ** 2 * variance for variance, df in self.parts))


def grouped(groups: Sequence[str] | None, count: int) -> Groups:
    """From the page of each of `count` examples; None: each stands alone. Pages of one block each are no pages."""
    place: dict[str, int] = {}
    numbers = [] if groups is None else [place.setdefault(group, len(place)) for group in groups]
    if len(place) in (0, count):
        return Groups(np.arange(count), np.ones(count), False)
    return Groups(np.array(numbers), np.bincount(numbers).astype(float), True)


def estimate(sums: np.ndarray, sizes: np.ndarray) -> Estimate:
    """The mean over examples and draws, with its variance.

    Args:
        sums: Of the values of each group in each draw (..., D, G).
        sizes: Examples of each group (G), the same in each draw.
    """
    draws, count = sums.shape[-2], sizes.sum()
    share = sizes / count
    means = sums.sum(-1) / count
    mean = means.mean(-1)
    by_group = sums.mean(-2)
    examples = cr2(by_group - sizes * mean[..., None], share) / count**2
    df = satterthwaite(sizes)
    if draws == 1:
        return Estimate(mean, ((examples, df),))
    # What is left after the effects of draw and page is in both variances: Cameron, Gelbach and Miller take it off.
    rest = sums - sizes * means[..., None] - by_group[..., None, :] + sizes * mean[..., None, None]
    both = cr2(rest, share).sum(-1) / (draws * (draws - 1)) / count**2
    of_draws = means.var(-1, ddof=1) / draws
    return Estimate(mean, ((of_draws, float(draws - 1)), (np.maximum(examples - both, 0), df)))


def cr2(residuals: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Variance of the sum of all groups (...), from the residuals of their sums (..., G): each is divided by the share
    of its variance that the fitted mean leaves (Bell and McCaffrey 2002, CR2 for a mean)."""
    with np.errstate(divide="ignore", invalid="ignore"):  # a group that is everything has no residual
        return np.nansum(residuals**2 / (1 - share), axis=-1)


def satterthwaite(sizes: np.ndarray) -> float:
    """Degrees of freedom of CR2's variance of a mean (Bell and McCaffrey 2002, section 4): G - 1 for equal groups,
    fewer for unequal ones; 0 for one group."""
    share = sizes / sizes.sum()
    if len(share) < 2:
        return 0.0
    weight = share**2 / (1 - share)
    return float(1 / ((share**2).sum() + weight.sum() ** 2 - (weight**2).sum()))


def proportion_interval(found: Estimate, groups: int) -> Interval:
    """Of a mean between 0 and 1, on the scale of its logit, so that it stays there (Korn and Graubard 1998).

    Args:
        groups: How many there are: where nothing varies, the interval is Wilson's of so many independent examples.
    """
    mean, half = float(found.mean), float(found.half_width())
    slope = mean * (1 - mean)
    if slope <= 0 or half == 0 or not np.isfinite(half):
        return wilson_interval(mean * groups, groups)
    centre, width = np.log(mean / (1 - mean)), half / slope
    low, high = 1 / (1 + np.exp(-np.array([centre - width, centre + width]).clip(-500, 500)))
    return float(low), float(high)


def mean_interval(values: np.ndarray, groups: Groups) -> Interval | None:
    """95 % interval of the mean of values between 0 and 1 over examples and draws (D, N); None with too few pages. Of
    one draw of examples that stand alone and are right or wrong it is Wilson's (1927)."""
    if groups.too_few:
        return None
    if len(values) == 1 and not groups.are_pages and values.dtype == bool:
        return wilson_interval(int(values.sum()), values.size)
    return proportion_interval(estimate(groups.sums(values.astype(float)), groups.sizes), len(groups.sizes))


def difference_interval(found: Estimate, groups: int) -> Interval:
    """Of a mean between -1 and 1; where nothing varies, what Wilson's interval gives to so many groups without one."""
    mean, half = float(found.mean), float(found.half_width())
    if half == 0 or not np.isfinite(half):
        half = wilson_interval(0, groups)[1]
    return max(-1.0, mean - half), min(1.0, mean + half)


def p_value(found: Estimate, groups: int) -> float:
    """Two-sided probability of a mean as far from 0 as this if the true one is 0: one minus the level at which the
    interval ends at 0. It has no floor.

    Args:
        groups: How many there are: where all have the same mean, each falls to either side by the toss of a coin.
    """
    mean, parts = abs(float(found.mean)), [(float(variance), df) for variance, df in found.parts if variance > 0]
    if mean == 0:
        return 1.0
    if not parts:
        return min(1.0, 2.0 * 0.5**groups)
    if len(parts) == 1:
        variance, df = parts[0]
        return float(2 * stdtr(df, -mean / np.sqrt(variance)))
    low, high = np.log(SMALLEST), 0.0
    for _ in range(60):
        middle = (low + high) / 2
        reach = sum(stdtrit(df, np.exp(middle) / 2) ** 2 * variance for variance, df in parts)
        low, high = (middle, high) if reach > mean**2 else (low, middle)
    return float(np.exp(high))
