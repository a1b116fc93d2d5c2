"""The shape of a model, independent of its format, with its weight shapes and rotary angles."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from llama.errors import CheckpointError

LAYERS, POSITIONS = 4096, 1 << 22  # upper bounds, beyond any real model


@dataclass(frozen=True)
class RopeScaling:
    """Scaling of the rotary frequencies for contexts longer than those of pretraining.

    Args:
        kind: linear divides all frequencies by `factor` (Chen et al. 2023), llama3 only the low ones (Llama 3.1).
        factor: The divisor.
        low_freq_factor: Wavelengths above `original_length` / this are scaled (llama3).
        high_freq_factor: Wavelengths below `original_length` / this are unchanged; those in between are interpolated
            (llama3).
        original_length: Context length of pretraining, in tokens (llama3).
    """

    kind: str
    factor: float
    low_freq_factor: float = 1.0
    high_freq_factor: float = 4.0
    original_length: int = 8192

    def scale(self, frequencies: Tensor) -> Tensor:
        """Scaled `frequencies` (E / 2), in radians per token."""
        if self.kind == "linear":
            return frequencies / self.factor
        waves = self.original_length * frequencies / (2 * math.pi)  # in a context of the original length
        kept = (waves - self.low_freq_factor) / (self.high_freq_factor - self.low_freq_factor)
        kept = kept.clamp(0, 1)
        return (1 - kept) * frequencies / self.factor + kept * frequencies


@dataclass(frozen=True)
class ModelArgs:
    """The shape of a model.

    Args:
        dim: Width of the residual stream.
        n_layers: Number of blocks.
        n_heads: Number of attention heads.
        n_kv_heads: Number of key-value heads; fewer than n_heads for grouped-query attention.
        head_dim: Head dimension.
        hidden_dim: Width of the feed-forward layer.
        vocab_size: Rows of the embedding; the tokenizer may have fewer ids.
        norm_eps: Added to the mean square in RMSNorm.
        rope_theta: Base of the rotary frequencies.
        rope_scaling: Their scaling; None: unscaled.
        max_seq_len: Maximum sequence length, in tokens.
        biases: The matrices of a block that have a bias, of wq, wk, wv, wo, w1, w2, w3.
        head_norms: RMSNorm over each head of queries and keys before rotation (Qwen3).
        tied_output: The output layer shares the weights of the embedding.
    """

    dim: int
    n_layers: int
    n_heads: int
    n_kv_heads: int
    head_dim: int
    hidden_dim: int
    vocab_size: int
    norm_eps: float = 1e-5
    rope_theta: float = 10000.0
    rope_scaling: RopeScaling | None = None
    max_seq_len: int = 1024
    biases: tuple[str, ...] = ()
    head_norms: bool = False
    tied_output: bool = False

    def rotary_table(self) -> Tensor:
        """Cosines and sines of position x frequency, float32, (max_seq_len, E / 2, 2) (Su et al. 2021, equation 15)."""
        frequencies = self.rope_theta ** -(torch.arange(0, self.head_dim, 2).float() / self.head_dim)
        if self.rope_scaling is not None:
            frequencies = self.rope_scaling.scale(frequencies)
        angles = torch.outer(torch.arange(self.max_seq_len).float(), frequencies)
        return torch.stack([angles.cos(), angles.sin()], dim=-1)


def weight_shapes(args: ModelArgs) -> dict[str, tuple[tuple[int, ...], int | None]]:
    """Meta's key of every weight -> its whole shape and the dimension that is split over ranks (None: replicated)."""
    q_dim, kv_dim = args.n_heads * args.head_dim, args.n_kv_heads * args.head_dim
    matrices = {
        "wq": ("attention", q_dim, args.dim, 0),
        "wk": ("attention", kv_dim, args.dim, 0),
        "wv": ("attention", kv_dim, args.dim, 0),
        "wo": ("attention", args.dim, q_dim, 1),
        "w1": ("feed_forward", args.hidden_dim, args.dim, 0),
        "w2": ("feed_forward", args.dim, args.hidden_dim, 1),
        "w3": ("feed_forward", args.hidden_dim, args.dim, 0),
    }
    shapes: dict[str, tuple[tuple[int, ...], int | None]] = {
        "tok_embeddings.weight": ((args.vocab_size, args.dim), 0),
        "norm.weight": ((args.dim,), None),
    }
    if not args.tied_output:
        shapes["output.weight"] = ((args.vocab_size, args.dim), 0)
    for layer in range(args.n_layers):
        block = f"layers.{layer}"
        for name, (module, rows, columns, cut) in matrices.items():
            shapes[f"{block}.{module}.{name}.weight"] = ((rows, columns), cut)
            if name in args.biases:
                shapes[f"{block}.{module}.{name}.bias"] = ((rows,), None if cut else 0)
        if args.head_norms:
            shapes[f"{block}.attention.q_norm.weight"] = ((args.head_dim,), None)
            shapes[f"{block}.attention.k_norm.weight"] = ((args.head_dim,), None)
        shapes[f"{block}.attention_norm.weight"] = ((args.dim,), None)
        shapes[f"{block}.ffn_norm.weight"] = ((args.dim,), None)
    return shapes


def check_shape(args: ModelArgs, source: object) -> None:
    """Check the head dimensions and the bounds of sizes that determine allocations.

    Args:
        source: The file that states them, for the message.

    Raises:
        CheckpointError: A size is out of bounds, a head dimension is odd, or key-value heads do not divide the heads.
    """
    for name, most in (("n_layers", LAYERS), ("max_seq_len", POSITIONS)):
        if getattr(args, name) > most:
            raise CheckpointError(f"{source}: {name} is {getattr(args, name):,}, expected at most {most:,}")
    if args.head_dim % 2:
        raise CheckpointError(f"{source}: head_dim {args.head_dim} is odd, expected an even number (rotary embeddings)")
    if args.n_heads % args.n_kv_heads:
        raise CheckpointError(f"{source}: {args.n_kv_heads} key-value heads do not divide {args.n_heads} heads")


def check_division(args: ModelArgs, model_parallel_size: int) -> None:
    """Raises CheckpointError if the model-parallel size does not divide every dimension that is split."""
    cut = {
        "n_heads": args.n_heads,
        "n_kv_heads": args.n_kv_heads,
        "the hidden dimension": args.hidden_dim,
        "the vocabulary": args.vocab_size,
    }
    for name, number in cut.items():
        if number % model_parallel_size:
            raise CheckpointError(f"`model_parallel_size` {model_parallel_size} does not divide {name}, {number}")
