"""Metrics of a list of predictions. A null prediction is an answer that was not given: wrong, and counted apart."""

import math
from collections.abc import Sequence

Z95 = 1.959963984540054  # the standard normal's .975 quantile


def accuracy(predictions: Sequence[str | None], truths: Sequence[str]) -> float:
    """Share of predictions that equal their ground truth."""
    return sum(prediction == truth for prediction, truth in zip(predictions, truths, strict=True)) / len(truths)


def macro_f1(predictions: Sequence[str | None], truths: Sequence[str]) -> float:
    """Unweighted mean of the F1 scores of the label words that occur as ground truth; a class never right has 0."""
    scores = []
    for word in dict.fromkeys(truths):
        right = sum(prediction == truth == word for prediction, truth in zip(predictions, truths, strict=True))
        predicted, occurring = list(predictions).count(word), list(truths).count(word)
        scores.append(2 * right / (predicted + occurring))
    return sum(scores) / len(scores)


def wilson_interval(right: int, count: int) -> tuple[float, float]:
    """95 % interval of a proportion (Wilson 1927): the proportions that a score test at 5 % does not reject."""
    proportion, z2 = right / count, Z95**2
    middle = (proportion + z2 / (2 * count)) / (1 + z2 / count)
    half = Z95 * math.sqrt(proportion * (1 - proportion) / count + z2 / (4 * count**2)) / (1 + z2 / count)
    return max(0.0, middle - half), min(1.0, middle + half)
