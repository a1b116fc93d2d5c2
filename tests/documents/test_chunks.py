"""Each block keeps its tokens and its label, and is classified once, on any page."""

from pathlib import Path

import pytest
import torch

pytest.importorskip("transformers", reason="needs requirements-finetune.txt")
pytest.importorskip("peft", reason="needs requirements-finetune.txt")

import transformers

from documents.chunks import IGNORED, NOWHERE, Encoded, chunk_layout, chunk_pages, collate, encode_page, windows
from finetune.llama.model import converted_tokenizer
from llama import Tokenizer
from preprocess.blocks import LABEL_WORDS, Block, Page
from preprocess.layout import row_blocks

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
    return converted_tokenizer(sentencepiece_model.backend)


def page_of(texts: list[str], label: int = 0, image: int | None = None) -> Page:
    """Blocks one below the other."""
    blocks = [
        Block(f"p-{number}", text, LABEL_WORDS[(label + number) % 11], (10, number, 900, number + 1), "p", "", 1)
        for number, text in enumerate(texts)
    ]
    return Page(blocks, image)


def long_page(blocks: int) -> list[str]:
    return [f"Block {number}  with {'word ' * (number % 7)}日本 end" for number in range(blocks)]


def test_tokens_of_a_block_are_those_of_its_text(tokenizer, sentencepiece_model):
    """An earlier system encoded them separately for labels and jointly for the input, with different results."""
    ids, owners = encode_page(tokenizer, PAGE)
    for number, text in enumerate(PAGE):
        own = [token for token, owner in zip(ids, owners, strict=True) if owner == number]
        assert own == list(sentencepiece_model.encode(text))
        assert sentencepiece_model.decode(own) == text
    assert 1 not in owners  # the empty one


@pytest.mark.parametrize("name", ["llama_tokenizer", "tiny"])
def test_ids_equal_those_of_sentencepiece(name, data, root):
    """On real pages and on rare text: repeated spaces, bytes, special tokens as text."""
    path = root / "checkpoints/tiny" if name == "tiny" else data / name
    ours = Tokenizer(path / "tokenizer.model")
    texts = [
        line for file in sorted((data / "docbank/txt").glob("*.txt"))[:20] for line in file.read_text().split("\n")
    ]
    texts = [" ".join(texts[start : start + 9]).replace("\t", "  ").strip() for start in range(0, len(texts), 9)]
    texts = [text for text in [*texts, *(text.strip() for text in PAGE)] if text]
    ids, owners = encode_page(converted_tokenizer(ours.backend), texts)
    found = [[] for _ in texts]
    for token, owner in zip(ids, owners, strict=True):
        found[owner].append(token)
    assert len(texts) > 500
    assert found == [list(ours.encode(text)) for text in texts]


@pytest.mark.parametrize("length, stride", [(512, 128), (40, 10), (12, 0)])
def test_chunks_are_those_of_the_tokenizers_own_overflow(tokenizer, length, stride):
    """An earlier system assumed two special tokens instead of one; the step is length - 1 - stride."""
    page = long_page(90)
    ours = [chunk.input_ids for chunk in chunk_pages([page_of(page)], tokenizer, length, stride)]
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
    """An earlier system counted tokens in two chunks twice."""
    pages = [long_page(40), [], PAGE, ["one"]]
    chunks = chunk_pages([page_of(page) for page in pages], tokenizer, length, stride)
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


def test_labels_only_where_the_attention_mask_is_1(tokenizer):
    """In an earlier system, the tokenizer padded on the left, but labels were padded on the right."""
    for side in ("left", "right"):
        tokenizer.padding_side = side
        pages = [page_of(long_page(3), 1), page_of(["short"], 4)]
        blocks = [block for page in pages for block in page.blocks]
        batch = collate(Encoded(chunk_pages(pages, tokenizer, 512, 128), blocks, LABEL_WORDS).rows())
        labelled = batch["labels"] != IGNORED
        assert labelled.sum() == 4
        assert not (labelled & (batch["attention_mask"] == 0)).any()
        assert batch["labels"][1][batch["attention_mask"][1].sum() - 1] == 4
        assert torch.equal(batch["attention_mask"][:, 0], torch.ones(2, dtype=torch.long))
    tokenizer.padding_side = "right"


