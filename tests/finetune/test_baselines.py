"""Baselines: the majority class, and words alone."""

import numpy as np
import pytest

pytest.importorskip("transformers", reason="needs requirements-finetune.txt")
pytest.importorskip("seqeval", reason="needs requirements-finetune.txt")

from finetune.baselines import majority, tfidf
from preprocess.blocks import LABEL_WORDS, Block


def blocks(*pairs: tuple[str, str]) -> list[Block]:
    return [Block(f"p-{n}", text, word, (0, 0, 1, 1), "p", "", 1) for n, (text, word) in enumerate(pairs)]


TRAIN = blocks(
    *[("table 1 : rain", "Caption"), ("see note 3", "Footnote"), ("the sun", "Text"), ("the rain", "Text")] * 5
)


def test_majority_is_the_first_among_equals():
    assert majority(TRAIN, 3, LABEL_WORDS) == ["Text"] * 3
    assert majority(blocks(("a", "Title"), ("b", "Table")), 1, LABEL_WORDS) == ["Table"]


def test_words_predict_classes():
    test = blocks(("table 7 :", "Caption"), ("a note", "Footnote"), ("note note", "Footnote"), (":", "Caption"))
    scores = np.array(tfidf(TRAIN, test, LABEL_WORDS))
    assert [LABEL_WORDS[place] for place in scores.argmax(-1)] == ["Caption", "Footnote", "Footnote", "Caption"]
    assert np.exp(scores).sum(-1) == pytest.approx(np.ones(4))
    assert tfidf(TRAIN, test, LABEL_WORDS) == scores.tolist()


def test_classes_that_training_lacks_have_a_probability():
    """As if each class had occurred once more: 1 of 20 + 11."""
    test = blocks(("table", "Formula"))
    (scores,) = tfidf(TRAIN, test, LABEL_WORDS)
    absent = [
        score for word, score in zip(LABEL_WORDS, scores, strict=True) if word not in ("Caption", "Footnote", "Text")
    ]
    assert np.exp(absent) == pytest.approx([1 / 31] * 8)


def test_one_class_in_training():
    (scores,) = tfidf(blocks(("a", "Text"), ("b", "Text")), blocks(("c", "Title")), LABEL_WORDS)
    assert np.exp(scores) == pytest.approx([3 / 13 if word == "Text" else 1 / 13 for word in LABEL_WORDS])
