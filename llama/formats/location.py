"""Finds the folder of a checkpoint: a path, a name in checkpoints/, or a model on the hub."""

from dataclasses import dataclass
from pathlib import Path

from llama.errors import CheckpointError
from llama.formats.hub import fetch, is_hub_id


@dataclass(frozen=True)
class Location:
    """A checkpoint's folder on this machine.

    Args:
        name: The checkpoint's name in results: that of the folder, or of the hub model without its owner.
        folder: The folder of its files.
    """

    name: str
    folder: Path


def candidates(ckpt_dir: str) -> list[Path]:
    """The folders that `ckpt_dir` may mean: itself, in checkpoints/, in checkpoints/llama/."""
    return [Path(ckpt_dir), Path("checkpoints") / ckpt_dir, Path("checkpoints/llama") / ckpt_dir]


def find_folder(ckpt_dir: str) -> Path | None:
    """The first candidate that exists; None if there is none."""
    return next((folder for folder in candidates(ckpt_dir) if folder.is_dir()), None)


def locate(ckpt_dir: str, revision: str | None = None) -> Location:
    """The location of a checkpoint; a model on the hub is downloaded or taken from huggingface_hub's cache.

    Args:
        ckpt_dir: A folder, a name in checkpoints/ or checkpoints/llama/, or OWNER/NAME on the hub.
        revision: Branch, tag or commit on the hub; None: main.

    Raises:
        CheckpointError: The checkpoint does not exist, or cannot be downloaded.
    """
    folder = find_folder(ckpt_dir)
    if folder is not None:
        if revision:
            raise CheckpointError(f"`revision` {revision}: only for models on the hub, but {folder} is a folder")
        return Location(folder.resolve().name, folder)
    if Path(ckpt_dir).is_file():
        convert = "; convert it with `python run_convert_gguf.py --gguf FILE --output_dir DIR`"
        hint = convert if ckpt_dir.endswith(".gguf") else ""
        raise CheckpointError(f"`ckpt_dir` {ckpt_dir}: is a file, expected a folder{hint}")
    looked = f"no such folder; looked at {', '.join(map(str, candidates(ckpt_dir)))}"
    if not is_hub_id(ckpt_dir):
        raise CheckpointError(f"`ckpt_dir` {ckpt_dir}: {looked}")
    return Location(ckpt_dir.rsplit("/", 1)[1], fetch(ckpt_dir, revision, looked))
