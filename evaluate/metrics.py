"""Metrics of predictions. A null prediction means no answer: it counts as wrong, in a column of its own.

Metrics of a confusion matrix accept any number of matrices at once. Shapes: N examples, C classes, leading dimensions
`...`.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

Z95 = 1.959963984540054  # the standard normal's .975 quantile
BINS = 15  # for the calibration error


class Bin(NamedTuple):
    """The examples whose confidence is in one bin.

    Args:
        count: Their number.
        confidence: Their mean confidence; NaN if there are none.
        accuracy: Their accuracy; NaN if there are none.
    """

    count: int
    confidence: float
    accuracy: float


def classes_of(predictions: Sequence[str | None], truths: Sequence[str], order: Sequence[str] = ()) -> tuple[str, ...]:
    """The classes that occur, those of `order` first, in that order."""
    occurring = dict.fromkeys([*truths, *(prediction for prediction in predictions if prediction is not None)])
    first = dict.fromkeys(order)
    return (*(word for word in first if word in occurring), *(word for word in occurring if word not in first))


def confusion_matrix(predictions: Sequence[str | None], truths: Sequence[str], classes: Sequence[str]) -> np.ndarray:
    """Counts (C, C + 1): rows are ground truths, columns predictions; the last column is no answer."""
    cells = confusion_cells(predictions, truths, classes)
    return np.bincount(cells, minlength=len(classes) * (len(classes) + 1)).reshape(len(classes), -1)


def confusion_cells(predictions: Sequence[str | None], truths: Sequence[str], classes: Sequence[str]) -> np.ndarray:
    """Index of each example's cell in the flattened confusion matrix (N)."""
    place = {word: number for number, word in enumerate([*classes, None])}
    pairs = zip(predictions, truths, strict=True)
    return np.array([place[truth] * len(place) + place[prediction] for prediction, truth in pairs])


def accuracy(confusion: np.ndarray) -> np.ndarray:
    """Fraction of examples on the diagonal (...) of confusion matrices (..., C, C + 1)."""
    return right(confusion).sum(-1) / confusion.sum((-2, -1))


def class_f1(confusion: np.ndarray) -> np.ndarray:
    """F1 of each class (..., C): 2 correct / (predicted + occurring). It is 0 if the class is never correct, NaN if it
    neither occurs nor is predicted."""
    total = confusion[..., :-1].sum(-2) + confusion.sum(-1)
    with np.errstate(invalid="ignore"):
        return 2 * right(confusion) / total


def macro_f1(confusion: np.ndarray) -> np.ndarray:
    """Unweighted mean of F1 over the classes that occur as ground truth or prediction (...), scikit-learn's default."""
    return np.nanmean(class_f1(confusion), axis=-1)


def class_f1_influence(confusion: np.ndarray, truths: np.ndarray, predicted: np.ndarray, word: int) -> np.ndarray:
    """Influence of each example on the F1 of a class (N): N times the derivative by the example's weight. It sums to 0.

    Args:
        truths, predicted: Class indices (N); C for no answer.
        word: Index of the class.
    """
    total = confusion[:, word].sum() + confusion[word].sum()
    f1 = 2 * confusion[word, word] / total
    hits = (truths == word).astype(float) + (predicted == word)
    return len(truths) / total * (2.0 * (hits == 2) - f1 * hits)


