"""What all systems here share of transformers' LayoutLMv3: its processor without OCR, its input pixels, trainable
biases, a small random model, gradient checkpointing."""

import os
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers import LayoutLMv3Config, LayoutLMv3Model, LayoutLMv3Processor, LayoutLMv3Tokenizer, PreTrainedModel
from transformers.models.layoutlmv3.image_processing_pil_layoutlmv3 import LayoutLMv3ImageProcessorPil
from transformers.models.layoutlmv3.modeling_layoutlmv3 import LayoutLMv3Encoder

from documents.images import to_rgb
from documents.pretrained import RANDOM, one_line, read_config
from preprocess.errors import InputError
from preprocess.seals import seal

KIND = "layoutlmv3"
RANDOM_SHAPE = {
    "hidden_size": 128,  # 4 * coordinate_size + 2 * shape_size
    "coordinate_size": 20,
    "shape_size": 24,
    "intermediate_size": 256,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": 514,  # 512 tokens: positions start after that of padding, which is 1
    "type_vocab_size": 1,
}
RANDOM_VOCABULARY = 2000
SPECIAL_TOKENS = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")  # RoBERTa's order
BYTES = 256  # minimum size of a byte-level vocabulary


class TrainableBiasEncoder(LayoutLMv3Encoder):
    """The encoder with trainable relative-position biases, which transformers computes under no_grad."""

    def _cal_1d_pos_emb(self, position_ids: Tensor) -> Tensor:
        return self.bias(self.rel_pos_bias, position_ids, self.max_rel_pos)

    def _cal_2d_pos_emb(self, bbox: Tensor) -> Tensor:
        x = self.bias(self.rel_pos_x_bias, bbox[:, :, 0], self.max_rel_2d_pos)
        return x + self.bias(self.rel_pos_y_bias, bbox[:, :, 3], self.max_rel_2d_pos)

    def bias(self, table: nn.Linear, positions: Tensor, reach: int) -> Tensor:
        """The bias (B, H, N, N) of each pair of positions (B, N), from a weight (H, bins).

        Buckets are computed for differences instead of pairs, and looked up for each head: with F.embedding over
        pairs, a step of a small model on a CPU takes 1.5 times as long.

        Args:
            reach: Distance from which on all pairs share the last bucket.
        """
        differences = torch.arange(-reach, reach + 1, device=positions.device)
        buckets = self.relative_position_bucket(differences, num_buckets=table.in_features, max_distance=reach)
        pairs = (positions[:, None, :] - positions[:, :, None]).clamp(-reach, reach) + reach
        return table.weight[:, buckets][:, pairs].transpose(0, 1)


def load_image_processor(model: str) -> LayoutLMv3ImageProcessorPil:
    """The image processor of a model, always without OCR and with the image size of the model's positions.

    Raises:
        InputError: The model does not exist, is damaged, or is not a LayoutLMv3.
    """
    if model == RANDOM:
        return LayoutLMv3ImageProcessorPil(apply_ocr=False)
    size = read_config(model, KIND).input_size
    with one_line(model):
        return LayoutLMv3ImageProcessorPil.from_pretrained(model, apply_ocr=False, size={"height": size, "width": size})


def load_processor(model: str) -> LayoutLMv3Processor:
    """The processor of a hub id or of a folder, without OCR.

    Raises:
        InputError: The model does not exist, is damaged, is not a LayoutLMv3, or has a tokenizer that does not fit.
    """
    image_processor, config = load_image_processor(model), read_config(model, KIND)
    with one_line(model):
        tokenizer = LayoutLMv3Tokenizer.from_pretrained(model)
    # without tokenizer files, transformers creates an empty tokenizer
    if not BYTES < len(tokenizer) <= config.vocab_size:
        raise InputError(
            f"--model {model}: its tokenizer has {len(tokenizer)} tokens, "
            f"expected more than {BYTES} and at most {config.vocab_size}, as the model has"
        )
    return LayoutLMv3Processor(image_processor, tokenizer)


def backbone(model: PreTrainedModel) -> LayoutLMv3Model:
    """The LayoutLMv3 within a model that may have a head."""
    return getattr(model, "layoutlmv3", model)


def train_biases(model: PreTrainedModel) -> None:
    """Replace the encoder by a TrainableBiasEncoder with the same weights."""
    inner = backbone(model)
    plain = inner.encoder
    with torch.device("meta"):  # uses neither memory nor random numbers
        encoder = TrainableBiasEncoder(model.config)
    encoder.load_state_dict(plain.state_dict(), assign=True)
    inner.encoder = encoder.train(plain.training)


def checkpoint_gradients(model: PreTrainedModel) -> None:
    """Recompute the activations of each layer in the backward pass instead of storing them.

    transformers' layers support it, but its LayoutLMv3 has no switch.
    """
    for layer in backbone(model).encoder.layer:
        layer._gradient_checkpointing_func = partial(checkpoint, use_reentrant=False)
        layer.gradient_checkpointing = True


def chunk_length(model: PreTrainedModel, processor: LayoutLMv3Processor, max_length: int) -> int:
    """Tokens in a chunk: `--max_length`, or the model's maximum if that is less."""
    return min(max_length, model.config.max_position_embeddings - processor.tokenizer.pad_token_id - 1)


def make_random(
    make: Callable[[LayoutLMv3Config], PreTrainedModel],
    texts: Sequence[str],
    folder: Path,
    shape: dict[str, Any] | None = None,
    tokenizer: LayoutLMv3Tokenizer | None = None,
    **more: Any,
) -> None:
    """Save a random LayoutLMv3 with its processor.

    Args:
        make: Creates the model of a configuration.
        texts: Training texts of a byte-level tokenizer, if `tokenizer` is None.
        folder: The folder to save to.
        shape: The shape in the configuration, including the size of the vocabulary; default small.
        more: Other entries of the configuration.
    """
    if tokenizer is None:
        untrained = LayoutLMv3Tokenizer(vocab={token: number for number, token in enumerate(SPECIAL_TOKENS)})
        tokenizer = untrained.train_new_from_iterator(texts, RANDOM_VOCABULARY, min_frequency=2, show_progress=False)
    config = LayoutLMv3Config(**(shape or {"vocab_size": len(tokenizer), **RANDOM_SHAPE}), **more)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".") as scratch:
        LayoutLMv3Processor(load_image_processor(RANDOM), tokenizer).save_pretrained(scratch)
        make(config).save_pretrained(scratch)
        seal(Path(scratch))
        # config.json comes last: it marks the folder as complete
        for path in sorted(Path(scratch).iterdir(), key=lambda path: path.name == "config.json"):
            os.replace(path, folder / path.name)


def pixels(image_processor: LayoutLMv3ImageProcessorPil, image: Image.Image) -> np.ndarray:
    """The model's input pixels of an image of any mode, uint8 (3, S, S): resized, not yet rescaled or normalised."""
    return image_processor(to_rgb(image), do_rescale=False, do_normalize=False)["pixel_values"][0]


def normalised(processor: LayoutLMv3Processor, pixels: np.ndarray) -> Tensor:
    """`pixel_values`, float32 (N, 3, S, S), of N results of `pixels`."""
    options = {"do_resize": False, "input_data_format": "channels_first", "return_tensors": "pt"}
    return processor.image_processor(list(pixels), **options)["pixel_values"]
