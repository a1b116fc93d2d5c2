"""Simulations of the coverage of the 95 % intervals and of the false positive rate of the tests.

python benchmarks/intervals.py [--samples 2000] [--seed 0]

Two systems classify the blocks of pages, or independent examples, with one or several draws of demonstrations. A
prediction is correct if a normal variable exceeds a threshold. The variable is the sum of independent effects of the
draw, the page, draw and page, the example, and the prediction. The threshold determines the true accuracy. The
simulation takes some minutes.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from options import run

# isort: split

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri

from evaluate.intervals import Estimate, Groups, estimate, grouped, p_value, proportion_interval
from evaluate.metrics import confusion_matrix, macro_f1, macro_f1_influence
from evaluate.statistics import compare
from preprocess.errors import InputError

AT_ONCE = 10_000_000  # maximum number of answers in memory


@dataclass(frozen=True)
class IntervalsConfig:
    """Simulate the coverage of 95 % intervals, and the false positive rate of tests at 5 %.

    Args:
        samples: Simulated data sets for each row.
        seed: Random seed of the simulation.
    """

    samples: int = 2000
    seed: int = 0

    def __post_init__(self) -> None:
        if self.samples < 1:
            raise InputError(f"--samples {self.samples}: expected 1 or more")


class Case(NamedTuple):
    """A simulated case.

    Args:
        sizes: Number of examples on each page; all 1: independent examples.
        draws: Number of draws of demonstrations.
        draw, page, both, example: Fractions of the variance due to the draw, the page, draw and page together, and the
            example.
        accuracy: The true accuracy.
        shared: Fraction of the page and example effects that two systems share.
    """

    sizes: np.ndarray
    draws: int = 1
    draw: float = 0.0
    page: float = 0.0
    both: float = 0.0
    example: float = 0.3
    accuracy: float = 0.8
    shared: float = 0.5


class Rates(NamedTuple):
    """Rates over the simulated data sets.

    Args:
        covered: Coverage of the accuracy's interval.
        compared: Coverage of the interval of the difference of two systems, which is 0.
        found: False positive rate of the test at 5 %.
        width: Median width of the accuracy's interval.
    """

    covered: float
    compared: float
    found: float
    width: float


def page_sizes(pages: int, examples: int, unequal: bool) -> np.ndarray:
    """Sizes of pages: equal, or evenly spaced quantiles of an exponential distribution."""
    if not unequal:
        return np.full(pages, examples // pages)
    quantiles = -np.log1p(-(np.arange(pages) + 0.5) / pages)
    return np.maximum(1, np.round(quantiles / quantiles.sum() * examples)).astype(int)


def latent_share(accuracy: float, correlation: float) -> float:
    """The fraction of the normal variable's variance that gives predictions this intraclass correlation."""
    if correlation == 0:
        return 0.0
    nodes, weights = np.polynomial.hermite_e.hermegauss(100)
    weights = weights / weights.sum()

    def excess(share: float) -> float:
        right = ndtr((ndtri(accuracy) + np.sqrt(share) * nodes) / np.sqrt(1 - share))
        return weights @ right**2 - accuracy**2 - correlation * accuracy * (1 - accuracy)

    return brentq(excess, 1e-9, 0.999)


def answers(case: Case, samples: int, random: np.random.Generator) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Correct predictions of two systems on each page: counts (R, D, G), and their differences, in portions."""
    count, pages = int(case.sizes.sum()), len(case.sizes)
    starts = np.concatenate([[0], np.cumsum(case.sizes)[:-1]])
    rest = 1 - case.draw - case.page - case.both - case.example
    portion = max(1, AT_ONCE // (case.draws * count))

    def normal(share: float, *shape: int) -> np.ndarray:
        return np.float32(np.sqrt(share)) * random.standard_normal(shape, dtype=np.float32)

    for begin in range(0, samples, portion):
        n = min(portion, samples - begin)
        page, example = normal(case.page * case.shared, n, 1, pages), normal(case.example * case.shared, n, 1, count)
        counts = []
        for _ in range(2):
            own = 1 - case.shared
            of_page = page + normal(case.page * own, n, 1, pages) + normal(case.both, n, case.draws, pages)
            score = np.repeat(of_page + normal(case.draw, n, case.draws, 1), case.sizes, axis=-1)
            score += example + normal(case.example * own, n, 1, count)
            right = score + normal(rest, n, case.draws, count) > -np.float32(ndtri(case.accuracy))
            counts.append(np.add.reduceat(right, starts, axis=-1, dtype=np.float64))
        yield counts[0], counts[0] - counts[1]


def each(estimates: Estimate) -> Iterator[Estimate]:
    """The estimates of many simulated means, one by one."""
    for number, mean in enumerate(estimates.mean):
        yield Estimate(mean, tuple((variance[number], df) for variance, df in estimates.parts))


def rates(case: Case, samples: int, random: np.random.Generator) -> Rates:
    """The rates of a case, by the functions of the table and the comparison."""
    covered, compared, found, widths = [], [], [], []
    groups = len(case.sizes)
    for right, differences in answers(case, samples, random):
        for one in each(estimate(right, case.sizes.astype(float))):
            low, high = proportion_interval(one, groups)
            covered.append(low <= case.accuracy <= high)
            widths.append(high - low)
        for one in each(estimate(differences, case.sizes.astype(float))):
            found.append(p_value(one, groups) < 0.05)
            compared.append(abs(one.mean) <= one.half_width() or one.half_width() == 0)
    return Rates(float(np.mean(covered)), float(np.mean(compared)), float(np.mean(found)), float(np.median(widths)))


def mcnemar_rates(count: int, samples: int, random: np.random.Generator) -> tuple[float, float]:
    """One draw of independent examples: coverage of the paired interval, and false positive rate of McNemar's test."""
    alone, compared, found = grouped(None, count), [], []
    for _, differences in answers(Case(np.ones(count, dtype=int)), samples, random):
        for row in differences:
            result = compare(row > 0, row < 0, alone)
            compared.append(result.interval[0] <= 0 <= result.interval[1])
            found.append(result.p < 0.05)
    return float(np.mean(compared)), float(np.mean(found))


