"""Decisions and metrics, against scikit-learn."""

import math

import numpy as np
import pytest

pytest.importorskip("transformers", reason="needs requirements-finetune.txt")

from sklearn.metrics import accuracy_score, f1_score, precision_recall_fscore_support

from documents.chunks import Chunk
from finetune.block_metrics import all_metrics, block_metrics, block_scores, class_f1, decisions, is_iob, word_metrics
from preprocess.blocks import LABEL_WORDS, Block


def block(number: int, label: int, words: int) -> Block:
    return Block(f"p-{number}", " ".join(["word"] * words), LABEL_WORDS[label], (0, 0, 1, 1), "p", "", 1)


@pytest.fixture
def labelled():
    """Blocks, and predictions: some correct, some unanswered."""
    generator = np.random.default_rng(0)
    labels = generator.choice(5, size=200, p=[0.6, 0.2, 0.1, 0.07, 0.03])
    said = np.where(generator.random(200) < 0.7, labels, generator.integers(7, size=200))
    blocks = [block(n, int(label), int(generator.integers(1, 30))) for n, label in enumerate(labels)]
    predictions = [None if n % 50 == 7 else LABEL_WORDS[int(label)] for n, label in enumerate(said)]
    return blocks, predictions


def test_scores_are_log_softmax_at_the_classified_position():
    logits = np.random.default_rng(1).normal(size=(2, 4, 11)).astype(np.float32)
    chunks = [Chunk([1, 2, 3], [(1, 0), (2, 3)]), Chunk([1, 2, 3, 4], [(3, 1)])]
    scores = block_scores(logits, chunks, 4)
    for found, place in ((scores[0], (0, 1)), (scores[3], (0, 2)), (scores[1], (1, 3))):
        expected = np.exp(logits[place].astype(float))
        assert found == pytest.approx(np.log(expected / expected.sum()).tolist())
    assert scores[2] is None
    assert decisions(scores, LABEL_WORDS)[2] is None
    assert decisions([[math.log(0.5), math.log(0.5)]], ("first", "second")) == ["first"]


def test_blocks(labelled):
    blocks, predictions = labelled
    truths, said = [block.label_word for block in blocks], [prediction or "none" for prediction in predictions]
    occurring = sorted(set(truths))
    found = block_metrics(predictions, blocks, LABEL_WORDS)
    assert found["accuracy"] == pytest.approx(accuracy_score(truths, said))
    either = sorted({*truths, *said} - {"none"})
    assert found["macro_f1"] == pytest.approx(f1_score(truths, said, labels=either, average="macro"))
    assert found["weighted_f1"] == pytest.approx(f1_score(truths, said, labels=occurring, average="weighted"))
    assert not any(name.startswith("entity") for name in found)
    each = class_f1(predictions, blocks, LABEL_WORDS)
    assert [each[word] for word in occurring] == pytest.approx(f1_score(truths, said, labels=occurring, average=None))


def test_words_are_counted_once_each(labelled):
    """The original's metrics over words, which counted words in two chunks twice."""
    blocks, predictions = labelled
    counts = [len(block.text.split()) for block in blocks]
    truths = [block.label_word for block, count in zip(blocks, counts, strict=True) for _ in range(count)]
    said = [word or "none" for word, count in zip(predictions, counts, strict=True) for _ in range(count)]
    expected = precision_recall_fscore_support(truths, said, average="weighted", zero_division=0)
    found = word_metrics(predictions, blocks, LABEL_WORDS)
    assert (found["precision"], found["recall"], found["f1"]) == pytest.approx(expected[:3])
    assert found["accuracy"] == pytest.approx(accuracy_score(truths, said))


def test_accuracy_is_not_macro_f1_where_classes_are_uneven():
    """Micro averages made the original's four metrics equal."""
    blocks = [block(n, 9 if n < 90 else 10, 1) for n in range(100)]
    found = all_metrics([LABEL_WORDS[9]] * 100, blocks, LABEL_WORDS)
    assert (found["accuracy"], found["unanswered"]) == (0.9, 0)
    assert found["macro_f1"] == pytest.approx((2 * 90 / 190) / 2)
    assert len({round(found["words"][name], 6) for name in ("precision", "recall", "f1")}) == 3


IOB = ("O", "B-HEADER", "I-HEADER", "B-ANSWER", "I-ANSWER")


def tagged(pages: list[str]) -> list[Block]:
    """Words of pages with tags such as `bh ih o ba`."""
    names = {"o": "O", "bh": "B-HEADER", "ih": "I-HEADER", "ba": "B-ANSWER", "ia": "I-ANSWER"}
    return [
        Block(f"{page}-{n}", "word", names[tag], (0, 0, 1, 1), str(page), "", 1)
        for page, tags in enumerate(pages)
        for n, tag in enumerate(tags.split())
    ]


def test_entities_by_hand():
    """Strict: an entity needs its B tag; its words and its type must be correct; it ends with the page."""
    assert is_iob(IOB)
    assert not is_iob(LABEL_WORDS)
    assert not is_iob(("InvNum", "Autre"))
    truth = tagged(["bh ih o ba ia ba", "ia ba o"])
    said = [block.label_word for block in tagged(["bh ih o ba o ba", "ia ba o"])]
    found = block_metrics(said, truth, IOB)
    # true: header 0-1, answers 3-4, 5, 7; predicted: header 0-1, answers 3, 5, 7; a lone I- starts no entity
    assert (found["entity_precision"], found["entity_recall"], found["entity_f1"]) == (0.75, 0.75, 0.75)
    assert found["accuracy"] == 8 / 9
    unanswered = block_metrics([None, *said[1:]], truth, IOB)
    assert unanswered["entity_recall"] == 0.5
    assert block_metrics(["O"] * 9, truth, IOB)["entity_f1"] == 0.0
