"""GGUF files of random models, written like those of llama.cpp's converter."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

TEXTS = [
    "The capital of France is Paris, since 1789 or 987.",
    "  1999 a\n\n 12's don't  stop 3.14\t x²½ ",
    "Ελληνικά, 日本語 ١٢٣ and emoji 👩‍👩‍👧 café",
    " rain stopped play in 2nd set",
    "",
]
KINDS = {
    "llama": (LlamaConfig, LlamaForCausalLM),
    "qwen2": (Qwen2Config, Qwen2ForCausalLM),
    "qwen3": (Qwen3Config, Qwen3ForCausalLM),
}
LEAVES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}
ENDS = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight"}
SPECIAL = ["<|end|>", "<|start|>"]


@pytest.fixture(scope="session")
def byte_level() -> Tokenizer:
    """Byte-level BPE that splits digits, like SmolLM2's."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=420,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([*TEXTS, *("  The rain  in 1999,\n\n 12 and" for _ in range(9))], trainer)
    return tokenizer


@pytest.fixture(scope="session")
def tokenizer_keys(byte_level: Tokenizer) -> dict[str, Any]:
    """The metadata of that tokenizer."""
    vocabulary = sorted(byte_level.get_vocab().items(), key=lambda item: item[1])
    merges = json.loads(byte_level.to_str())["model"]["merges"]
    return {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "smollm",
        "tokenizer.ggml.tokens": [token for token, _ in vocabulary],
        "tokenizer.ggml.token_type": [3 if token in SPECIAL else 1 for token, _ in vocabulary],
        "tokenizer.ggml.merges": [" ".join(merge) for merge in merges],
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 0,
        "tokenizer.ggml.eot_token_id": 1,
    }


@pytest.fixture(scope="session")
def make_model(byte_level: Tokenizer) -> Callable[..., PreTrainedModel]:
    """A function that creates a random model: (kind, **options of its configuration) -> model."""

    def make(kind: str = "llama", **options: Any) -> PreTrainedModel:
        config, model = KINDS[kind]
        shape = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
        shape |= {"num_key_value_heads": 2, "vocab_size": byte_level.get_vocab_size()}
        shape |= {"max_position_embeddings": 64, "initializer_range": 0.3}
        torch.manual_seed(0)
        made = model(config(**shape | options)).eval()
        for name, weight in made.named_parameters():  # norms and biases too: else they are all 1 and 0
            if weight.dim() == 1:
                weight.data.normal_(1.0 if "norm" in name else 0.0, 0.3)
        return made

    return make


def to_neighbours(weight: torch.Tensor, heads: int) -> torch.Tensor:
    """Rows of queries and keys from transformers' order of the rotary pairs to that of Meta and llama.cpp."""
    return weight.unflatten(0, (heads, 2, -1)).transpose(1, 2).reshape(weight.shape)


@pytest.fixture(scope="session")
def write_gguf(tokenizer_keys: dict[str, Any]) -> Callable[..., Path]:
    """A function that writes a model as GGUF: (path, model, kind, drop=(), tensors={}, **keys) -> path.

    `keys` replace those of the metadata, with __ for the dots; None leaves one out.
    """

    def write(
        path: Path,
        model: PreTrainedModel,
        kind: str = "llama",
        drop: tuple[str, ...] = (),
        tensors: dict[str, torch.Tensor] | None = None,
        keys: dict[str, Any] | None = None,
    ) -> Path:
        config = model.config
        heads, kv_heads = config.num_attention_heads, config.num_key_value_heads
        stated = {
            f"{kind}.context_length": config.max_position_embeddings,
            f"{kind}.embedding_length": config.hidden_size,
            f"{kind}.block_count": config.num_hidden_layers,
            f"{kind}.feed_forward_length": config.intermediate_size,
            f"{kind}.attention.head_count": heads,
            f"{kind}.attention.head_count_kv": kv_heads,
            f"{kind}.attention.layer_norm_rms_epsilon": config.rms_norm_eps,
            f"{kind}.rope.freq_base": config.rope_parameters["rope_theta"],
        }
        if config.head_dim if hasattr(config, "head_dim") else None:
            stated[f"{kind}.attention.key_length"] = config.head_dim
        writer = gguf.GGUFWriter(path, kind)
        for key, value in (stated | tokenizer_keys | (keys or {})).items():
            add_key(writer, key, value)
        found = {}
        for name, weight in model.state_dict().items():
            if name == "lm_head.weight":
                if not config.tie_word_embeddings:
                    found["output.weight"] = weight
                continue
            leaf, _, suffix = name.rpartition(".")
            if name not in ENDS and kind == "llama" and leaf.endswith(("q_proj", "k_proj")):
                weight = to_neighbours(weight, heads if leaf.endswith("q_proj") else kv_heads)
            layer = leaf.split(".", 3)
            found[ENDS.get(name) or f"blk.{layer[2]}.{LEAVES[layer[3]]}.{suffix}"] = weight
        for name, weight in (found | (tensors or {})).items():
            if name not in drop:
                writer.add_tensor(name, weight.float().numpy().copy())
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return path

    return write


def add_key(writer: gguf.GGUFWriter, key: str, value: Any) -> None:
    """Write a value with the type that llama.cpp uses; None omits the key."""
    if isinstance(value, bool):
        writer.add_bool(key, value)
    elif isinstance(value, str):
        writer.add_string(key, value)
    elif isinstance(value, list):
        writer.add_array(key, value)
    elif isinstance(value, int):
        writer.add_uint32(key, value)
    elif value is not None:
        writer.add_float32(key, value)
