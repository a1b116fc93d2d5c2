"""Blocks keep their tokens, their labels and their one place, whatever the page."""

from pathlib import Path

import pytest
import torch

pytest.importorskip("transformers", reason="needs requirements-finetune.txt")
pytest.importorskip("peft", reason="needs requirements-finetune.txt")

import transformers

from finetune.chunks import IGNORED, chunk_pages, collate, encode_page, rows, windows
from finetune.llama_model import converted_tokenizer
from llama import Tokenizer
from preprocess.doclaynet import row_blocks

PAGE = [
    "Title of it",
    "",
    "two  spaces   and more",
    "日本語の段落です。",
    "</s> <s> text",
    "a\tb",
    "\u200b",
    "é ﬁ 🎉",
    "x " * 30,
]


@pytest.fixture(scope="module")
def sentencepiece_model(root: Path) -> Tokenizer:
    return Tokenizer(root / "checkpoints/tiny/tokenizer.model")


@pytest.fixture(scope="module")
def tokenizer(sentencepiece_model: Tokenizer) -> transformers.LlamaTokenizer:
    return converted_tokenizer(sentencepiece_model)


def long_page(blocks: int) -> list[str]:
    return [f"Block {number}  with {'word ' * (number % 7)}日本 end" for number in range(blocks)]


def test_tokens_of_a_block_are_those_of_its_text(tokenizer, sentencepiece_model):
    """Defect 4: tokenised apart for labels and jointly for input, they differed."""
    ids, owners = encode_page(tokenizer, PAGE)
    for number, text in enumerate(PAGE):
        own = [token for token, owner in zip(ids, owners, strict=True) if owner == number]
        assert own == list(sentencepiece_model.encode(text))
        assert sentencepiece_model.decode(own) == text
    assert 1 not in owners  # the empty one


@pytest.mark.parametrize("name", ["llama_tokenizer", "tiny"])
def test_ids_equal_those_of_sentencepiece(name, data, root):
    """On real pages and on what is rare: runs of spaces, bytes, special tokens as text."""
    path = root / "checkpoints/tiny" if name == "tiny" else data / name
    ours = Tokenizer(path / "tokenizer.model")
    texts = [
        line for file in sorted((data / "docbank/txt").glob("*.txt"))[:20] for line in file.read_text().split("\n")
    ]
    texts = [" ".join(texts[start : start + 9]).replace("\t", "  ").strip() for start in range(0, len(texts), 9)]
    texts = [text for text in [*texts, *(text.strip() for text in PAGE)] if text]
    ids, owners = encode_page(converted_tokenizer(ours), texts)
    found = [[] for _ in texts]
    for token, owner in zip(ids, owners, strict=True):
        found[owner].append(token)
    assert len(texts) > 500
    assert found == [list(ours.encode(text)) for text in texts]


@pytest.mark.parametrize("length, stride", [(512, 128), (40, 10), (12, 0)])
def test_chunks_are_those_of_the_tokenizers_own_overflow(tokenizer, length, stride):
    """Defect 2: the code assumed two special tokens, there is one: the step is length - 1 - stride."""
    page = long_page(90)
    ours = [chunk.input_ids for chunk in chunk_pages([page], tokenizer, length, stride)]
    theirs = tokenizer(
        page,
        is_split_into_words=True,
        truncation=True,
        max_length=length,
        stride=stride,
        return_overflowing_tokens=True,
    ).input_ids
    assert len(ours) > 1
    assert ours == theirs


def test_step_of_chunks():
    assert windows(1000, 511, 128)[:2] == [(0, 511), (383, 894)]
    assert windows(511, 511, 128) == [(0, 511)]
    assert windows(512, 511, 128) == [(0, 511), (383, 512)]
    assert windows(0, 511, 128) == []


@pytest.mark.parametrize("length, stride", [(512, 128), (20, 6), (12, 0)])
def test_every_block_is_read_once_at_its_last_token_with_most_to_its_left(tokenizer, length, stride):
    """Defect 5: tokens in two chunks were counted twice."""
    pages = [long_page(40), [], PAGE, ["one"]]
    chunks = chunk_pages(pages, tokenizer, length, stride)
    reads = [read for chunk in chunks for read in chunk.reads]
    empty = 40 + PAGE.index("")
    assert sorted(block for _, block in reads) == [block for block in range(40 + len(PAGE) + 1) if block != empty]
    texts = [text for page in pages for text in page]
    for chunk in chunks:
        for position, block in chunk.reads:
            ids, _ = encode_page(tokenizer, [texts[block]])
            left = chunk.input_ids[1 : position + 1]
            assert left[-len(ids) :] == ids[-len(left) :]
            assert chunk is chunks[0] or block >= 40 or position > stride  # what both hold is read in the first


def test_labels_stand_only_where_attention_is(tokenizer):
    """Defect 3: the tokenizer padded left, labels were padded right."""
    for side in ("left", "right"):
        tokenizer.padding_side = side
        chunks = chunk_pages([long_page(3), ["short"]], tokenizer, 512, 128)
        batch = collate(rows(chunks, [1, 2, 3, 4]))
        labelled = batch["labels"] != IGNORED
        assert labelled.sum() == 4
        assert not (labelled & (batch["attention_mask"] == 0)).any()
        assert batch["labels"][1][batch["attention_mask"][1].sum() - 1] == 4
        assert torch.equal(batch["attention_mask"][:, 0], torch.ones(2, dtype=torch.long))
    tokenizer.padding_side = "right"


def test_cells_of_one_box_are_each_there_once(tokenizer):
    """Defect 1: cells were found by the index of their block's box, so every cell became the first one."""
    row = {
        "texts": ["beta", "alpha", "gamma", "other"],
        "bboxes_block": [[0, 0, 100, 30]] * 3 + [[0, 0, 100, 30]],
        "bboxes_line": [[0, 10, 50, 8], [0, 0, 50, 8], [0, 20, 50, 8], [0, 5, 50, 8]],
        "categories": [9, 9, 9, 10],
        "page_hash": "p",
    }
    blocks = row_blocks(row, "page")
    (chunk,) = chunk_pages([[block.text for block in blocks]], tokenizer, 512, 128)
    assert [block.text for block in blocks] == ["alpha beta gamma", "other"]
    assert tokenizer.decode(chunk.input_ids, skip_special_tokens=True) == "alpha beta gamma other"
    assert [block for _, block in chunk.reads] == [0, 1]
