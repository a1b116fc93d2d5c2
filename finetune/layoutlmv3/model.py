"""transformers' LayoutLMv3 as a token classifier, from a hub id, a folder, or from nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import LayoutLMv3Config, LayoutLMv3ForTokenClassification, LayoutLMv3Processor

from documents.boxes import BOXES, WORD
from documents.layoutlmv3 import KIND, load_processor, make_random, train_biases
from documents.pretrained import RANDOM, check_weights, is_classifier, label_options, labels_of, one_line, read_config
from preprocess.errors import InputError
from preprocess.seals import check_seal

ARCHITECTURE = LayoutLMv3ForTokenClassification.__name__
READING = "page_reading"  # in config.json


@dataclass(frozen=True)
class LayoutBase:
    """A model to fine-tune, with its processor: words, boxes and an image to tensors.

    Args:
        name: As tables call it.
        processor: Without OCR: words and boxes are given.
    """

    name: str
    model: LayoutLMv3ForTokenClassification
    processor: LayoutLMv3Processor


@dataclass(frozen=True)
class PageReading:
    """How pages were read in training, kept in the model's configuration: prediction reads them likewise.

    Args:
        boxes: Whose box a word has: segment or word.
        max_length: Tokens of a chunk.
        stride: Tokens that a chunk shares with the one before.
    """

    boxes: str = WORD
    max_length: int = 512
    stride: int = 128


def page_reading(config: LayoutLMv3Config) -> PageReading:
    """What a model's configuration keeps; the defaults where it keeps nothing.

    Raises:
        InputError: It keeps something else.
    """
    kept = getattr(config, READING, None)
    if kept is None:
        return PageReading()
    whole = isinstance(kept, dict) and set(kept) == {"boxes", "max_length", "stride"}
    numbers = whole and all(type(kept[name]) is int and kept[name] >= 0 for name in ("max_length", "stride"))
    if not numbers or kept["boxes"] not in BOXES:
        raise InputError(
            f"--model: {READING} in its config.json is {kept!r:.80}, expected boxes, max_length and stride"
        )
    return PageReading(**kept)


def load_layout(model: str, label_words: Sequence[str], texts: Sequence[str], folder: Path) -> LayoutBase:
    """The model that `--model` names, in float32; a head that it lacks is random, from torch's own generator.

    Args:
        texts: A tokenizer is trained on them for `random`.
        folder: Where `random` is kept: a second run finds the same there.

    Raises:
        InputError: Not there, damaged, not a LayoutLMv3, or a classifier of other labels.
    """
    if model == RANDOM:
        if not (folder / "config.json").is_file():
            make_random(LayoutLMv3ForTokenClassification, texts, folder, **label_options(label_words))
        check_seal(folder)
        return LayoutBase(RANDOM, *load_transformers(str(folder), label_words))
    return LayoutBase(Path(model).name, *load_transformers(model, label_words))


def load_classifier(model: str) -> LayoutBase:
    """A model that classifies tokens already, with the labels that it has.

    Raises:
        InputError: As of `load_layout`; it classifies none.
    """
    if model == RANDOM:
        raise InputError(f"--model {RANDOM}: expected one that is trained")
    label_words = labels_of(read_config(model, KIND), ARCHITECTURE)
    if label_words is None:
        raise InputError(f"--model {model}: is not trained to classify tokens; run_finetune_layoutlmv3.py does that")
    return LayoutBase(Path(model).name, *load_transformers(model, label_words))


def load_transformers(
    model: str, label_words: Sequence[str]
) -> tuple[LayoutLMv3ForTokenClassification, LayoutLMv3Processor]:
    """A hub id or a local folder in transformers' form."""
    processor, config = load_processor(model), read_config(model, KIND)
    classifies = is_classifier(model, config, ARCHITECTURE, label_words)
    with one_line(model):
        loaded, report = LayoutLMv3ForTokenClassification.from_pretrained(
            model, dtype=torch.float32, output_loading_info=True, **label_options(label_words)
        )
    # transformers makes random weights where files lack them
    check_weights(model, report["missing_keys"], "" if classifies else "classifier.")
    train_biases(loaded)
    return loaded, processor
