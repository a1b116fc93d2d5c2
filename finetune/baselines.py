"""Baselines: what is reached without reading, and by the words alone."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from finetune.block_metrics import Scores
from preprocess.blocks import Block

ITERATIONS = 1000  # of the optimizer, which converges well before


def majority(train: Sequence[Block], count: int, label_words: Sequence[str]) -> list[str]:
    """`count` times the class that is most frequent in training, the first among equals."""
    occurring = Counter(block.label_word for block in train)
    return [max(label_words, key=lambda word: occurring[word])] * count


def tfidf(train: Sequence[Block], test: Sequence[Block], label_words: Sequence[str]) -> Scores:
    """Logistic regression on the TF-IDF of words and of pairs of words: log-probabilities of each block, in nats.

    Words are what white space divides; box, image and the other blocks of the page are not seen. Each class counts as
    seen once more than it was, for those that training does not have: p = (N p + 1) / (N + C).
    """
    labels = np.array([label_words.index(block.label_word) for block in train])
    probabilities = np.zeros((len(test), len(label_words)))
    if len(set(labels)) == 1:
        probabilities[:, labels[0]] = 1.0
    else:
        model = make_pipeline(
            TfidfVectorizer(token_pattern=r"\S+", ngram_range=(1, 2), sublinear_tf=True),
            LogisticRegression(max_iter=ITERATIONS),
        )
        model.fit([block.text for block in train], labels)
        probabilities[:, model.classes_] = model.predict_proba([block.text for block in test])
    return np.log((len(train) * probabilities + 1) / (len(train) + len(label_words))).tolist()
