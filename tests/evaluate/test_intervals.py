"""Intervals against definitions, textbook formulas, the bootstrap, and simulations with a known truth."""

import importlib.util

import numpy as np
import pytest
from scipy import stats

from evaluate.intervals import (
    Estimate,
    estimate,
    grouped,
    mean_interval,
    p_value,
    proportion_interval,
    satterthwaite,
)
from evaluate.metrics import wilson_interval

SIZES = np.array([1, 2, 4, 7, 16.0])


@pytest.fixture(scope="module")
def benchmark(root):
    """benchmarks/intervals.py as a module."""
    spec = importlib.util.spec_from_file_location("intervals_benchmark", root / "benchmarks/intervals.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def by_matrices(values, place):
    """Variance and degrees of freedom of CR2 for a mean, as Bell and McCaffrey (2002) write them for any regression."""
    count, pages = len(values), range(place.max() + 1)
    x = np.ones((count, 1))
    bread = np.linalg.inv(x.T @ x)
    hat = x @ bread @ x.T
    residuals, variance, columns = values - values.mean(), 0.0, []
    for page in pages:
        own = place == page
        eigenvalues, vectors = np.linalg.eigh(np.eye(own.sum()) - hat[np.ix_(own, own)])
        root = vectors @ np.diag(eigenvalues**-0.5) @ vectors.T
        variance += (bread @ x[own].T @ root @ residuals[own]).item() ** 2
        columns.append((np.eye(count) - hat)[:, own] @ root @ x[own] @ bread)
    g = np.hstack(columns)
    b = g.T @ g
    return variance, np.trace(b) ** 2 / np.sum(b**2)


def test_cr2_is_the_definition():
    values = np.random.default_rng(0).random(30)
    place = np.repeat(np.arange(5), SIZES.astype(int))
    found = estimate(np.bincount(place, values)[None], SIZES)
    ((variance, df),) = found.parts
    assert (variance, df) == pytest.approx(by_matrices(values, place))
    assert found.mean == pytest.approx(values.mean())


def test_equal_groups_are_a_t_test_of_their_means():
    values = np.random.default_rng(1).random((8, 5))
    found = estimate(values.sum(1)[None], np.full(8, 5.0))
    expected = stats.ttest_1samp(values.mean(1), 0)
    assert p_value(found, 8) == pytest.approx(expected.pvalue)
    low, high = expected.confidence_interval()
    assert (found.mean - found.half_width(), found.mean + found.half_width()) == pytest.approx((low, high))
    assert satterthwaite(np.full(8, 5.0)) == pytest.approx(7)
    assert satterthwaite(SIZES) < 4


def test_variance_of_draws_and_examples_is_that_of_the_analysis_of_variance():
    """Unbiased: the mean of the estimates over many simulated tables is the known variance of their means."""
    random = np.random.default_rng(2)
    draws, pages, size = 3, 6, 4.0
    known = {"draw": 0.3, "page": 0.6, "both": 0.6}
    shape = {"draw": (20000, draws, 1), "page": (20000, 1, pages), "both": (20000, draws, pages)}
    sums = sum(np.sqrt(variance) * random.standard_normal(shape[name]) for name, variance in known.items()) * size
    expected = known["draw"] / draws + known["page"] / pages + known["both"] / (draws * pages)
    found = estimate(sums, np.full(pages, size))
    assert found.mean.var() == pytest.approx(expected, rel=0.03)
    of_draws, of_pages = (variance.mean() for variance, _ in found.parts)
    assert of_draws == pytest.approx(known["draw"] / draws + known["both"] / (draws * pages), rel=0.03)
    assert of_draws + of_pages == pytest.approx(expected, rel=0.05)  # a variance below 0 counts as 0


def test_two_ways_against_the_bootstrap_of_draws_and_pages():
    """Resampling draws and pages with replacement (Owen 2007), when both contribute to the variance."""
    random = np.random.default_rng(3)
    right = random.random((20, 60, 10)) < 0.5 + 0.1 * random.standard_normal((20, 1, 1)) + 0.2 * random.standard_normal(
        (1, 60, 1)
    )
    sums = right.sum(-1).astype(float)
    found = estimate(sums, np.full(60, 10.0))
    resampled = []
    for _ in range(3000):
        rows, columns = random.integers(0, 20, 20), random.integers(0, 60, 60)
        resampled.append(sums[np.ix_(rows, columns)].mean() / 10)
    assert np.sqrt(found.variance) == pytest.approx(np.std(resampled), rel=0.1)


def test_p_value_matches_the_interval_that_ends_at_0():
    for draws in (1, 2, 5):
        found = estimate(np.random.default_rng(draws).normal(0.3, 0.5, (draws, 30)), np.ones(30))
        p = p_value(found, 30)
        assert found.half_width(1 - p) == pytest.approx(abs(found.mean))


def test_p_values_have_no_floor():
    found = Estimate(np.float64(0.3), ((np.float64(1e-6), 1e4), (np.float64(1e-6), 1e4)))
    assert 0 <= p_value(found, 100) < 1e-100
    assert p_value(Estimate(np.float64(0.1), ((np.float64(0), 4.0),)), 5) == 2 / 32  # all pages to one side
    assert p_value(Estimate(np.float64(0), ((np.float64(0), 4.0),)), 5) == 1


def test_groups():
    assert grouped(None, 3).are_pages is False
    assert grouped(["a", "b", "c"], 3).are_pages is False  # pages of one block each
    pages = grouped(["a", "b", "a", "c"], 4)
    assert (pages.place.tolist(), pages.sizes.tolist(), pages.are_pages) == ([0, 1, 0, 2], [2, 1, 1], True)
    assert pages.sums(np.array([[1, 2, 3, 4]])).tolist() == [[4, 2, 4]]
    assert pages.too_few == "3 pages: too few"
    assert grouped(list("aabcde"), 6).too_few == ""


def test_interval_of_one_draw_is_wilsons():
    right = np.array([[True] * 7 + [False] * 3])
    assert mean_interval(right, grouped(None, 10)) == wilson_interval(7, 10)


@pytest.mark.parametrize("right", [0, 1])
def test_all_correct_is_not_certain(right):
    """The interval is as wide as for as many independent examples as there are pages."""
    values = np.full((1, 60), bool(right))
    pages = grouped([str(n // 10) for n in range(60)], 60)
    assert mean_interval(values, pages) == wilson_interval(6 * right, 6)
    low, high = mean_interval(values, grouped(None, 60))
    assert 0.05 < high - low < 0.07


def test_too_few_pages_have_none():
    pages = grouped([str(n // 20) for n in range(60)], 60)
    assert mean_interval(np.array([[True, False] * 30]), pages) is None


def test_intervals_stay_between_0_and_1():
    found = Estimate(np.float64(0.99), ((np.float64(0.01), 2.0),))
    low, high = proportion_interval(found, 10)
    assert 0 <= low < 0.99 < high <= 1


def test_simulated_coverage_is_nominal(benchmark):
    """A quick version of the benchmark: coverage of .93 to .97, and 3 to 7 % false positives, within the error of the
    number of samples; with two draws, coverage is higher."""
    random = np.random.default_rng(0)
    share = benchmark.latent_share(0.8, 0.1)
    samples, error = 600, 3 * np.sqrt(0.05 * 0.95 / 600)
    alone = np.ones(100, dtype=int)
    cases = {
        "5 pages": benchmark.Case(benchmark.page_sizes(5, 400, False), page=share, shared=0),
        "10 unequal pages": benchmark.Case(benchmark.page_sizes(10, 400, True), page=share),
        "20 unequal pages": benchmark.Case(benchmark.page_sizes(20, 360, True), page=share),
        "2 draws": benchmark.Case(alone, 2, draw=0.02),
        "5 draws": benchmark.Case(alone, 5, draw=0.05),
        "20 draws of pages": benchmark.Case(benchmark.page_sizes(20, 200, True), 20, draw=0.02, page=0.15, both=0.03),
    }
    for name, case in cases.items():
        found = benchmark.rates(case, samples, random)
        most = 1.0 if case.draws == 2 else 0.97 + error
        assert 0.93 - error <= found.covered <= most, name
        assert 0.93 - error <= found.compared <= most, name
        assert (0 if case.draws == 2 else 0.03 - error) <= found.found <= 0.07 + error, name


def test_blocks_taken_as_independent_give_false_positives(benchmark):
    """The simulation can fail: if pages are ignored, false positives are four times as frequent as 5 %."""
    share = benchmark.latent_share(0.8, 0.3)
    case = benchmark.Case(benchmark.page_sizes(10, 400, False), page=share, shared=0)
    (differences,) = [pair[1] for pair in benchmark.answers(case, 300, np.random.default_rng(1))]
    spread = np.sqrt(2 * 0.8 * 0.2 / 400)
    assert np.mean(np.abs(differences.sum((1, 2)) / 400) > 1.96 * spread) > 0.2
    assert differences.shape == (300, 1, 10)
