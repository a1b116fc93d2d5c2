"""Rows of the news that are not trained on, which measure progress."""

from dataclasses import replace

import numpy as np

from llama import LLaMA, Tokenizer, Transformer
from llama.prompts import LABEL_WORD, TEXT, fill
from preprocess.errors import InputError
from preprocess.prompts import METHODS
from tiny_llama.corpus import Labelled

ROWS = 200  # at most a tenth of all
WORDS = 60  # first words of each


def hold_out(articles: Labelled) -> tuple[Labelled, Labelled]:
    """The articles to train on, and the last ones, which are held out."""
    count = max(1, min(ROWS, len(articles.pairs) // 10))
    return replace(articles, pairs=articles.pairs[:-count]), replace(articles, pairs=articles.pairs[-count:])


def strings(held_out: Labelled, method: str) -> tuple[list[str], list[str]]:
    """Prompt and completion of each row with each label word, without demonstrations."""
    prompts, completions = [], []
    prompt, completion, _ = held_out.template.open(method, [])
    for text, _ in held_out.pairs:
        shown = " ".join(text.split()[:WORDS])
        for word in held_out.label_words:
            prompts.append(fill(fill(prompt, TEXT, shown), LABEL_WORD, word))
            completions.append(fill(fill(completion, TEXT, shown), LABEL_WORD, word))
    return prompts, completions


def check_lengths(held_out: Labelled, tokenizer: Tokenizer, max_seq_len: int) -> None:
    """Check that all rows fit.

    Raises:
        InputError: A row is longer than `max_seq_len`.
    """
    pairs = [pair for method in METHODS for pair in zip(*strings(held_out, method), strict=True)]
    longest = max(sum(map(len, tokenizer.encode_pair(*pair))) for pair in pairs)
    if longest > max_seq_len:
        raise InputError(f"--max_seq_len {max_seq_len}: expected {longest} or more, the length of a held-out row")


def accuracy(model: Transformer, tokenizer: Tokenizer, held_out: Labelled, method: str) -> float:
    """Accuracy of a method on the rows."""
    scores = LLaMA(model, tokenizer, max_batch_size=32).compute_log_probs(*strings(held_out, method))
    best = np.array(scores).reshape(len(held_out.pairs), -1).argmax(axis=1)
    right = [held_out.label_words[place] == word for place, (_, word) in zip(best, held_out.pairs, strict=True)]
    return float(np.mean(right))
