"""The shape of a model: possible numbers of ranks, and rotary angles."""

import math

import pytest
import torch

from llama import CheckpointError
from llama.formats.meta import Params
from llama.params import RopeScaling, check_division

LEAST = {"dim": 32, "n_layers": 2, "n_heads": 4}


@pytest.mark.parametrize(
    ("size", "params", "message"),
    [
        (8, {}, "n_heads, 4"),
        (4, {"n_kv_heads": 2}, "n_kv_heads, 2"),
        (2, {"multiple_of": 1}, "the hidden dimension, 85"),
        (4, {"multiple_of": 8}, "the vocabulary, 386"),
    ],
)
def test_model_parallel_size_that_does_not_divide(size, params, message) -> None:
    args = Params(**LEAST | params).model_args(vocab_size=386 if size == 4 else 384)
    check_division(args, 1)
    with pytest.raises(CheckpointError, match=f"^`model_parallel_size` {size} does not divide {message}$"):
        check_division(args, size)


def test_llama3_scaling_is_its_definition() -> None:
    """Frequency by frequency, as in Meta's code, for Llama 3.1 8B."""
    frequencies = 500000.0 ** -(torch.arange(0, 128, 2).float() / 128)
    expected = []
    for frequency in frequencies.double().tolist():
        wave = 2 * math.pi / frequency
        if wave < 8192 / 4:
            expected.append(frequency)
        elif wave > 8192:
            expected.append(frequency / 8)
        else:
            smooth = (8192 / wave - 1) / (4 - 1)
            expected.append((1 - smooth) * frequency / 8 + smooth * frequency)
    scaled = RopeScaling("llama3", 8).scale(frequencies)
    torch.testing.assert_close(scaled.double(), torch.tensor(expected, dtype=torch.float64), rtol=1e-6, atol=0)
    assert 0 < sum(scaled == frequencies) < 64


def test_linear_scaling() -> None:
    assert RopeScaling("linear", 4).scale(torch.tensor([1.0, 0.5])).tolist() == [0.25, 0.125]
