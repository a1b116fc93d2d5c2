"""95 % intervals and p-values of means over examples, pages and draws.

The blocks of a page are correlated, and all examples of a draw share its demonstrations. So examples are clustered in
two ways (Cameron, Gelbach and Miller 2011): by page, with CR2 variance and a t distribution with Satterthwaite's
degrees of freedom (Bell and McCaffrey 2002), and by draw. benchmarks/intervals.py measures the coverage. Shapes: D
draws, N examples, G groups (pages, or single examples), leading dimensions `...` of simulations.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import stdtr, stdtrit

from evaluate.metrics import wilson_interval

Interval = tuple[float, float]

LEVEL = 0.95
MIN_GROUPS = 5  # pages; with fewer, no interval reaches its nominal coverage
FEW_DRAWS = 5  # with fewer, the interval is wider than necessary
SMALLEST = 1e-300  # lower limit of the search for p-values


class Groups(NamedTuple):
    """The groups of the examples.

    Args:
        place: Index of each example's group (N).
        sizes: Number of examples in each group (G).
        are_pages: False if each example is its own group.
    """

    place: np.ndarray
    sizes: np.ndarray
    are_pages: bool

    @property
    def too_few(self) -> str:
        """Why there is no interval; empty if there is one."""
        return f"{len(self.sizes)} pages: too few" if self.are_pages and len(self.sizes) < MIN_GROUPS else ""

    def sums(self, values: np.ndarray) -> np.ndarray:
        """Sums of each group (D, G) over values of the examples (D, N)."""
        if not self.are_pages:
            return values
        return np.stack([np.bincount(self.place, row, minlength=len(self.sizes)) for row in values])


class Estimate(NamedTuple):
    """A mean and its sources of variance.

    Args:
        mean: The mean (...).
        parts: Variance (...) and degrees of freedom of each source: draws, if there are several, then examples.
    """

    mean: np.ndarray
    parts: tuple[tuple[np.ndarray, float], ...]

    @property
    def variance(self) -> np.ndarray:
        """The total variance (...)."""
        return sum(variance for variance, _ in self.parts)

    def half_width(self, level: float = LEVEL) -> np.ndarray:
        """Half-width of the interval (...). The squared half-widths of the sources are added (Howe 1974): this is exact
        if one source has all the variance, and conservative otherwise."""
        return np.sqrt(sum(stdtrit(df, (1 + level) / 2) ** 2 * variance for variance, df in self.parts))


def grouped(groups: Sequence[str] | None, count: int) -> Groups:
    """The groups of `count` examples.

    Args:
        groups: The page of each example; None: independent examples, as are pages of one block each.
        count: Number of examples.
    """
    place: dict[str, int] = {}
    numbers = [] if groups is None else [place.setdefault(group, len(place)) for group in groups]
    if len(place) in (0, count):
        return Groups(np.arange(count), np.ones(count), False)
    return Groups(np.array(numbers), np.bincount(numbers).astype(float), True)


def estimate(sums: np.ndarray, sizes: np.ndarray) -> Estimate:
    """The mean over examples and draws, with its variance.

    Args:
        sums: Sum of the values of each group in each draw (..., D, G).
        sizes: Number of examples in each group (G), the same in each draw.
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
    # Both variances include the residual after the effects of draw and page, which is subtracted once.
    rest = sums - sizes * means[..., None] - by_group[..., None, :] + sizes * mean[..., None, None]
    both = cr2(rest, share).sum(-1) / (draws * (draws - 1)) / count**2
    of_draws = means.var(-1, ddof=1) / draws
    return Estimate(mean, ((of_draws, float(draws - 1)), (np.maximum(examples - both, 0), df)))


def cr2(residuals: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Variance of the sum of all groups (...) by CR2 for a mean (Bell and McCaffrey 2002).

    Args:
        residuals: Residuals of the groups' sums (..., G).
        share: Fraction of the examples in each group (G).
    """
    with np.errstate(divide="ignore", invalid="ignore"):  # a single group has no residual
        return np.nansum(residuals**2 / (1 - share), axis=-1)


def satterthwaite(sizes: np.ndarray) -> float:
    """Degrees of freedom of CR2's variance of a mean (Bell and McCaffrey 2002, section 4): G - 1 for groups of equal
    size, fewer for unequal ones, 0 for one group."""
    share = sizes / sizes.sum()
    if len(share) < 2:
        return 0.0
    weight = share**2 / (1 - share)
    return float(1 / ((share**2).sum() + weight.sum() ** 2 - (weight**2).sum()))


def proportion_interval(estimated: Estimate, groups: int) -> Interval:
    """95 % interval of a mean between 0 and 1, on the logit scale (Korn and Graubard 1998).

    Args:
        estimated: The mean, with its variance.
        groups: Number of groups: without any variance, the interval is Wilson's with n = groups.
    """
    mean, half = float(estimated.mean), float(estimated.half_width())
    slope = mean * (1 - mean)
    if slope <= 0 or half == 0 or not np.isfinite(half):
        return wilson_interval(mean * groups, groups)
    centre, width = np.log(mean / (1 - mean)), half / slope
    low, high = 1 / (1 + np.exp(-np.array([centre - width, centre + width]).clip(-500, 500)))
    return float(low), float(high)


def mean_interval(values: np.ndarray, groups: Groups) -> Interval | None:
    """95 % interval of the mean of values (D, N) between 0 and 1; None with too few pages. For booleans of one draw and
    independent examples it is Wilson's (1927)."""
    if groups.too_few:
        return None
    if len(values) == 1 and not groups.are_pages and values.dtype == bool:
        return wilson_interval(int(values.sum()), values.size)
    return proportion_interval(estimate(groups.sums(values.astype(float)), groups.sizes), len(groups.sizes))


def difference_interval(estimated: Estimate, groups: int) -> Interval:
    """95 % interval of a mean between -1 and 1. Without any variance, its half-width is the upper end of Wilson's
    interval for 0 of `groups`."""
    mean, half = float(estimated.mean), float(estimated.half_width())
    if half == 0 or not np.isfinite(half):
        half = wilson_interval(0, groups)[1]
    return max(-1.0, mean - half), min(1.0, mean + half)


def p_value(estimated: Estimate, groups: int) -> float:
    """Two-sided p-value of a mean for the null hypothesis 0: one minus the level at which the interval ends at 0, with
    no lower bound.

    Args:
        estimated: The mean, with its variance.
        groups: Number of groups: without any variance, the p-value is that of a sign test with n = groups.
    """
    mean = abs(float(estimated.mean))
    parts = [(float(variance), df) for variance, df in estimated.parts if variance > 0]
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
