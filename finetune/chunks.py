"""Pages as chunks of tokens, and the place at which each block is read.

A LLaMA token sees what is left of it and nothing else, so a block is read, and labelled, at its last token. Chunks
overlap by `stride` tokens; the last token of a block that stands in two chunks is read once, in the first of them,
where most stands left of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

IGNORED = -100  # cross_entropy's ignore_index


@dataclass(frozen=True)
class Chunk:
    """A window of a page's tokens, after BOS where the tokenizer has one.

    Args:
        input_ids: At most the model's length.
        reads: (position, block): at which position which block of the whole split is read.
    """

    input_ids: list[int]
    reads: list[tuple[int, int]]


def encode_page(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> tuple[list[int], list[int]]:
    """The token ids of all texts, without BOS, and for each the text it belongs to.

    Each text is a word of its own to the tokenizer, so its tokens are those it has when it stands alone. A text of
    which nothing is left has none. What looks like a special token (`</s>` on a page) is text.
    """
    encoded = tokenizer(
        list(texts), is_split_into_words=True, add_special_tokens=False, split_special_tokens=True, verbose=False
    )
    return encoded["input_ids"], encoded.word_ids()


def windows(count: int, length: int, stride: int) -> list[tuple[int, int]]:
    """(start, end) of windows of `length` over `count` tokens, each `length - stride` after the one before."""
    step = length - stride
    starts = range(0, max(count - stride, 1), step) if count else range(0)
    return [(start, min(start + length, count)) for start in starts]


def chunk_pages(
    pages: Sequence[Sequence[str]], tokenizer: PreTrainedTokenizerBase, max_length: int, stride: int
) -> list[Chunk]:
    """All chunks of all pages; blocks are counted through the pages.

    Args:
        pages: The texts of the blocks of each page.
        max_length: Of a chunk with BOS.
        stride: Tokens that a chunk shares with the one before.
    """
    chunks: list[Chunk] = []
    lead = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
    before = 0  # blocks on the pages before
    for texts in pages:
        ids, owners = encode_page(tokenizer, texts) if texts else ([], [])
        ends = {
            position: owner for position, owner in enumerate(owners) if owners[position + 1 : position + 2] != [owner]
        }
        read_to = 0
        for start, end in windows(len(ids), max_length - len(lead), stride):
            reads = [
                (len(lead) + position - start, before + ends[position])
                for position in range(read_to, end)
                if position in ends
            ]
            chunks.append(Chunk([*lead, *ids[start:end]], reads))
            read_to = end
        before += len(texts)
    return chunks


def rows(chunks: Sequence[Chunk], labels: Sequence[int]) -> list[dict[str, list[int]]]:
    """Chunks as the Trainer takes them; every position at which no block is read has the label IGNORED."""
    made = []
    for chunk in chunks:
        targets = [IGNORED] * len(chunk.input_ids)
        for position, block in chunk.reads:
            targets[position] = labels[block]
        made.append({"input_ids": chunk.input_ids, "labels": targets})
    return made


def collate(batch: Sequence[dict[str, Any]]) -> dict[str, Tensor]:
    """Rows as a batch (B, T), padded right whatever side the tokenizer pads: labels stay with their tokens."""
    length = max(len(row["input_ids"]) for row in batch)

    def padded(values: list[list[int]], filler: int) -> Tensor:
        return torch.tensor([row + [filler] * (length - len(row)) for row in values])

    return {
        "input_ids": padded([row["input_ids"] for row in batch], 0),
        "attention_mask": padded([[1] * len(row["input_ids"]) for row in batch], 0),
        "labels": padded([row["labels"] for row in batch], IGNORED),
    }
