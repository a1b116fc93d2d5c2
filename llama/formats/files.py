"""Memory-mapped weight files, torch.save's or safetensors: tensors are read when they are used."""

import json
import pickle
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from llama.errors import CheckpointError

ZIP_MAGIC = b"PK\x03\x04"  # torch.save writes a zip archive; old files are plain pickles and cannot be mapped
LFS_MAGIC = b"version https://git-lfs"
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
LARGEST = 2**31  # bound of the numbers of a shape
HELD = 1 / 64  # maximum fraction of all tensors that stays mapped


class TensorFiles:
    """The tensors of a checkpoint's files.

    Pages that were read through a mapping count as memory of the process until the mapping is closed. The files are
    therefore mapped again after each 64th that was read, so that loading needs no second copy of the weights.

    Args:
        paths: Files with tensors by key.
    """

    def __init__(self, paths: Sequence[Path]):
        self.paths = list(paths)
        self.tensors = [open_tensors(path) for path in self.paths]
        self.size = sum(tensor.nbytes for file in self.tensors for tensor in file.values())
        self.read = 0

    def get(self, file: int, key: str) -> Tensor:
        """A memory-mapped tensor of file number `file`. It keeps the file's mapping alive."""
        if self.paths and self.read > HELD * self.size:
            self.tensors.clear()
            self.tensors = [open_tensors(path) for path in self.paths]
            self.read = 0
        tensor = self.tensors[file][key]
        self.read += tensor.nbytes
        return tensor


class HeldTensors(TensorFiles):
    """Tensors in memory, instead of files.

    Args:
        tensors: The tensors by key, one dictionary for each file that they replace.
    """

    def __init__(self, tensors: Sequence[dict[str, Tensor]]):
        super().__init__([])
        self.tensors = list(tensors)


def open_tensors(path: Path) -> dict[str, Tensor]:
    """The memory-mapped tensors of one file. Pickled code is refused and never run.

    Raises:
        CheckpointError: The file is missing or damaged, or contains something other than floating-point tensors.
    """
    check_pointer(path)
    tensors = open_safetensors(path) if path.suffix == ".safetensors" else open_archive(path)
    for key, tensor in tensors.items():
        if tensor.layout != torch.strided:
            raise CheckpointError(f"{path}: {key} is sparse, expected a dense tensor")
        if tensor.nbytes > tensor.untyped_storage().nbytes():
            raise CheckpointError(f"{path}: {key} has {tensor.nbytes:,} bytes, more than the file contains")
        if tensor.dtype not in FLOATS:
            raise CheckpointError(
                f"{path}: {key} is {tensor.dtype}, expected floating-point numbers of 16 bits or more"
            )
    return tensors


def check_pointer(path: Path) -> None:
    """Raises CheckpointError if a file is missing, not a regular file, or a Git LFS pointer."""
    if path.exists() and not path.is_file():  # opening a pipe would block
        raise CheckpointError(f"{path}: not a regular file")
    try:
        with path.open("rb") as file:
            pointer = file.read(len(LFS_MAGIC)) == LFS_MAGIC
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror or error}") from None
    if pointer:
        raise CheckpointError(f"{path}: is a Git LFS pointer, not the file itself; run `git lfs pull`")


def open_safetensors(path: Path) -> dict[str, Tensor]:
    """The memory-mapped tensors of a safetensors file."""
    try:
        from safetensors import SafetensorError, safe_open
    except ImportError:
        raise missing_package("safetensors", path) from None
    try:
        with safe_open(path, framework="pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"{path}: damaged or truncated: {first_line(error)}") from None


def open_archive(path: Path) -> dict[str, Tensor]:
    """The memory-mapped tensors of a torch.save file."""
    with path.open("rb") as file:
        if file.read(len(ZIP_MAGIC)) != ZIP_MAGIC:
            raise CheckpointError(f"{path}: not a torch.save archive (empty, or another format); nothing in it was run")
    try:
        refuse_packed(path)
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError:
        raise CheckpointError(
            f"{path}: contains something other than tensors (pickled code?); refused, nothing was run"
        ) from None
    except CheckpointError:
        raise
    except Exception as error:  # torch raises exceptions of any type for damaged files
        raise CheckpointError(f"{path}: damaged or truncated: {first_line(error)}") from None
    items = content.items() if isinstance(content, dict) else [(None, content)]
    if not all(isinstance(key, str) and isinstance(tensor, Tensor) for key, tensor in items):
        raise CheckpointError(f"{path}: expected a dictionary of tensors")
    return dict(content)


def refuse_packed(path: Path) -> None:
    """Refuse archives that expand: torch.save never compresses or shares entries.

    Raises:
        CheckpointError: Entries are compressed, or several share the same bytes.
    """
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise CheckpointError(f"{path}: is compressed, expected an uncompressed torch.save archive")
    size, whole = sum(entry.file_size for entry in entries), path.stat().st_size
    if size > whole:
        raise CheckpointError(f"{path}: unpacks to {size:,} bytes, expected at most its own {whole:,}")


def first_line(error: Exception) -> str:
    """The first sentence of an exception's message, in one line."""
    return " ".join(str(error).split(". ")[0].splitlines())


def missing_package(package: str, path: Path) -> CheckpointError:
    """The error for a file that needs a package which is not installed."""
    return CheckpointError(f"{path}: needs the package {package}, which is not installed: pip install {package}")


def read_json(path: Path, what: str) -> dict[str, Any]:
    """A JSON object.

    Args:
        what: A hint for the message if the file is missing.

    Raises:
        CheckpointError: The file is missing or not a JSON object.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file; {what}")
    check_pointer(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: invalid JSON ({first_line(error)})") from None
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: expected a JSON object, found {type(content).__name__}")
    return content


def check_types(path: Path, config: dict[str, Any], types: dict[str, object]) -> None:
    """Check that the values of `config` have the right type and that numbers are positive.

    Args:
        path: The file, for messages.
        config: Its content; keys without a type are not checked.
        types: Key -> annotation, such as int, float | None, bool.

    Raises:
        CheckpointError: A value is invalid; the message names the file, the key, and what was expected.
    """
    for key, annotation in types.items():
        if key not in config or (config[key] is None and "None" in str(annotation)):
            continue
        value = config[key]
        if annotation is bool:
            if not isinstance(value, bool):
                raise CheckpointError(f"{path}: {key} is {value!r}, expected true or false")
            continue
        number, expected = (int | float, "a number") if "float" in str(annotation) else (int, "a whole number")
        if not isinstance(value, number) or isinstance(value, bool):
            raise CheckpointError(f"{path}: {key} is {value!r}, expected {expected}")
        if not 0 < value < LARGEST:
            bound = " and below 2^31" if value > 0 else ""
            raise CheckpointError(f"{path}: {key} is {value!r:.40}, expected a number above 0{bound}")
