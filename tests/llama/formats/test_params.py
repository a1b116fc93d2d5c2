"""params.json: every known key is read; everything else is an error that names file, key, found and expected value."""

import json
import re
from dataclasses import asdict

import pytest

from llama import CheckpointError
from llama.formats.meta import Params, read_args, read_params
from llama.params import RopeScaling

LEAST = {"dim": 32, "n_layers": 2, "n_heads": 4}
EVERY_KEY = LEAST | {
    "n_kv_heads": 2,
    "head_dim": 16,
    "vocab_size": 384,
    "multiple_of": 8,
    "ffn_dim_multiplier": 1.3,
    "norm_eps": 1e-6,
    "rope_theta": 500000.0,
    "use_scaled_rope": True,
    "rope_scaling_factor": 32.0,
    "max_seq_len": 77,
    "max_batch_size": 5,
}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "params.json"


def test_every_key_is_read(path) -> None:
    path.write_text(json.dumps(EVERY_KEY))
    assert asdict(read_params(path)) == EVERY_KEY


def test_optional_keys(path) -> None:
    path.write_text(json.dumps(LEAST | {"vocab_size": -1, "rope_theta": 10000, "n_kv_heads": None}))
    args = read_args(path, 384, None)
    assert args == Params(**LEAST, norm_eps=1e-5, rope_theta=10000.0, multiple_of=256).model_args(384)
    assert (args.max_seq_len, args.n_kv_heads, args.head_dim, args.hidden_dim) == (1024, 4, 8, 256)
    assert args.rope_scaling is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_head": 4}, r"unknown key 'n_head', expected dim, n_layers, .*, max_batch_size"),
        ({"use_scaled_rope": 1}, r"use_scaled_rope is 1, expected true or false$"),
        ({"vision_chunk_size": 560}, r"unknown key 'vision_chunk_size' of a vision model, expected"),
        ({"lora_args": {"rank": 8}}, r"unknown key 'lora_args' of a LoRA adapter"),
        ({"quantization_args": {}}, r"unknown key 'quantization_args' of quantized weights"),
        ({"moe_args": {}}, r"unknown key 'moe_args' of a mixture of experts"),
        ({"head_dim": 7}, r"head_dim 7 is odd, expected an even number"),
        ({"dim": "32"}, r"dim is '32', expected a whole number$"),
        ({"dim": 32.0}, r"dim is 32\.0, expected a whole number$"),
        ({"n_layers": None}, r"n_layers is None, expected a whole number$"),
        ({"n_layers": True}, r"n_layers is True, expected a whole number$"),
        ({"norm_eps": "1e-5"}, r"norm_eps is '1e-5', expected a number$"),
        ({"ffn_dim_multiplier": [1.3]}, r"ffn_dim_multiplier is \[1\.3\], expected a number$"),
        ({"n_kv_heads": 2.5}, r"n_kv_heads is 2\.5, expected a whole number$"),
        ({"n_heads": 0}, r"n_heads is 0, expected a number above 0$"),
        ({"norm_eps": float("nan")}, r"norm_eps is nan, expected a number above 0$"),
        ({"vocab_size": -2}, r"vocab_size is -2, expected a number above 0$"),
        ({"multiple_of": -1}, r"multiple_of is -1, expected a number above 0$"),
        ({"dim": 30}, r"dim 30 / n_heads 4 is not an even whole number"),
        ({"dim": 12}, r"dim 12 / n_heads 4 is not an even whole number"),
        ({"n_kv_heads": 3}, r"3 key-value heads do not divide 4 heads"),
    ],
)
def test_wrong_key_or_value(change, message, path) -> None:
    path.write_text(json.dumps(LEAST | change))
    with pytest.raises(CheckpointError, match=f"^{re.escape(str(path))}: {message}"):
        read_args(path, 384, None)


@pytest.mark.parametrize("key", LEAST)
def test_missing_key(key, path) -> None:
    path.write_text(json.dumps({name: value for name, value in LEAST.items() if name != key}))
    with pytest.raises(CheckpointError, match=f"^{re.escape(str(path))}: key '{key}' is missing"):
        read_params(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"dim": 32,', "invalid JSON"),
        (b'{"dim": "\xff"}', "invalid JSON"),
        (b"[1, 2]", "expected a JSON object, found list"),
        (None, "no such file; a checkpoint in Meta's format needs it"),
    ],
)
def test_wrong_file(content, message, path) -> None:
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CheckpointError, match=f"^{re.escape(str(path))}: {message}"):
        read_params(path)


@pytest.mark.parametrize(
    ("params", "factor"),
    [
        ({"dim": 4096, "n_layers": 32}, 8),  # Llama 3.1 8B
        ({"dim": 2048, "n_layers": 16}, 32),  # Llama 3.2 1B
        ({"dim": 3072, "n_layers": 28}, 32),  # 3B
        ({"dim": 2048, "n_layers": 16, "rope_scaling_factor": 4}, 4),
    ],
)
def test_factor_of_scaled_rotary_frequencies(params, factor, path) -> None:
    path.write_text(json.dumps(LEAST | params | {"use_scaled_rope": True}))
    assert read_args(path, 384, None).rope_scaling == RopeScaling("llama3", factor, 1, 4, 8192)
    path.write_text(json.dumps(LEAST | params | {"use_scaled_rope": False}))
    assert read_args(path, 384, None).rope_scaling is None
