"""The metadata of a GGUF file as a configuration of transformers.

The configuration is built here key by key, because transformers ignores keys that it does not know, such as another
rotary base, a window or biases. Such a model would load and compute something else.
Keys: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from gguf import GGUFReader
from transformers import CONFIG_MAPPING, PretrainedConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from preprocess.errors import InputError, first_line

MAGIC, LFS = b"GGUF", b"version https://git-lfs"
MODEL_TYPES = ("llama", "qwen2", "qwen3")  # llama.cpp writes Mistral as llama
NAMES = {
    "context_length": "max_position_embeddings",
    "embedding_length": "hidden_size",
    "block_count": "num_hidden_layers",
    "feed_forward_length": "intermediate_size",
    "attention.head_count": "num_attention_heads",
    "attention.layer_norm_rms_epsilon": "rms_norm_eps",
}
READ_APART = {
    *("attention.head_count_kv", "attention.key_length", "attention.value_length", "vocab_size"),
    *("rope.freq_base", "rope.dimension_count", "rope.scale_linear"),
    *("rope.scaling.type", "rope.scaling.factor", "rope.scaling.original_context_length", "rope.scaling.finetuned"),
}
SAYS_NOTHING = {"expert_count": 0, "expert_used_count": 0, "attention.causal": True}  # no effect with these values
NO_MEANING = {"tensor_data_layout"}  # concerns only the converter
LLAMA3_ROPE = {"low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}


class Metadata:
    """The key-value pairs and the names of the tensors of a file.

    Raises:
        InputError: The file is missing, not GGUF, truncated, or one of several parts.
    """

    def __init__(self, path: Path):
        self.path = path
        if not path.is_file():
            raise InputError(f"{path}: no such file (--gguf)")
        with path.open("rb") as file:
            start = file.read(len(LFS))
        if start == LFS:
            raise InputError(f"{path}: a pointer of Git LFS, not the file itself: git lfs pull (--gguf)")
        if not start.startswith(MAGIC):
            raise InputError(f"{path}: not GGUF: begins with {start[:4]!r}, expected {MAGIC!r} (--gguf)")
        try:
            self.reader = GGUFReader(path)
        except Exception as error:  # many types for damaged files
            raise InputError(f"{path}: damaged or truncated: {first_line(error)} (--gguf)") from None
        parts = self.get("split.count", 0)
        if parts > 1:
            join = "join them with llama-gguf-split --merge"
            raise InputError(f"{path}: part {self.get('split.no', 0) + 1} of {parts}: {join} (--gguf)")
        self.tensors = {tensor.name: tensor for tensor in self.reader.tensors}

    def get(self, key: str, default: Any = None) -> Any:
        """The value of a key."""
        field = self.reader.fields.get(key)
        return default if field is None else field.contents()

    def need(self, key: str) -> Any:
        """The value of a key; raises InputError if it is missing."""
        if key not in self.reader.fields:
            raise InputError(f"{self.path}: its metadata lack {key} (--gguf)")
        return self.get(key)

    @property
    def model_type(self) -> str:
        """The model type; raises InputError if it is not supported."""
        name = self.need("general.architecture")
        if name not in MODEL_TYPES:
            raise InputError(f"{self.path}: is a {name}, expected one of {', '.join(MODEL_TYPES)} (--gguf)")
        return name


def read_config(metadata: Metadata) -> PretrainedConfig:
    """The configuration of a model, from its metadata alone.

    Raises:
        InputError: The architecture or a key is not supported.
    """
    kind = metadata.model_type
    check_keys(metadata, kind)
    values = {name: metadata.need(f"{kind}.{key}") for key, name in NAMES.items()}
    heads = values["num_attention_heads"]
    kv_heads = metadata.get(f"{kind}.attention.head_count_kv", heads)
    for key, value in {**values, "num_key_value_heads": kv_heads}.items():
        if isinstance(value, list):
            raise InputError(f"{metadata.path}: {key} differs from layer to layer; not supported (--gguf)")
    head_dim = metadata.get(f"{kind}.attention.key_length", values["hidden_size"] // heads)
    for key in ("attention.value_length", "rope.dimension_count"):
        found = metadata.get(f"{kind}.{key}", head_dim)
        if found != head_dim:
            raise InputError(f"{metadata.path}: {kind}.{key} is {found}, expected the {head_dim} of a head (--gguf)")
    values |= {"num_key_value_heads": kv_heads, "head_dim": head_dim}
    values["vocab_size"] = len(metadata.need("tokenizer.ggml.tokens"))
    values["tie_word_embeddings"] = "output.weight" not in metadata.tensors
    for role, key in {"bos": "bos", "eos": "eos", "pad": "padding"}.items():
        values[f"{role}_token_id"] = metadata.get(f"tokenizer.ggml.{key}_token_id")
    return CONFIG_MAPPING[kind](**values, rope_parameters=read_rope(metadata, kind, head_dim))


def check_keys(metadata: Metadata, kind: str) -> None:
    """Raises InputError for an unknown key of the model, because it may change what is computed."""
    for full in metadata.reader.fields:
        prefix, _, key = full.partition(".")
        if prefix != kind or key in NAMES or key in READ_APART or key in NO_MEANING:
            continue
        value = metadata.get(full)
        if key not in SAYS_NOTHING or value != SAYS_NOTHING[key]:
            raise InputError(f"{metadata.path}: {full} = {value} is not supported (--gguf)")


def read_rope(metadata: Metadata, kind: str, head_dim: int) -> dict[str, Any]:
    """The rotary embedding: its base, and its scaling if there is one.

    Raises:
        InputError: The scaling is not supported.
    """
    theta = metadata.get(f"{kind}.rope.freq_base", 10000.0)
    scaling = metadata.get(f"{kind}.rope.scaling.type", "none")
    linear = metadata.get(f"{kind}.rope.scale_linear", metadata.get(f"{kind}.rope.scaling.factor", 1.0))
    if scaling not in ("none", "linear"):
        raise InputError(f"{metadata.path}: {kind}.rope.scaling.type {scaling} is not supported (--gguf)")
    if "rope_freqs.weight" in metadata.tensors:
        return llama3_rope(metadata, theta, head_dim)
    if linear not in (0.0, 1.0) and (scaling == "linear" or f"{kind}.rope.scale_linear" in metadata.reader.fields):
        return {"rope_type": "linear", "rope_theta": theta, "factor": linear}
    return {"rope_type": "default", "rope_theta": theta}


def llama3_rope(metadata: Metadata, theta: float, head_dim: int) -> dict[str, Any]:
    """Llama 3.1's scaling. The file contains its result, a divisor for each frequency; the largest is the factor.

    Raises:
        InputError: The divisors are not those of Llama 3.1 with this factor.
    """
    divisors = np.asarray(metadata.tensors["rope_freqs.weight"].data, dtype=np.float64)
    rope = {"rope_type": "llama3", "rope_theta": theta, "factor": float(divisors.max()), **LLAMA3_ROPE}
    config = CONFIG_MAPPING["llama"](head_dim=head_dim, max_position_embeddings=131072, rope_parameters=rope)
    scaled, _ = ROPE_INIT_FUNCTIONS["llama3"](config, torch.device("cpu"))
    plain = theta ** -(np.arange(0, head_dim, 2) / head_dim)
    if divisors.shape != plain.shape or not np.allclose(plain / divisors, scaled.double().numpy(), rtol=1e-4):
        raise InputError(f"{metadata.path}: rope_freqs.weight is not the scaling of Llama 3.1 (--gguf)")
    return rope


def check_tensors(metadata: Metadata, keys: list[str]) -> None:
    """Check that the file contains all weights of the model, and no tensor that transformers would ignore.

    Args:
        keys: Keys of the model's state, as in transformers.

    Raises:
        InputError: A tensor is missing or unexpected; the message names the first.
    """
    kind = next(arch for arch, name in gguf.MODEL_ARCH_NAMES.items() if name == metadata.model_type)
    names = gguf.get_tensor_name_map(kind, metadata.need(f"{metadata.model_type}.block_count"))
    expected = {names.get_name(key, (".weight", ".bias")) for key in keys}
    if extra := sorted(metadata.tensors.keys() - expected - {"rope_freqs.weight"}):
        where = f"is in no {metadata.model_type} that transformers reads ({len(extra)} in all)"
        raise InputError(f"{metadata.path}: tensor {extra[0]} {where} (--gguf)")
    if missing := sorted(expected - metadata.tensors.keys() - {"output.weight"}):
        raise InputError(f"{metadata.path}: tensor {missing[0]} is missing ({len(missing)} in all) (--gguf)")
