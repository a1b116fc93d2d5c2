"""Conversion between the names and row orders of Meta's and Hugging Face's weights.

Meta's rotary embedding rotates neighbours (2i, 2i + 1) of a head, Hugging Face's rotates i and i + E / 2. The rows of
the query and key weights are permuted accordingly.
"""

from torch import Tensor

from llama.params import ModelArgs

NAMES = {
    "attention.wq": "self_attn.q_proj",
    "attention.wk": "self_attn.k_proj",
    "attention.wv": "self_attn.v_proj",
    "attention.wo": "self_attn.o_proj",
    "attention.q_norm": "self_attn.q_norm",
    "attention.k_norm": "self_attn.k_norm",
    "feed_forward.w1": "mlp.gate_proj",
    "feed_forward.w2": "mlp.down_proj",
    "feed_forward.w3": "mlp.up_proj",
    "attention_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "tok_embeddings": "model.embed_tokens",
    "norm": "model.norm",
    "output": "lm_head",
}
ROTATED = ("wq", "wk", "q_norm", "k_norm")


def hugging_face_key(key: str) -> str:
    """Hugging Face's key of the weight or bias with Meta's `key`."""
    module, kind = key.rsplit(".", 1)
    if not module.startswith("layers."):
        return f"{NAMES[module]}.{kind}"
    _, layer, module = module.split(".", 2)
    return f"model.layers.{layer}.{NAMES[module]}.{kind}"


def is_rotated(key: str) -> bool:
    """Whether the weight with Meta's `key` produces queries or keys, which are rotated."""
    return key.split(".")[-2] in ROTATED


def neighbours(weight: Tensor, head_dim: int) -> Tensor:
    """Whole heads in Hugging Face's row order, as a view (heads, E / 2, 2, ...) in Meta's order."""
    return weight.unflatten(0, (-1, 2, head_dim // 2)).transpose(1, 2)


def halves(weight: Tensor, head_dim: int) -> Tensor:
    """Rows in Meta's order, converted to Hugging Face's."""
    return weight.unflatten(0, (-1, head_dim // 2, 2)).transpose(1, 2).flatten(0, 2)


def to_hugging_face(weights: dict[str, Tensor], args: ModelArgs) -> dict[str, Tensor]:
    """Whole weights by Meta's key, converted to Hugging Face's keys and row order."""
    return {
        hugging_face_key(key): halves(weight, args.head_dim) if is_rotated(key) else weight
        for key, weight in weights.items()
    }