def macro_f1_rate(sizes: np.ndarray, correlation: float, samples: int, random: np.random.Generator) -> float:
    """Coverage of the interval of macro-F1, with four classes of .5, .3, .15 and .05; wrong predictions are other
    classes with these frequencies."""
    shares = np.array([0.5, 0.3, 0.15, 0.05])

    def page_answers(sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        share = latent_share(0.8, correlation)
        page = np.repeat(np.sqrt(share) * random.standard_normal(len(sizes)), sizes)
        truths = random.choice(4, len(page), p=shares)
        right = page + np.sqrt(1 - share) * random.standard_normal(len(page)) > -ndtri(0.8)
        return truths, np.where(right, truths, random.choice(4, len(page), p=shares))

    def value(truths: np.ndarray, predicted: np.ndarray) -> tuple[float, np.ndarray]:
        confusion = confusion_matrix(predicted.tolist(), truths.tolist(), range(4))
        return float(macro_f1(confusion)), macro_f1_influence(confusion, truths, predicted)

    true, _ = value(*page_answers(np.resize(sizes, 20_000)))
    groups = Groups(np.repeat(np.arange(len(sizes)), sizes), sizes.astype(float), True)
    covered = []
    for _ in range(samples):
        score, influence = value(*page_answers(sizes))
        low, high = proportion_interval(estimate(groups.sums((score + influence)[None]), groups.sizes), len(sizes))
        covered.append(low <= true <= high)
    return float(np.mean(covered))


def print_rates(config: IntervalsConfig) -> None:
    """Print one row per case, as Markdown."""
    random = np.random.default_rng(config.seed)
    print("One draw, accuracy .8, blocks of pages; false positives: of the test of two equally accurate systems\n")
    print("| pages | blocks | sizes | correlation | shared | coverage | of differences | false positives | width |")
    print("|--:|--:|---|--:|--:|--:|--:|--:|--:|")
    shapes = [(5, 100), (5, 400), (10, 100), (10, 1000), (20, 360), (50, 900), (250, 5000)]
    for (pages, blocks), unequal, correlation in itertools.product(shapes, (False, True), (0, 0.1, 0.3)):
        for shared in (0.0, 0.5):
            sizes = page_sizes(pages, blocks, unequal)
            case = Case(sizes, page=latent_share(0.8, correlation), shared=shared)
            about = f"| {pages} | {blocks} | {'unequal' if unequal else 'equal'} | {correlation} | {shared} |"
            show(about, rates(case, config.samples, random))
    print("\nSeveral draws\n\n| draws | pages | blocks | sd of draws | page | example | coverage | of differences"
          " | false positives | width |\n|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|")  # fmt: skip
    alone = [(n, np.ones(n, dtype=int)) for n in (100, 1000, 5000)]
    paged = [(n, page_sizes(n, blocks, True)) for n, blocks in ((10, 100), (20, 360), (250, 5000))]
    for draws, (pages, sizes), draw in itertools.product((2, 3, 5, 20), alone + paged, (0, 0.002, 0.01, 0.05)):
        for example in (0.3, 0.7):
            page, both = (0.0, 0.0) if sizes.max() == 1 else (0.15, 0.03)
            case = Case(sizes, draws, draw, page, both, example)
            deviation = 0.28 * np.sqrt(draw)  # the density at the threshold of accuracy .8
            about = f"| {draws} | {pages} | {sizes.sum()} | {deviation:.3f} | {page} | {example} |"
            samples = max(200, min(config.samples, 100 * AT_ONCE // (draws * int(sizes.sum()))))
            show(about, rates(case, samples, random))
    print("\nOne draw of independent examples, McNemar's test\n\n| examples | of differences | false positives |")
    print("|--:|--:|--:|")
    for count in (100, 1000, 5000):
        print("| {} | {:.3f} | {:.3f} |".format(count, *mcnemar_rates(count, config.samples, random)), flush=True)
    print("\nmacro-F1 of four classes, unequal pages\n\n| pages | blocks | correlation | coverage |\n|--:|--:|--:|--:|")
    for (pages, blocks), correlation in itertools.product([(10, 400), (20, 360), (100, 2000)], (0, 0.1, 0.3)):
        rate = macro_f1_rate(page_sizes(pages, blocks, True), correlation, config.samples // 2, random)
        print(f"| {pages} | {blocks} | {correlation} | {rate:.3f} |", flush=True)
    print("\nOne draw, five pages, accuracy .95\n\n| blocks | sizes | correlation | coverage | of differences"
          " | false positives | width |\n|--:|---|--:|--:|--:|--:|--:|")  # fmt: skip
    for blocks, unequal, correlation in itertools.product((100, 400), (False, True), (0, 0.1, 0.3)):
        case = Case(page_sizes(5, blocks, unequal), page=latent_share(0.95, correlation), accuracy=0.95)
        about = f"| {blocks} | {'unequal' if unequal else 'equal'} | {correlation} |"
        show(about, rates(case, config.samples, random))


def show(about: str, result: Rates) -> None:
    """Print a row of a table."""
    print(about, " | ".join(f"{rate:.3f}" for rate in result), "|", flush=True)


if __name__ == "__main__":
    run(IntervalsConfig, print_rates)
