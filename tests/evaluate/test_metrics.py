"""Metrics against scikit-learn, definitions as loops, and cases computed by hand."""

import math
import random

import numpy as np
import pytest
from sklearn.metrics import (
    accuracy_score,
    brier_score_loss,
    f1_score,
    log_loss,
    matthews_corrcoef,
)
from sklearn.metrics import (
    confusion_matrix as sklearn_confusion,
)

from evaluate.metrics import (
    Bin,
    accuracy,
    brier_score,
    calibration_error,
    class_f1,
    class_f1_influence,
    classes_of,
    confusion_matrix,
    macro_f1,
    macro_f1_influence,
    macro_f1_of_all,
    matthews_correlation,
    negative_log_likelihood,
    probabilities,
    reliability,
    weighted_f1,
    wilson_interval,
)

WORDS = ["Caption", "Text", "Title", "List-item", "Table", "Formula"]
NO_ANSWER = "none of them"


@pytest.fixture(params=range(8))
def answers(request):
    """(predictions, truths) with unanswered examples and with predicted words that are never a ground truth."""
    draw = random.Random(request.param)
    occurring = WORDS[: draw.randint(1, len(WORDS))]
    truths = [draw.choice(occurring) for _ in range(draw.randint(1, 60))]
    return [draw.choice([truth, draw.choice(WORDS), None]) for truth in truths], truths


def test_metrics_of_a_confusion_matrix_agree_with_scikit_learn(answers):
    predictions, truths = answers
    confusion = confusion_matrix(predictions, truths, WORDS)
    given = [prediction or NO_ANSWER for prediction in predictions]
    expected = sklearn_confusion(truths, given, labels=[*WORDS, NO_ANSWER])
    assert confusion.tolist() == expected[:-1].tolist()
    assert accuracy(confusion) == pytest.approx(accuracy_score(truths, given))
    labels = sorted({*truths, *predictions} - {None})
    assert macro_f1(confusion) == pytest.approx(f1_score(truths, given, labels=labels, average="macro"))
    of_all = f1_score(truths, given, labels=[*WORDS, "never"], average="macro", zero_division=0)
    assert macro_f1_of_all(confusion, len(WORDS) + 1) == pytest.approx(of_all)
    labels = sorted(set(truths))
    assert weighted_f1(confusion) == pytest.approx(f1_score(truths, given, labels=labels, average="weighted"))
    assert matthews_correlation(confusion) == pytest.approx(matthews_corrcoef(truths, given))
    each = f1_score(truths, given, labels=WORDS, average=None, zero_division=np.nan)
    assert class_f1(confusion) == pytest.approx(each, nan_ok=True)


def test_many_confusion_matrices_at_once(answers):
    """Each gives the same as alone."""
    drawn = np.random.default_rng(0).integers(0, 5, (4, len(WORDS), len(WORDS) + 1)) * confusion_matrix(*answers, WORDS)
    drawn[:, 0, 0] += 1
    for metric in (accuracy, macro_f1, weighted_f1, matthews_correlation):
        assert metric(drawn).tolist() == pytest.approx([float(metric(one)) for one in drawn])


def test_influence_is_the_derivative(answers):
    """The numerical derivative of macro-F1 and of each class's F1 by the weight of each example."""
    predictions, truths = answers
    words = classes_of(predictions, truths)
    place = {word: n for n, word in enumerate([*words, None])}
    rows, columns = np.array([place[w] for w in truths]), np.array([place[w] for w in predictions])

    def values(weights):
        confusion = np.zeros((len(words), len(words) + 1))
        np.add.at(confusion, (rows, columns), weights)
        return np.append(class_f1(confusion), macro_f1(confusion))

    count, step = len(truths), 1e-6
    confusion = confusion_matrix(predictions, truths, words)
    found = [class_f1_influence(confusion, rows, columns, n) for n in range(len(words))]
    found.append(macro_f1_influence(confusion, rows, columns))
    slow = np.array([(values(1 + step * one) - values(1 - step * one)) / (2 * step) for one in np.eye(count)]).T
    assert np.array(found) == pytest.approx(count * slow, abs=1e-5)
    assert np.array(found).sum(-1) == pytest.approx(0, abs=1e-9)


