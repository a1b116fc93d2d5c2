"""Random weights of a named LLaMA shape, the same in every process with the same seed.

Each process draws them itself, so no files are needed. This module imports nothing of the project, because the peers'
interpreter imports it too.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

VOCABULARY = 32000  # where a shape names no other
NORM_EPS = 1e-5
SHAPES = {
    "1M": {"dim": 16, "n_layers": 2, "n_heads": 2, "multiple_of": 16},
    "15M": {"dim": 192, "n_layers": 6, "n_heads": 6, "multiple_of": 64},
    "134M": {"dim": 768, "n_layers": 12, "n_heads": 12, "multiple_of": 256},
    "1B": {"dim": 2048, "n_layers": 22, "n_heads": 32, "n_kv_heads": 4, "multiple_of": 256},
    "7B": {"dim": 4096, "n_layers": 32, "n_heads": 32, "multiple_of": 256},
    "8B": {  # of Llama 3
        "dim": 4096,
        "n_layers": 32,
        "n_heads": 32,
        "n_kv_heads": 8,
        "hidden_dim": 14336,
        "vocab_size": 128256,
    },
    "13B": {"dim": 5120, "n_layers": 40, "n_heads": 40, "multiple_of": 256},
}


def hidden_dim(shape: dict[str, int]) -> int:
    """Width of the feed-forward layer: if not stated, 2/3 of 4 dim, rounded up to a multiple of `multiple_of`."""
    return shape.get("hidden_dim") or -(-(2 * 4 * shape["dim"] // 3) // shape["multiple_of"]) * shape["multiple_of"]


def vocabulary(shape: dict[str, int]) -> int:
    return shape.get("vocab_size", VOCABULARY)


def kv_dim(shape: dict[str, int]) -> int:
    """Width of all keys, or of all values, of a token."""
    return shape["dim"] // shape["n_heads"] * shape.get("n_kv_heads", shape["n_heads"])


def sizes(shape: dict[str, int]) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Hugging Face's key and the size of every weight, in the order in which they are drawn."""
    dim, hidden = shape["dim"], hidden_dim(shape)
    yield "model.embed_tokens.weight", (vocabulary(shape), dim)
    for layer in range(shape["n_layers"]):
        block = f"model.layers.{layer}"
        yield f"{block}.self_attn.q_proj.weight", (dim, dim)
        yield f"{block}.self_attn.k_proj.weight", (kv_dim(shape), dim)
        yield f"{block}.self_attn.v_proj.weight", (kv_dim(shape), dim)
        yield f"{block}.self_attn.o_proj.weight", (dim, dim)
        yield f"{block}.mlp.gate_proj.weight", (hidden, dim)
        yield f"{block}.mlp.down_proj.weight", (dim, hidden)
        yield f"{block}.mlp.up_proj.weight", (hidden, dim)
        yield f"{block}.input_layernorm.weight", (dim,)
        yield f"{block}.post_attention_layernorm.weight", (dim,)
    yield "model.norm.weight", (dim,)
    yield "lm_head.weight", (vocabulary(shape), dim)


def random_weights(shape: dict[str, int], seed: int, dtype: torch.dtype, device: str) -> dict[str, Tensor]:
    """Weights with Hugging Face's keys, which all systems read.

    A matrix preserves the variance of its input, so that scores differ visibly.
    """
    generator = torch.Generator(device).manual_seed(seed)
    weights = {}
    for key, size in sizes(shape):
        drawn = torch.randn(size, generator=generator, device=device)
        if len(size) == 1:
            drawn = 1 + 0.1 * drawn
        elif key != "model.embed_tokens.weight":
            drawn *= size[1] ** -0.5
        weights[key] = drawn.to(dtype)
    return weights


def matrices(weights: dict[str, Tensor]) -> list[Tensor]:
    """The matrices of all blocks and of the output layer, in the order of computation."""
    return [weight for key, weight in weights.items() if weight.dim() == 2 and key != "model.embed_tokens.weight"]


def hugging_face_config(shape: dict[str, int], max_seq_len: int) -> dict[str, Any]:
    """The arguments of transformers' LlamaConfig."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "vocab_size": vocabulary(shape),
        "hidden_size": shape["dim"],
        "intermediate_size": hidden_dim(shape),
        "num_hidden_layers": shape["n_layers"],
        "num_attention_heads": shape["n_heads"],
        "num_key_value_heads": shape.get("n_kv_heads", shape["n_heads"]),
        "max_position_embeddings": max_seq_len,
        "rms_norm_eps": NORM_EPS,
        "tie_word_embeddings": False,
    }
