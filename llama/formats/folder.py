"""Opens a checkpoint folder in Meta's or Hugging Face's format, or an adapter; other folders are errors."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from llama.errors import CheckpointError
from llama.formats.adapter import CONFIG, AdaptedWeights, read_adapter_config
from llama.formats.appearance import appearance
from llama.formats.config import args_of, read_config
from llama.formats.files import TensorFiles, read_json
from llama.formats.hugging_face import HuggingFaceWeights, find_weight_files, is_tied
from llama.formats.location import locate
from llama.formats.meta import MetaWeights, find_shards, read_args
from llama.formats.weights import Weights
from llama.params import ModelArgs
from llama.tokenizer import Tokenizer
from llama.tokenizers.kinds import open_backend
from llama.tokenizers.sentencepiece import SentencePieceBackend

HUGGING_FACE_TOKENIZERS = ("tokenizer.json", "tokenizer.model")


@dataclass(frozen=True)
class Contents:
    """The contents of a checkpoint folder, in any format.

    Args:
        args: The shape of the model.
        tokenizer: Its tokenizer.
        weights: Its weights, memory-mapped and not yet read.
        files: The files that define the shape.
    """

    args: ModelArgs
    tokenizer: Tokenizer
    weights: Weights
    files: tuple[Path, ...]


def open_folder(folder: Path, tokenizer_path: str | None, max_seq_len: int | None) -> Contents:
    """The contents of a checkpoint folder; arguments as for `llama.checkpoint.open_checkpoint`.

    Raises:
        CheckpointError: The format is not supported, or the checkpoint is invalid.
    """
    if any(folder.glob("consolidated.*.pth")) or (folder / "params.json").is_file():
        return open_meta(folder, tokenizer_path, max_seq_len)
    if (folder / CONFIG).is_file() and not find_weight_files(folder):
        return open_adapter(folder, tokenizer_path, max_seq_len)
    if (folder / "config.json").is_file():
        return open_hugging_face(folder, tokenizer_path, max_seq_len)
    raise CheckpointError(f"{folder}: {appearance(folder)}")


def open_meta(folder: Path, tokenizer_path: str | None, max_seq_len: int | None) -> Contents:
    """The contents of a folder in Meta's format."""
    paths = find_shards(folder)
    tokenizer = Tokenizer(find_tokenizer(folder, tokenizer_path, ("tokenizer.model", "../tokenizer.model")))
    args = read_args(folder / "params.json", tokenizer.n_words, max_seq_len)
    return Contents(args, tokenizer, MetaWeights(TensorFiles(paths), args), (folder / "params.json",))


def open_hugging_face(folder: Path, tokenizer_path: str | None, max_seq_len: int | None) -> Contents:
    """The contents of a Hugging Face folder."""
    path = folder / "config.json"
    args = args_of(path, read_config(path), max_seq_len)
    paths = find_weight_files(folder)
    if not paths:
        raise CheckpointError(f"{folder}: {appearance(folder)}")
    files = TensorFiles(paths)
    args = replace(args, tied_output=args.tied_output and is_tied(files))
    weights = HuggingFaceWeights(files, args)
    tokenizer = open_tokenizer(folder, tokenizer_path)
    check_rows(tokenizer, args, path)
    return Contents(args, tokenizer, weights, (path,))


def open_adapter(folder: Path, tokenizer_path: str | None, max_seq_len: int | None) -> Contents:
    """An adapter merged into its base model. A tokenizer in the adapter's folder replaces the base model's."""
    config = read_adapter_config(folder)
    base = open_base(folder, config, tokenizer_path, max_seq_len)
    weights = AdaptedWeights(base.weights, base.args, folder, config)
    tokenizer = base.tokenizer
    if not tokenizer_path and any((folder / name).is_file() for name in HUGGING_FACE_TOKENIZERS):
        own = open_tokenizer(folder, None)
        tokenizer = own if read_ends(folder) else Tokenizer(own.backend, {*tokenizer.end_ids, own.eos_id})
    check_rows(tokenizer, weights.args, folder / CONFIG)
    return Contents(weights.args, tokenizer, weights, (*base.files, folder / CONFIG))


