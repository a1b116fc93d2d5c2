"""A predictions file and what is measured on it: what the table, the comparison and the report show."""

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from evaluate import metrics
from evaluate.intervals import Groups, Interval, grouped, mean_interval
from evaluate.predictions import Predictions, check_row, read_predictions, sha256
from preprocess.errors import InputError
from preprocess.files import read_json

METHODS = {
    "direct": "direct",
    "direct_calibrate": "calibrated",
    "channel": "channel",
    "channel_calibrate": "channel calibrated",
    "generate": "generate",
    "llama_lora": "LLaMA LoRA",
    "layoutlmv3": "LayoutLMv3",
    "majority": "majority",
    "tfidf": "TF-IDF",
}


class ClassF1(NamedTuple):
    """F1 of a class with its 95 % interval; None where it occurs on too few pages."""

    name: str
    value: float
    interval: Interval | None


class Result:
    """What a predictions file and its meta file say, and the metrics of it. What they do not tell is None.

    Args:
        predictions: Read and checked.
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
        """0 for the demonstrations in the order of the draw, else which permutation of them."""
        return self.prompt_meta.get("order") or 0

    @property
    def checkpoint(self) -> str | None:
        return self.meta.get("checkpoint")

    @property
    def seconds(self) -> float | None:
        return self.meta.get("seconds")

    @property
    def tokens(self) -> int | None:
        return self.meta.get("tokens_computed")

    @property
    def method(self) -> str | None:
        """As tables call it; the kind of calibration stands in brackets where it is not contextual."""
        method = self.meta.get("method")
        settings = self.meta.get("settings") or {}
        kinds = [settings.get("calibration"), settings.get("normalize")]
        shown = [kind for kind in kinds if kind not in (None, "none", "contextual")]
        name = METHODS.get(method, method)
        return f"{name} ({', '.join(shown)})" if name and shown else name

    @property
    def sort_key(self) -> tuple:
        method = self.meta.get("method")
        place = list(METHODS).index(method) if method in METHODS else len(METHODS)
        k, seed = (-1 if value is None else value for value in (self.k, self.seed))
        about = (self.dataset or "~", self.checkpoint or "~", k, seed, self.order)
        return (*about, place, self.method or "", str(self.path))

    @cached_property
    def ids(self) -> list[str]:
        return [row["id"] for row in self.rows]

    @cached_property
    def correct(self) -> np.ndarray:
        """(N) of bool."""
        return np.array([row["correct"] for row in self.rows])

    @cached_property
    def predicted(self) -> list[str | None]:
        return [row["prediction"] for row in self.rows]

    @cached_property
    def truths(self) -> list[str] | None:
        truths = [row.get("ground_truth") for row in self.rows]
        return None if None in truths else truths

    @property
    def label_words(self) -> list[list[str]]:
        """Of each example; none where the file does not tell."""
        return [row.get("label_words", []) for row in self.rows]

    @cached_property
    def groups(self) -> list[str] | None:
        """The page of each block; None where examples stand alone."""
        groups = [row.get("group") for row in self.rows]
        return None if None in groups else groups

    @cached_property
    def grouping(self) -> Groups:
        return grouped(self.groups, len(self.rows))

    @cached_property
    def classes(self) -> tuple[str, ...]:
        order = [word for words in self.label_words for word in words]
        return metrics.classes_of(self.predicted, self.truths or [], order)

    @cached_property
    def confusion(self) -> np.ndarray | None:
        """(C, C + 1), see `evaluate.metrics.confusion_matrix`."""
        return None if self.truths is None else metrics.confusion_matrix(self.predicted, self.truths, self.classes)

    @property
    def unanswered(self) -> int:
        return self.predicted.count(None)

    @cached_property
    def accuracy(self) -> float:
        return float(self.correct.mean())

    @cached_property
    def accuracy_interval(self) -> Interval | None:
        return mean_interval(self.correct[None], self.grouping)

    @cached_property
    def wilson_interval(self) -> Interval:
        return metrics.wilson_interval(int(self.correct.sum()), len(self.rows))

    @property
    def majority(self) -> float | None:
        """The accuracy of always answering the most frequent class."""
        return None if self.confusion is None else float(self.confusion.sum(-1).max() / self.confusion.sum())

    def of_confusion(self, metric: Callable[[np.ndarray], np.ndarray]) -> float | None:
        """A metric of the confusion matrix."""
        return None if self.confusion is None else float(metric(self.confusion))

    @property
    def macro_f1_of_all(self) -> float | None:
        """Of all label words; None where the file does not tell them."""
        words = {word for words in self.label_words for word in words}
        if self.confusion is None or not words:
            return None
        return float(metrics.macro_f1_of_all(self.confusion, len(words)))

    @cached_property
    def places(self) -> tuple[np.ndarray, np.ndarray]:
        """Of ground truths and predictions among the classes (N), C for no answer."""
        place = {word: number for number, word in enumerate([*self.classes, None])}
        return np.array([place[word] for word in self.truths or []]), np.array([place[w] for w in self.predicted])

    @property
    def macro_f1_values(self) -> np.ndarray | None:
        """For each example macro-F1 and by how much the example moves it (N): their mean is macro-F1, and its variance
        that of macro-F1 (the infinitesimal jackknife, Efron 1982)."""
        if self.confusion is None:
            return None
        return metrics.macro_f1(self.confusion) + metrics.macro_f1_influence(self.confusion, *self.places)

    @cached_property
    def class_f1(self) -> list[ClassF1]:
        """In the order of the classes; empty without ground truths. The interval of a class is of the pages, or the
        examples, where it occurs or is predicted."""
        if self.confusion is None:
            return []
        values = metrics.class_f1(self.confusion)
        return [ClassF1(name, float(values[n]), self.class_f1_interval(n)) for n, name in enumerate(self.classes)]

    def class_f1_interval(self, word: int) -> Interval | None:
        truths, predicted = self.places
        concerned = np.flatnonzero((truths == word) | (predicted == word))
        moved = metrics.class_f1_influence(self.confusion, truths, predicted, word)[concerned]
        value = float(metrics.class_f1(self.confusion)[word])
        groups = self.grouping
        if groups.are_pages:
            _, place = np.unique(groups.place[concerned], return_inverse=True)
            groups = Groups(place, np.bincount(place).astype(float), True)
        else:
            groups = Groups(np.arange(len(concerned)), np.ones(len(concerned)), False)
        return mean_interval((value + moved * len(concerned) / len(truths))[None], groups)

    @cached_property
    def scores(self) -> list[list[float]] | None:
        """What was compared, one a label word; None for systems that compare nothing (generate)."""
        scores = [row.get("score", row.get("log_probs")) for row in self.rows]
        pairs = zip(scores, self.label_words, strict=True)
        known = all(score is not None and len(score) == len(words) for score, words in pairs)
        return scores if known else None

    @cached_property
    def distributions(self) -> list[np.ndarray] | None:
        """The scores as a distribution over the label words of each example."""
        return None if self.scores is None else [metrics.probabilities(scores) for scores in self.scores]

    @cached_property
    def truth_places(self) -> list[int] | None:
        """Where the ground truth stands among the label words; None where it is not one of them."""
        if self.truths is None:
            return None
        pairs = list(zip(self.truths, self.label_words, strict=True))
        return [words.index(truth) for truth, words in pairs] if all(truth in words for truth, words in pairs) else None

    @cached_property
    def reliability(self) -> list[metrics.Bin] | None:
        if self.distributions is None:
            return None
        return metrics.reliability(np.array([p.max() for p in self.distributions]), self.correct)

    @property
    def calibration_error(self) -> float | None:
        return None if self.reliability is None else metrics.calibration_error(self.reliability)

    @cached_property
    def brier_score(self) -> float | None:
        if self.distributions is None or self.truth_places is None:
            return None
        return metrics.brier_score(self.distributions, self.truth_places)

    @cached_property
    def negative_log_likelihood(self) -> float | None:
        if self.scores is None or self.truth_places is None:
            return None
        return metrics.negative_log_likelihood(self.scores, self.truth_places)


def read_results(paths: Sequence[str]) -> list[Result]:
    """All results that `paths` name, read, checked, and sorted by data set, checkpoint, k, seed and method.

    Raises:
        InputError: See `find_files`, `read_checked`.
    """
    return sorted((Result(read_checked(path)) for path in find_files(paths)), key=lambda result: result.sort_key)


def find_files(paths: Sequence[str]) -> list[Path]:
    """The predictions files that `paths` name.

    Raises:
        InputError: A path that does not exist, or a folder without predictions.
    """
    files: list[Path] = []
    for path in map(Path, paths):
        if path.is_dir():
            inside = sorted(file for file in path.rglob("outputs_*.json") if not file.name.endswith(".meta.json"))
            if not inside:
                raise InputError(f"{path}: no outputs_*.json in it")
            files += inside
        elif path.is_file():  # a shell's outputs_*.json names the meta files as well
            files += [] if path.name.endswith(".meta.json") else [path]
        else:
            raise InputError(f"{path}: no such file or folder")
    return list(dict.fromkeys(files))


def read_checked(path: Path) -> Predictions:
    """A predictions file that belongs together with its meta file and, where that is at hand, with its input.

    Raises:
        InputError: Says what does not fit.
    """
    predictions = read_predictions(path, "FILES")
    meta = predictions.meta
    if meta is None:  # an earlier file, or one of another program: nothing but its name says what it was made from
        inputs = inputs_beside(path)
        prompts = [] if inputs is None else read_json(inputs, "FILES")
        if inputs is not None and difference_from(predictions.rows, prompts, inputs) is None:
            complete(predictions, prompts)
        return predictions
    if meta.get("num_examples") != len(predictions.rows):
        raise InputError(f"{path}: {len(predictions.rows)} rows, its meta file says {meta.get('num_examples')}")
    inputs = Path(meta.get("prompt_path") or "")
    if inputs.is_file():
        if sha256(inputs) != meta.get("prompt_sha256"):
            raise InputError(f"{path}: was made from another version of {inputs}; evaluate again or restore that file")
        prompts = read_json(inputs, "FILES")
        differs = difference_from(predictions.rows, prompts, inputs)
        if differs is not None:
            raise InputError(f"{path}: {differs}")
        complete(predictions, prompts)
    return predictions


def inputs_beside(path: Path) -> Path | None:
    """The prompt file that the name of a predictions file tells, in the same folder; None where there is none."""
    parts = path.name.removeprefix("outputs_").split("_")
    kind = "channel" if parts[0] == "channel" else "direct"
    candidates = [path.with_name(f"inputs_{kind}_{'_'.join(parts[begin:])}") for begin in range(1, len(parts))]
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def difference_from(rows: Sequence[dict[str, Any]], prompts: Sequence[dict[str, Any]], inputs: Path) -> str | None:
    """What says that predictions were not made from these prompts; None where nothing does. Rows of other programs may
    have no ids."""
    if len(prompts) != len(rows):
        return f"{len(rows)} rows for {len(prompts)} examples of {inputs}"
    for number, (prompt, row) in enumerate(zip(prompts, rows, strict=True)):
        expected = prompt.get("id", str(number)), prompt["ground_truth"]
        found = row["id"], row.get("ground_truth", prompt["ground_truth"])
        if found != expected and found != (str(number), expected[1]):
            return f"row {number} is {found}, in {inputs} it is {expected}"
    return None


def complete(predictions: Predictions, prompts: Sequence[dict[str, Any]]) -> None:
    """Fill in what rows leave out and the prompt file tells: id, label words, ground truth, page.

    Raises:
        InputError: The scores are not as many as the label words.
    """
    for number, (prompt, row) in enumerate(zip(prompts, predictions.rows, strict=True)):
        row["id"] = prompt.get("id", str(number))
        for field in ("label_words", "ground_truth", "group"):
            if prompt.get(field) is not None:
                row.setdefault(field, prompt[field])
        check_row(row, f"{predictions.path}: row {number}")
