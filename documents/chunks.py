"""Pages as chunks of tokens, with the position at which each block is classified.

LLaMA is causal, so a block is classified at its last token. LayoutLMv3 is bidirectional, so a block is classified at
its first token. Chunks overlap by `stride` tokens. A block whose token is in two chunks is classified in the one that
gives that token more context.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from preprocess.blocks import Block, Page

IGNORED = -100  # cross_entropy's ignore_index
SPECIAL_TOKENS = 2  # at the ends of a LayoutLMv3 chunk
NOWHERE = (0, 0, 0, 0)  # the box of a special token
SPECIAL = -1  # the word of a special token

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Chunk:
    """A window of a page's tokens, between the tokenizer's special tokens.

    Args:
        input_ids: Token ids, at most the model's maximum.
        reads: (position, index of the block in the split) of each block that is classified here.
        boxes: x0, y0, x1, y1 of each token in 0..1000; None for models without layout.
        image: Index of the page's image; None for models without images.
        words: Index of each token's block on its page, SPECIAL for special tokens; None for models without layout.
    """

    input_ids: list[int]
    reads: list[tuple[int, int]]
    boxes: list[Box] | None = None
    image: int | None = None
    words: list[int] | None = None

    def segments(self) -> list[int]:
        """The segment of each token, which consists of the words with the same box; SPECIAL for special tokens."""
        numbers: dict[Box, int] = {}
        pairs = zip(self.words, self.boxes, strict=True)
        return [SPECIAL if word == SPECIAL else numbers.setdefault(box, len(numbers)) for word, box in pairs]


@dataclass(frozen=True)
class Encoded:
    """A split as model input.

    Args:
        chunks: In the order of the pages.
        blocks: The blocks of the split, to which `Chunk.reads` refers.
        label_words: In the order of the classifier's outputs.
    """

    chunks: list[Chunk]
    blocks: list[Block]
    label_words: Sequence[str]

    def rows(self) -> list[dict[str, Any]]:
        """Chunks as dictionaries for the model; the label of positions without a block is IGNORED."""
        place = {word: number for number, word in enumerate(self.label_words)}
        rows = []
        for chunk in self.chunks:
            labels = [IGNORED] * len(chunk.input_ids)
            for position, block in chunk.reads:
                labels[position] = place[self.blocks[block].label_word]
            row = {"input_ids": chunk.input_ids, "labels": labels}
            rows.append(row if chunk.boxes is None else row | {"bbox": chunk.boxes, "image": chunk.image})
        return rows

    def first(self, limit: int) -> "Encoded":
        """The first `limit` blocks, with their whole pages as context; 0 keeps all."""
        if not limit:
            return self
        chunks = [replace(chunk, reads=[read for read in chunk.reads if read[1] < limit]) for chunk in self.chunks]
        return Encoded(chunks, self.blocks[:limit], self.label_words)


def encode_page(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> tuple[list[int], list[int]]:
    """The token ids of all texts, without special tokens, and the index of each token's text.

    Each text is encoded on its own, and may have no tokens. Special tokens spelled out in a text (`</s>`) are ordinary
    text.
    """
    backend = tokenizer.backend_tokenizer
    backend.no_truncation()
    backend.no_padding()
    backend.encode_special_tokens = True
    encoded = backend.encode(list(texts), is_pretokenized=True, add_special_tokens=False)
    return encoded.ids, encoded.word_ids


def windows(count: int, length: int, stride: int) -> list[tuple[int, int]]:
    """(start, end) of windows of `length` over `count` tokens, which overlap by `stride`."""
    step = length - stride
    starts = range(0, max(count - stride, 1), step) if count else range(0)
    return [(start, min(start + length, count)) for start in starts]


def encoded_pages(
    pages: Sequence[Page], tokenizer: PreTrainedTokenizerBase
) -> Iterator[tuple[Page, int, list[int], list[int]]]:
    """Each page with the number of blocks on earlier pages, its token ids, and the block of each token."""
    before = 0
    for page in pages:
        texts = [block.text for block in page.blocks]
        yield page, before, *(encode_page(tokenizer, texts) if texts else ([], []))
        before += len(texts)


def chunk_pages(pages: Sequence[Page], tokenizer: PreTrainedTokenizerBase, max_length: int, stride: int) -> list[Chunk]:
    """All chunks of all pages, for a causal model: a block is classified at its last token.

    Args:
        max_length: Maximum tokens of a chunk, with BOS.
        stride: Tokens that a chunk shares with the previous one.
    """
    chunks: list[Chunk] = []
    lead = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
    for _, before, ids, owners in encoded_pages(pages, tokenizer):
        ends = [position for position, owner in enumerate(owners) if owners[position + 1 : position + 2] != [owner]]
        read_to = 0
        for start, end in windows(len(ids), max_length - len(lead), stride):
            reads = [
                (len(lead) + position - start, before + owners[position])
                for position in ends
                if read_to <= position < end  # the first window with it has the most context
            ]
            chunks.append(Chunk([*lead, *ids[start:end]], reads))
            read_to = end
    return chunks


def chunk_layout(
    pages: Sequence[Page], tokenizer: PreTrainedTokenizerBase, max_length: int, stride: int
) -> list[Chunk]:
    """All chunks of all pages, for a bidirectional model: a block is classified at its first token.

    Args:
        pages: With indices as images.
        max_length: Maximum tokens of a chunk, with its special tokens.
        stride: Tokens that a chunk shares with the previous one.
    """
    chunks: list[Chunk] = []
    for page, before, ids, owners in encoded_pages(pages, tokenizer):
        spans = windows(len(ids), max_length - SPECIAL_TOKENS, stride)
        reads: list[list[tuple[int, int]]] = [[] for _ in spans]
        firsts = [position for position, owner in enumerate(owners) if position == 0 or owners[position - 1] != owner]
        for position in firsts:
            inside = [number for number, (start, end) in enumerate(spans) if start <= position < end]
            best = max(inside, key=lambda number: min(position - spans[number][0], spans[number][1] - position))
            reads[best].append((1 + position - spans[best][0], before + owners[position]))
        for (start, end), found in zip(spans, reads, strict=True):
            boxes = [page.blocks[owner].box for owner in owners[start:end]]
            tokens = [tokenizer.cls_token_id, *ids[start:end], tokenizer.sep_token_id]
            words = [SPECIAL, *owners[start:end], SPECIAL]
            chunks.append(Chunk(tokens, found, [NOWHERE, *boxes, NOWHERE], page.image, words))
    return chunks


def collate(batch: Sequence[dict[str, Any]], pad_id: int = 0) -> dict[str, Tensor]:
    """Rows as a batch (B, T), always padded on the right, so that labels stay aligned.

    Args:
        pad_id: The model's padding id, from which some models derive positions.
    """
    length = max(len(row["input_ids"]) for row in batch)

    def padded(values: list[list], filler: int | Box) -> Tensor:
        return torch.tensor([row + [filler] * (length - len(row)) for row in values])

    tensors = {
        "input_ids": padded([row["input_ids"] for row in batch], pad_id),
        "attention_mask": padded([[1] * len(row["input_ids"]) for row in batch], 0),
        "labels": padded([row["labels"] for row in batch], IGNORED),
    }
    if "bbox" in batch[0]:
        tensors["bbox"] = padded([row["bbox"] for row in batch], NOWHERE)  # (B, T, 4)
    return tensors
