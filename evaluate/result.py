"""A predictions file with its metrics, as shown by the table, the comparison and the report."""

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np

from evaluate import metrics
from evaluate.content_free import DEFAULT_TEXTS
from evaluate.intervals import Groups, Interval, grouped, mean_interval
from evaluate.predictions import Predictions
from evaluate.registry import name_of, order_of


def variations(settings: dict[str, Any]) -> list[str]:
    """What distinguishes a calibration from the same one with the default flags."""
    texts, count, prior = (settings.get(key) for key in ("content_free", "batch_examples", "prior"))
    shares = list(prior.values()) if isinstance(prior, dict) else []
    cases = (
        (texts not in (None, list(DEFAULT_TEXTS)), "own texts"),
        (settings.get("premise") is not None, "own premise"),
        (settings.get("batch_mean") == "log", "mean of logs"),
        (bool(count), f"first {count}"),
        (any(share != shares[0] for share in shares), "not uniform"),
    )
    return [name for differs, name in cases if differs]


class Result:
    """The content of a predictions file and its meta file, with metrics. Unknown values are None.

    Args:
        predictions: The file, checked.
    """

    def __init__(self, predictions: Predictions):
        self.path = predictions.path
        self.rows = predictions.rows
        self.meta = predictions.meta or {}
        self.prompt_meta = self.meta.get("prompt") or {}

    @property
    def dataset(self) -> str | None:
        return self.prompt_meta.get("dataset")

    @property
    def k(self) -> int | None:
        return self.prompt_meta.get("k")

    @property
    def seed(self) -> int | None:
        return self.prompt_meta.get("seed")

    @property
    def order(self) -> int:
        """0 for the demonstrations in the order of the draw, else the index of their permutation."""
        return self.prompt_meta.get("order") or 0

    @property
    def checkpoint(self) -> str | None:
        return self.meta.get("checkpoint")

    @property
    def dtype(self) -> str | None:
        """Of the weights."""
        return self.meta.get("dtype")

    @property
    def seconds(self) -> float | None:
        return self.meta.get("seconds")

    @property
    def tokens(self) -> int | None:
        return self.meta.get("tokens_computed")

    @property
    def method(self) -> str | None:
        """Its name in tables, with the calibration in brackets unless it is contextual, and what is not its default."""
        method = self.meta.get("method")
        settings = self.meta.get("settings") or {}
        kinds = [settings.get("calibration"), settings.get("normalize")]
        shown = [kind for kind in kinds if kind not in (None, "none", "contextual")]
        shown += variations(settings) if str(method).endswith("_calibrate") else []
        name = name_of(method)
        return f"{name} ({', '.join(shown)})" if name and shown else name

    @property
    def sort_key(self) -> tuple:
        """Sorts results by data set, checkpoint, k, seed, order, method and path."""
        method = self.meta.get("method")
        k, seed = (-1 if value is None else value for value in (self.k, self.seed))
        about = (self.dataset or "~", self.checkpoint or "~", k, seed, self.order)
        return (*about, order_of(method), self.method or "", str(self.path))

    @cached_property
    def ids(self) -> list[str]:
        """The ids of the examples (N)."""
        return [row["id"] for row in self.rows]

    @cached_property
    def correct(self) -> np.ndarray:
        """Whether each prediction is correct (N)."""
        return np.array([row["correct"] for row in self.rows])

    @cached_property
    def predicted(self) -> list[str | None]:
        """The predicted label words (N); None for no answer."""
        return [row["prediction"] for row in self.rows]

    @cached_property
    def truths(self) -> list[str] | None:
        """The ground truths (N); None if one is unknown."""
        truths = [row.get("ground_truth") for row in self.rows]
        return None if None in truths else truths

    @property
    def label_words(self) -> list[list[str]]:
        """The label words of each example; empty if unknown."""
        return [row.get("label_words", []) for row in self.rows]

    @cached_property
    def groups(self) -> list[str] | None:
        """The page of each block; None for independent examples."""
        groups = [row.get("group") for row in self.rows]
        return None if None in groups else groups

    @cached_property
    def grouping(self) -> Groups:
        """The pages of the examples, for intervals and tests."""
        return grouped(self.groups, len(self.rows))

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """The C classes that occur as ground truth or prediction."""
        return metrics.classes_of(self.predicted, self.truths or [], self.all_label_words)

    @cached_property
    def all_label_words(self) -> tuple[str, ...]:
        """The distinct label words of all examples."""
        distinct = {id(words): words for words in self.label_words}.values()  # usually all rows share one list
        return tuple(dict.fromkeys(word for words in distinct for word in words))

    @cached_property
    def confusion(self) -> np.ndarray | None:
        """Confusion matrix (C, C + 1), see `evaluate.metrics.confusion_matrix`."""
        return None if self.truths is None else metrics.confusion_matrix(self.predicted, self.truths, self.classes)

    @property
    def unanswered(self) -> int:
        """Number of examples without an answer."""
        return self.predicted.count(None)

    @cached_property
    def accuracy(self) -> float:
        """Fraction of correct predictions; no answer counts as wrong."""
        return float(self.correct.mean())

    @cached_property
    def accuracy_interval(self) -> Interval | None:
        """95 % interval of the accuracy; None with fewer than five pages."""
        return mean_interval(self.correct[None], self.grouping)

    @cached_property
    def wilson_interval(self) -> Interval:
        """95 % interval of the accuracy of independent examples (Wilson 1927)."""
        return metrics.wilson_interval(int(self.correct.sum()), len(self.rows))

    @property
    def majority(self) -> float | None:
        """The accuracy of the most frequent class."""
        return None if self.confusion is None else float(self.confusion.sum(-1).max() / self.confusion.sum())

    def of_confusion(self, metric: Callable[[np.ndarray], np.ndarray]) -> float | None:
        """A metric of the confusion matrix."""
        return None if self.confusion is None else float(metric(self.confusion))

    @property
    def macro_f1_of_all(self) -> float | None:
        """macro-F1 over all label words; None if they are unknown."""
        if self.confusion is None or not self.all_label_words:
            return None
        return float(metrics.macro_f1_of_all(self.confusion, len(self.all_label_words)))

    @cached_property
    def places(self) -> tuple[np.ndarray, np.ndarray]:
        """Class indices of ground truths and predictions (N), C for no answer."""
        place = {word: number for number, word in enumerate([*self.classes, None])}
        return np.array([place[word] for word in self.truths or []]), np.array([place[w] for w in self.predicted])

    @property
    def macro_f1_values(self) -> np.ndarray | None:
        """macro-F1 plus the influence of each example (N). Their mean is macro-F1, and the variance of the mean is that
        of macro-F1 (infinitesimal jackknife, Efron 1982)."""
        if self.confusion is None:
            return None
        return metrics.macro_f1(self.confusion) + metrics.macro_f1_influence(self.confusion, *self.places)

    @cached_property
    def class_f1(self) -> np.ndarray:
        """F1 of each class (C)."""
        return metrics.class_f1(self.confusion)

    def class_f1_values(self, word: str) -> np.ndarray:
        """As `macro_f1_values`, for F1 of a class that occurs as ground truth or prediction (N)."""
        place = self.classes.index(word)
        return self.class_f1[place] + metrics.class_f1_influence(self.confusion, *self.places, place)

    def concerns(self, word: str) -> np.ndarray:
        """Whether the class is the ground truth or the prediction of each example (N)."""
        truths, predicted = self.places
        return (truths == self.classes.index(word)) | (predicted == self.classes.index(word))

    @cached_property
    def scores(self) -> list[list[float]] | None:
        """The scores of each example's label words; None for systems without scores (generate)."""
        scores = [row.get("score", row.get("log_probs")) for row in self.rows]
        pairs = zip(scores, self.label_words, strict=True)
        known = all(score is not None and len(score) == len(words) for score, words in pairs)
        return scores if known else None

    @cached_property
    def distributions(self) -> list[np.ndarray] | None:
        """The label distribution of each example."""
        return None if self.scores is None else [metrics.probabilities(scores) for scores in self.scores]

    @cached_property
    def truth_places(self) -> list[int] | None:
        """Index of each ground truth among the label words; None if one is not among them."""
        if self.truths is None:
            return None
        pairs = list(zip(self.truths, self.label_words, strict=True))
        return [words.index(truth) for truth, words in pairs] if all(truth in words for truth, words in pairs) else None

    @cached_property
    def reliability(self) -> list[metrics.Bin] | None:
        """Accuracy over confidence in bins; None without probabilities."""
        if self.distributions is None:
            return None
        return metrics.reliability(np.array([p.max() for p in self.distributions]), self.correct)

    @property
    def calibration_error(self) -> float | None:
        """Expected calibration error; None without probabilities."""
        return None if self.reliability is None else metrics.calibration_error(self.reliability)

    @cached_property
    def brier_score(self) -> float | None:
        """Brier score; None without probabilities or ground truths."""
        if self.distributions is None or self.truth_places is None:
            return None
        return metrics.brier_score(self.distributions, self.truth_places)

    @cached_property
    def negative_log_likelihood(self) -> float | None:
        """Mean negative log-likelihood of the ground truth, in nats; None without scores or ground truths."""
        if self.scores is None or self.truth_places is None:
            return None
        return metrics.negative_log_likelihood(self.scores, self.truth_places)
