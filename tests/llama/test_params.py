"""params.json: every key is read, everything else is an error that names file, key, found and expected."""

import json
import re
from dataclasses import asdict

import pytest

from llama import CheckpointError, ModelArgs
from llama.params import check_division, read_params

LEAST = {"dim": 32, "n_layers": 2, "n_heads": 4}
EVERY_KEY = LEAST | {
    "n_kv_heads": 2,
    "vocab_size": 384,
    "multiple_of": 8,
    "ffn_dim_multiplier": 1.3,
    "norm_eps": 1e-6,
    "rope_theta": 500000.0,
    "max_seq_len": 77,
    "max_batch_size": 5,
}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "params.json"


def test_every_key_is_read(path) -> None:
    path.write_text(json.dumps(EVERY_KEY))
    assert asdict(read_params(path)) == EVERY_KEY


def test_what_may_be_left_out(path) -> None:
    path.write_text(json.dumps(LEAST | {"vocab_size": -1, "rope_theta": 10000, "n_kv_heads": None}))
    args = read_params(path)
    assert args == ModelArgs(**LEAST, norm_eps=1e-5, rope_theta=10000.0, max_seq_len=1024, multiple_of=256)
    assert (args.vocab_size, args.kv_heads, args.hidden_dim) == (-1, 4, 256)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_head": 4}, r"unknown key 'n_head'; known are dim, n_layers, .*, max_batch_size"),
        ({"use_scaled_rope": True}, r"unknown key 'use_scaled_rope'"),
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
        ({"dim": 30}, r"dim 30 over n_heads 4 is no even width of a head"),
        ({"dim": 12}, r"dim 12 over n_heads 4 is no even width of a head"),
        ({"n_kv_heads": 3}, r"n_kv_heads 3 does not divide n_heads 4"),
    ],
)
def test_wrong_key_or_value(change, message, path) -> None:
    path.write_text(json.dumps(LEAST | change))
    with pytest.raises(CheckpointError, match=f"^{re.escape(str(path))}: {message}"):
        read_params(path)


@pytest.mark.parametrize("key", LEAST)
def test_missing_key(key, path) -> None:
    path.write_text(json.dumps({name: value for name, value in LEAST.items() if name != key}))
    with pytest.raises(CheckpointError, match=f"^{re.escape(str(path))}: key '{key}' is missing"):
        read_params(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"dim": 32,', "not readable as JSON"),
        (b'{"dim": "\xff"}', "not readable as JSON"),
        (b"[1, 2]", "expected a JSON object, found list"),
        (None, "no such file; a checkpoint in Meta's format has one"),
    ],
)
def test_wrong_file(content, message, path) -> None:
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CheckpointError, match=f"^{re.escape(str(path))}: {message}"):
        read_params(path)


@pytest.mark.parametrize(
    ("size", "params", "message"),
    [
        (8, {}, "n_heads, 4"),
        (4, {"n_kv_heads": 2}, "n_kv_heads, 2"),
        (2, {"multiple_of": 1}, "the hidden dimension, 85"),
        (4, {"vocab_size": 386, "multiple_of": 8}, "the vocabulary, 386"),
    ],
)
def test_model_parallel_size_that_does_not_divide(size, params, message) -> None:
    args = ModelArgs(**LEAST | {"vocab_size": 384} | params)
    check_division(args, 1)
    with pytest.raises(CheckpointError, match=f"^--model_parallel_size {size} does not divide {message}$"):
        check_division(args, size)
