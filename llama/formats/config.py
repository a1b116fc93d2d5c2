"""The shape of a model from config.json of a Hugging Face folder. Unsupported settings are errors."""

from pathlib import Path
from typing import Any

from llama.errors import CheckpointError
from llama.formats.files import check_types, read_json
from llama.params import ModelArgs, RopeScaling, check_shape

# Defaults of transformers' configuration classes.
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "LlamaForCausalLM": {"max_position_embeddings": 2048},
    "MistralForCausalLM": {"num_key_value_heads": 8, "max_position_embeddings": 131072, "sliding_window": 4096},
    "Qwen2ForCausalLM": {"num_key_value_heads": 32, "max_position_embeddings": 32768},
    "Qwen3ForCausalLM": {"num_key_value_heads": 32, "max_position_embeddings": 32768, "head_dim": 128},
}
TYPES: dict[str, object] = {
    "hidden_size": int,
    "intermediate_size": int,
    "num_hidden_layers": int,
    "num_attention_heads": int,
    "vocab_size": int,
    "num_key_value_heads": int | None,
    "head_dim": int | None,
    "max_position_embeddings": int,
    "rms_norm_eps": float,
    "rope_theta": float | None,
    "sliding_window": int | None,
    "tie_word_embeddings": bool,
    "attention_bias": bool,
    "mlp_bias": bool,
    "use_sliding_window": bool,
}
REQUIRED = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "vocab_size")
DEFAULT_LENGTH = 4096  # tokens, for models with more positions; `max_seq_len` can raise it


def read_config(path: Path) -> dict[str, Any]:
    """config.json of a supported model, with the defaults of its architecture; see `with_defaults`."""
    return with_defaults(path, read_json(path, "a Hugging Face folder needs it"))


def with_defaults(path: Path, stated: dict[str, Any]) -> dict[str, Any]:
    """A configuration, checked and completed.

    Args:
        path: Its file, for messages.
        stated: The content of the file.

    Raises:
        CheckpointError: The architecture, quantization or another setting is not supported.
    """
    architecture = architecture_of(path, stated)
    for key in ("quantization_config", "quantization", "compression_config"):
        if stated.get(key):
            quantized = stated[key] if isinstance(stated[key], dict) else {}
            method = quantized.get("quant_method") or quantized.get("bits") or key
            raise CheckpointError(
                f"{path}: quantized weights ({key}: {method}) are not supported; use the model's unquantized folder"
            )
    config = ARCHITECTURES[architecture] | {"rms_norm_eps": 1e-6} | stated | {"architecture": architecture}
    check_types(path, config, TYPES)
    missing = [key for key in REQUIRED if key not in config]
    if missing:
        raise CheckpointError(f"{path}: key {missing[0]!r} is missing")
    if config.get("hidden_act", "silu") not in ("silu", "swish"):
        raise CheckpointError(f"{path}: hidden_act {config['hidden_act']!r} is not supported, expected silu")
    return config


def architecture_of(path: Path, config: dict[str, Any]) -> str:
    """The name of the architecture; CheckpointError unless it is one of `ARCHITECTURES`."""
    named = config.get("architectures") or []
    if not isinstance(named, list) or not all(isinstance(name, str) for name in named):
        raise CheckpointError(f"{path}: architectures is {named!r}, expected a list of names")
    if not named and f"{config.get('model_type')}" in ("llama", "mistral", "qwen2", "qwen3"):
        named = [f"{config['model_type'].capitalize()}ForCausalLM"]
    if len(named) != 1 or named[0] not in ARCHITECTURES:
        model_type = f" (model_type {config['model_type']})" if "model_type" in config else ""
        raise CheckpointError(
            f"{path}: architecture {', '.join(named) or 'unset'}{model_type} is not supported, expected one of"
            f" {', '.join(ARCHITECTURES)}"
        )
    return named[0]


def biases_of(config: dict[str, Any]) -> tuple[str, ...]:
    """The names of the matrices that have a bias."""
    architecture = config["architecture"]
    attention: tuple[str, ...] = ("wq", "wk", "wv") if architecture == "Qwen2ForCausalLM" else ()
    if architecture in ("LlamaForCausalLM", "Qwen3ForCausalLM") and config.get("attention_bias"):
        attention = ("wq", "wk", "wv", "wo")
    feed_forward = architecture == "LlamaForCausalLM" and config.get("mlp_bias")
    return attention + (("w1", "w2", "w3") if feed_forward else ())


