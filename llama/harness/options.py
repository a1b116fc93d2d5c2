"""Checks of the harness's --model_args, --batch_size, --max_batch_size and --device, before anything is loaded."""

import dataclasses
import re
from dataclasses import dataclass
from typing import Any

import torch

from llama.checkpoint import DTYPES
from llama.errors import CheckpointError

ALIASES = {"pretrained": "ckpt_dir", "max_length": "max_seq_len"}  # as the harness's model `hf` calls them
EXPECTED = {str: "text", int: "a whole number of 1 or more", bool: "True or False"}


@dataclass(frozen=True)
class ModelOptions:
    """The arguments in --model_args; see `llama.llama.load`.

    Args:
        ckpt_dir: Folder of a checkpoint, or OWNER/NAME on the hub.
        revision: Branch, tag or commit of a model on the hub.
        tokenizer_path: Tokenizer file; None: that of the checkpoint.
        dtype: auto, float32, bfloat16, float16 or int8.
        max_seq_len: Maximum number of tokens that the model sees at once; None: all its positions.
        max_batch_tokens: Tokens in a batch.
        model_parallel_size: Processes that share one copy of the weights.
        add_bos_token: Whether to put BOS before a text; None: the tokenizer's default.
    """

    ckpt_dir: str
    revision: str | None = None
    tokenizer_path: str | None = None
    dtype: str = "auto"
    max_seq_len: int | None = None
    max_batch_tokens: int | None = None
    model_parallel_size: int | None = None
    add_bos_token: bool | None = None


TYPES: dict[str, type] = {"add_bos_token": bool} | dict.fromkeys(
    ("max_seq_len", "max_batch_tokens", "model_parallel_size"), int
)


def read_options(model_args: dict[str, Any]) -> ModelOptions:
    """Options from `model_args` as parsed by the harness, which converts values that look like numbers.

    Raises:
        CheckpointError: An argument is unknown, missing or of the wrong type.
    """
    names = [field.name for field in dataclasses.fields(ModelOptions)]
    values: dict[str, Any] = {}
    for given, value in model_args.items():
        name = ALIASES.get(given, given)
        if name not in names:
            raise CheckpointError(f"model_args: {given} is unknown; expected {', '.join(names)}")
        if name in values:
            raise CheckpointError(f"model_args: {given} is another name of {name}, which is given as well")
        values[name] = read_value(given, value, TYPES.get(name, str))
    if "ckpt_dir" not in values:
        raise CheckpointError("model_args: ckpt_dir is missing, a checkpoint's folder or OWNER/NAME on the hub")
    options = ModelOptions(**values)
    if options.dtype not in ("auto", *DTYPES):
        raise CheckpointError(f"`dtype` {options.dtype}: expected auto, {', '.join(DTYPES)}")
    return options


def read_value(name: str, value: Any, kind: type) -> Any:
    """A value of type `kind`; raises CheckpointError if it has another type."""
    if kind is str and isinstance(value, str | int | float) and not isinstance(value, bool):
        return str(value)
    if type(value) is not kind or (kind is int and value < 1):
        raise CheckpointError(f"`{name}` {value}: expected {EXPECTED[kind]}")
    return value


def check_batch_size(batch_size: Any) -> None:
    """Check the value, which has no effect: batches are planned by tokens.

    Raises:
        CheckpointError: Not a whole number of 1 or more, `auto` or `auto:N`.
    """
    if not re.fullmatch(r"auto(:\d+(\.\d+)?)?|0*[1-9]\d*", str(batch_size)):
        raise CheckpointError(f"--batch_size {batch_size}: expected a whole number of 1 or more, auto or auto:N")


def read_max_batch_size(size: Any) -> int | None:
    """Maximum number of rows in a batch; None: no maximum."""
    if size is not None and (type(size) is not int or size < 1):
        raise CheckpointError(f"--max_batch_size {size}: expected a whole number of 1 or more")
    return size


def check_device(device: str | None) -> None:
    """Each process uses the CUDA device of its rank, or the CPU if there is none. The harness's default is cuda:0.

    Raises:
        CheckpointError: Another device is given.
    """
    there = ("cuda", "cuda:0") if torch.cuda.is_available() else ("cpu", "cuda", "cuda:0")
    if device is not None and device not in there:
        raise CheckpointError(
            f"--device {device}: expected {', '.join(there)}; to choose a CUDA device, set CUDA_VISIBLE_DEVICES"
        )
