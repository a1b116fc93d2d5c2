"""Initial weights: embeddings and layers from RoBERTa, the patch projection from DiT or BEiT."""

from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import BeitModel, LayoutLMv3Model, LayoutLMv3Tokenizer, RobertaConfig, RobertaModel

from documents.pretrained import RANDOM, check_weights, one_line, read_config
from preprocess.errors import InputError

TEXT_FLAG, IMAGE_FLAG = "--init_text", "--init_image"
SHAPE = (  # fields that the configurations of RoBERTa and LayoutLMv3 share
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "hidden_act",
    "max_position_embeddings",
    "type_vocab_size",
    "layer_norm_eps",
    "pad_token_id",
    "bos_token_id",
    "eos_token_id",
)


@dataclass(frozen=True)
class Taken:
    """Where the weights of a model come from.

    Args:
        text, image: Names of the weights that were taken from RoBERTa, and from DiT or BEiT.
        random: Names of the other weights.
    """

    text: list[str]
    image: list[str]
    random: list[str]

    def lines(self, text: str, image: str, model: str) -> list[str]:
        """Lines for the screen: how many weights come from where, and which are random or the model's own."""
        taken = [
            f"{len(names)} weights from {source}" for names, source in ((self.text, text), (self.image, image)) if names
        ]
        kinds = sorted({name.replace("encoder.", "").partition(".")[0] for name in self.random})
        return [*taken, f"{'random' if model == RANDOM else f'from {model}'}: {', '.join(kinds)}"]


def shape_of_roberta(name: str) -> dict[str, object]:
    """Configuration options of a LayoutLMv3 with the shape of a RoBERTa.

    Raises:
        InputError: The model does not exist, or is not a RoBERTa.
    """
    config: RobertaConfig = read_config(name, "roberta", TEXT_FLAG)
    each = config.hidden_size // 6  # as in the published models: a position is six embeddings of equal width
    rest = config.hidden_size - 4 * each
    if rest % 2:
        each -= 1
        rest += 4
    return {key: getattr(config, key) for key in SHAPE} | {"coordinate_size": each, "shape_size": rest // 2}


def tokenizer_of_roberta(name: str) -> LayoutLMv3Tokenizer:
    """RoBERTa's tokenizer, which is also LayoutLMv3's."""
    with one_line(name, TEXT_FLAG):
        return LayoutLMv3Tokenizer.from_pretrained(name)


def take_weights(model: LayoutLMv3Model, text: str, image: str) -> Taken:
    """Copy RoBERTa's embeddings and layers, and the patch projection of a DiT or BEiT, into a model.

    Args:
        text, image: Folders or hub ids; empty: nothing is copied.

    Raises:
        InputError: A model does not exist, is damaged, or has another kind or shape.
    """
    given_text = roberta_weights(text) if text else {}
    given_image = patch_weights(image) if image else {}
    own = model.state_dict()
    for weights, name, flag in ((given_text, text, TEXT_FLAG), (given_image, image, IMAGE_FLAG)):
        for key, weight in weights.items():
            expected = own.get(key)
            if expected is None or expected.shape != weight.shape:
                ours = "none" if expected is None else f"{tuple(expected.shape)}"
                raise InputError(f"{flag} {name}: {key} has shape {tuple(weight.shape)}; that of the model: {ours}")
    with torch.no_grad():
        for key, weight in (given_text | given_image).items():
            own[key].copy_(weight)
    left = [key for key in own if key not in given_text and key not in given_image]
    return Taken(list(given_text), list(given_image), left)


def roberta_weights(name: str) -> dict[str, Tensor]:
    """RoBERTa's embeddings and encoder layers; LayoutLMv3's have the same names."""
    read_config(name, "roberta", TEXT_FLAG)
    with one_line(name, TEXT_FLAG):
        loaded, report = RobertaModel.from_pretrained(
            name, add_pooling_layer=False, dtype=torch.float32, output_loading_info=True
        )
    check_weights(name, report["missing_keys"], "", TEXT_FLAG)
    return dict(loaded.state_dict())


def patch_weights(name: str) -> dict[str, Tensor]:
    """The patch projection of a DiT or BEiT."""
    read_config(name, "beit", IMAGE_FLAG)
    with one_line(name, IMAGE_FLAG):
        loaded, report = BeitModel.from_pretrained(
            name, add_pooling_layer=False, dtype=torch.float32, output_loading_info=True
        )
    check_weights(name, report["missing_keys"], "", IMAGE_FLAG)
    projection = loaded.embeddings.patch_embeddings.projection
    return {"patch_embed.proj.weight": projection.weight.detach(), "patch_embed.proj.bias": projection.bias.detach()}
