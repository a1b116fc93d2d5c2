"""A chunk of a page -> the masked input of the model, and the labels of each objective."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import LayoutLMv3Processor

from documents.chunks import IGNORED, NOWHERE, SPECIAL, Chunk
from documents.images import ImageFile
from documents.layoutlmv3 import normalised
from pretrain.alignment import alignment_labels
from pretrain.cells import area_labels, draw_cells
from pretrain.objectives import CPC, MIM, MLM, WPA, ObjectiveOptions
from pretrain.patches import draw_blocks
from pretrain.spans import corrupted, masked_tokens

TRAINED_ON, HELD_OUT = 0, 1  # part of the seeds of masks; the masks of held-out pages never change


@dataclass(frozen=True)
class Example:
    """A chunk with masks and labels.

    Args:
        input_ids, boxes: For T tokens, including special tokens.
        patches: Masked patches, bool (rows, columns).
        labels: Objective -> labels of the T tokens, or of the patches row by row; IGNORED if there is no target.
        image: The index of the page's image.
    """

    input_ids: list[int]
    boxes: list[tuple[int, int, int, int]]
    patches: np.ndarray
    labels: dict[str, list[int]]
    image: int

    def targets(self) -> dict[str, int]:
        """Number of targets of each objective."""
        return {name: sum(label != IGNORED for label in labels) for name, labels in self.labels.items()}


class Masker:
    """Draws masks; the same seed gives the same masks.

    Args:
        options: The objectives and their hyperparameters.
        processor: Provides the tokenizer, which has the mask token.
        side: Patches per row of an image.
        codes: The codes of the images, (N, side * side); None without masked image modelling.
        seed: The seed of the run.
    """

    def __init__(
        self,
        options: ObjectiveOptions,
        processor: LayoutLMv3Processor,
        side: int,
        codes: np.ndarray | None,
        seed: int,
    ):
        self.options, self.side, self.codes, self.seed = options, side, codes, seed
        tokenizer = processor.tokenizer
        self.mask_id = tokenizer.mask_token_id
        self.others = np.setdiff1d(np.arange(len(tokenizer)), tokenizer.all_special_ids)

    def of_training(self, chunk: Chunk, number: int, turn: int) -> Example:
        """A train chunk with its masks in a pass; with `--static_masks`, they are the same in every pass."""
        turn = 0 if self.options.static_masks else turn
        return self.masked(chunk, np.random.default_rng([self.seed, TRAINED_ON, turn, number]))

    def held_out(self, chunk: Chunk, number: int) -> Example:
        """A held-out chunk with its masks, the same in every evaluation."""
        return self.masked(chunk, np.random.default_rng([self.seed, HELD_OUT, 0, number]))

    def masked(self, chunk: Chunk, generator: np.random.Generator) -> Example:
        """Draw masks from a generator, and derive the labels."""
        options, chosen = self.options, self.options.chosen
        text = [place for place, word in enumerate(chunk.words) if word != SPECIAL]
        ids, boxes = [chunk.input_ids[place] for place in text], [chunk.boxes[place] for place in text]
        words = [chunk.words[place] for place in text]
        masked = moved = np.zeros(len(text), bool)
        read, patches = ids, np.zeros((self.side, self.side), bool)
        if MLM in chosen:
            masked = masked_tokens(words, options.mlm_ratio, options.span_length, options.span_unit, generator)
            shares = (options.mask_share, options.random_share)
            read = corrupted(ids, masked, self.mask_id, self.others, shares, generator)
        if MIM in chosen:
            blocks = (options.mim_ratio, options.block_patches, options.block_aspect)
            patches = draw_blocks(self.side, *blocks, generator)
        if CPC in chosen:
            segments = chunk.segments()
            moved = draw_cells([segments[place] for place in text], masked, options.cpc_ratio, generator)
        labels: dict[str, list[int]] = {}
        if MLM in chosen:
            targets = [token if mask else IGNORED for token, mask in zip(ids, masked, strict=True)]
            labels[MLM] = spread(targets, text, len(chunk.words))
        if MIM in chosen:
            codes = self.codes[chunk.image]
            labels[MIM] = np.where(patches.ravel(), codes, IGNORED).tolist()
        if WPA in chosen:
            aligned = alignment_labels(boxes, masked | moved, patches, options.wpa_threshold)
            labels[WPA] = spread(aligned, text, len(chunk.words))
        if CPC in chosen:
            labels[CPC] = spread(area_labels(boxes, moved, options.areas_per_side), text, len(chunk.words))
        seen = [NOWHERE if hide else box for box, hide in zip(boxes, moved, strict=True)]
        input_ids, places = list(chunk.input_ids), list(chunk.boxes)
        for place, token, box in zip(text, read, seen, strict=True):
            input_ids[place], places[place] = token, box
        return Example(input_ids, places, patches, labels, chunk.image)


def spread(values: Sequence[int], places: Sequence[int], count: int) -> list[int]:
    """Values at their places among `count` tokens; IGNORED elsewhere."""
    labels = [IGNORED] * count
    for place, value in zip(places, values, strict=True):
        labels[place] = value
    return labels


def collate(
    examples: Sequence[Example], processor: LayoutLMv3Processor, images: ImageFile, visual: bool = True
) -> dict[str, Any]:
    """A batch of B examples, padded on the right to the longest.

    Args:
        visual: Whether the model reads images.

    Returns:
        input_ids, attention_mask (B, T), bbox (B, T, 4), masked_patches bool (B, P), pixel_values (B, 3, S, S), and
        labels: objective -> (B, T) or (B, P).
    """
    length = max(len(example.input_ids) for example in examples)

    def padded(rows: list[list], filler: Any) -> Tensor:
        return torch.tensor([row + [filler] * (length - len(row)) for row in rows])

    pad_id = processor.tokenizer.pad_token_id
    batch = {
        "input_ids": padded([example.input_ids for example in examples], pad_id),
        "attention_mask": padded([[1] * len(example.input_ids) for example in examples], 0),
        "bbox": padded([example.boxes for example in examples], NOWHERE),
        "labels": {
            name: torch.tensor([example.labels[name] for example in examples])
            if name == MIM
            else padded([example.labels[name] for example in examples], IGNORED)
            for name in examples[0].labels
        },
    }
    if visual:
        batch["masked_patches"] = torch.from_numpy(np.stack([example.patches.ravel() for example in examples]))
        batch["pixel_values"] = normalised(processor, images[[example.image for example in examples]])
    return batch
