"""Where a checkpoint lies: a folder, a name below checkpoints/, or a repository of the hub."""

from dataclasses import dataclass
from pathlib import Path

from llama.errors import CheckpointError
from llama.formats.hub import fetch, is_hub_id


@dataclass(frozen=True)
class Location:
    """A checkpoint's folder on this machine.

    Args:
        name: As results are called by: of the folder, or of the repository without its owner.
        folder: Where its files are.
    """

    name: str
    folder: Path


def candidates(ckpt_dir: str) -> list[Path]:
    """The folder itself, else below checkpoints/, else below checkpoints/llama/."""
    return [Path(ckpt_dir), Path("checkpoints") / ckpt_dir, Path("checkpoints/llama") / ckpt_dir]


def find_folder(ckpt_dir: str) -> Path | None:
    """The first of the candidates that is a folder."""
    return next((folder for folder in candidates(ckpt_dir) if folder.is_dir()), None)


def locate(ckpt_dir: str, revision: str | None = None) -> Location:
    """Find a checkpoint; what lies on the hub is fetched, or taken from huggingface_hub's cache.

    Args:
        ckpt_dir: A folder, a name below checkpoints/ or checkpoints/llama/, or OWNER/NAME on the hub.
        revision: Branch, tag or commit on the hub; None: main.

    Raises:
        CheckpointError: It is nowhere, or the hub does not give it.
    """
    folder = find_folder(ckpt_dir)
    if folder is not None:
        if revision:
            raise CheckpointError(f"`revision` {revision}: of a model on the hub; {folder} is a folder")
        return Location(folder.resolve().name, folder)
    if Path(ckpt_dir).is_file():
        made = "; `python run_convert_gguf.py --gguf FILE --output_dir DIR` makes a folder of it"
        hint = made if ckpt_dir.endswith(".gguf") else ""
        raise CheckpointError(f"`ckpt_dir` {ckpt_dir}: is a file, expected a folder{hint}")
    looked = f"no such folder; looked at {', '.join(map(str, candidates(ckpt_dir)))}"
    if not is_hub_id(ckpt_dir):
        raise CheckpointError(f"`ckpt_dir` {ckpt_dir}: {looked}")
    return Location(ckpt_dir.rsplit("/", 1)[1], fetch(ckpt_dir, revision, looked))
