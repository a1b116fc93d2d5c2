"""Pages as chunks of tokens, and the place at which each block is read.

A LLaMA token sees what is left of it and nothing else, so a block is read, and labelled, at its last token. LayoutLMv3
sees both sides: there it is its first token. Chunks overlap by `stride` tokens; a block whose token stands in two
chunks is read once, where that token sees most.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from preprocess.blocks import Block, Page

IGNORED = -100  # cross_entropy's ignore_index
SPECIAL_TOKENS = 2  # at the ends of a chunk of LayoutLMv3
NOWHERE = (0, 0, 0, 0)  # the box of a token that stands on no page
SPECIAL = -1  # the word that a special token is part of

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Chunk:
    """A window of a page's tokens, between the tokenizer's special tokens.

    Args:
        input_ids: At most the model's length.
        reads: (position, block): at which position which block of the whole split is read.
        boxes: Of each token, x0, y0, x1, y1 in 0..1000; None for a model that does not look at the page.
        image: The number of the page's image; None likewise.
        words: Of each token, the block on its page, SPECIAL for a special token; None likewise.
    """

    input_ids: list[int]
    reads: list[tuple[int, int]]
    boxes: list[Box] | None = None
    image: int | None = None
    words: list[int] | None = None

    def segments(self) -> list[int]:
        """Of each token the segment, SPECIAL for a special token: the words that share a box."""
        numbers: dict[Box, int] = {}
        pairs = zip(self.words, self.boxes, strict=True)
        return [SPECIAL if word == SPECIAL else numbers.setdefault(box, len(numbers)) for word, box in pairs]


@dataclass(frozen=True)
class Encoded:
    """A split as a model reads it.

    Args:
        chunks: In the order of the pages.
        blocks: Those that the chunks count.
        label_words: In the order of the classifier's outputs.
    """

    chunks: list[Chunk]
    blocks: list[Block]
    label_words: Sequence[str]

    def rows(self) -> list[dict[str, Any]]:
        """Chunks as a model takes them, a dictionary each; a position at which no block is read is IGNORED."""
        place = {word: number for number, word in enumerate(self.label_words)}
        made = []
        for chunk in self.chunks:
            labels = [IGNORED] * len(chunk.input_ids)
            for position, block in chunk.reads:
                labels[position] = place[self.blocks[block].label_word]
            row = {"input_ids": chunk.input_ids, "labels": labels}
            made.append(row if chunk.boxes is None else row | {"bbox": chunk.boxes, "image": chunk.image})
        return made

    def first(self, limit: int) -> "Encoded":
        """The first `limit` blocks, read on their whole pages; 0 takes all."""
        if not limit:
            return self
        chunks = [replace(chunk, reads=[read for read in chunk.reads if read[1] < limit]) for chunk in self.chunks]
        return Encoded(chunks, self.blocks[:limit], self.label_words)


def encode_page(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> tuple[list[int], list[int]]:
    """The token ids of all texts, without special tokens, and for each the text it belongs to.

    Each text is a word of its own to the tokenizer, so its tokens are those it has when it stands alone. A text of
    which nothing is left has none. What looks like a special token (`</s>` on a page) is text.
    """
    backend = tokenizer.backend_tokenizer
    backend.no_truncation()
    backend.no_padding()
    backend.encode_special_tokens = True
    encoded = backend.encode(list(texts), is_pretokenized=True, add_special_tokens=False)
    return encoded.ids, encoded.word_ids


def windows(count: int, length: int, stride: int) -> list[tuple[int, int]]:
    """(start, end) of windows of `length` over `count` tokens, each `length - stride` after the one before."""
    step = length - stride
    starts = range(0, max(count - stride, 1), step) if count else range(0)
    return [(start, min(start + length, count)) for start in starts]


def encoded_pages(
    pages: Sequence[Page], tokenizer: PreTrainedTokenizerBase
) -> Iterator[tuple[Page, int, list[int], list[int]]]:
    """Each page with the number of blocks on the pages before, its token ids, and the block of each."""
    before = 0
    for page in pages:
        texts = [block.text for block in page.blocks]
        yield page, before, *(encode_page(tokenizer, texts) if texts else ([], []))
        before += len(texts)


def chunk_pages(pages: Sequence[Page], tokenizer: PreTrainedTokenizerBase, max_length: int, stride: int) -> list[Chunk]:
    """All chunks of all pages, for a model that sees what is left: a block is read at its last token.

    Args:
        max_length: Of a chunk with BOS.
        stride: Tokens that a chunk shares with the one before.
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
                if read_to <= position < end  # in the first window that has it most stands left of it
            ]
            chunks.append(Chunk([*lead, *ids[start:end]], reads))
            read_to = end
    return chunks


def chunk_layout(
    pages: Sequence[Page], tokenizer: PreTrainedTokenizerBase, max_length: int, stride: int
) -> list[Chunk]:
    """All chunks of all pages, for a model that sees both sides: a block is read at its first token.

    Args:
        pages: Their images are numbers.
        max_length: Of a chunk with the special tokens at its ends.
        stride: Tokens that a chunk shares with the one before.
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
    """Rows as a batch (B, T), padded right whatever side the tokenizer pads: labels stay with their tokens.

    Args:
        pad_id: A model that counts positions past it must know it; to others it is masked.
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
