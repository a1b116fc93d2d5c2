"""Open, check and load a checkpoint of any format: Meta's, Hugging Face's, an adapter, or one on the hub.

`open_checkpoint` reads only headers and reports all errors of a checkpoint. `load_weights` loads any number of shards
with any model-parallel size that divides the model. Only `llama.formats` depends on the format.
"""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from llama.errors import CheckpointError
from llama.formats.folder import open_folder
from llama.formats.location import locate
from llama.formats.weights import Weights
from llama.formats.whole import Hashing
from llama.int8 import Quantizer, check_package
from llama.params import POSITIONS, ModelArgs, check_division, weight_shapes
from llama.tokenizer import Tokenizer

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16, "int8": torch.int8}


@dataclass(frozen=True)
class Checkpoint:
    """An opened checkpoint, whose weights are memory-mapped and not yet read.

    Args:
        name: The checkpoint's name in results.
        folder: Its folder.
        args: The shape of the model.
        tokenizer: Its tokenizer.
        weights: Its weights.
        files: The files that define the shape.
    """

    name: str
    folder: Path
    args: ModelArgs
    tokenizer: Tokenizer
    weights: Weights
    files: tuple[Path, ...] = ()

    def model_parallel_size(self, size: int | None, world_size: int) -> int:
        """The number of ranks that share one copy of the weights.

        Args:
            size: As requested; None: the number of shards if it divides `world_size`, else 1.
            world_size: Number of processes.

        Raises:
            CheckpointError: It does not divide the model.
        """
        if size is None:
            size = 1 if world_size % self.weights.shards else self.weights.shards
        check_division(self.args, size)
        return size

    @property
    def all_files(self) -> list[Path]:
        """The files of shape, tokenizer and weights, in this order."""
        return [*self.files, *self.tokenizer.backend.files, *self.weights.paths]

    @cached_property
    def hashing(self) -> Hashing:
        return Hashing(self.all_files)

    def start_hashing(self) -> None:
        """Start hashing the files in threads, so that the fingerprint is ready soon after loading."""
        _ = self.hashing

    def stamp(self) -> tuple[Any, ...]:
        """What distinguishes these files from others without reading them: paths, sizes, times, inodes."""
        found = ((path.resolve(), path.stat()) for path in self.all_files)
        return tuple((path, status.st_size, status.st_mtime_ns, status.st_ino) for path, status in found)

    def fingerprint(self) -> str:
        """SHA-256 over all bytes of the shape, tokenizer and weight files, in this order, regardless of their names.

        The same weights in two formats have two fingerprints.

        Raises:
            CheckpointError: A weight file is damaged.
        """
        return hashlib.sha256("\n".join(self.hashing.result()).encode()).hexdigest()


def open_checkpoint(
    ckpt_dir: str,
    tokenizer_path: str | None = None,
    max_seq_len: int | None = None,
    revision: str | None = None,
) -> Checkpoint:
    """Open a checkpoint and check everything that does not require reading the weights.

    Args:
        ckpt_dir: A folder, a name in checkpoints/ or checkpoints/llama/, or OWNER/NAME on the hub.
        tokenizer_path: None: the tokenizer in the folder, or tokenizer.model in the parent of Meta's.
        max_seq_len: Maximum sequence length in tokens; None: that of params.json, else 1024; for Hugging Face folders
            all positions, at most 4,096.
        revision: Branch, tag or commit of a model on the hub; None: main.

    Raises:
        CheckpointError: The checkpoint is invalid; the message names the file, what was found and what was expected.
    """
    if max_seq_len is not None and not 1 <= max_seq_len <= POSITIONS:
        raise CheckpointError(f"max_seq_len {max_seq_len}: expected 1 to {POSITIONS:,}")
    location = locate(ckpt_dir, revision)
    contents = open_folder(location.folder, tokenizer_path, max_seq_len)
    return Checkpoint(
        location.name, location.folder, contents.args, contents.tokenizer, contents.weights, contents.files
    )


def load_weights(
    checkpoint: Checkpoint, rank: int, ranks: int, dtype: torch.dtype, device: torch.device
) -> dict[str, Tensor]:
    """The weights of `rank` of `ranks`, by Meta's keys. They are copied one at a time, so memory holds them once.

    Args:
        dtype: Of the weights. int8: the matrices of the blocks are quantized, see `llama.int8`, each with its scales
            under the key of its module, and all others are bfloat16.
    """
    shapes = weight_shapes(checkpoint.args)
    matrices = {key for key, (whole, _) in shapes.items() if key.startswith("layers.") and len(whole) == 2}
    quantized = matrices if dtype == torch.int8 else set()
    weights: dict[str, Tensor] = {}
    for key, (whole, cut) in shapes.items():
        shape = [size // ranks if dim == cut else size for dim, size in enumerate(whole)]
        stored = torch.int8 if key in quantized else compute_dtype(dtype)
        weights[key] = torch.empty(shape, dtype=stored, device=device)
        if key in quantized:
            weights[scales_of(key)] = torch.empty(shape[0], dtype=torch.float32, device=device)
    quantizer = Quantizer([weights[key].shape for key in quantized], device)
    for key, (_, cut) in shapes.items():
        if key in quantized:
            found = weights[key], weights[scales_of(key)]
            quantizer.quantize(checkpoint.weights.read(key, cut, rank, ranks), cut == 1, *found)
        else:
            # Copied even if dtype and device are unchanged: a mapped tensor would read the disk during the run.
            checkpoint.weights.read(key, cut, rank, ranks).copy_to(weights[key])
    return weights


def scales_of(key: str) -> str:
    """The key of the scales of a quantized matrix."""
    return f"{key.removesuffix('weight')}scales"


def compute_dtype(dtype: torch.dtype) -> torch.dtype:
    """The dtype of hidden states, keys and values, and of the weights that are not quantized.

    With int8 it is bfloat16, which is as fast as any on CPUs and holds the large hidden states of any model.
    """
    return torch.bfloat16 if dtype == torch.int8 else dtype


def resolve_dtype(name: str, checkpoint: Checkpoint, device: torch.device) -> torch.dtype:
    """The dtype called `name`; `auto` is float32 on a CPU and the checkpoint's own dtype on CUDA.

    Raises:
        CheckpointError: It is unknown, or int8 without bitsandbytes.
    """
    if name == "auto":
        return checkpoint.weights.dtype if device.type == "cuda" else torch.float32
    if name not in DTYPES:
        raise CheckpointError(f"`dtype` {name}: expected auto, {', '.join(DTYPES)}")
    if name == "int8":
        check_package()
    return DTYPES[name]
