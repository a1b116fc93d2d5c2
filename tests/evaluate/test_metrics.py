"""Metrics against scikit-learn; Wilson's interval against its definition and published values."""

import math
import random

import pytest
from sklearn.metrics import accuracy_score, f1_score

from evaluate.metrics import accuracy, macro_f1, wilson_interval

WORDS = ["Caption", "Text", "Title", "List-item", "Table", "Formula"]


@pytest.mark.parametrize("seed", range(8))
def test_accuracy_and_macro_f1_agree_with_scikit_learn(seed):
    """With unanswered examples, and with predictions of label words that are never the truth: those have no F1."""
    draw = random.Random(seed)
    occurring = WORDS[: draw.randint(1, len(WORDS))]
    truths = [draw.choice(occurring) for _ in range(draw.randint(1, 60))]
    predictions = [draw.choice([truth, draw.choice(WORDS), None]) for truth in truths]
    answers = [prediction or "none of them" for prediction in predictions]
    assert accuracy(predictions, truths) == pytest.approx(accuracy_score(truths, answers))
    expected = f1_score(truths, answers, labels=sorted(set(truths)), average="macro", zero_division=0)
    assert macro_f1(predictions, truths) == pytest.approx(expected)


def test_lists_of_different_lengths_are_refused():
    for metric in (accuracy, macro_f1):
        with pytest.raises(ValueError, match=r"longer|shorter"):
            metric(["Text"], ["Text", "Text"])


@pytest.mark.parametrize(("right", "count"), [(0, 1), (0, 20), (1, 29), (7, 55), (81, 263), (5838, 7600), (20, 20)])
def test_wilson_bounds_are_where_the_score_test_turns(right, count):
    """Both ends solve |right / count - p| = z sqrt(p (1 - p) / count), found here by halving."""

    def distance(p):
        return abs(right / count - p) - 1.959963984540054 * math.sqrt(p * (1 - p) / count)

    def halve(rejected, accepted):
        for _ in range(200):
            middle = (rejected + accepted) / 2
            rejected, accepted = (middle, accepted) if distance(middle) > 0 else (rejected, middle)
        return accepted

    low, high = wilson_interval(right, count)
    assert low == pytest.approx(halve(0.0, right / count) if right else 0.0, abs=1e-9)
    assert high == pytest.approx(halve(1.0, right / count) if right < count else 1.0, abs=1e-9)


@pytest.mark.parametrize(
    ("right", "count", "published"),
    [
        (81, 263, (0.2553, 0.3662)),
        (15, 148, (0.0624, 0.1605)),
        (0, 20, (0.0, 0.1611)),
        (1, 29, (0.0061, 0.1718)),
    ],
)
def test_wilson_published(right, count, published):
    """Newcombe 1998, "Two-sided confidence intervals for the single proportion", table I, method 3."""
    assert wilson_interval(right, count) == pytest.approx(published, abs=5e-5)


def test_wilson_never_leaves_0_to_1():
    """None and all right are ends of the interval, up to rounding, and rounding never makes a share above 1."""
    for count in range(1, 1000):
        low, high = wilson_interval(0, count)[0], wilson_interval(count, count)[1]
        assert 0 <= low < 1e-12
        assert 1 - 1e-12 < high <= 1
