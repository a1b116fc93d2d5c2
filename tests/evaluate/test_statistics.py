"""The bootstrap against the definition and against theory, McNemar's test against scipy, Holm's correction by hand."""

import random

import numpy as np
import pytest
from scipy.stats import binomtest

from evaluate.metrics import confusion_cells, confusion_matrix, macro_f1
from evaluate.statistics import bootstrap_interval, compare, holm, interval, mcnemar, resample


def test_draws_of_examples_are_draws_of_examples():
    """Multinomial counts have the mean and the spread of examples drawn one by one with replacement."""
    cells = np.array([0] * 30 + [1] * 50 + [3] * 20)
    draw = np.random.default_rng(1)
    slow = np.array([np.bincount(cells[draw.integers(0, 100, 100)], minlength=4) for _ in range(4000)])
    fast = resample(cells, 4, None, resamples=4000)
    assert fast.shape == slow.shape
    assert (fast.sum(-1) == 100).all()
    assert fast.mean(0) == pytest.approx(slow.mean(0), abs=0.5)
    assert fast.std(0) == pytest.approx(slow.std(0), rel=0.08)
    assert np.corrcoef(fast.T[[0, 1]])[0, 1] == pytest.approx(np.corrcoef(slow.T[[0, 1]])[0, 1], abs=0.06)


def test_groups_are_drawn_whole():
    """Three pages of 1, 2 and 4 blocks, all blocks of a page in one cell: counts are whole pages."""
    groups = ["a", "b", "b", "c", "c", "c", "c"]
    drawn = resample(np.array([0, 1, 1, 2, 2, 2, 2]), 3, groups, resamples=500)
    pages = drawn / [1, 2, 4]
    assert (pages == pages.round()).all()
    assert (pages.sum(-1) == 3).all()
    assert len(set(map(tuple, drawn.tolist()))) == 10  # all multisets of three pages


def test_groups_of_one_are_no_groups():
    cells = np.array([0, 1, 1, 0, 1])
    assert resample(cells, 2, list("abcde")).tolist() == resample(cells, 2, None).tolist()


def test_the_same_bytes_twice():
    cells = np.array([0, 1, 1, 0, 1])
    assert resample(cells, 2, None).tolist() == resample(cells, 2, None).tolist()
    assert resample(cells, 2, None, seed=1).tolist() != resample(cells, 2, None).tolist()


def test_interval_of_an_accuracy():
    """Of 1,000 independent examples: the normal approximation; of ten pages that are all right or all wrong: wider."""
    correct = np.array([True] * 700 + [False] * 300)
    low, high = bootstrap_interval(lambda counts: counts[:, 1] / counts.sum(-1), correct * 1, (2,), None)
    half = 1.96 * (0.7 * 0.3 / 1000) ** 0.5
    assert (low, high) == (pytest.approx(0.7 - half, abs=0.004), pytest.approx(0.7 + half, abs=0.004))
    pages = [str(number // 100) for number in range(1000)]
    wide = bootstrap_interval(lambda counts: counts[:, 1] / counts.sum(-1), correct * 1, (2,), pages)
    assert wide == (pytest.approx(0.4), pytest.approx(1.0))  # binomial(10, .7): 4 to 10 pages


def test_interval_of_a_macro_f1_is_the_definition():
    draw = random.Random(2)
    truths = [draw.choice("aab") for _ in range(60)]
    predictions = [draw.choice([truth, "a", None]) for truth in truths]
    cells = confusion_cells(predictions, truths, "ab")
    numbers = np.random.default_rng(3).integers(0, 60, (3000, 60))
    slow = [confusion_matrix([predictions[n] for n in row], [truths[n] for n in row], "ab") for row in numbers]
    expected = interval(np.array([macro_f1(one) for one in slow]))
    assert bootstrap_interval(macro_f1, cells, (2, 3), None) == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize("discordant", [(0, 0), (1, 0), (0, 7), (3, 9), (25, 25), (260, 301), (4000, 3600)])
def test_mcnemar_is_the_exact_binomial_test(discordant):
    first, second = discordant
    expected = binomtest(first, first + second, 0.5).pvalue if first + second else 1.0
    assert mcnemar(first, second) == pytest.approx(expected)


def test_mcnemar_by_hand():
    """One of five: 2 (1 + 5) / 32."""
    assert mcnemar(1, 4) == pytest.approx(0.375)


def test_comparison_of_two_systems():
    first = [True] * 80 + [False] * 20
    second = [True] * 60 + [False] * 20 + [True] * 4 + [False] * 16
    found = compare(first, second, None)
    assert found.difference == pytest.approx(0.16)
    assert found.mcnemar_p == pytest.approx(binomtest(20, 24).pvalue)
    spread = 1.96 * ((0.24 - 0.16**2) / 100) ** 0.5
    assert (found.low, found.high) == pytest.approx((0.16 - spread, 0.16 + spread), abs=0.015)
    assert 2 / 2001 <= found.bootstrap_p < 0.005  # 3.5 standard errors
    back = compare(second, first, None)
    assert back.difference == -found.difference
    assert back.bootstrap_p < 0.005
    assert back.mcnemar_p == found.mcnemar_p


def test_a_system_beside_itself():
    same = compare([True, False, True], [True, False, True], None)
    assert same == (0, 0, 0, 1, 1)


def test_blocks_of_one_page_are_not_independent():
    """Twenty gains on one page of five are less than twenty gains on twenty pages."""
    first, second = [True] * 100, [False] * 20 + [True] * 80
    assert compare(first, second, None).bootstrap_p < 0.01
    assert compare(first, second, [str(number // 20) for number in range(100)]).bootstrap_p > 0.3


def test_holm_by_hand():
    """Of four: .01 x 4, .02 x 3, then .03 x 2 = .06, .04 x 1 not below that."""
    assert holm([0.03, 0.01, 0.04, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []
