"""Measures a LayoutLMv3 on FUNSD's test forms with four kinds of word boxes.

python benchmarks/segments.py --model runs/funsd --dataset_path data/funsd
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from options import run

# isort: split

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from documents.boxes import SEGMENT, WORD, segment_boxes
from documents.images import image_size, open_image
from documents.layoutlmv3 import pixels
from documents.pages import Splits, flat
from documents.segments import segments
from documents.sources import source_of
from evaluate.formats import Column, Rows, number, to_text
from finetune.block_metrics import block_metrics, decisions
from finetune.layoutlmv3.fine_tuning import LayoutLMv3Config, collate_layout, encode
from finetune.layoutlmv3.model import LayoutBase, load_classifier, page_reading
from finetune.layoutlmv3.prediction import model_folder
from finetune.predicting import predict_scores
from preprocess.blocks import Page
from preprocess.files import PathFlag
from training.run_folder import quiet_libraries


@dataclass(frozen=True)
class SegmentsConfig:
    """Score a fine-tuned LayoutLMv3 on test forms whose words have boxes of different kinds.

    Args:
        model: A run folder of run_finetune_layoutlmv3.py --dataset funsd.
        dataset_path: Folder of FUNSD in its original format.
        split: Split to score.
    """

    model: PathFlag = "runs/funsd"
    dataset_path: PathFlag = "data/funsd"
    split: str = "test"


def measure(config: SegmentsConfig) -> None:
    """Print word accuracy and entity F1 for each kind of boxes."""
    quiet_libraries()
    base = load_classifier(model_folder(config.model))
    gold = read(config, SEGMENT)
    words = read(config, WORD)
    kinds = {
        "of the entities, as in training": gold,
        "of the words": words,
        "of segments made from the words": [with_segments(page) for page in words],
        "of segments made from the words, in line order": [with_segments(in_lines(page)) for page in words],
    }
    rows = [(kind, score(base, pages, gold)) for kind, pages in kinds.items()]
    columns = [
        Column("boxes", lambda row: row[0], is_number=False),
        number("accuracy", lambda row: row[1]["accuracy"]),
        number("entity F1", lambda row: row[1]["entity_f1"]),
    ]
    print(to_text("markdown", columns, [Rows("", rows)], None, []))


def read(config: SegmentsConfig, boxes: str) -> list[Page]:
    """The pages of the split, with segment boxes or word boxes."""
    source = source_of("funsd", config.dataset_path, boxes=boxes)
    return list(source.read(config.dataset_path, config.split, "--dataset_path", True))


def with_segments(page: Page) -> Page:
    """The page with segment boxes, as in prediction."""
    boxes = segment_boxes([block.box for block in page.blocks], (1000.0, 1000.0), image_size(page.image, ""))
    blocks = [replace(block, box=box) for block, box in zip(page.blocks, boxes, strict=True)]
    return replace(page, blocks=blocks)


def in_lines(page: Page) -> Page:
    """The page with its words in line order, as from OCR; the file lists them entity by entity."""
    width, height = image_size(page.image, "")
    boxes = [(x0 * width, y0 * height, x1 * width, y1 * height) for x0, y0, x1, y1 in (b.box for b in page.blocks)]
    order = [word for segment in segments(boxes) for word in segment]
    return replace(page, blocks=[page.blocks[word] for word in order])


def score(base: LayoutBase, pages: Sequence[Page], forms: Sequence[Page]) -> dict[str, float]:
    """The metrics of the words.

    Args:
        pages: The pages as the model reads them, with words in any order.
        forms: The pages with words in the order of the file, which entity F1 needs.
    """
    reading, label_words = page_reading(base.model.config), tuple(base.model.config.id2label.values())
    options = LayoutLMv3Config(max_length=reading.max_length, stride=reading.stride)
    images = np.stack([pixels(base.processor.image_processor, open_image(page.image, page.place)) for page in pages])
    numbered = [
        replace(page, image=number, blocks=[block for block in page.blocks if block.text])
        for number, page in enumerate(pages)
    ]
    encoded = encode(options, Splits([], [], numbered, {}, 0, {}, {}), base, label_words)["test"]
    scores = predict_scores(base.model, encoded, partial(collate_layout, base=base, images=images), batch_size=1)
    predicted = dict(zip((block.id for block in flat(numbered)), decisions(scores, label_words), strict=True))
    blocks = flat(forms)
    return block_metrics([predicted[block.id] for block in blocks], blocks, label_words)


if __name__ == "__main__":
    run(SegmentsConfig, measure)
