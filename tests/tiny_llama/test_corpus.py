"""Documents of the tiny checkpoint's training."""

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from llama import Tokenizer
from llama.templates import read_template
from preprocess.blocks import LABEL_WORDS
from preprocess.docbank import page_files, read_page
from tiny_llama.corpus import LABEL_WEIGHT, Labelled, batches, blocks, chain_document, document, documents, news
from tiny_llama.written_blocks import written_block

ARTICLE = read_template("Article: {text}\nCategory: {label_word}", ["text"], ["World"])


@pytest.fixture
def tokenizer(root: Path) -> Tokenizer:
    return Tokenizer(root / "checkpoints/tiny/tokenizer.model")


def test_labels_of_direct_documents_weigh_more(tokenizer: Tokenizer) -> None:
    chain = [("Rain stopped play.", "Sports"), ("A new comet", "Science and technology")]
    made = chain_document(chain, "direct", ARTICLE, tokenizer, 200)
    heavy = tokenizer.decode(made.tokens[made.weights == LABEL_WEIGHT].tolist())
    assert heavy.split() == ["Sports", "Science", "and", "technology"]
    channel = chain_document(chain, "channel", ARTICLE, tokenizer, 200)
    assert set(channel.weights) == {1.0}


def test_documents_equal_the_prompts_of_evaluation(tokenizer: Tokenizer) -> None:
    """The tokens of a training document are those of a scored prompt and completion, then EOS."""
    made = chain_document([("Rain stopped play.", "Sports")], "direct", ARTICLE, tokenizer, 200)
    context, target = tokenizer.encode_pair("Article: Rain stopped play.\nCategory:", "Sports")
    assert made.tokens.tolist() == [*context, *target, tokenizer.eos_id]


def test_long_chain_loses_its_first_demonstrations(tokenizer: Tokenizer) -> None:
    chain = [(f"number {number} " * 8, "World") for number in range(9)]
    made = chain_document(chain, "direct", ARTICLE, tokenizer, 120)
    text = tokenizer.decode(made.tokens.tolist())
    assert len(made.tokens) < 120
    assert "number 8" in text and "number 0" not in text


def test_every_pair_once_per_epoch(tokenizer: Tokenizer) -> None:
    pairs = [(f"text{number}x", ("World", "Sports")[number % 2]) for number in range(200)]
    labelled = Labelled(ARTICLE, ("World", "Sports"), pairs)
    made = list(documents(labelled, tokenizer, 1024, np.random.default_rng(0)))
    words = Counter(word for one in made for word in tokenizer.decode(one.tokens.tolist()).split())
    assert all(words[text] >= 1 for text, _ in pairs)
    once = sum(words[text] == 1 for text, _ in pairs)
    assert once > 100  # the others are shown again as balanced demonstrations


def test_batches_contain_every_document_within_the_limit(tokenizer: Tokenizer) -> None:
    generator = np.random.default_rng(0)
    made = [document("word " * int(generator.integers(1, 60)), [], tokenizer, 1024) for _ in range(300)]
    cut = batches(made, 256, generator)
    assert Counter(map(id, made)) == Counter(id(one) for batch in cut for one in batch)
    assert all(len(batch) * max(len(one.tokens) for one in batch) <= 256 for batch in cut)


def test_same_seed_same_documents(tokenizer: Tokenizer) -> None:
    labelled = Labelled(
        ARTICLE, LABEL_WORDS, [(written_block(w, np.random.default_rng(1)), w) for w in LABEL_WORDS], 40
    )
    runs = [list(documents(labelled, tokenizer, 512, np.random.default_rng(7))) for _ in range(2)]
    assert [one.tokens.tolist() for one in runs[0]] == [one.tokens.tolist() for one in runs[1]]


@pytest.mark.parametrize("label_word", LABEL_WORDS)
def test_written_blocks_are_varied_lines(label_word: str) -> None:
    generator = np.random.default_rng(0)
    texts = [written_block(label_word, generator) for _ in range(300)]
    assert all(text and text == " ".join(text.split()) for text in texts)
    assert len(set(texts)) > 0.85 * len(texts)
    assert written_block(label_word, np.random.default_rng(5)) == written_block(label_word, np.random.default_rng(5))


def test_unknown_label_is_named() -> None:
    with pytest.raises(ValueError, match="Paragraph"):
        written_block("Paragraph", np.random.default_rng(0))


def test_held_out_pages_and_test_rows_are_not_trained_on(data: Path, root: Path) -> None:
    trained = {text for text, _ in blocks(data / "docbank", 0, np.random.default_rng(0)).pairs}
    held_out = page_files(data / "docbank")[1:40:2]
    texts = {block.text for page in held_out for block in read_page(page) if len(block.text) > 60}
    assert len(held_out) == 20
    assert not trained & texts
    articles = {text for text, _ in news(data / "ag_news/train.csv").pairs}
    for path in (data / "ag_news/test.csv", root / "samples/ag_news/test.csv"):
        with path.open(encoding="utf-8", newline="") as file:
            assert not articles & {f"{title} {description}".strip() for _, title, description in csv.reader(file)}
