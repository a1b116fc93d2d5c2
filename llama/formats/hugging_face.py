"""Weights of Hugging Face folders: model.safetensors or pytorch_model.bin, or their shards."""

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
    """Weights with Hugging Face's keys.

    Args:
        files: The weight files; each contains some of the weights.
        args: The shape of the model.

    Raises:
        CheckpointError: A weight is missing, unexpected, or has the wrong shape.
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
            shape = tuple(files.tensors[self.file_of[key]][key].shape)
            if shape != whole:
                raise CheckpointError(f"{self.source(key)}: {key} has shape {shape}, expected {whole} from config.json")
        extra = [key for key in self.file_of.keys() - shapes.keys() if not is_unused(key, args)]
        if extra:
            raise CheckpointError(
                f"{self.source(min(extra))}: unexpected weight {min(extra)} for this config.json ({len(extra)} in all)"
            )
        self.dtype = files.tensors[self.file_of["model.norm.weight"]]["model.norm.weight"].dtype

    def source(self, key: str | None) -> Path:
        """The file with `key`; for None the only file, or the folder of several files."""
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
        piece = part([self.files.get(self.file_of[name], name)], 0, cut, rank, ranks)
        return in_metas_order(piece, key, self.head_dim)


def in_metas_order(piece: Part, key: str, head_dim: int) -> Part:
    """A part of one piece with its rows in Meta's order."""
    return Part([neighbours(piece.pieces[0], head_dim)]) if is_rotated(key) else piece


def is_unused(key: str, args: ModelArgs) -> bool:
    """Whether the model does not use the tensor with `key`: a stored table, or the copy of a tied output."""
    return key.endswith(UNUSED) or (key == "lm_head.weight" and args.tied_output)


def find_weight_files(folder: Path) -> list[Path]:
    """The single weight file, or the shards that an index names; safetensors are preferred. Empty if there is neither.

    Raises:
        CheckpointError: An index names a missing file.
    """
    for name in WEIGHT_FILES:
        if (folder / name).is_file():
            return [folder / name]
        index = folder / f"{name}.index.json"
        if index.is_file():
            return shards_of(index)
    return []


def shards_of(index: Path) -> list[Path]:
    """The shards that an index, such as model.safetensors.index.json, names in its folder."""
    names = shard_names(index)
    for name in names:
        if not (index.parent / name).is_file():
            raise CheckpointError(f"{index.parent}: {name} is missing, which {index.name} names")
    return [index.parent / name for name in names]


def shard_names(index: Path) -> list[str]:
    """The file names in an index, each once."""
    mapping: Any = read_json(index, "an index of shards is expected").get("weight_map")
    if not isinstance(mapping, dict) or not mapping or not all(isinstance(name, str) for name in mapping.values()):
        raise CheckpointError(f"{index}: expected a weight_map from weights to files")
    names = sorted(set(mapping.values()))
    if any(Path(name).name != name for name in names):
        other = next(name for name in names if Path(name).name != name)
        raise CheckpointError(f"{index}: expected files in the same folder, found {other}")
    return names


def is_tied(files: TensorFiles) -> bool:
    """Whether the output layer is missing or equal to the embedding, as tie_word_embeddings in config.json states."""
    keys = ("model.embed_tokens.weight", "lm_head.weight")
    tensors = [file[key] for key in keys for file in files.tensors if key in file]
    return len(tensors) < 2 or torch.equal(*tensors)
