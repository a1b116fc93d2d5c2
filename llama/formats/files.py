"""Files of tensors, torch.save's or safetensors, mapped into memory: nothing is read before it is used."""

import json
import pickle
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from llama.errors import CheckpointError

ZIP_MAGIC = b"PK\x03\x04"  # torch.save writes a zip archive; an old file is a bare pickle and cannot be mapped
LFS_MAGIC = b"version https://git-lfs"
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
LARGEST = 2**31  # of what states a shape
HELD = 1 / 32  # of all tensors: so much may be mapped before it is given back


class TensorFiles:
    """The tensors of a checkpoint's files.

    What was read through a mapping counts as memory of the process until the mapping ends. So the files are mapped anew
    whenever a 32nd of them has been read: a model is loaded without a second copy of its weights.

    Args:
        paths: Each holds tensors by key.
    """

    def __init__(self, paths: Sequence[Path]):
        self.paths = list(paths)
        self.tensors = [open_tensors(path) for path in self.paths]
        self.size = sum(tensor.nbytes for file in self.tensors for tensor in file.values())
        self.read = 0

    def get(self, file: int, key: str) -> Tensor:
        """A tensor, mapped. It holds its file's mapping as long as it lives."""
        if self.paths and self.read > HELD * self.size:
            self.tensors.clear()
            self.tensors = [open_tensors(path) for path in self.paths]
            self.read = 0
        tensor = self.tensors[file][key]
        self.read += tensor.nbytes
        return tensor


class HeldTensors(TensorFiles):
    """Tensors that are in memory already, in place of files.

    Args:
        tensors: For each file that there might be, its tensors by key.
    """

    def __init__(self, tensors: Sequence[dict[str, Tensor]]):
        super().__init__([])
        self.tensors = list(tensors)


def open_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of one file, mapped. Pickled code is refused, not run.

    Raises:
        CheckpointError: Not there, damaged, or something other than floating-point tensors.
    """
    check_pointer(path)
    tensors = open_safetensors(path) if path.suffix == ".safetensors" else open_archive(path)
    for key, tensor in tensors.items():
        if tensor.layout != torch.strided:
            raise CheckpointError(f"{path}: {key} is sparse, expected a dense tensor")
        if tensor.nbytes > tensor.untyped_storage().nbytes():
            raise CheckpointError(f"{path}: {key} has {tensor.nbytes:,} bytes, of which the file does not hold all")
        if tensor.dtype not in FLOATS:
            raise CheckpointError(
                f"{path}: {key} is {tensor.dtype}, expected floating-point numbers of 16 bits or more"
            )
    return tensors


def check_pointer(path: Path) -> None:
    """Raises CheckpointError where a file is missing, no regular one, or is what Git LFS leaves in its place."""
    if path.exists() and not path.is_file():  # a pipe would be waited for
        raise CheckpointError(f"{path}: is no regular file")
    try:
        with path.open("rb") as file:
            pointer = file.read(len(LFS_MAGIC)) == LFS_MAGIC
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror or error}") from None
    if pointer:
        raise CheckpointError(f"{path}: is a Git LFS pointer, not the file itself; `git lfs pull` fetches it")


def open_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        from safetensors import SafetensorError, safe_open
    except ImportError:
        raise missing_package("safetensors", path) from None
    try:
        with safe_open(path, framework="pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"{path}: damaged or cut off: {first_line(error)}") from None


def open_archive(path: Path) -> dict[str, Tensor]:
    """A file of torch.save, without rotary tables."""
    with path.open("rb") as file:
        if file.read(len(ZIP_MAGIC)) != ZIP_MAGIC:
            raise CheckpointError(f"{path}: no archive of torch.save (empty, or another format); nothing in it was run")
    try:
        refuse_packed(path)
        found = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError:
        raise CheckpointError(
            f"{path}: holds something other than tensors (pickled code?); refused, nothing was run"
        ) from None
    except CheckpointError:
        raise
    except Exception as error:  # torch raises whatever a damaged file leads it to
        raise CheckpointError(f"{path}: damaged or cut off: {first_line(error)}") from None
    items = found.items() if isinstance(found, dict) else [(None, found)]
    if not all(isinstance(key, str) and isinstance(tensor, Tensor) for key, tensor in items):
        raise CheckpointError(f"{path}: expected a dictionary of tensors")
    return dict(found)


def refuse_packed(path: Path) -> None:
    """torch.save stores what it writes as it is: a small file with much in it is none of its files.

    Raises:
        CheckpointError: Entries are compressed, or several are of the same bytes.
    """
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise CheckpointError(f"{path}: is compressed, which a file of torch.save is not")
    size, whole = sum(entry.file_size for entry in entries), path.stat().st_size
    if size > whole:
        raise CheckpointError(f"{path}: unpacks to {size:,} bytes, expected at most its own {whole:,}")


def first_line(error: Exception) -> str:
    return " ".join(str(error).split(". ")[0].splitlines())


def missing_package(package: str, path: Path) -> CheckpointError:
    """The error for a file that needs a package which is not installed."""
    return CheckpointError(f"{path}: needs the package {package}, which is not installed: pip install {package}")


def read_json(path: Path, what: str) -> dict[str, Any]:
    """A JSON object.

    Args:
        what: What the file is, for the message where it is not there.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file; {what}")
    check_pointer(path)
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: not readable as JSON ({first_line(error)})") from None
    if not isinstance(found, dict):
        raise CheckpointError(f"{path}: expected a JSON object, found {type(found).__name__}")
    return found


def check_types(path: Path, found: dict[str, Any], known: dict[str, object]) -> None:
    """Every key that is `known` must hold a number (or a truth value) of its type, above 0.

    Args:
        known: Key -> its annotation, such as int, float | None, bool.

    Raises:
        CheckpointError: Names the file, the key, what was found and what was expected.
    """
    for key, annotation in known.items():
        if key not in found or (found[key] is None and "None" in str(annotation)):
            continue
        value = found[key]
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
