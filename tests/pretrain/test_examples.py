"""Masked examples: the labels of each objective against a slow definition, and tokens that are never masked."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("transformers", reason="needs requirements-finetune.txt")

from documents.chunks import IGNORED, SPECIAL, Chunk, chunk_layout
from documents.layoutlmv3 import load_processor
from preprocess.blocks import Block, Page
from preprocess.errors import InputError
from pretrain.examples import Masker, collate
from pretrain.objectives import ObjectiveOptions

SIDE = 14
CODES = np.arange(2 * SIDE * SIDE).reshape(2, -1)
ALL = "mlm,mim,wpa,cpc"


@pytest.fixture(scope="module")
def processor(small: Path):
    return load_processor(str(small))


@pytest.fixture(scope="module")
def chunk(processor) -> Chunk:
    """A page of forty words in ten segments."""
    words = [f"market{number} zzqx" for number in range(20)]
    texts = [word for pair in words for word in pair.split()]
    boxes = [(50 + 400 * (n // 4 % 2), 90 * (n // 8), 400 + 400 * (n // 4 % 2), 90 * (n // 8) + 60) for n in range(40)]
    blocks = [
        Block(f"p-{n}", text, "", box, "p", "", 1) for n, (text, box) in enumerate(zip(texts, boxes, strict=True))
    ]
    (made,) = chunk_layout([Page(blocks, image=1)], processor.tokenizer, 512, 0)
    return made


def masker(processor, seed: int = 0, **options) -> Masker:
    return Masker(ObjectiveOptions(**{"objectives": ALL} | options), processor, SIDE, CODES, seed)


def test_chunks_keep_words_and_segments(chunk):
    assert chunk.words[0] == chunk.words[-1] == SPECIAL
    assert sorted(set(chunk.words)) == [SPECIAL, *range(40)]
    assert max(chunk.words.count(word) for word in range(40)) > 1
    segments = chunk.segments()
    assert sorted(set(segments)) == [SPECIAL, *range(10)]
    for word, segment in zip(chunk.words, segments, strict=True):
        assert segment == (SPECIAL if word == SPECIAL else word // 4)


@pytest.mark.parametrize("turn", range(5))
def test_labels_follow_from_the_masks(processor, chunk, turn):
    found = masker(processor).of_training(chunk, 0, turn)
    labels, masked, moved = found.labels, [], []
    for place, word in enumerate(chunk.words):
        if word == SPECIAL:
            assert found.input_ids[place] == chunk.input_ids[place]
            assert {labels[name][place] for name in ("mlm", "wpa", "cpc")} == {IGNORED}
            continue
        masked.append(labels["mlm"][place] != IGNORED)
        moved.append(labels["cpc"][place] != IGNORED)
        if masked[-1]:
            assert labels["mlm"][place] == chunk.input_ids[place]
        else:
            assert found.input_ids[place] == chunk.input_ids[place]
        assert found.boxes[place] == ((0, 0, 0, 0) if moved[-1] else chunk.boxes[place])
        x0, y0, x1, y1 = chunk.boxes[place]
        if moved[-1]:
            assert labels["cpc"][place] == int((y0 + y1) / 2 // 250) * 4 + int((x0 + x1) / 2 // 250)
        share = 0.0  # of the box, square by square of one unit
        for row in range(SIDE):
            for column in range(SIDE):
                if found.patches[row, column]:
                    width = min(x1, (column + 1) * 1000 / SIDE) - max(x0, column * 1000 / SIDE)
                    height = min(y1, (row + 1) * 1000 / SIDE) - max(y0, row * 1000 / SIDE)
                    share += max(width, 0) * max(height, 0) / ((x1 - x0) * (y1 - y0))
        told = IGNORED if masked[-1] or moved[-1] else int(share <= 0.98)
        assert labels["wpa"][place] == told
    assert sum(masked) == round(0.3 * len(masked))
    assert not any(mask and move for mask, move in zip(masked, moved, strict=True))
    for place, label in enumerate(labels["mim"]):
        assert label == (CODES[1][place] if found.patches[place // SIDE, place % SIDE] else IGNORED)
    assert found.patches.sum() == 78
    assert found.targets() == {name: sum(x != IGNORED for x in labels[name]) for name in ("mlm", "mim", "wpa", "cpc")}


def test_masks_change_with_the_pass_unless_they_are_static(processor, chunk):
    def ids(turn: int, number: int = 0, **options):
        found = masker(processor, **options).of_training(chunk, number, turn)
        return found.labels

    assert ids(0) == ids(0)
    assert ids(0) != ids(1)
    assert ids(0) != ids(0, number=1)
    assert ids(0) != ids(0, seed=1)
    assert ids(0, static_masks=True) == ids(7, static_masks=True) == ids(0)
    held = masker(processor)
    assert held.held_out(chunk, 0).labels == held.held_out(chunk, 0).labels != ids(0)


def test_padding_has_no_targets(processor, chunk, tmp_path):
    short = Chunk([0, 2], [], [(0, 0, 0, 0)] * 2, 0, [SPECIAL, SPECIAL])  # a page without words
    made = masker(processor)
    batch = collate([made.of_training(chunk, 0, 0), made.of_training(short, 1, 0)], processor, None, visual=False)
    assert batch["attention_mask"].sum(1).tolist() == [len(chunk.words), 2]
    for name in ("mlm", "wpa", "cpc"):
        assert (batch["labels"][name][1] == IGNORED).all()
        assert (batch["labels"][name][batch["attention_mask"] == 0] == IGNORED).all()
    assert (batch["labels"]["mim"][1] != IGNORED).sum() == 78
    assert (batch["input_ids"][1, 2:] == processor.tokenizer.pad_token_id).all()


def test_only_chosen_objectives_mask(processor, chunk):
    alone = masker(processor, objectives="mim").of_training(chunk, 0, 0)
    assert alone.input_ids == chunk.input_ids
    assert list(alone.labels) == ["mim"]
    words = masker(processor, objectives="mlm").of_training(chunk, 0, 0)
    assert not words.patches.any()
    assert words.boxes == chunk.boxes


@pytest.mark.parametrize(
    "options, said",
    [
        ({"objectives": "mlm,wpa"}, "wpa requires mim"),
        ({"objectives": "mlm,x"}, "'x' is not one of mlm, mim, wpa, cpc"),
        ({"objectives": ""}, "'' is not one of"),
        ({"mlm_ratio": 1.0}, "--mlm_ratio 1.0: expected a number between 0 and 1"),
        ({"span_length": 0.5}, "--span_length 0.5: expected"),
        ({"span_unit": "page"}, "--span_unit page: expected token or word"),
        ({"mask_share": 0.95}, "--mask_share 0.95 and --random_share 0.1: expected"),
        ({"block_patches": 0}, "--block_patches 0: expected"),
        ({"block_aspect": 1.5}, "--block_aspect 1.5: expected"),
        ({"cpc_areas": 15}, "--cpc_areas 15: expected a square number"),
    ],
)
def test_refused(options, said):
    with pytest.raises(InputError, match=said):
        ObjectiveOptions(**options)
