"""Hugging Face folders: config.json, model.safetensors or pytorch_model.bin or their shards."""

from pathlib import Path
from typing import Any

import torch

from llama.errors import CheckpointError
from llama.formats.files import TensorFiles, read_json
from llama.formats.names import hugging_face_key, is_rotated, neighbours
from llama.formats.weights import Part, part
from llama.params import ModelArgs, weight_shapes

WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")
UNUSED = ("rotary_emb.inv_freq", "rope.freqs")  # tables that old versions of transformers stored


class HuggingFaceWeights:
    """Weights under Hugging Face's keys.

    Args:
        files: Each holds some of the weights, whole.
        args: The shape of the model.

    Raises:
        CheckpointError: A weight is missing, has another shape, or belongs to no model of this shape.
    """

    shards = 1

    def __init__(self, files: TensorFiles, args: ModelArgs):
        self.files = files
        self.paths = tuple(files.paths)
        self.head_dim = args.head_dim
        self.file_of = {key: number for number, file in enumerate(files.tensors) for key in file}
        shapes = {hugging_face_key(key): shape for key, (shape, _) in weight_shapes(args).items()}
        for key, whole in shapes.items():
            if key not in self.file_of:
                raise CheckpointError(f"{self.source(None)}: weight {key} is missing")
            found = tuple(files.tensors[self.file_of[key]][key].shape)
            if found != whole:
                raise CheckpointError(f"{self.source(key)}: {key} has shape {found}, config.json makes it {whole}")
        extra = [key for key in self.file_of.keys() - shapes.keys() if not is_unused(key, args)]
        if extra:
            raise CheckpointError(
                f"{self.source(min(extra))}: weight {min(extra)} is in no model of this config.json"
                f" ({len(extra)} in all)"
            )
        self.dtype = files.tensors[self.file_of["model.norm.weight"]]["model.norm.weight"].dtype

    def source(self, key: str | None) -> Path:
        """The file that holds `key`; None: the one file, or the folder of several."""
        if not self.files.paths:
            return Path("weights")
        if key is not None:
            return self.files.paths[self.file_of[key]]
        return self.files.paths[0] if len(self.files.paths) == 1 else self.files.paths[0].parent

    def read(self, key: str, cut: int | None, rank: int, ranks: int) -> Part:
        """See `llama.formats.weights.Weights`."""
        name = hugging_face_key(key)
        if name not in self.file_of:  # a tied output that an adapter has untied
            name = hugging_face_key("tok_embeddings.weight")
        found = part([self.files.get(self.file_of[name], name)], 0, cut, rank, ranks)
        return in_metas_order(found, key, self.head_dim)


def in_metas_order(found: Part, key: str, head_dim: int) -> Part:
    """A part of one piece with its rows in Meta's order."""
    return Part([neighbours(found.pieces[0], head_dim)]) if is_rotated(key) else found


def is_unused(key: str, args: ModelArgs) -> bool:
    """Whether a model of this shape has no use for the tensor under `key`: stored tables, and a tied output's copy."""
    return key.endswith(UNUSED) or (key == "lm_head.weight" and args.tied_output)


def find_weight_files(folder: Path) -> list[Path]:
    """The one file of weights, or the shards that an index names; safetensors before torch.save's; else none.

    Raises:
        CheckpointError: An index names a file that is not there.
    """
    for name in WEIGHT_FILES:
        if (folder / name).is_file():
            return [folder / name]
        index = folder / f"{name}.index.json"
        if index.is_file():
            return shards_of(index)
    return []


def shards_of(index: Path) -> list[Path]:
    """The files that model.safetensors.index.json or its like names; they lie beside it."""
    names = shard_names(index)
    for name in names:
        if not (index.parent / name).is_file():
            raise CheckpointError(f"{index.parent}: {name} is missing, which {index.name} names")
    return [index.parent / name for name in names]


def shard_names(index: Path) -> list[str]:
    """What an index names, each once."""
    mapping: Any = read_json(index, "an index of shards is expected").get("weight_map")
    if not isinstance(mapping, dict) or not mapping or not all(isinstance(name, str) for name in mapping.values()):
        raise CheckpointError(f"{index}: expected a weight_map from weights to files")
    names = sorted(set(mapping.values()))
    if any(Path(name).name != name for name in names):
        raise CheckpointError(f"{index}: expected files beside it, found {next(n for n in names if Path(n).name != n)}")
    return names


def is_tied(files: TensorFiles) -> bool:
    """Whether the files hold no output layer that differs from the embedding, which config.json says is the same."""
    keys = ("model.embed_tokens.weight", "lm_head.weight")
    held = [file[key] for key in keys for file in files.tensors if key in file]
    return len(held) < 2 or torch.equal(*held)
