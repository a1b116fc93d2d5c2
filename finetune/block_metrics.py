"""What a classifier of tokens says of blocks: log-probabilities, decisions, metrics of blocks and of words."""

from collections.abc import Sequence

import numpy as np

from evaluate import metrics
from finetune.chunks import Chunk
from preprocess.blocks import LABEL_WORDS, Block

Scores = list[list[float] | None]


def block_scores(logits: np.ndarray, chunks: Sequence[Chunk], count: int) -> Scores:
    """The log-probabilities of each of `count` blocks, in nats; None for one that no chunk reads.

    Args:
        logits: (N, T, C) of the chunks, padded right.
    """
    scores: Scores = [None] * count
    for row, chunk in zip(logits, chunks, strict=True):
        for position, block in chunk.reads:
            read = row[position].astype(np.float64)
            scores[block] = (read - np.logaddexp.reduce(read)).tolist()
    return scores


def decisions(scores: Scores, label_words: Sequence[str] = LABEL_WORDS) -> list[str | None]:
    """The most probable label word of each, the first among equals; None stays None."""
    return [None if found is None else label_words[int(np.argmax(found))] for found in scores]


def block_metrics(predictions: Sequence[str | None], blocks: Sequence[Block]) -> dict[str, float]:
    """Of blocks, each counted once; no answer is wrong."""
    truths = [block.label_word for block in blocks]
    confusion = metrics.confusion_matrix(predictions, truths, metrics.classes_of(predictions, truths, LABEL_WORDS))
    return {
        "accuracy": float(metrics.accuracy(confusion)),
        "macro_f1": float(metrics.macro_f1(confusion)),
        "weighted_f1": float(metrics.weighted_f1(confusion)),
    }


def class_f1(predictions: Sequence[str | None], blocks: Sequence[Block]) -> dict[str, float]:
    """F1 of each class that occurs or is predicted."""
    truths = [block.label_word for block in blocks]
    classes = metrics.classes_of(predictions, truths, LABEL_WORDS)
    found = metrics.class_f1(metrics.confusion_matrix(predictions, truths, classes))
    return dict(zip(classes, found.tolist(), strict=True))


def word_metrics(predictions: Sequence[str | None], blocks: Sequence[Block]) -> dict[str, float]:
    """The original's figures: of words, each counted once and of the class that its block was given.

    Classes weigh as they occur, so that recall is the accuracy.
    """
    counts = [len(block.text.split()) for block in blocks]
    said = [prediction for prediction, count in zip(predictions, counts, strict=True) for _ in range(count)]
    truths = [block.label_word for block, count in zip(blocks, counts, strict=True) for _ in range(count)]
    confusion = metrics.confusion_matrix(said, truths, metrics.classes_of(said, truths, LABEL_WORDS))
    accuracy = float(metrics.accuracy(confusion))
    return {
        "precision": weighted_precision(confusion),
        "recall": accuracy,
        "f1": float(metrics.weighted_f1(confusion)),
        "accuracy": accuracy,
    }


def weighted_precision(confusion: np.ndarray) -> float:
    """Mean of the classes' precision, each weighted by how often it occurs; 0 for a class that is never predicted."""
    predicted, occurring = confusion[:, :-1].sum(0), confusion.sum(1)
    precision = np.diagonal(confusion) / np.maximum(predicted, 1)
    return float((precision * occurring).sum() / occurring.sum())