def macro_f1_influence(confusion: np.ndarray, truths: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Influence of each example on macro-F1 (N): the mean of `class_f1_influence` over the classes."""
    total = np.append(confusion[:, :-1].sum(0) + confusion.sum(1), 0).astype(float)
    weight = np.divide(1, total, out=np.zeros_like(total), where=total > 0)
    f1 = np.append(np.nan_to_num(class_f1(confusion)), 0)
    moved = 2 * weight[truths] * (truths == predicted) - (f1 * weight)[truths] - (f1 * weight)[predicted]
    return len(truths) / (total > 0).sum() * moved


def macro_f1_of_all(confusion: np.ndarray, classes: int) -> np.ndarray:
    """Unweighted mean of F1 over all `classes` label words (...), as in scikit-learn with `labels`; a class that
    neither occurs nor is predicted counts as 0."""
    return np.nansum(class_f1(confusion), axis=-1) / classes


def weighted_f1(confusion: np.ndarray) -> np.ndarray:
    """Mean of F1 over the classes, weighted by their frequency as ground truth (...)."""
    occurring = confusion.sum(-1)
    return np.where(occurring > 0, class_f1(confusion) * occurring, 0).sum(-1) / occurring.sum(-1)


def matthews_correlation(confusion: np.ndarray) -> np.ndarray:
    """Matthews correlation coefficient for several classes (...) (Gorodkin 2004); 0 if ground truths or predictions
    are constant. No answer counts as a class that never occurs."""
    count, occurring, predicted = confusion.sum((-2, -1)), confusion.sum(-1), confusion.sum(-2)
    shared = count * right(confusion).sum(-1) - (occurring * predicted[..., :-1]).sum(-1)
    spread = (count**2 - (predicted**2).sum(-1)) * (count**2 - (occurring**2).sum(-1)).astype(float)
    return np.where(spread > 0, shared / np.sqrt(np.where(spread > 0, spread, 1)), 0.0)


def right(confusion: np.ndarray) -> np.ndarray:
    """The diagonal (..., C)."""
    return np.diagonal(confusion, axis1=-2, axis2=-1)


def probabilities(scores: Sequence[float]) -> np.ndarray:
    """The label distribution (C): softmax of unnormalised log-probabilities of the label words."""
    shifted = np.exp(np.array(scores) - np.max(scores))
    return shifted / shifted.sum()


def brier_score(distributions: Sequence[np.ndarray], truths: Sequence[int]) -> float:
    """Mean squared error of the distributions, summed over the classes: 0 to 2 (Brier 1950).

    Args:
        distributions: Label distribution of each example.
        truths: Index of each ground truth among the label words.
    """
    distances = [(p**2).sum() - 2 * p[truth] + 1 for p, truth in zip(distributions, truths, strict=True)]
    return float(np.mean(distances))


def negative_log_likelihood(scores: Sequence[Sequence[float]], truths: Sequence[int]) -> float:
    """Mean of -log p of the ground truth, in nats.

    Args:
        scores: For each example the unnormalised log-probabilities of its label words.
        truths: Index of each ground truth among the label words.
    """
    losses = [np.logaddexp.reduce(row) - row[truth] for row, truth in zip(scores, truths, strict=True)]
    return float(np.mean(losses))


def reliability(confidences: np.ndarray, correct: np.ndarray, bins: int = BINS) -> list[Bin]:
    """Examples grouped by confidence, in bins of equal width that include their upper ends (Guo et al. 2017).

    Args:
        confidences: Probability of the prediction (N).
        correct: Whether the prediction is correct (N).
        bins: Number of bins.
    """
    place = np.clip(np.ceil(confidences * bins).astype(int) - 1, 0, bins - 1)
    counts = np.bincount(place, minlength=bins)
    with np.errstate(invalid="ignore"):
        mean = np.bincount(place, confidences, minlength=bins) / counts
        share = np.bincount(place, correct, minlength=bins) / counts
    return [Bin(*values) for values in zip(counts.tolist(), mean.tolist(), share.tolist(), strict=True)]


def calibration_error(bins: Sequence[Bin]) -> float:
    """Expected calibration error: mean difference of confidence and accuracy, weighted by the size of the bins (Guo et
    al. 2017, equation 3)."""
    full = [bin for bin in bins if bin.count]
    return sum(bin.count * abs(bin.confidence - bin.accuracy) for bin in full) / sum(bin.count for bin in full)


def wilson_interval(right: float, count: float) -> tuple[float, float]:
    """95 % interval of a proportion (Wilson 1927): the proportions that a score test at 5 % does not reject."""
    proportion, z2 = right / count, Z95**2
    middle = (proportion + z2 / (2 * count)) / (1 + z2 / count)
    half = Z95 * math.sqrt(proportion * (1 - proportion) / count + z2 / (4 * count**2)) / (1 + z2 / count)
    return max(0.0, middle - half), min(1.0, middle + half)
