"""transformers' LayoutLMv3 as a token classifier, from a hub id, a folder, or from nothing; and the pixels it reads."""

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from transformers import (
    LayoutLMv3Config,
    LayoutLMv3ForTokenClassification,
    LayoutLMv3Processor,
    LayoutLMv3Tokenizer,
)
from transformers.models.layoutlmv3.image_processing_pil_layoutlmv3 import LayoutLMv3ImageProcessorPil
from transformers.models.layoutlmv3.modeling_layoutlmv3 import LayoutLMv3Encoder

from documents.boxes import BOXES, WORD
from documents.images import to_rgb
from finetune.pretrained import RANDOM, check_weights, is_classifier, label_options, labels_of, one_line, read_config
from finetune.seals import check_seal, seal
from preprocess.errors import InputError

KIND = "layoutlmv3"
ARCHITECTURE = LayoutLMv3ForTokenClassification.__name__
RANDOM_SHAPE = {
    "hidden_size": 128,  # 4 * coordinate_size + 2 * shape_size
    "coordinate_size": 20,
    "shape_size": 24,
    "intermediate_size": 256,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": 514,  # 512 tokens: positions begin after that of padding, which is 1
    "type_vocab_size": 1,
}
RANDOM_VOCABULARY = 2000
SPECIAL_TOKENS = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")  # RoBERTa's order
READING = "page_reading"  # in config.json
BYTES = 256  # a byte-level vocabulary has them all


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


class TrainableBiasEncoder(LayoutLMv3Encoder):
    """The encoder with relative-position biases that train: transformers computes the same under no_grad."""

    def _cal_1d_pos_emb(self, position_ids: Tensor) -> Tensor:
        return self.bias(self.rel_pos_bias, position_ids, self.max_rel_pos)

    def _cal_2d_pos_emb(self, bbox: Tensor) -> Tensor:
        x = self.bias(self.rel_pos_x_bias, bbox[:, :, 0], self.max_rel_2d_pos)
        return x + self.bias(self.rel_pos_y_bias, bbox[:, :, 3], self.max_rel_2d_pos)

    def bias(self, table: nn.Linear, positions: Tensor, reach: int) -> Tensor:
        """(B, H, N, N), of each pair of positions (B, N), from a weight (H, bins); buckets end at a distance of reach.

        A bucket for each difference instead of each pair, and a lookup for each head: with F.embedding over pairs a
        step of a small model on a CPU takes half as long again.
        """
        differences = torch.arange(-reach, reach + 1, device=positions.device)
        buckets = self.relative_position_bucket(differences, num_buckets=table.in_features, max_distance=reach)
        pairs = (positions[:, None, :] - positions[:, :, None]).clamp(-reach, reach) + reach
        return table.weight[:, buckets][:, pairs].transpose(0, 1)


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
            make_random(label_words, texts, folder)
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
    image_processor, config = load_image_processor(model), read_config(model, KIND)
    classifies = is_classifier(model, config, ARCHITECTURE, label_words)
    with one_line(model):
        tokenizer = LayoutLMv3Tokenizer.from_pretrained(model)
        loaded, report = LayoutLMv3ForTokenClassification.from_pretrained(
            model, dtype=torch.float32, output_loading_info=True, **label_options(label_words)
        )
    # transformers makes a tokenizer of nothing, and random weights, where files lack them
    if not BYTES < len(tokenizer) <= config.vocab_size:
        raise InputError(
            f"--model {model}: a tokenizer of {len(tokenizer)} tokens, "
            f"expected more than {BYTES} and at most the model's {config.vocab_size}"
        )
    check_weights(model, report["missing_keys"], "" if classifies else "classifier.")
    train_biases(loaded)
    return loaded, LayoutLMv3Processor(image_processor, tokenizer)


def load_image_processor(model: str) -> LayoutLMv3ImageProcessorPil:
    """Without OCR, whatever its file says; images of the size for which the model has positions.

    Raises:
        InputError: Not there, damaged, or not of a LayoutLMv3.
    """
    if model == RANDOM:
        return LayoutLMv3ImageProcessorPil(apply_ocr=False)
    size = read_config(model, KIND).input_size
    with one_line(model):
        return LayoutLMv3ImageProcessorPil.from_pretrained(model, apply_ocr=False, size={"height": size, "width": size})


def train_biases(model: LayoutLMv3ForTokenClassification) -> None:
    """Put a TrainableBiasEncoder in the encoder's place, with its very weights."""
    plain = model.layoutlmv3.encoder
    with torch.device("meta"):  # neither memory nor random numbers
        encoder = TrainableBiasEncoder(model.config)
    encoder.load_state_dict(plain.state_dict(), assign=True)
    model.layoutlmv3.encoder = encoder.train(plain.training)


def make_random(label_words: Sequence[str], texts: Sequence[str], folder: Path) -> None:
    """A small random LayoutLMv3 with its processor, and a byte-level tokenizer trained on `texts`."""
    untrained = LayoutLMv3Tokenizer(vocab={token: number for number, token in enumerate(SPECIAL_TOKENS)})
    tokenizer = untrained.train_new_from_iterator(texts, RANDOM_VOCABULARY, min_frequency=2, show_progress=False)
    config = LayoutLMv3Config(vocab_size=len(tokenizer), **RANDOM_SHAPE, **label_options(label_words))
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".") as scratch:
        LayoutLMv3Processor(load_image_processor(RANDOM), tokenizer).save_pretrained(scratch)
        LayoutLMv3ForTokenClassification(config).save_pretrained(scratch)
        seal(Path(scratch))
        # config.json last: where it is, the folder is whole
        for path in sorted(Path(scratch).iterdir(), key=lambda path: path.name == "config.json"):
            os.replace(path, folder / path.name)


def pixels(image_processor: LayoutLMv3ImageProcessorPil, image: Image.Image) -> np.ndarray:
    """What the model sees of an image of any mode, uint8 (3, S, S): resized, neither rescaled nor normalised."""
    return image_processor(to_rgb(image), do_rescale=False, do_normalize=False)["pixel_values"][0]


def normalised(processor: LayoutLMv3Processor, pixels: np.ndarray) -> Tensor:
    """`pixel_values`, float32 (N, 3, S, S), of N results of `pixels`."""
    options = {"do_resize": False, "input_data_format": "channels_first", "return_tensors": "pt"}
    return processor.image_processor(list(pixels), **options)["pixel_values"]
