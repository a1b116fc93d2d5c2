"""A folder in Meta's format - params.json, consolidated.NN.pth, tokenizer.model - opened, checked, and cut to the
ranks.

Everything that can be wrong with a checkpoint is found in `open_checkpoint`, which reads headers only; `load_weights`
then takes any number of shards onto any model-parallel size that divides the model.
"""

import hashlib
import pickle
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from llama.errors import CheckpointError
from llama.params import ModelArgs, check_division, read_params
from llama.tokenizer import Tokenizer

SAMPLED_VALUES = 1024  # of each tensor, in the fingerprint
ZIP_MAGIC = b"PK\x03\x04"  # torch.save writes a zip archive; an old file is a bare pickle and cannot be mapped
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True)
class Checkpoint:
    """An opened checkpoint: its weights are mapped into memory and not yet read.

    Args:
        folder: Where it lies.
        args: params.json, with the vocabulary size and the length resolved.
        tokenizer: Its tokenizer.
        shards: For each consolidated.NN.pth the tensors by key.
    """

    folder: Path
    args: ModelArgs
    tokenizer: Tokenizer
    shards: list[dict[str, Tensor]]

    @property
    def name(self) -> str:
        return self.folder.resolve().name

    def model_parallel_size(self, size: int | None, world_size: int) -> int:
        """`size` ranks for a copy of the weights, checked; None: as many as there are shards where that divides the
        number of processes, else 1.

        Raises:
            CheckpointError: It does not divide the model.
        """
        if size is None:
            size = 1 if world_size % len(self.shards) else len(self.shards)
        check_division(self.args, size)
        return size

    def fingerprint(self) -> str:
        """SHA-256 over params.json, tokenizer.model and of each tensor name, shape, dtype and 1,024 spaced values."""
        digest = hashlib.sha256((self.folder / "params.json").read_bytes())
        digest.update(self.tokenizer.model_path.read_bytes())
        for shard in self.shards:
            for key, weight in sorted(shard.items()):
                digest.update(f"{key} {tuple(weight.shape)} {weight.dtype}".encode())
                places = torch.linspace(0, weight.numel() - 1, min(SAMPLED_VALUES, weight.numel()), dtype=torch.float64)
                values = weight.flatten()[places.round().long()]
                digest.update(values.view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()


def find_folder(ckpt_dir: str) -> Path:
    """`ckpt_dir` itself if it exists, else below checkpoints/, else below checkpoints/llama/."""
    candidates = [Path(ckpt_dir), Path("checkpoints") / ckpt_dir, Path("checkpoints/llama") / ckpt_dir]
    for folder in candidates:
        if folder.is_dir():
            return folder
    raise CheckpointError(f"--ckpt_dir {ckpt_dir}: no such folder; looked at {', '.join(map(str, candidates))}")


def find_tokenizer(folder: Path, tokenizer_path: str | None) -> Path:
    """`tokenizer_path`, else tokenizer.model in the checkpoint's folder or in its parent."""
    if tokenizer_path:
        return Path(tokenizer_path)
    candidates = [folder / "tokenizer.model", folder.parent / "tokenizer.model"]
    for path in candidates:
        if path.is_file():
            return path
    raise CheckpointError(f"--tokenizer_path: not given, and neither {candidates[0]} nor {candidates[1]} exists")


def weight_shapes(args: ModelArgs) -> dict[str, tuple[tuple[int, ...], int | None]]:
    """Every key of the whole model: its shape, and the dimension along which shards and ranks cut it (None: copied)."""
    dim, hidden, kv_dim = args.dim, args.hidden_dim, args.kv_heads * args.head_dim
    shapes: dict[str, tuple[tuple[int, ...], int | None]] = {
        "tok_embeddings.weight": ((args.vocab_size, dim), 1),
        "norm.weight": ((dim,), None),
        "output.weight": ((args.vocab_size, dim), 0),
    }
    for layer in range(args.n_layers):
        shapes |= {
            f"layers.{layer}.attention.wq.weight": ((dim, dim), 0),
            f"layers.{layer}.attention.wk.weight": ((kv_dim, dim), 0),
            f"layers.{layer}.attention.wv.weight": ((kv_dim, dim), 0),
            f"layers.{layer}.attention.wo.weight": ((dim, dim), 1),
            f"layers.{layer}.feed_forward.w1.weight": ((hidden, dim), 0),
            f"layers.{layer}.feed_forward.w2.weight": ((dim, hidden), 1),
            f"layers.{layer}.feed_forward.w3.weight": ((hidden, dim), 0),
            f"layers.{layer}.attention_norm.weight": ((dim,), None),
            f"layers.{layer}.ffn_norm.weight": ((dim,), None),
        }
    return shapes


def open_shard(path: Path) -> dict[str, Tensor]:
    """The tensors of one consolidated.NN.pth, mapped, without rotary tables. Pickled code is refused, not run."""
    with path.open("rb") as file:
        if file.read(len(ZIP_MAGIC)) != ZIP_MAGIC:
            raise CheckpointError(f"{path}: no archive of torch.save (empty, or another format); nothing in it was run")
    try:
        shard = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError:
        raise CheckpointError(
            f"{path}: holds something other than tensors (pickled code?); refused, nothing was run"
        ) from None
    except Exception as error:  # torch raises whatever a damaged file leads it to
        reason = str(error).split(". ")[0].splitlines()
        raise CheckpointError(f"{path}: damaged or cut off: {' '.join(reason)}") from None
    items = shard.items() if isinstance(shard, dict) else [(None, shard)]
    if not all(isinstance(key, str) and isinstance(weight, Tensor) for key, weight in items):
        raise CheckpointError(f"{path}: expected a dictionary of tensors")
    return {key: weight for key, weight in shard.items() if not key.endswith("rope.freqs")}


def check_shards(shards: list[dict[str, Tensor]], paths: list[Path], args: ModelArgs) -> None:
    """Every key is there once, no other, and the shards add up to the shapes that params.json asks for."""
    shapes = weight_shapes(args)
    for path, shard in zip(paths, shards, strict=True):
        missing, extra = shapes.keys() - shard.keys(), shard.keys() - shapes.keys()
        if missing:
            raise CheckpointError(f"{path}: weight {min(missing)} is missing ({len(missing)} in all)")
        if extra:
            raise CheckpointError(
                f"{path}: weight {min(extra)} is in no LLaMA of these parameters ({len(extra)} in all)"
            )
        for key, (whole, cut) in shapes.items():
            shape = list(whole)
            if cut is not None:
                if shape[cut] % len(shards):
                    raise CheckpointError(f"{path}: {key} {whole} cannot be in {len(shards)} equal shards")
                shape[cut] //= len(shards)
            found = list(shard[key].shape)
            if found != shape:
                raise CheckpointError(
                    f"{path}: {key} has shape {tuple(found)}, params.json and {len(shards)} shard(s) make it"
                    f" {tuple(shape)}{embedding_misfit(key, found, args, len(shards))}"
                )
            if not shard[key].is_floating_point():
                raise CheckpointError(f"{path}: {key} is {shard[key].dtype}, expected floating-point numbers")


def embedding_misfit(key: str, found: list[int], args: ModelArgs, shards: int) -> str:
    """What lies behind the wrong shape of an embedding, to be put after it; nothing for another weight."""
    if key != "tok_embeddings.weight":
        return ""
    if found == [args.vocab_size // shards, args.dim]:
        return "; sharded along the vocabulary, as in Llama 3, which is not supported"
    if len(found) == 2 and found[0] != args.vocab_size:
        return f"; the tokenizer's {args.vocab_size} pieces and the embedding's {found[0]} rows do not belong together"
    return ""


def open_checkpoint(
    ckpt_dir: str,
    tokenizer_path: str | None = None,
    max_seq_len: int | None = None,
) -> Checkpoint:
    """Open a checkpoint and check all that can be checked without reading the weights.

    Args:
        ckpt_dir: Folder, or a name below checkpoints/ or checkpoints/llama/.
        tokenizer_path: None: tokenizer.model in the folder or its parent.
        max_seq_len: Longest sequence in tokens; None: that of params.json, else 1024.

    Raises:
        CheckpointError: Names the file, what was found and what was expected.
    """
    folder = find_folder(ckpt_dir)
    paths = sorted(folder.glob("consolidated.*.pth"))
    if not paths:
        raise CheckpointError(f"{folder}: no consolidated.NN.pth in it")
    expected = [f"consolidated.{shard:02d}.pth" for shard in range(len(paths))]
    if [path.name for path in paths] != expected:
        absent = next(name for name in expected if not (folder / name).exists())
        raise CheckpointError(f"{folder}: {absent} is missing, found {', '.join(path.name for path in paths)}")
    tokenizer = Tokenizer(find_tokenizer(folder, tokenizer_path))  # first: it tells Llama 3, whose keys differ too
    args = read_params(folder / "params.json", max_seq_len)
    if args.vocab_size not in (-1, tokenizer.n_words):
        raise CheckpointError(
            f"{folder / 'params.json'}: vocab_size is {args.vocab_size},"
            f" {tokenizer.model_path} has {tokenizer.n_words} pieces"
        )
    args = replace(args, vocab_size=tokenizer.n_words)
    shards = [open_shard(path) for path in paths]
    check_shards(shards, paths, args)
    return Checkpoint(folder, args, tokenizer, shards)


def load_weights(
    checkpoint: Checkpoint, rank: int, ranks: int, dtype: torch.dtype, device: torch.device
) -> dict[str, Tensor]:
    """The part of the weights that belongs to `rank` of `ranks`, one tensor at a time: no second copy is held."""
    weights = {}
    for key, (_, cut) in weight_shapes(checkpoint.args).items():
        pieces = [shard[key] for shard in checkpoint.shards]
        weight = pieces[0] if cut is None else part(pieces, cut, rank, ranks)
        # A copy even where dtype and device are the file's: a mapped tensor would read the disk during the run.
        weights[key] = weight.to(device=device, dtype=dtype, copy=True)
    return weights


def part(pieces: list[Tensor], cut: int, rank: int, ranks: int) -> Tensor:
    """Slice `rank` of `ranks` equal slices of `pieces` joined along `cut`, touching only what overlaps."""
    size = pieces[0].shape[cut]
    length = size * len(pieces) // ranks
    first, end = rank * length, (rank + 1) * length
    overlaps = []
    for shard, piece in enumerate(pieces):
        start, stop = max(first - shard * size, 0), min(end - shard * size, size)
        if start < stop:
            overlaps.append(piece.narrow(cut, start, stop - start))
    return overlaps[0] if len(overlaps) == 1 else torch.cat(overlaps, dim=cut)


def resolve_dtype(name: str, checkpoint: Checkpoint, device: torch.device) -> torch.dtype:
    """`auto` is float32 on a CPU and the checkpoint's own on CUDA."""
    if name == "auto":
        return checkpoint.shards[0]["norm.weight"].dtype if device.type == "cuda" else torch.float32
    if name not in DTYPES:
        raise CheckpointError(f"--dtype {name}: expected auto, {', '.join(DTYPES)}")
    return DTYPES[name]