def args_of(path: Path, config: dict[str, Any], max_seq_len: int | None) -> ModelArgs:
    """The shape of the model.

    Args:
        path: config.json, for messages.
        config: From `read_config`.
        max_seq_len: None: all positions of the model, at most 4,096.

    Raises:
        CheckpointError: A setting is invalid or not supported.
    """
    longest = config["max_position_embeddings"]
    if max_seq_len is not None and max_seq_len > longest:
        raise CheckpointError(f"`max_seq_len` {max_seq_len}: {path} allows at most {longest}")
    length = max_seq_len or min(longest, DEFAULT_LENGTH)
    check_window(path, config, length)
    heads = config["num_attention_heads"]
    if config.get("head_dim") is None and config["hidden_size"] % heads:
        raise CheckpointError(f"{path}: hidden_size {config['hidden_size']} is not a multiple of {heads} heads")
    args = ModelArgs(
        dim=config["hidden_size"],
        n_layers=config["num_hidden_layers"],
        n_heads=heads,
        n_kv_heads=config.get("num_key_value_heads") or heads,
        head_dim=config.get("head_dim") or config["hidden_size"] // heads,
        hidden_dim=config["intermediate_size"],
        vocab_size=config["vocab_size"],
        norm_eps=config["rms_norm_eps"],
        rope_theta=rope_of(path, config).get("rope_theta") or config.get("rope_theta") or 10000.0,
        rope_scaling=scaling_of(path, config, max_seq_len),
        max_seq_len=length,
        biases=biases_of(config),
        head_norms=config["architecture"] == "Qwen3ForCausalLM",
        tied_output=config.get("tie_word_embeddings", False),
    )
    check_shape(args, path)
    return args


def check_window(path: Path, config: dict[str, Any], length: int) -> None:
    """Raises CheckpointError if a sliding window is shorter than `length`; a longer one has no effect."""
    qwen = config["architecture"].startswith("Qwen")
    window = config.get("sliding_window") if config.get("use_sliding_window", not qwen) else None
    layers = config["num_hidden_layers"]
    kinds = config.get("layer_types") or ["full_attention"] * min(
        config.get("max_window_layers", 0) if qwen else 0, layers
    )
    if kinds == ["full_attention"] * layers:  # Qwen uses no window in the layers below max_window_layers
        window = None
    if config["architecture"] != "LlamaForCausalLM" and window is not None and window < length:
        raise CheckpointError(
            f"{path}: sliding_window {window} is shorter than sequences of {length} tokens, which is not supported;"
            f" use `max_seq_len` {window}"
        )


def rope_of(path: Path, config: dict[str, Any]) -> dict[str, Any]:
    """The settings of the rotary embedding in config.json, named as in transformers 5."""
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    if not isinstance(rope, dict):
        raise CheckpointError(f"{path}: rope_parameters is {rope!r}, expected an object")
    numbers = dict.fromkeys(("rope_theta", "factor", "low_freq_factor", "high_freq_factor"), float)
    check_types(path, rope, numbers | {"original_max_position_embeddings": int, "partial_rotary_factor": float})
    if rope.get("partial_rotary_factor", config.get("partial_rotary_factor", 1)) not in (1, None):
        raise CheckpointError(f"{path}: partial_rotary_factor is not supported")
    return rope


def scaling_of(path: Path, config: dict[str, Any], max_seq_len: int | None) -> RopeScaling | None:
    """The scaling of the rotary frequencies; None: unscaled.

    Args:
        max_seq_len: As requested. Up to the length of pretraining, dynamic scaling has no effect.
    """
    rope = rope_of(path, config)
    kind = str(rope.get("rope_type") or rope.get("type") or "default")
    if kind == "default":
        return None
    required = {"linear": ("factor",), "llama3": ("factor", "low_freq_factor", "high_freq_factor")}
    if kind in required:
        missing = [key for key in required[kind] if key not in rope]
        if missing:
            raise CheckpointError(f"{path}: rotary scaling {kind!r} without {missing[0]}")
    if kind == "linear":
        return RopeScaling("linear", rope["factor"])
    unscaled = rope.get("original_max_position_embeddings") or config["max_position_embeddings"]
    if kind == "llama3":
        return RopeScaling("llama3", rope["factor"], rope["low_freq_factor"], rope["high_freq_factor"], unscaled)
    if kind == "dynamic" and max_seq_len is not None and max_seq_len <= unscaled:
        return None
    hint = f"; it has no effect within the first {unscaled} tokens: use `max_seq_len` {unscaled}" * (kind == "dynamic")
    raise CheckpointError(f"{path}: rotary scaling {kind!r} is not supported, expected default, linear or llama3{hint}")
