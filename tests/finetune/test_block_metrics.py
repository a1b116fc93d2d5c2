"""Decisions and metrics, against scikit-learn."""

import math

import numpy as np
import pytest

pytest.importorskip("transformers", reason="needs requirements-finetune.txt")

from sklearn.metrics import accuracy_score, f1_score, precision_recall_fscore_support

from finetune.block_metrics import block_metrics, block_scores, class_f1, decisions, word_metrics
from finetune.chunks import Chunk
from preprocess.blocks import LABEL_WORDS, Block


def block(number: int, label: int, words: int) -> Block:
    return Block(f"p-{number}", " ".join(["word"] * words), LABEL_WORDS[label], (0, 0, 1, 1), "p", "", 1)


@pytest.fixture
def labelled():
    """Blocks, and predictions of which some are right and some are none."""
    generator = np.random.default_rng(0)
    labels = generator.choice(5, size=200, p=[0.6, 0.2, 0.1, 0.07, 0.03])
    said = np.where(generator.random(200) < 0.7, labels, generator.integers(7, size=200))
    blocks = [block(n, int(label), int(generator.integers(1, 30))) for n, label in enumerate(labels)]
    predictions = [None if n % 50 == 7 else LABEL_WORDS[int(label)] for n, label in enumerate(said)]
    return blocks, predictions


def test_scores_are_log_softmax_at_the_place_that_is_read():
    logits = np.random.default_rng(1).normal(size=(2, 4, 11)).astype(np.float32)
    chunks = [Chunk([1, 2, 3], [(1, 0), (2, 3)]), Chunk([1, 2, 3, 4], [(3, 1)])]
    scores = block_scores(logits, chunks, 4)
    for found, place in ((scores[0], (0, 1)), (scores[3], (0, 2)), (scores[1], (1, 3))):
        expected = np.exp(logits[place].astype(float))
        assert found == pytest.approx(np.log(expected / expected.sum()).tolist())
    assert scores[2] is None
    assert decisions(scores)[2] is None
    assert decisions([[math.log(0.5), math.log(0.5)]], ("first", "second")) == ["first"]


def test_blocks(labelled):
    blocks, predictions = labelled
    truths, said = [block.label_word for block in blocks], [prediction or "none" for prediction in predictions]
    occurring = sorted(set(truths))
    found = block_metrics(predictions, blocks)
    assert found["accuracy"] == pytest.approx(accuracy_score(truths, said))
    assert found["macro_f1"] == pytest.approx(f1_score(truths, said, labels=occurring, average="macro"))
    assert found["weighted_f1"] == pytest.approx(f1_score(truths, said, labels=occurring, average="weighted"))
    each = class_f1(predictions, blocks)
    assert [each[word] for word in occurring] == pytest.approx(f1_score(truths, said, labels=occurring, average=None))


def test_words_are_counted_once_each(labelled):
    """The original's figures, of words; its own counted those in two chunks twice."""
    blocks, predictions = labelled
    counts = [len(block.text.split()) for block in blocks]
    truths = [block.label_word for block, count in zip(blocks, counts, strict=True) for _ in range(count)]
    said = [word or "none" for word, count in zip(predictions, counts, strict=True) for _ in range(count)]
    expected = precision_recall_fscore_support(truths, said, average="weighted", zero_division=0)
    found = word_metrics(predictions, blocks)
    assert (found["precision"], found["recall"], found["f1"]) == pytest.approx(expected[:3])
    assert found["accuracy"] == pytest.approx(accuracy_score(truths, said))
