"""Converts a GGUF file of llama.cpp to a Hugging Face folder: configuration, tokenizer, unquantized weights."""

import hashlib
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
from preprocess.files import PathFlag, put_in_place, read_json, scratch_folder, write_json

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
RECORD = "conversion.json"  # in the folder: the source of the conversion
NAME = "model.gguf"  # name of the link that transformers opens


@dataclass(frozen=True)
class GgufConfig:
    """Convert a GGUF file to a Hugging Face folder.

    Args:
        gguf: GGUF file of a Llama, Mistral, Qwen2 or Qwen3, quantized or not.
        output_dir: Output folder.
        dtype: Dtype of the weights that are written: float32 (lossless), bfloat16 or float16.
    """

    gguf: PathFlag = ""
    output_dir: PathFlag = ""
    dtype: str = "float32"

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise InputError(f"--dtype {self.dtype}: expected {', '.join(DTYPES)}")


def convert(config: GgufConfig) -> None:
    """Convert the file atomically and print a summary. An existing conversion is not repeated."""
    for flag in ("gguf", "output_dir"):
        if not getattr(config, flag):
            raise InputError(f"--{flag}: required; --help explains it")
    path, folder = Path(config.gguf), Path(config.output_dir)
    metadata = Metadata(path)
    record = {"gguf": path.name, "sha256": sha256(path), "dtype": config.dtype}
    if is_made(folder, record):
        print(f"{folder}: already converted from {path}")
        return
    with quiet(path), scratch_folder(folder) as made, tempfile.TemporaryDirectory() as alone:
        (Path(alone) / NAME).symlink_to(path.resolve())  # transformers would also read other files of its folder
        model = read_model(metadata, Path(alone), DTYPES[config.dtype])
        model.save_pretrained(made)
        read_tokenizer(metadata, Path(alone), NAME).save_pretrained(made)
        versions = {"transformers": transformers.__version__, "torch": torch.__version__}
        write_json(made / RECORD, record | {"versions": versions})
        open_checkpoint(str(made))
        put_in_place(made, folder)
    print(describe(folder, model, config.dtype))


def sha256(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_made(folder: Path, record: dict[str, str]) -> bool:
    """Whether the folder was converted from the same file with the same dtype.

    Raises:
        InputError: The folder contains something else.
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return False
    existing = read_json(folder / RECORD, "--output_dir") if (folder / RECORD).is_file() else {}
    if not all(existing.get(key) == record[key] for key in ("sha256", "dtype")):
        raise InputError(f"{folder}: exists with other content; choose another --output_dir or remove it")
    return True


def read_model(metadata: Metadata, folder: Path, dtype: torch.dtype) -> PreTrainedModel:
    """The model with its weights. A new model is built, because a model opened from GGUF cannot be saved."""
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
    """Silence transformers, and turn its errors into an InputError."""
    verbosity = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    try:
        yield
    except (OSError, InputError):
        raise
    except Exception as error:  # transformers and safetensors raise many types
        raise InputError(f"{path}: cannot be converted: {first_line(error)} (--gguf)") from None
    finally:
        transformers.logging.set_verbosity(verbosity)
        transformers.logging.enable_progress_bar()


def describe(folder: Path, model: PreTrainedModel, dtype: str) -> str:
    """A summary in one line."""
    config = model.config
    size = sum(file.stat().st_size for file in folder.iterdir())
    return (
        f"{folder}: {type(model).__name__}, {config.num_hidden_layers} layers, dim {config.hidden_size},"
        f" {config.num_attention_heads} heads, vocabulary {config.vocab_size},"
        f" {model.num_parameters() / 1e6:.1f}M parameters in {dtype}, {size / 1e6:.0f} MB; it loads correctly"
    )
