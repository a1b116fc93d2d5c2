"""transformers' LayoutLMv3 as a token classifier, from a hub id, a folder, or random weights."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import LayoutLMv3Config, LayoutLMv3ForTokenClassification, LayoutLMv3Processor

from documents.boxes import BOXES, WORD
from documents.layoutlmv3 import KIND, load_processor, make_random, train_biases
from documents.pretrained import (
    RANDOM,
    check_weights,
    is_classifier,
    label_options,
    labels_of,
    model_name,
    one_line,
    read_config,
)
from preprocess.errors import InputError
from preprocess.seals import check_seal

ARCHITECTURE = LayoutLMv3ForTokenClassification.__name__
READING = "page_reading"  # in config.json


@dataclass(frozen=True)
class LayoutBase:
    """A model to fine-tune, with its processor: words, boxes and an image to tensors.

    Args:
        name: Name in tables.
        processor: Without OCR, because words and boxes are given.
    """

    name: str
    model: LayoutLMv3ForTokenClassification
    processor: LayoutLMv3Processor


@dataclass(frozen=True)
class PageReading:
    """How pages were read in training. It is stored in the model's configuration, so that prediction reads them alike.

    Args:
        boxes: Box of each word: segment or word.
        max_length: Tokens in a chunk.
        stride: Tokens that a chunk shares with the previous one.
    """

    boxes: str = WORD
    max_length: int = 512
    stride: int = 128


def page_reading(config: LayoutLMv3Config) -> PageReading:
    """The reading stored in a model's configuration, or the defaults.

    Raises:
        InputError: The stored value is invalid.
    """
    stored = getattr(config, READING, None)
    if stored is None:
        return PageReading()
    whole = isinstance(stored, dict) and set(stored) == {"boxes", "max_length", "stride"}
    numbers = whole and all(type(stored[name]) is int and stored[name] >= 0 for name in ("max_length", "stride"))
    if not numbers or stored["boxes"] not in BOXES:
        raise InputError(
            f"--model: {READING} in its config.json is {stored!r:.80}, expected boxes, max_length and stride"
        )
    return PageReading(**stored)


def load_layout(model: str, label_words: Sequence[str], texts: Sequence[str], folder: Path) -> LayoutBase:
    """The model of `--model`, in float32. A missing head is initialized by torch's global generator.

    Args:
        texts: Training texts of the tokenizer for `random`.
        folder: Folder of the model for `random`, which a resumed run reuses.

    Raises:
        InputError: The model does not exist, is damaged, is not a LayoutLMv3, or has other labels.
    """
    if model == RANDOM:
        if not (folder / "config.json").is_file():
            make_random(LayoutLMv3ForTokenClassification, texts, folder, **label_options(label_words))
        check_seal(folder)
        return LayoutBase(RANDOM, *load_transformers(str(folder), label_words))
    return LayoutBase(model_name(model), *load_transformers(model, label_words))


def load_classifier(model: str) -> LayoutBase:
    """A model that is already a token classifier, with its own labels.

    Raises:
        InputError: As for `load_layout`, or the model is not a token classifier.
    """
    if model == RANDOM:
        raise InputError(f"--model {RANDOM}: expected a trained model")
    label_words = labels_of(read_config(model, KIND), ARCHITECTURE)
    if label_words is None:
        raise InputError(f"--model {model}: not trained to classify tokens; train it with run_finetune_layoutlmv3.py")
    return LayoutBase(model_name(model), *load_transformers(model, label_words))


def load_transformers(
    model: str, label_words: Sequence[str]
) -> tuple[LayoutLMv3ForTokenClassification, LayoutLMv3Processor]:
    """The model and processor of a hub id or a local folder in transformers' format."""
    processor, config = load_processor(model), read_config(model, KIND)
    classifies = is_classifier(model, config, ARCHITECTURE, label_words)
    with one_line(model):
        loaded, report = LayoutLMv3ForTokenClassification.from_pretrained(
            model, dtype=torch.float32, output_loading_info=True, **label_options(label_words)
        )
    # transformers initializes missing weights at random
    check_weights(model, report["missing_keys"], "" if classifies else "classifier.")
    train_biases(loaded)
    return loaded, processor
