"""Log-probabilities and predictions of blocks from a token classifier; metrics of blocks, words and entities."""

import warnings
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

import numpy as np
from seqeval.metrics import f1_score, precision_score, recall_score
from seqeval.scheme import IOB2

from documents.chunks import Chunk
from evaluate import metrics
from preprocess.blocks import Block

Scores = list[list[float] | None]
OUTSIDE = "O"


def block_scores(logits: Iterable[np.ndarray], chunks: Sequence[Chunk], count: int) -> Scores:
    """The log-probabilities of each of `count` blocks, in nats; None for a block that no chunk classifies.

    Args:
        logits: (T, C) of each chunk; T may include padding on the right.
    """
    scores: Scores = [None] * count
    for row, chunk in zip(logits, chunks, strict=True):
        for position, block in chunk.reads:
            read = row[position].astype(np.float64)
            scores[block] = (read - np.logaddexp.reduce(read)).tolist()
    return scores


def decisions(scores: Scores, label_words: Sequence[str]) -> list[str | None]:
    """The most probable label word of each block; ties go to the first, and None stays None."""
    return [None if row is None else label_words[int(np.argmax(row))] for row in scores]


def all_metrics(
    predictions: Sequence[str | None], blocks: Sequence[Block], label_words: Sequence[str]
) -> dict[str, Any]:
    """All reported metrics of a split."""
    return block_metrics(predictions, blocks, label_words) | {
        "unanswered": list(predictions).count(None),
        "class_f1": class_f1(predictions, blocks, label_words),
        "words": word_metrics(predictions, blocks, label_words),
    }


def block_metrics(
    predictions: Sequence[str | None], blocks: Sequence[Block], label_words: Sequence[str]
) -> dict[str, float]:
    """Metrics of blocks, where no answer counts as wrong, and of entities if the label words are IOB tags."""
    truths = [block.label_word for block in blocks]
    confusion = metrics.confusion_matrix(predictions, truths, metrics.classes_of(predictions, truths, label_words))
    of_blocks = {
        "accuracy": float(metrics.accuracy(confusion)),
        "macro_f1": float(metrics.macro_f1(confusion)),
        "weighted_f1": float(metrics.weighted_f1(confusion)),
    }
    return of_blocks | (entity_metrics(predictions, blocks) if is_iob(label_words) else {})


def class_f1(
    predictions: Sequence[str | None], blocks: Sequence[Block], label_words: Sequence[str]
) -> dict[str, float]:
    """F1 of each class that occurs or is predicted."""
    truths = [block.label_word for block in blocks]
    classes = metrics.classes_of(predictions, truths, label_words)
    values = metrics.class_f1(metrics.confusion_matrix(predictions, truths, classes))
    return dict(zip(classes, values.tolist(), strict=True))


def word_metrics(
    predictions: Sequence[str | None], blocks: Sequence[Block], label_words: Sequence[str]
) -> dict[str, float]:
    """The metrics of the original system: over words, which have the class of their block.

    Classes are weighted by their frequency, so recall equals accuracy.
    """
    counts = [len(block.text.split()) for block in blocks]
    of_words = [prediction for prediction, count in zip(predictions, counts, strict=True) for _ in range(count)]
    truths = [block.label_word for block, count in zip(blocks, counts, strict=True) for _ in range(count)]
    confusion = metrics.confusion_matrix(of_words, truths, metrics.classes_of(of_words, truths, label_words))
    accuracy = float(metrics.accuracy(confusion))
    return {
        "precision": weighted_precision(confusion),
        "recall": accuracy,
        "f1": float(metrics.weighted_f1(confusion)),
        "accuracy": accuracy,
    }


def weighted_precision(confusion: np.ndarray) -> float:
    """Mean precision of the classes, weighted by their frequency; 0 for a class that is never predicted."""
    predicted, occurring = confusion[:, :-1].sum(0), confusion.sum(1)
    precision = np.diagonal(confusion) / np.maximum(predicted, 1)
    return float((precision * occurring).sum() / occurring.sum())


def is_iob(label_words: Sequence[str]) -> bool:
    """Whether the label words are IOB tags: O, B-... and I-..."""
    return OUTSIDE in label_words and all(word == OUTSIDE or word.startswith(("B-", "I-")) for word in label_words)


def entity_metrics(predictions: Sequence[str | None], blocks: Sequence[Block]) -> dict[str, float]:
    """Metrics of entities by seqeval in strict mode: the words and the type must be correct. No answer counts as O.

    Args:
        blocks: One for each word, in reading order, page after page.
    """
    tags = [OUTSIDE if prediction is None else prediction for prediction in predictions]
    pairs = list(zip(tags, blocks, strict=True))
    pages = [list(page) for _, page in groupby(pairs, key=lambda pair: pair[1].page)]
    predicted = [[tag for tag, _ in page] for page in pages]
    truths = [[block.label_word for _, block in page] for page in pages]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # division by zero gives 0
        values = {
            name: float(metric(truths, predicted, mode="strict", scheme=IOB2, zero_division=0))
            for name, metric in (("precision", precision_score), ("recall", recall_score), ("f1", f1_score))
        }
    return {f"entity_{name}": value for name, value in values.items()}
