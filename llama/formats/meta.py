"""Meta's format (LLaMA 1 and 2, Llama 3 to 3.3): params.json and consolidated.NN.pth."""

from dataclasses import dataclass, fields
from pathlib import Path

import torch
from torch import Tensor

from llama.errors import CheckpointError
from llama.formats.files import TensorFiles, check_types, read_json
from llama.formats.weights import Part, part
from llama.params import ModelArgs, RopeScaling, check_shape, weight_shapes

EMBEDDING = "tok_embeddings.weight"
LLAMA_3_2 = ((2048, 16), (3072, 28))  # dim and n_layers of 1B and 3B: their files do not state the factor, which is 32
OTHER_MODELS = {
    "vision_": "a vision model",
    "lora_": "a LoRA adapter in Meta's format",
    "quantization_": "quantized weights",
    "moe_": "a mixture of experts",
}


@dataclass(frozen=True)
class Params:
    """The keys of params.json.

    Args:
        dim: Width of the residual stream.
        n_layers: Number of blocks.
        n_heads: Number of attention heads.
        n_kv_heads: Number of key-value heads (grouped-query attention); None: n_heads.
        head_dim: Head dimension; None: dim / n_heads.
        vocab_size: Rows of the embedding; -1: the size of the tokenizer.
        multiple_of: The feed-forward width is rounded up to a multiple of this.
        ffn_dim_multiplier: Factor on the feed-forward width before rounding (Llama 2 70B).
        norm_eps: Added to the mean square in RMSNorm.
        rope_theta: Base of the rotary frequencies.
        use_scaled_rope: Whether rotary frequencies are scaled (Llama 3.1 and later), see `llama.params.RopeScaling`.
        rope_scaling_factor: Their factor; None: 32 for the shapes of Llama 3.2, else 8, as in Meta's code.
        max_seq_len: Maximum sequence length, in tokens; None: unset.
        max_batch_size: A key of Meta's own ModelArgs; unused.
    """

    dim: int
    n_layers: int
    n_heads: int
    n_kv_heads: int | None = None
    head_dim: int | None = None
    vocab_size: int = -1
    multiple_of: int = 256
    ffn_dim_multiplier: float | None = None
    norm_eps: float = 1e-5
    rope_theta: float = 10000.0
    use_scaled_rope: bool = False
    rope_scaling_factor: float | None = None
    max_seq_len: int | None = None
    max_batch_size: int | None = None

    @property
    def hidden_dim(self) -> int:
        """Width of the feed-forward layer: 2/3 of 4 dim, scaled, rounded up to a multiple of `multiple_of`."""
        hidden = 2 * 4 * self.dim // 3
        if self.ffn_dim_multiplier is not None:
            hidden = int(self.ffn_dim_multiplier * hidden)
        return -(-hidden // self.multiple_of) * self.multiple_of

    @property
    def rope_scaling(self) -> RopeScaling | None:
        """The scaling of the rotary frequencies; None: unscaled."""
        if not self.use_scaled_rope:
            return None
        default = 32.0 if (self.dim, self.n_layers) in LLAMA_3_2 else 8.0
        return RopeScaling("llama3", default if self.rope_scaling_factor is None else self.rope_scaling_factor)

    def model_args(self, vocab_size: int, max_seq_len: int | None = None) -> ModelArgs:
        """The shape of the model.

        Args:
            vocab_size: Size of the tokenizer.
            max_seq_len: None: the value in params.json, else 1024.
        """
        return ModelArgs(
            dim=self.dim,
            n_layers=self.n_layers,
            n_heads=self.n_heads,
            n_kv_heads=self.n_heads if self.n_kv_heads is None else self.n_kv_heads,
            head_dim=self.dim // self.n_heads if self.head_dim is None else self.head_dim,
            hidden_dim=self.hidden_dim,
            vocab_size=vocab_size,
            norm_eps=self.norm_eps,
            rope_theta=self.rope_theta,
            rope_scaling=self.rope_scaling,
            max_seq_len=max_seq_len or self.max_seq_len or 1024,
        )


def read_params(path: Path) -> Params:
    """params.json, checked; CheckpointError for unknown keys and wrong types."""
    content = read_json(path, "a checkpoint in Meta's format needs it")
    types = {field.name: field.type for field in fields(Params)}
    for key in content:
        if key not in types:
            other = next((f" of {what}" for prefix, what in OTHER_MODELS.items() if key.startswith(prefix)), "")
            raise CheckpointError(f"{path}: unknown key {key!r}{other}, expected {', '.join(types)}")
    check_types(path, {key: value for key, value in content.items() if (key, value) != ("vocab_size", -1)}, types)
    missing = [key for key in ("dim", "n_layers", "n_heads") if key not in content]
    if missing:
        raise CheckpointError(f"{path}: key {missing[0]!r} is missing")
    params = Params(**content)
    if params.head_dim is None and (params.dim % params.n_heads or params.dim // params.n_heads % 2):
        raise CheckpointError(
            f"{path}: dim {params.dim} / n_heads {params.n_heads} is not an even whole number (the head dimension)"
        )
    return params


def read_args(path: Path, vocab_size: int, max_seq_len: int | None) -> ModelArgs:
    """The shape of the model from params.json.

    Args:
        vocab_size: Size of the tokenizer.
        max_seq_len: At most the value in params.json; None: that value, else 1024.

    Raises:
        CheckpointError: params.json is invalid, or does not fit the tokenizer or `max_seq_len`.
    """
    params = read_params(path)
    if max_seq_len is not None and params.max_seq_len is not None and max_seq_len > params.max_seq_len:
        raise CheckpointError(f"`max_seq_len` {max_seq_len}: {path} allows at most {params.max_seq_len}")
    if params.vocab_size not in (-1, vocab_size):
        raise CheckpointError(f"{path}: vocab_size is {params.vocab_size}, the tokenizer has {vocab_size} pieces")
    args = params.model_args(vocab_size, max_seq_len)
    check_shape(args, path)
    return args


class MetaWeights:
    """consolidated.NN.pth: each file contains an equal slice of every matrix.

    LLaMA 1 and 2 split the embedding along its columns, Llama 3 along the vocabulary; the shapes show which.

    Args:
        files: One file for each shard.
        args: The shape of the model.

    Raises:
        CheckpointError: The shards do not fit the shape.
    """

    def __init__(self, files: TensorFiles, args: ModelArgs):
        self.files = files
        self.shards = len(files.tensors)
        self.dtype = files.tensors[0].get("norm.weight", torch.empty(0)).dtype
        self.joined = {key: cut for key, (_, cut) in weight_shapes(args).items()}  # dimension split over the shards
        embedding = list(files.tensors[0].get(EMBEDDING, torch.empty(0)).shape)
        if embedding != [args.vocab_size // self.shards, args.dim]:
            self.joined[EMBEDDING] = 1
        self.paths = tuple(files.paths)
        paths = files.paths or [Path(f"shard {number}") for number in range(self.shards)]
        for path, shard in zip(paths, files.tensors, strict=True):
            self.check(path, weights_of(shard), args)

    def check(self, path: Path, shard: dict[str, Tensor], args: ModelArgs) -> None:
        """Raises CheckpointError if a weight of a shard is missing, unexpected, or has the wrong shape."""
        shapes = weight_shapes(args)
        missing, extra = shapes.keys() - shard.keys(), shard.keys() - shapes.keys()
        if missing:
            raise CheckpointError(f"{path}: weight {min(missing)} is missing ({len(missing)} in all)")
        if extra:
            raise CheckpointError(f"{path}: unexpected weight {min(extra)} for these parameters ({len(extra)} in all)")
        for key, (whole, _) in shapes.items():
            shape, cut = list(whole), self.joined[key]
            if cut is not None:
                if shape[cut] % self.shards:
                    raise CheckpointError(f"{path}: {key} {whole} cannot be split into {self.shards} equal shards")
                shape[cut] //= self.shards
            stored = list(shard[key].shape)
            if stored != shape:
                raise CheckpointError(
                    f"{path}: {key} has shape {tuple(stored)}, expected {tuple(shape)} from params.json and"
                    f" {self.shards} shard(s){embedding_misfit(key, stored, args)}"
                )

    def read(self, key: str, cut: int | None, rank: int, ranks: int) -> Part:
        """See `llama.formats.weights.Weights`."""
        joined = self.joined[key]
        if joined is None:
            return Part([self.files.get(0, key)])
        return part([self.files.get(shard, key) for shard in range(self.shards)], joined, cut, rank, ranks)


def weights_of(shard: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a shard without the rotary tables that some of Meta's files contain."""
    return {key: weight for key, weight in shard.items() if not key.endswith("rope.freqs")}


def embedding_misfit(key: str, shape: list[int], args: ModelArgs) -> str:
    """The likely reason for an embedding of the wrong shape, as the end of a message; empty for other weights."""
    if key == EMBEDDING and len(shape) == 2 and shape[0] != args.vocab_size:
        return f"; the tokenizer has {args.vocab_size} pieces, the embedding {shape[0]} rows: they do not match"
    return ""


def find_shards(folder: Path) -> list[Path]:
    """consolidated.00.pth and its successors; CheckpointError if there is none, or a number is missing."""
    paths = sorted(folder.glob("consolidated.*.pth"))
    if not paths:
        raise CheckpointError(f"{folder}: contains no consolidated.NN.pth")
    expected = [f"consolidated.{shard:02d}.pth" for shard in range(len(paths))]
    if [path.name for path in paths] != expected:
        absent = next(name for name in expected if not (folder / name).exists())
        raise CheckpointError(f"{folder}: {absent} is missing, found {', '.join(path.name for path in paths)}")
    return paths