def open_base(folder: Path, config: dict[str, Any], tokenizer_path: str | None, max_seq_len: int | None) -> Contents:
    """The base model of an adapter: a folder, relative to the working directory or the adapter, or a hub model."""
    name = config["base_model_name_or_path"]
    relative = folder / name
    try:
        is_relative = relative.is_dir() and not Path(name).is_dir()
        base = relative if is_relative else locate(name, config.get("revision")).folder
    except CheckpointError as error:
        reason = str(error).removeprefix(f"`ckpt_dir` {name}: ")
        raise CheckpointError(f"{folder}: base model {name!r} of the adapter ({CONFIG}) is missing: {reason}") from None
    if base.resolve() == folder.resolve():
        raise CheckpointError(f"{folder / CONFIG}: base_model_name_or_path names the adapter itself")
    return open_folder(base, tokenizer_path, max_seq_len)


def check_rows(tokenizer: Tokenizer, args: ModelArgs, path: Path) -> None:
    """Raises CheckpointError if the tokenizer has more ids than the embedding has rows.

    Args:
        path: The file that defines the shape, for the message.
    """
    if tokenizer.n_words > args.vocab_size:
        raise CheckpointError(
            f"{tokenizer.backend.files[0]}: has ids up to {tokenizer.n_words - 1}, but {path} has an embedding of"
            f" {args.vocab_size} rows; tokenizer and model do not match"
        )


def open_tokenizer(folder: Path, tokenizer_path: str | None) -> Tokenizer:
    """The tokenizer of a Hugging Face folder, with the beginning and end tokens from its other files."""
    backend = open_backend(find_tokenizer(folder, tokenizer_path, HUGGING_FACE_TOKENIZERS))
    if isinstance(backend, SentencePieceBackend) and (folder / "tokenizer_config.json").is_file():
        backend.configure(folder / "tokenizer_config.json")
    return Tokenizer(backend, read_ends(folder))


def read_ends(folder: Path) -> list[int] | None:
    """The ids that end a generation, from generation_config.json, else from config.json; None if both lack them."""
    for path in (folder / "generation_config.json", folder / "config.json"):
        stated = read_json(path, "").get("eos_token_id") if path.is_file() else None
        ids = stated if isinstance(stated, list) else [stated]
        if stated is not None and not all(type(number) is int and number >= 0 for number in ids):
            raise CheckpointError(f"{path}: eos_token_id is {stated!r}, expected a whole number or a list of them")
        if stated is not None:
            return ids
    return None


def find_tokenizer(folder: Path, tokenizer_path: str | None, names: tuple[str, str]) -> Path:
    """`tokenizer_path` if given, else the first of two files that exists.

    Args:
        names: The two files, relative to `folder`.

    Raises:
        CheckpointError: Neither exists.
    """
    if tokenizer_path:
        return Path(tokenizer_path)
    candidates = [folder.parent / Path(name).name if name.startswith("..") else folder / name for name in names]
    for path in candidates:
        if path.is_file():
            return path
    first, second = candidates
    reason = without_tokenizer(folder)
    raise CheckpointError(f"`tokenizer_path`: not given, and neither {first} nor {second} exists{reason}")


def without_tokenizer(folder: Path) -> str:
    """Why a tokenizer may be missing, and what to do, as the end of a message."""
    if (folder / "trainer_state.json").is_file():
        return "; a Trainer checkpoint has no tokenizer: give that of the model it was trained from"
    if (folder / "vocab.json").is_file() and (folder / "merges.txt").is_file():
        return "; make tokenizer.json from vocab.json and merges.txt with transformers: AutoTokenizer, save_pretrained"
    return ""
