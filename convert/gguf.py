"""A GGUF file of llama.cpp -> a Hugging Face folder: configuration, tokenizer, weights that are not quantized."""

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
import transformers
from transformers import AutoModelForCausalLM, GenerationConfig, PreTrainedModel

from convert.metadata import Metadata, check_tensors, read_config
from convert.tokenizer import read_tokenizer
from llama.checkpoint import open_checkpoint
from preprocess.errors import InputError, first_line
from preprocess.files import PathFlag, current_umask, read_json, remove_leftovers, scratch_folder, write_json

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
RECORD = "conversion.json"  # in the folder: what it was made from
NAME = "model.gguf"  # of the link that transformers opens


@dataclass(frozen=True)
class GgufConfig:
    """Make a Hugging Face folder from a GGUF file.

    Args:
        gguf: The file, of a Llama, Mistral, Qwen2 or Qwen3; quantized or not.
        output_dir: The folder to make.
        dtype: Of the weights that are written: float32, bfloat16 or float16; float32 holds every number of the file.
    """

    gguf: PathFlag = ""
    output_dir: PathFlag = ""
    dtype: str = "float32"

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise InputError(f"--dtype {self.dtype}: expected {', '.join(DTYPES)}")


def convert(config: GgufConfig) -> None:
    """Make the folder, whole or not at all, and say what was made. One that is there already is not made again."""
    for flag in ("gguf", "output_dir"):
        if not getattr(config, flag):
            raise InputError(f"--{flag}: expected, found none; --help explains it")
    path, folder = Path(config.gguf), Path(config.output_dir)
    metadata = Metadata(path)
    record = {"gguf": path.name, "sha256": sha256(path), "dtype": config.dtype}
    remove_leftovers(folder)
    if is_made(folder, record):
        print(f"{folder}: is there already, made from {path}")
        return
    with quiet(path), scratch_folder(folder) as made, tempfile.TemporaryDirectory() as alone:
        (Path(alone) / NAME).symlink_to(path.resolve())  # beside it, transformers would read other files too
        model = read_model(metadata, Path(alone), DTYPES[config.dtype])
        model.save_pretrained(made)
        read_tokenizer(metadata, Path(alone), NAME).save_pretrained(made)
        versions = {"transformers": transformers.__version__, "torch": torch.__version__}
        write_json(made / RECORD, record | {"versions": versions})
        open_checkpoint(str(made))
        put_in_place(made, folder)
    print(describe(folder, model, config.dtype))


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_made(folder: Path, record: dict[str, str]) -> bool:
    """Whether the folder is there, from the same file and of the same type.

    Raises:
        InputError: Something else is in its place.
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return False
    found = read_json(folder / RECORD, "--output_dir") if (folder / RECORD).is_file() else {}
    if not all(found.get(key) == record[key] for key in ("sha256", "dtype")):
        raise InputError(f"{folder}: is there already, and is something else; name another --output_dir or remove it")
    return True


def read_model(metadata: Metadata, folder: Path, dtype: torch.dtype) -> PreTrainedModel:
    """The model with its weights, in a form that can be saved: one that was opened from GGUF cannot."""
    config = read_config(metadata)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, dtype=dtype, trust_remote_code=False)
    check_tensors(metadata, list(model.state_dict()))
    opened = AutoModelForCausalLM.from_pretrained(
        folder, gguf_file=NAME, config=config, dtype=dtype, trust_remote_code=False
    )
    model.load_state_dict(opened.state_dict(), assign=True)
    model.tie_weights()
    ends = [metadata.get(f"tokenizer.ggml.{name}_token_id") for name in ("eos", "eot", "eom")]
    model.generation_config = GenerationConfig(
        bos_token_id=config.bos_token_id,
        eos_token_id=list(dict.fromkeys(end for end in ends if end is not None)),
        pad_token_id=config.pad_token_id,
    )
    return model


@contextmanager
def quiet(path: Path) -> Iterator[None]:
    """transformers without remarks and bars, and with errors of one line."""
    verbosity = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    try:
        yield
    except (OSError, InputError):
        raise
    except Exception as error:  # it raises whatever a file leads it to; safetensors' errors of the disk among them
        raise InputError(f"{path}: cannot be converted: {first_line(error)} (--gguf)") from None
    finally:
        transformers.logging.set_verbosity(verbosity)
        transformers.logging.enable_progress_bar()


def put_in_place(made: Path, folder: Path) -> None:
    """What was made under a hidden name becomes the folder, as readable as any other of the user."""
    for file in made.iterdir():
        file.chmod(0o666 & ~current_umask())
    made.chmod(0o777 & ~current_umask())
    os.replace(made, folder)


def describe(folder: Path, model: PreTrainedModel, dtype: str) -> str:
    """One line of what was made."""
    config = model.config
    size = sum(file.stat().st_size for file in folder.iterdir())
    return (
        f"{folder}: {type(model).__name__}, {config.num_hidden_layers} layers, dim {config.hidden_size},"
        f" {config.num_attention_heads} heads, vocabulary {config.vocab_size},"
        f" {model.num_parameters() / 1e6:.1f}M parameters in {dtype}, {size / 1e6:.0f} MB; it opens"
    )
