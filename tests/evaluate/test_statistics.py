"""McNemar's test against scipy, the comparison against its components, Holm's correction by hand."""

import time

import numpy as np
import pytest
from scipy import stats

from evaluate.intervals import grouped
from evaluate.statistics import CLUSTERED, DRAWN, MCNEMAR, compare, holm, mcnemar, paired_interval


@pytest.mark.parametrize("discordant", [(0, 0), (1, 0), (0, 7), (3, 9), (25, 25), (260, 301), (4000, 3600)])
def test_mcnemar_is_the_exact_binomial_test(discordant):
    first, second = discordant
    expected = stats.binomtest(first, first + second, 0.5).pvalue if first + second else 1.0
    assert mcnemar(first, second) == pytest.approx(expected)


def test_mcnemar_by_hand():
    """One of five: 2 (1 + 5) / 32."""
    assert mcnemar(1, 4) == pytest.approx(0.375)


def test_mcnemar_of_very_many_is_fast():
    began = time.perf_counter()
    assert 0 < mcnemar(60_300, 59_700) < 0.1
    assert time.perf_counter() - began < 0.1


def test_comparison_of_one_draw_each():
    first = np.array([[True] * 80 + [False] * 20])
    second = np.array([[True] * 60 + [False] * 20 + [True] * 4 + [False] * 16])
    found = compare(first, second, grouped(None, 100))
    assert found.difference == pytest.approx(0.16)
    assert (found.test, found.draws) == (MCNEMAR, 1)
    assert found.p == pytest.approx(stats.binomtest(20, 24).pvalue)
    spread = 1.96 * ((0.24 - 0.16**2) / 100) ** 0.5
    assert found.interval == pytest.approx((0.16 - spread, 0.16 + spread), abs=0.01)
    back = compare(second, first, grouped(None, 100))
    assert (back.difference, back.p) == (-found.difference, found.p)
    assert back.interval == pytest.approx((-found.interval[1], -found.interval[0]))


def test_means_of_several_results_are_a_t_test():
    """McNemar's test needs predictions that are right or wrong."""
    random = np.random.default_rng(1)
    first, second = random.choice([0, 0.5, 1], (1, 50)), random.choice([0, 1.0], (1, 50))
    found = compare(first, second, grouped(None, 50))
    expected = stats.ttest_rel(first[0], second[0])
    assert (found.test, found.p) == (CLUSTERED, pytest.approx(expected.pvalue))
    assert found.interval == pytest.approx(tuple(expected.confidence_interval()))


def test_paired_interval_by_hand():
    """Bonett and Price: of 20 gains and 4 losses among 100, 21 / 102 and 5 / 102."""
    low, high = paired_interval(20, 4, 100)
    half = 1.959964 * ((26 / 102 - (16 / 102) ** 2) / 102) ** 0.5
    assert (low, high) == (pytest.approx(16 / 102 - half), pytest.approx(16 / 102 + half))
    assert paired_interval(0, 0, 10)[0] < 0 < paired_interval(0, 0, 10)[1]


def test_a_system_compared_with_itself():
    right = np.array([[True, False, True]])
    same = compare(right, right, grouped(None, 3))
    assert (same.difference, same.p) == (0, 1)
    assert same.interval[0] < 0 < same.interval[1]


def test_pages_are_a_t_test_of_their_differences():
    random = np.random.default_rng(0)
    first, second = random.random((1, 60)) < 0.8, random.random((1, 60)) < 0.5
    found = compare(first, second, grouped([str(n // 10) for n in range(60)], 60))
    of_pages = (first.astype(int) - second).reshape(6, 10).mean(1)
    expected = stats.ttest_1samp(of_pages, 0)
    assert (found.test, found.p) == (CLUSTERED, pytest.approx(expected.pvalue))
    assert found.interval == pytest.approx(tuple(expected.confidence_interval()))


def test_blocks_of_one_page_are_not_independent():
    """Twenty gains on one page of five are less than twenty gains on twenty pages."""
    first, second = np.ones((1, 100), dtype=bool), np.array([[False] * 20 + [True] * 80])
    assert compare(first, second, grouped(None, 100)).p < 0.01
    assert compare(first, second, grouped([str(n // 20) for n in range(100)], 100)).p > 0.3


def test_too_few_pages_say_so():
    right = np.array([[True, False] * 6])
    found = compare(right, ~right, grouped([str(n // 4) for n in range(12)], 12))
    assert found == (0, None, None, "3 pages: too few", 1)


def test_draws_are_paired():
    """If both methods do better or worse on the same draws, the difference is more certain than either accuracy."""
    random = np.random.default_rng(1)
    easy = random.random((8, 1)) * 0.4 + 0.5
    first, second = random.random((8, 300)) < easy, random.random((8, 300)) < easy - 0.1
    alone = grouped(None, 300)
    paired, crossed = compare(first, second, alone), compare(first, second[::-1], alone)
    assert paired.test == crossed.test == DRAWN
    assert paired.difference == pytest.approx(crossed.difference)
    assert paired.p < 0.01 < crossed.p
    single = compare(first, second[:1], alone)  # of one where nothing is drawn
    assert single.draws == 8
    assert single.difference == pytest.approx(first.mean() - second[0].mean())


def test_holm_by_hand():
    """Four p-values: .01 x 4, .02 x 3, .03 x 2 = .06, and .04 x 1, which is raised to .06."""
    assert holm([0.03, 0.01, 0.04, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []
