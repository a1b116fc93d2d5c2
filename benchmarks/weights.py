"""Random weights of a named LLaMA shape, the same in every process that asks for the same seed.

They are drawn where they are used, so nothing has to be written and read. Knows nothing about the project: the peers'
interpreter imports it too.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

VOCABULARY = 32000
NORM_EPS = 1e-5
SHAPES = {
    "1M": {"dim": 16, "n_layers": 2, "n_heads": 2, "multiple_of": 16},
    "15M": {"dim": 192, "n_layers": 6, "n_heads": 6, "multiple_of": 64},
    "134M": {"dim": 768, "n_layers": 12, "n_heads": 12, "multiple_of": 256},
    "1B": {"dim": 2048, "n_layers": 22, "n_heads": 32, "n_kv_heads": 4, "multiple_of": 256},
    "7B": {"dim": 4096, "n_layers": 32, "n_heads": 32, "multiple_of": 256},
    "13B": {"dim": 5120, "n_layers": 40, "n_heads": 40, "multiple_of": 256},
}
BLOCK_NAMES = {
    "attention.wq": "self_attn.q_proj",
    "attention.wk": "self_attn.k_proj",
    "attention.wv": "self_attn.v_proj",
    "attention.wo": "self_attn.o_proj",
    "feed_forward.w1": "mlp.gate_proj",
    "feed_forward.w2": "mlp.down_proj",
    "feed_forward.w3": "mlp.up_proj",
    "attention_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
}
OTHER_NAMES = {"tok_embeddings": "model.embed_tokens", "norm": "model.norm", "output": "lm_head"}


def hidden_dim(shape: dict[str, int]) -> int:
    """Width of the feed-forward layer: 2/3 of 4 dim, rounded up to a multiple of `multiple_of`."""
    return -(-(2 * 4 * shape["dim"] // 3) // shape["multiple_of"]) * shape["multiple_of"]


def kv_dim(shape: dict[str, int]) -> int:
    return shape["dim"] // shape["n_heads"] * shape.get("n_kv_heads", shape["n_heads"])


def sizes(shape: dict[str, int]) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Meta's key and the size of every weight, in the order in which they are drawn."""
    dim, hidden = shape["dim"], hidden_dim(shape)
    yield "tok_embeddings.weight", (VOCABULARY, dim)
    for layer in range(shape["n_layers"]):
        yield f"layers.{layer}.attention.wq.weight", (dim, dim)
        yield f"layers.{layer}.attention.wk.weight", (kv_dim(shape), dim)
        yield f"layers.{layer}.attention.wv.weight", (kv_dim(shape), dim)
        yield f"layers.{layer}.attention.wo.weight", (dim, dim)
        yield f"layers.{layer}.feed_forward.w1.weight", (hidden, dim)
        yield f"layers.{layer}.feed_forward.w2.weight", (dim, hidden)
        yield f"layers.{layer}.feed_forward.w3.weight", (hidden, dim)
        yield f"layers.{layer}.attention_norm.weight", (dim,)
        yield f"layers.{layer}.ffn_norm.weight", (dim,)
    yield "norm.weight", (dim,)
    yield "output.weight", (VOCABULARY, dim)


def random_weights(shape: dict[str, int], seed: int, dtype: torch.dtype, device: str) -> dict[str, Tensor]:
    """Weights under Meta's keys. What a matrix gives has the variance of what it takes, so scores differ visibly."""
    generator = torch.Generator(device).manual_seed(seed)
    weights = {}
    for key, size in sizes(shape):
        drawn = torch.randn(size, generator=generator, device=device)
        if len(size) == 1:
            drawn = 1 + 0.1 * drawn
        elif key != "tok_embeddings.weight":
            drawn *= size[1] ** -0.5
        weights[key] = drawn.to(dtype)
    return weights


def matrices(weights: dict[str, Tensor]) -> list[Tensor]:
    """Of all blocks and of the output layer, in the order in which a token passes them."""
    return [weight for key, weight in weights.items() if weight.dim() == 2 and key != "tok_embeddings.weight"]


def to_hugging_face(weights: dict[str, Tensor], shape: dict[str, int]) -> dict[str, Tensor]:
    """The same weights under Hugging Face's keys."""
    heads = {"wq": shape["n_heads"], "wk": shape.get("n_kv_heads", shape["n_heads"])}
    converted = {}
    for key, weight in weights.items():
        name = key.removesuffix(".weight")
        if not name.startswith("layers."):
            converted[f"{OTHER_NAMES[name]}.weight"] = weight
            continue
        _, layer, name = name.split(".", 2)
        kind = name.split(".")[-1]
        if kind in heads:  # its rotary embedding pairs i with i + E / 2 where Meta's pairs neighbours
            weight = weight.view(heads[kind], -1, 2, weight.shape[1]).transpose(1, 2).reshape_as(weight)
        converted[f"model.layers.{layer}.{BLOCK_NAMES[name]}.weight"] = weight
    return converted


def hugging_face_config(shape: dict[str, int], max_seq_len: int) -> dict[str, Any]:
    """The arguments of transformers' LlamaConfig."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "vocab_size": VOCABULARY,
        "hidden_size": shape["dim"],
        "intermediate_size": hidden_dim(shape),
        "num_hidden_layers": shape["n_layers"],
        "num_attention_heads": shape["n_heads"],
        "num_key_value_heads": shape.get("n_kv_heads", shape["n_heads"]),
        "max_position_embeddings": max_seq_len,
        "rms_norm_eps": NORM_EPS,
        "tie_word_embeddings": False,
    }