def test_metrics_by_hand():
    """3 of 4 Text and 1 of 2 Title are correct; one Title is unanswered, one Text is predicted as Title."""
    truths = ["Text"] * 4 + ["Title"] * 2
    predictions = ["Text", "Text", "Text", "Title", "Title", None]
    confusion = confusion_matrix(predictions, truths, ["Text", "Title"])
    assert confusion.tolist() == [[3, 1, 0], [0, 1, 1]]
    assert accuracy(confusion) == pytest.approx(4 / 6)
    assert class_f1(confusion).tolist() == pytest.approx([6 / 7, 2 / 4])
    assert macro_f1(confusion) == pytest.approx((6 / 7 + 1 / 2) / 2)
    assert weighted_f1(confusion) == pytest.approx((4 * 6 / 7 + 2 / 2) / 6)
    # c s - p t over the root of (s^2 - p p)(s^2 - t t): 4 * 6 - (3 * 4 + 2 * 2), 36 - (9 + 4 + 1), 36 - (16 + 4)
    assert matthews_correlation(confusion) == pytest.approx((24 - 16) / math.sqrt(22 * 16))


def test_a_constant_prediction_has_no_correlation():
    assert matthews_correlation(confusion_matrix(["Text"] * 3, ["Text", "Title", "Text"], ["Text", "Title"])) == 0
    assert matthews_correlation(confusion_matrix([None] * 2, ["Text", "Title"], ["Text", "Title"])) == 0


def test_classes_in_the_order_of_the_label_words():
    assert classes_of(["Table", None, "Title"], ["Text", "Text", "Other"], WORDS) == ("Text", "Title", "Table", "Other")


def test_lists_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match=r"longer|shorter"):
        confusion_matrix(["Text"], ["Text", "Text"], WORDS)


@pytest.fixture
def scored():
    """(scores, truths): unnormalised log-probabilities of 200 examples over 4 label words."""
    draw = np.random.default_rng(5)
    return draw.normal(0, 3, (200, 4)) - 80, draw.integers(0, 4, 200)


def test_scores_of_distributions_agree_with_scikit_learn(scored):
    scores, truths = scored
    distributions = np.array([probabilities(row) for row in scores])
    assert distributions.sum(-1) == pytest.approx(np.ones(200))
    assert negative_log_likelihood(scores, truths) == pytest.approx(log_loss(truths, distributions))
    mine = brier_score(distributions, truths)
    assert mine == pytest.approx(brier_score_loss(truths, distributions, labels=range(4), scale_by_half=False))


def test_improbable_scores_have_a_likelihood():
    """exp(-2000) is 0: -log of it would be infinite."""
    assert negative_log_likelihood([[-10.0, -2010.0]], [1]) == pytest.approx(2000)
    assert probabilities([-5000.0, -5000.0]).tolist() == [0.5, 0.5]


def test_calibration_error_is_its_definition(scored):
    """Bins (m / 15, (m + 1) / 15], as in the paper."""
    scores, truths = scored
    distributions = [probabilities(row) for row in scores]
    confidences = np.array([p.max() for p in distributions])
    correct = np.array([p.argmax() == truth for p, truth in zip(distributions, truths, strict=True)])
    expected = 0.0
    for m in range(15):
        inside = (confidences > m / 15) & (confidences <= (m + 1) / 15)
        if inside.any():
            expected += inside.mean() * abs(confidences[inside].mean() - correct[inside].mean())
    assert calibration_error(reliability(confidences, correct)) == pytest.approx(expected)


def test_reliability_by_hand():
    """Two bins: .3 and .5 in the lower (one of two correct), .9 and 1 in the upper (both correct)."""
    low, high = reliability(np.array([0.3, 0.5, 0.9, 1.0]), np.array([True, False, True, True]), bins=2)
    assert (low, high) == (Bin(2, pytest.approx(0.4), 0.5), Bin(2, pytest.approx(0.95), 1.0))
    assert calibration_error([low, high]) == pytest.approx((2 * 0.1 + 2 * 0.05) / 4)
    empty, full = reliability(np.array([0.8]), np.array([False]), bins=2)
    assert empty.count == 0
    assert math.isnan(empty.confidence)
    assert calibration_error([empty, full]) == pytest.approx(0.8)


@pytest.mark.parametrize(("right", "count"), [(0, 1), (0, 20), (1, 29), (7, 55), (81, 263), (5838, 7600), (20, 20)])
def test_wilson_bounds_are_where_the_score_test_turns(right, count):
    """Both ends solve |right / count - p| = z sqrt(p (1 - p) / count), solved here by bisection."""

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
    """With none or all correct, 0 or 1 is an end of the interval, up to rounding, and never exceeded."""
    for count in range(1, 1000):
        low, high = wilson_interval(0, count)[0], wilson_interval(count, count)[1]
        assert 0 <= low < 1e-12
        assert 1 - 1e-12 < high <= 1
