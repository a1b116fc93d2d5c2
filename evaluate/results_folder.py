"""Default output paths: results/<checkpoint>/, one folder for each checkpoint."""

import re
from pathlib import Path

from evaluate.predictions import read_meta
from llama.formats.hub import is_cached
from llama.formats.location import find_folder
from preprocess.errors import InputError
from preprocess.schema import PREDICTIONS_META

RESULTS = Path("results")


def default_output(method: str, prompt_path: Path, checkpoint: str) -> str:
    """results/<checkpoint>/outputs_<method>_<data set>.json."""
    dataset = re.sub(r"^inputs_(direct|channel)_", "", prompt_path.stem)
    return f"{RESULTS}/{checkpoint}/outputs_{method}_{dataset}.json"


def checkpoint_name(ckpt_dir: str) -> str:
    """The name of a checkpoint in results: that of its folder, with more of its path if another checkpoint of that name
    has results.

    Args:
        ckpt_dir: A folder, or OWNER/NAME on the hub. It need not exist any more: then the folder whose results name it
            is used, else its name.
    """
    folder = find_folder(ckpt_dir)
    on_hub = folder is None and is_cached(ckpt_dir)
    is_here = folder is not None or on_hub
    place = Path(ckpt_dir) if on_hub else Path(folder or ckpt_dir).resolve()
    parts = [part for part in place.parts if part != place.anchor]
    names = ["-".join(parts[-count:]) for count in range(1, len(parts) + 1)]
    if not names:
        return "checkpoint"  # the root of the disk has no name
    for name in names:
        owners = owners_of(RESULTS / name)
        if place in owners or (is_here and not owners):
            return name
    return names[-1] if is_here else names[0]


def owners_of(folder: Path) -> set[Path]:
    """The checkpoints of the results in a folder."""
    owners = set()
    for path in folder.rglob("outputs_*.meta.json"):
        try:
            output = path.with_name(path.name.replace(".meta.json", ".json"))
            meta = read_meta(output, "results", PREDICTIONS_META) or {}
        except InputError:
            continue
        if meta.get("checkpoint_path") is not None:
            owners.add(owner(Path(meta["checkpoint_path"])))
    return owners


def owner(folder: Path) -> Path:
    """A checkpoint's folder; for a folder in the hub's cache OWNER/NAME, at any revision."""
    cached = re.fullmatch(r"models--(.+)--(.+)", folder.parent.parent.name)
    return Path(*cached.groups()) if cached and folder.parent.name == "snapshots" else folder.resolve()
