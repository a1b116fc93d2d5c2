"""Meta's own files: params.json, consolidated.NN.pth, tokenizer.model. LLaMA 1 and 2, Llama 3 to 3.3."""

from dataclasses import dataclass, fields
from pathlib import Path

import torch
from torch import Tensor

from llama.errors import CheckpointError
from llama.formats.files import TensorFiles, check_types, read_json
from llama.formats.weights import Part, part
from llama.params import ModelArgs, RopeScaling, check_shape, weight_shapes

EMBEDDING = "tok_embeddings.weight"
LLAMA_3_2 = ((2048, 16), (3072, 28))  # dim and n_layers of the 1B and the 3B: their files do not state the factor, 32
OTHER_MODELS = {
    "vision_": "a vision model's",
    "lora_": "of an adapter (LoRA) in Meta's form",
    "quantization_": "of quantized weights",
    "moe_": "of a mixture of experts",
}


@dataclass(frozen=True)
class Params:
    """The keys of params.json.

    Args:
        dim: Width of the residual stream.
        n_layers: Number of blocks.
        n_heads: Attention heads.
        n_kv_heads: Heads of keys and values (grouped-query attention); None: as many as n_heads.
        head_dim: Width of a head; None: dim / n_heads.
        vocab_size: Rows of the embedding. -1 stands for the tokenizer's size.
        multiple_of: The feed-forward width is rounded up to a multiple of it.
        ffn_dim_multiplier: Factor on the feed-forward width before rounding (Llama 2 70B).
        norm_eps: Added to the mean square in RMSNorm.
        rope_theta: Base of the rotary frequencies.
        use_scaled_rope: Llama 3.1 and later: rotary frequencies are scaled, see `llama.params.RopeScaling`.
        rope_scaling_factor: By how much; None: 32 for the shapes of Llama 3.2, else 8, as in Meta's code.
        max_seq_len: Longest sequence, in tokens; None: not stated.
        max_batch_size: In Meta's own ModelArgs; read and not used, batches are the caller's business.
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
        if not self.use_scaled_rope:
            return None
        default = 32.0 if (self.dim, self.n_layers) in LLAMA_3_2 else 8.0
        return RopeScaling("llama3", default if self.rope_scaling_factor is None else self.rope_scaling_factor)

    def model_args(self, vocab_size: int, max_seq_len: int | None = None) -> ModelArgs:
        """What they mean.

        Args:
            vocab_size: The tokenizer's.
            max_seq_len: None: that which is stated, else 1024.
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
    """params.json; every key must be known and of its type."""
    params = read_json(path, "a checkpoint in Meta's format has one")
    known = {field.name: field.type for field in fields(Params)}
    for key in params:
        if key not in known:
            other = next((f"; it is {what}" for prefix, what in OTHER_MODELS.items() if key.startswith(prefix)), "")
            raise CheckpointError(f"{path}: unknown key {key!r}{other}; known are {', '.join(known)}")
    check_types(path, {key: value for key, value in params.items() if (key, value) != ("vocab_size", -1)}, known)
    missing = [key for key in ("dim", "n_layers", "n_heads") if key not in params]
    if missing:
        raise CheckpointError(f"{path}: key {missing[0]!r} is missing")
    found = Params(**params)
    if found.head_dim is None and (found.dim % found.n_heads or found.dim // found.n_heads % 2):
        raise CheckpointError(f"{path}: dim {found.dim} over n_heads {found.n_heads} is no even width of a head")
    return found


def read_args(path: Path, vocab_size: int, max_seq_len: int | None) -> ModelArgs:
    """The shape that params.json states.

    Args:
        vocab_size: The tokenizer's.
        max_seq_len: Can only shorten what the file allows.
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
    """consolidated.NN.pth: each file holds an equal slice of every matrix.

    LLaMA 1 and 2 slice the embedding along its columns, Llama 3 along the vocabulary; the shapes tell.

    Args:
        files: One a shard.
        args: The shape of the model.

    Raises:
        CheckpointError: The shards do not add up to the model.
    """

    def __init__(self, files: TensorFiles, args: ModelArgs):
        self.files = files
        self.shards = len(files.tensors)
        self.dtype = files.tensors[0].get("norm.weight", torch.empty(0)).dtype
        self.joined = {key: cut for key, (_, cut) in weight_shapes(args).items()}  # the dimension that shards cut
        found = list(files.tensors[0].get(EMBEDDING, torch.empty(0)).shape)
        if found != [args.vocab_size // self.shards, args.dim]:
            self.joined[EMBEDDING] = 1
        self.paths = tuple(files.paths)
        paths = files.paths or [Path(f"shard {number}") for number in range(self.shards)]
        for path, shard in zip(paths, files.tensors, strict=True):
            self.check(path, weights_of(shard), args)

    def check(self, path: Path, shard: dict[str, Tensor], args: ModelArgs) -> None:
        """Every key is there, no other, in the shape that params.json and the number of shards ask for."""
        shapes = weight_shapes(args)
        missing, extra = shapes.keys() - shard.keys(), shard.keys() - shapes.keys()
        if missing:
            raise CheckpointError(f"{path}: weight {min(missing)} is missing ({len(missing)} in all)")
        if extra:
            raise CheckpointError(
                f"{path}: weight {min(extra)} is in no LLaMA of these parameters ({len(extra)} in all)"
            )
        for key, (whole, _) in shapes.items():
            shape, cut = list(whole), self.joined[key]
            if cut is not None:
                if shape[cut] % self.shards:
                    raise CheckpointError(f"{path}: {key} {whole} cannot be in {self.shards} equal shards")
                shape[cut] //= self.shards
            found = list(shard[key].shape)
            if found != shape:
                raise CheckpointError(
                    f"{path}: {key} has shape {tuple(found)}, params.json and {self.shards} shard(s) make it"
                    f" {tuple(shape)}{embedding_misfit(key, found, args)}"
                )

    def read(self, key: str, cut: int | None, rank: int, ranks: int) -> Part:
        """See `llama.formats.weights.Weights`."""
        joined = self.joined[key]
        if joined is None:
            return Part([self.files.get(0, key)])
        return part([self.files.get(shard, key) for shard in range(self.shards)], joined, cut, rank, ranks)


def weights_of(shard: dict[str, Tensor]) -> dict[str, Tensor]:
    """Without rotary tables, which some of Meta's files hold."""
    return {key: weight for key, weight in shard.items() if not key.endswith("rope.freqs")}


def embedding_misfit(key: str, found: list[int], args: ModelArgs) -> str:
    """What lies behind the wrong shape of an embedding, to be put after it; nothing for another weight."""
    if key == EMBEDDING and len(found) == 2 and found[0] != args.vocab_size:
        return f"; the tokenizer's {args.vocab_size} pieces and the embedding's {found[0]} rows do not belong together"
    return ""


def find_shards(folder: Path) -> list[Path]:
    """consolidated.00.pth and those that follow it, without a gap."""
    paths = sorted(folder.glob("consolidated.*.pth"))
    if not paths:
        raise CheckpointError(f"{folder}: no consolidated.NN.pth in it")
    expected = [f"consolidated.{shard:02d}.pth" for shard in range(len(paths))]
    if [path.name for path in paths] != expected:
        absent = next(name for name in expected if not (folder / name).exists())
        raise CheckpointError(f"{folder}: {absent} is missing, found {', '.join(path.name for path in paths)}")
    return paths