def test_each_cell_of_a_box_occurs_once(tokenizer):
    """An earlier system found cells by the index of their block's box, so every cell became the first one."""
    row = {
        "texts": ["beta", "alpha", "gamma", "other"],
        "bboxes_block": [[0, 0, 100, 30]] * 3 + [[0, 0, 100, 30]],
        "bboxes_line": [[0, 10, 50, 8], [0, 0, 50, 8], [0, 20, 50, 8], [0, 5, 50, 8]],
        "categories": [9, 9, 9, 10],
        "page_hash": "p",
    }
    blocks = row_blocks(row, "page")
    (chunk,) = chunk_pages([Page(blocks)], tokenizer, 512, 128)
    assert [block.text for block in blocks] == ["alpha beta gamma", "other"]
    assert tokenizer.decode(chunk.input_ids, skip_special_tokens=True) == "alpha beta gamma other"
    assert [block for _, block in chunk.reads] == [0, 1]


@pytest.fixture(scope="module")
def layout_processor():
    """A byte-level tokenizer of LayoutLMv3 that knows a few words."""
    from transformers import LayoutLMv3Tokenizer

    special = {token: number for number, token in enumerate(("<s>", "<pad>", "</s>", "<unk>", "<mask>"))}
    return LayoutLMv3Tokenizer(vocab=special).train_new_from_iterator([*long_page(5), "日本"] * 3, 400)


def test_layout_tokens_are_those_of_the_tokenizer(layout_processor):
    """Words and boxes as by transformers' own tokenizer; a special token on a page is ordinary text here."""
    texts = [text for text in PAGE if "<s>" not in text]
    page = page_of(texts, image=3)
    (chunk,) = chunk_layout([page], layout_processor, 512, 128)
    theirs = layout_processor(texts, boxes=[list(block.box) for block in page.blocks])
    assert chunk.input_ids == theirs["input_ids"]
    assert chunk.boxes == [tuple(box) for box in theirs["bbox"]]
    assert chunk.image == 3
    (special,) = chunk_layout([page_of(["</s> <s> text"])], layout_processor, 512, 128)
    assert [token for token in special.input_ids if token in layout_processor.all_special_ids] == [0, 2]


@pytest.mark.parametrize("length, stride", [(512, 128), (40, 10), (12, 0)])
def test_layout_chunks_are_those_of_the_tokenizers_own_overflow(layout_processor, length, stride):
    page = page_of(long_page(90))
    ours = chunk_layout([page], layout_processor, length, stride)
    theirs = layout_processor(
        [block.text for block in page.blocks],
        boxes=[list(block.box) for block in page.blocks],
        truncation=True,
        max_length=length,
        stride=stride,
        return_overflowing_tokens=True,
    )
    assert len(ours) > 1
    assert [chunk.input_ids for chunk in ours] == theirs["input_ids"]
    assert [chunk.boxes for chunk in ours] == [[tuple(box) for box in boxes] for boxes in theirs["bbox"]]


@pytest.mark.parametrize("length, stride", [(512, 128), (30, 12), (12, 0)])
def test_layout_blocks_are_read_once_at_their_first_token_with_most_around_it(layout_processor, length, stride):
    """An earlier system labelled words in overlaps twice."""
    pages = [page_of(long_page(40)), page_of([]), page_of(PAGE), page_of(["one"])]
    blocks = [block for page in pages for block in page.blocks]
    chunks = chunk_layout(pages, layout_processor, length, stride)
    empty = 40 + PAGE.index("")
    reads = sorted(block for chunk in chunks for _, block in chunk.reads)
    assert reads == [block for block in range(len(blocks)) if block != empty]
    for chunk in chunks:
        for position, block in chunk.reads:
            ids, _ = encode_page(layout_processor, [blocks[block].text])
            right = chunk.input_ids[position:-1]
            assert right[: len(ids)] == ids[: len(right)]
            assert chunk.boxes[position] == blocks[block].box
            around = min(position - 1, len(chunk.input_ids) - 2 - position)
            assert around >= stride // 2 - 1 or chunk is chunks[0] or block >= 38  # at the ends of a page there is less


def test_layout_batch(layout_processor):
    pages = [page_of(long_page(3), image=0), page_of(["short"], 4, image=1)]
    blocks = [block for page in pages for block in page.blocks]
    rows = Encoded(chunk_layout(pages, layout_processor, 512, 128), blocks, LABEL_WORDS).rows()
    batch = collate(rows, pad_id=1)
    length = batch["input_ids"].shape[1]
    assert batch["bbox"].shape == (2, length, 4)
    padding = batch["attention_mask"] == 0
    assert (batch["input_ids"][padding] == 1).all()
    assert (batch["bbox"][padding] == torch.tensor(NOWHERE)).all()
    assert (batch["labels"][padding] == IGNORED).all()
    assert batch["labels"][1].tolist()[:2] == [IGNORED, 4]
    assert [row["image"] for row in rows] == [0, 1]
