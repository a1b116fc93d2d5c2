"""config.json of a Hugging Face folder as the shape of a model. What would be computed otherwise there is refused."""

from pathlib import Path
from typing import Any

from llama.errors import CheckpointError
from llama.formats.files import check_types, read_json
from llama.params import ModelArgs, RopeScaling, check_shape

# What a configuration means that leaves a key out, by transformers' classes.
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
NEEDED = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "vocab_size")
DEFAULT_LENGTH = 4096  # tokens, where a model takes more: longer texts are asked for by `max_seq_len`


def read_config(path: Path) -> dict[str, Any]:
    """config.json of a model that can be computed, with the defaults of its architecture; see `with_defaults`."""
    return with_defaults(path, read_json(path, "a Hugging Face folder has one"))


def with_defaults(path: Path, found: dict[str, Any]) -> dict[str, Any]:
    """A configuration, checked and completed.

    Args:
        path: Its file, for messages.

    Raises:
        CheckpointError: It names another architecture, quantized weights, or something else that is not computed.
    """
    architecture = architecture_of(path, found)
    for key in ("quantization_config", "quantization", "compression_config"):
        if found.get(key):
            quantized = found[key] if isinstance(found[key], dict) else {}
            method = quantized.get("quant_method") or quantized.get("bits") or key
            raise CheckpointError(
                f"{path}: quantized weights ({key}: {method}) are not computed; take the model's unquantized folder"
            )
    config = ARCHITECTURES[architecture] | {"rms_norm_eps": 1e-6} | found | {"architecture": architecture}
    check_types(path, config, TYPES)
    missing = [key for key in NEEDED if key not in config]
    if missing:
        raise CheckpointError(f"{path}: key {missing[0]!r} is missing")
    if config.get("hidden_act", "silu") not in ("silu", "swish"):
        raise CheckpointError(f"{path}: hidden_act {config['hidden_act']!r} is not computed, silu is")
    return config


def architecture_of(path: Path, config: dict[str, Any]) -> str:
    """The one of `ARCHITECTURES`."""
    named = config.get("architectures") or []
    if not isinstance(named, list) or not all(isinstance(name, str) for name in named):
        raise CheckpointError(f"{path}: architectures is {named!r}, expected a list of names")
    if not named and f"{config.get('model_type')}" in ("llama", "mistral", "qwen2", "qwen3"):
        named = [f"{config['model_type'].capitalize()}ForCausalLM"]
    if len(named) != 1 or named[0] not in ARCHITECTURES:
        model_type = f" (model_type {config['model_type']})" if "model_type" in config else ""
        raise CheckpointError(
            f"{path}: architecture {', '.join(named) or 'not stated'}{model_type} is not computed; those that are:"
            f" {', '.join(ARCHITECTURES)}"
        )
    return named[0]


def biases_of(config: dict[str, Any]) -> tuple[str, ...]:
    """The matrices that have a bias."""
    architecture = config["architecture"]
    attention: tuple[str, ...] = ("wq", "wk", "wv") if architecture == "Qwen2ForCausalLM" else ()
    if architecture in ("LlamaForCausalLM", "Qwen3ForCausalLM") and config.get("attention_bias"):
        attention = ("wq", "wk", "wv", "wo")
    feed_forward = architecture == "LlamaForCausalLM" and config.get("mlp_bias")
    return attention + (("w1", "w2", "w3") if feed_forward else ())


def args_of(path: Path, config: dict[str, Any], max_seq_len: int | None) -> ModelArgs:
    """The shape that `config`, from `read_config`, states.

    Args:
        path: Of config.json, for messages.
        max_seq_len: None: all positions of the model, at most 4,096.
    """
    longest = config["max_position_embeddings"]
    if max_seq_len is not None and max_seq_len > longest:
        raise CheckpointError(f"`max_seq_len` {max_seq_len}: {path} allows at most {longest}")
    length = max_seq_len or min(longest, DEFAULT_LENGTH)
    check_window(path, config, length)
    heads = config["num_attention_heads"]
    if config.get("head_dim") is None and config["hidden_size"] % heads:
        raise CheckpointError(f"{path}: hidden_size {config['hidden_size']} is no multiple of {heads} heads")
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
    """Attention over a window is full attention as long as the window holds the whole sequence."""
    qwen = config["architecture"].startswith("Qwen")
    window = config.get("sliding_window") if config.get("use_sliding_window", not qwen) else None
    layers = config["num_hidden_layers"]
    kinds = config.get("layer_types") or ["full_attention"] * min(
        config.get("max_window_layers", 0) if qwen else 0, layers
    )
    if kinds == ["full_attention"] * layers:  # of Qwen, the layers below max_window_layers have none
        window = None
    if config["architecture"] != "LlamaForCausalLM" and window is not None and window < length:
        raise CheckpointError(
            f"{path}: sliding_window {window} is shorter than sequences of {length} tokens, and windows are not"
            f" computed; `max_seq_len` {window} fits into it"
        )


def rope_of(path: Path, config: dict[str, Any]) -> dict[str, Any]:
    """What config.json says of the rotary embedding, under the names of transformers 5."""
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    if not isinstance(rope, dict):
        raise CheckpointError(f"{path}: rope_parameters is {rope!r}, expected an object")
    numbers = dict.fromkeys(("rope_theta", "factor", "low_freq_factor", "high_freq_factor"), float)
    check_types(path, rope, numbers | {"original_max_position_embeddings": int, "partial_rotary_factor": float})
    if rope.get("partial_rotary_factor", config.get("partial_rotary_factor", 1)) not in (1, None):
        raise CheckpointError(f"{path}: partial_rotary_factor is not computed: heads are rotated as a whole")
    return rope


def scaling_of(path: Path, config: dict[str, Any], max_seq_len: int | None) -> RopeScaling | None:
    """The scaling of rotary frequencies.

    Args:
        max_seq_len: As the user asked for it. Dynamic scaling changes nothing within the length of the pretraining.
    """
    rope = rope_of(path, config)
    kind = str(rope.get("rope_type") or rope.get("type") or "default")
    if kind == "default":
        return None
    needed = {"linear": ("factor",), "llama3": ("factor", "low_freq_factor", "high_freq_factor")}
    if kind in needed:
        missing = [key for key in needed[kind] if key not in rope]
        if missing:
            raise CheckpointError(f"{path}: rotary scaling {kind!r} without {missing[0]}")
    if kind == "linear":
        return RopeScaling("linear", rope["factor"])
    unscaled = rope.get("original_max_position_embeddings") or config["max_position_embeddings"]
    if kind == "llama3":
        return RopeScaling("llama3", rope["factor"], rope["low_freq_factor"], rope["high_freq_factor"], unscaled)
    if kind == "dynamic" and max_seq_len is not None and max_seq_len <= unscaled:
        return None
    hint = f"; within the first {unscaled} tokens it changes nothing: `max_seq_len` {unscaled}" * (kind == "dynamic")
    raise CheckpointError(f"{path}: rotary scaling {kind!r} is not computed; default, linear and llama3 are{hint}")
