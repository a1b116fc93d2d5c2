"""Baselines: the majority class, and logistic regression on TF-IDF."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from finetune.block_metrics import Scores
from preprocess.blocks import Block

ITERATIONS = 1000  # maximum of the optimizer, which converges well before


def majority(train: Sequence[Block], count: int, label_words: Sequence[str]) -> list[str]:
    """`count` predictions of the most frequent class in training; ties go to the first."""
    occurring = Counter(block.label_word for block in train)
    return [max(label_words, key=lambda word: occurring[word])] * count


def tfidf(train: Sequence[Block], test: Sequence[Block], label_words: Sequence[str]) -> Scores:
    """Logistic regression on the TF-IDF of words and bigrams: log-probabilities of each block, in nats.

    Words are separated by white space; box, image and the other blocks of the page are not used. Probabilities are
    smoothed for classes that do not occur in training: p = (N p + 1) / (N + C).
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
