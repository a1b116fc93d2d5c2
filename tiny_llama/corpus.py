"""The training documents of the tiny checkpoint, in the format of the prompts.

A document is a chain of texts with their label words, in the direct or the channel form, or a single text without a
label. Most chains draw their labels independently: if each class occurred exactly once, the last label would follow by
elimination. A fifth of the chains are balanced like the prompts of an evaluation, with as many demonstrations as fit.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from llama import Tokenizer
from llama.templates import Template
from preprocess.ag_news import LABEL_WORDS as NEWS_LABEL_WORDS
from preprocess.ag_news import ag_news, read_split
from preprocess.blocks import LABEL_WORDS
from preprocess.docbank import page_files, read_page
from preprocess.doclaynet import DOCLAYNET
from preprocess.errors import InputError
from preprocess.prompts import METHODS
from tiny_llama.written_blocks import written_block

CHAINS = (1, 1, 1, 1, 2, 3, 5)  # lengths of the chains with independent labels
BALANCED = 0.2  # share of the chains with equally many demonstrations of each class, followed by one more text
PLAIN = 0.1  # share of the texts that are documents of their own
LABEL_WEIGHT = 4.0  # weight of a label's tokens in the direct form, because a document has few of them
WINDOW = 1024  # number of documents that are sorted by length together
MAX_DEMO_WORDS = 40  # of a demonstration block, as in evaluation


@dataclass(frozen=True)
class Labelled:
    """Texts of one kind: their prompt template, their label words, and (text, label word) pairs."""

    template: Template
    label_words: tuple[str, ...]
    pairs: list[tuple[str, str]]
    max_demo_words: int | None = None


@dataclass(frozen=True)
class Document:
    """Token ids from BOS to EOS, and the weight of each as a target of training."""

    tokens: np.ndarray
    weights: np.ndarray


def news(path: Path) -> Labelled:
    """AG News' training rows in the original headerless form.

    Raises:
        InputError: A folder without rows, or fewer than two rows.
    """
    found = read_split(str(path), "test", "--news_path")
    pairs = [(one_line(example.text), example.label_word) for example in found.examples] if found else []
    if len(pairs) < 2:
        raise InputError(f"{path}: {len(pairs)} rows, expected a file with two or more (--news_path)")
    return Labelled(ag_news().dataset.template, NEWS_LABEL_WORDS, pairs)


def blocks(docbank: Path, written: int, generator: np.random.Generator) -> Labelled:
    """Blocks of the DocBank pages that are not held out for comparisons, and `written` generated ones of each class.

    Raises:
        InputError: There are no pages.
    """
    if not page_files(docbank):
        raise InputError(f"{docbank}: contains no DocBank pages (--docbank_path)")
    held_out = set(page_files(docbank)[1:40:2])
    pages = [read_page(path) for path in page_files(docbank) if path not in held_out]
    pairs = [(one_line(block.text), block.label_word) for page in pages for block in page if block.text]
    pairs += [(written_block(word, generator), word) for word in LABEL_WORDS for _ in range(written)]
    return Labelled(DOCLAYNET.template, LABEL_WORDS, pairs, MAX_DEMO_WORDS)


def one_line(text: str) -> str:
    """A text without newlines, because a newline marks the end of a label."""
    return " ".join(text.split("\n"))


def documents(
    labelled: Labelled, tokenizer: Tokenizer, max_length: int, generator: np.random.Generator
) -> Iterator[Document]:
    """Every pair once, in random order, in documents of at most `max_length` tokens."""
    order = generator.permutation(len(labelled.pairs)).tolist()
    by_word = {word: [pair for pair in labelled.pairs if pair[1] == word] for word in labelled.label_words}
    while order:
        method = METHODS[generator.integers(len(METHODS))]
        if generator.random() < PLAIN:
            text = labelled.pairs[order.pop()][0]
            yield document(text, [], tokenizer, max_length)
            continue
        if generator.random() < BALANCED:
            shown = balanced_demonstrations(by_word, generator)
            chain = [*(cut(pair, labelled.max_demo_words) for pair in shown), labelled.pairs[order.pop()]]
        else:
            length = min(CHAINS[generator.integers(len(CHAINS))], len(order))
            chain = [labelled.pairs[order.pop()] for _ in range(length)]
        yield chain_document(chain, method, labelled.template, tokenizer, max_length)


def balanced_demonstrations(
    by_word: dict[str, list[tuple[str, str]]], generator: np.random.Generator
) -> list[tuple[str, str]]:
    """One or two of each class, shuffled."""
    k = int(generator.integers(1, 3))
    shown = [pairs[generator.integers(len(pairs))] for pairs in by_word.values() if pairs for _ in range(k)]
    generator.shuffle(shown)
    return shown


def cut(pair: tuple[str, str], max_words: int | None) -> tuple[str, str]:
    """The pair with the first `max_words` words of its text; None: the whole text."""
    return (pair[0] if max_words is None else " ".join(pair[0].split()[:max_words])), pair[1]


def chain_document(
    chain: Sequence[tuple[str, str]], method: str, template: Template, tokenizer: Tokenizer, max_length: int
) -> Document:
    """A chain as one document. If it is too long, its first texts are dropped."""
    result = None
    for first in range(len(chain)):
        text = "".join(template.show(method, *pair) for pair in chain[first:]).removesuffix("\n")
        label_words = [word for _, word in chain[first:]] if method == "direct" else []
        result = document(text, label_words, tokenizer, max_length)
        if len(result.tokens) < max_length:
            break
    return result


def document(text: str, label_words: Sequence[str], tokenizer: Tokenizer, max_length: int) -> Document:
    """A text as a document; `label_words`, if given, end its 2nd, 4th, ... line."""
    tokens = np.array([tokenizer.bos_id, *tokenizer.encode(text), tokenizer.eos_id][:max_length], dtype=np.int64)
    weights = np.ones(len(tokens), dtype=np.float32)
    if label_words:
        newline = tokenizer.encode("\n")[-1]
        ends = np.flatnonzero((tokens == newline) | (tokens == tokenizer.eos_id))[1::2]
        for end, word in zip(ends, label_words, strict=False):
            weights[end - len(tokenizer.encode(word)) : end] = LABEL_WEIGHT
    return Document(tokens, weights)


def batches(documents: Sequence[Document], max_tokens: int, generator: np.random.Generator) -> list[list[Document]]:
    """Batches of documents of similar length, each of at most `max_tokens` including padding, in random order.

    Documents are sorted only within windows, so that an epoch remains mixed. Batches are cheaper than rows of packed
    documents: documents of 200 tokens on average would be charged for attention over 1,024.
    """
    result: list[list[Document]] = []
    for start in range(0, len(documents), WINDOW):
        batch: list[Document] = []
        for document in sorted(documents[start : start + WINDOW], key=lambda document: -len(document.tokens)):
            if batch and (len(batch) + 1) * len(batch[0].tokens) > max_tokens:
                result.append(batch)
                batch = []
            batch.append(document)
        result.append(batch)
    generator.shuffle(result)
    return result
