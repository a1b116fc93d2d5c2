"""The shape of a model: params.json, read, checked key by key, and held against the number of ranks."""

import json
from dataclasses import dataclass, fields
from pathlib import Path

from llama.errors import CheckpointError


@dataclass(frozen=True)
class ModelArgs:
    """The keys of params.json.

    Args:
        dim: Width of the residual stream.
        n_layers: Number of blocks.
        n_heads: Attention heads.
        n_kv_heads: Heads of keys and values (grouped-query attention); None: as many as n_heads.
        vocab_size: Rows of the embedding. -1 in a file stands for the tokenizer's size and is resolved on loading.
        multiple_of: The feed-forward width is rounded up to a multiple of it.
        ffn_dim_multiplier: Factor on the feed-forward width before rounding (Llama 2 70B).
        norm_eps: Added to the mean square in RMSNorm.
        rope_theta: Base of the rotary frequencies.
        max_seq_len: Longest sequence, in tokens.
        max_batch_size: In Meta's own ModelArgs; read and not used, batches are the caller's business.
    """

    dim: int
    n_layers: int
    n_heads: int
    n_kv_heads: int | None = None
    vocab_size: int = -1
    multiple_of: int = 256
    ffn_dim_multiplier: float | None = None
    norm_eps: float = 1e-5
    rope_theta: float = 10000.0
    max_seq_len: int = 1024
    max_batch_size: int | None = None

    @property
    def kv_heads(self) -> int:
        return self.n_heads if self.n_kv_heads is None else self.n_kv_heads

    @property
    def head_dim(self) -> int:
        return self.dim // self.n_heads

    @property
    def hidden_dim(self) -> int:
        """Width of the feed-forward layer: 2/3 of 4 dim, scaled, rounded up to a multiple of `multiple_of`."""
        hidden = 2 * 4 * self.dim // 3
        if self.ffn_dim_multiplier is not None:
            hidden = int(self.ffn_dim_multiplier * hidden)
        return -(-hidden // self.multiple_of) * self.multiple_of


def read_params(path: Path, max_seq_len: int | None = None) -> ModelArgs:
    """params.json as ModelArgs; every key must be known and of its type. `max_seq_len` can only shorten its own."""
    try:
        params = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such file; a checkpoint in Meta's format has one") from None
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: not readable as JSON ({error})") from None
    if not isinstance(params, dict):
        raise CheckpointError(f"{path}: expected a JSON object, found {type(params).__name__}")
    known = {field.name: field.type for field in fields(ModelArgs)}
    for key, value in params.items():
        if key not in known:
            raise CheckpointError(f"{path}: unknown key {key!r}; known are {', '.join(known)}")
        number, expected = (int | float, "a number") if "float" in str(known[key]) else (int, "a whole number")
        nullable = value is None and "None" in str(known[key])
        if not nullable and (not isinstance(value, number) or isinstance(value, bool)):
            raise CheckpointError(f"{path}: {key} is {value!r}, expected {expected}")
        if value is not None and not value > 0 and (key, value) != ("vocab_size", -1):
            raise CheckpointError(f"{path}: {key} is {value!r}, expected a number above 0")
    missing = [key for key in ("dim", "n_layers", "n_heads") if key not in params]
    if missing:
        raise CheckpointError(f"{path}: key {missing[0]!r} is missing")
    if max_seq_len is not None and max_seq_len > params.get("max_seq_len", max_seq_len):
        raise CheckpointError(f"--max_seq_len {max_seq_len}: {path} allows at most {params['max_seq_len']}")
    args = ModelArgs(**params | ({"max_seq_len": max_seq_len} if max_seq_len else {}))
    if args.dim % args.n_heads or args.head_dim % 2:
        raise CheckpointError(f"{path}: dim {args.dim} over n_heads {args.n_heads} is no even width of a head")
    if args.n_heads % args.kv_heads:
        raise CheckpointError(f"{path}: n_kv_heads {args.kv_heads} does not divide n_heads {args.n_heads}")
    return args


def check_division(args: ModelArgs, model_parallel_size: int) -> None:
    """The model-parallel size must divide all that is cut."""
    cut = {
        "n_heads": args.n_heads,
        "n_kv_heads": args.kv_heads,
        "the hidden dimension": args.hidden_dim,
        "the vocabulary": args.vocab_size,
    }
    for name, number in cut.items():
        if number % model_parallel_size:
            raise CheckpointError(f"--model_parallel_size {model_parallel_size} does not divide {name}, {number}")
