"""Where results go that no --output_path names: results/<checkpoint>/, one folder for each checkpoint."""

import re
from pathlib import Path

from evaluate.predictions import read_meta
from llama.checkpoint import find_folder
from llama.errors import CheckpointError
from preprocess.errors import InputError

RESULTS = Path("results")


def default_output(method: str, prompt_path: Path, checkpoint: str) -> str:
    """results/<checkpoint>/outputs_<method>_<data set>.json: a checkpoint never overwrites another's results."""
    dataset = re.sub(r"^inputs_(direct|channel)_", "", prompt_path.stem)
    return f"{RESULTS}/{checkpoint}/outputs_{method}_{dataset}.json"


def checkpoint_name(ckpt_dir: str) -> str:
    """What the results of a checkpoint are called by: the name of its folder, with as much of the path before it as
    tells it from another checkpoint whose results are there already.

    Args:
        ckpt_dir: A checkpoint that is not here can have left results.
    """
    place = locate(ckpt_dir)
    parts = [part for part in Path(place).parts if part != "/"]
    names = ["-".join(parts[-count:]) for count in range(1, len(parts) + 1)]
    return next((name for name in names if is_free_for(place, RESULTS / name)), names[-1])


def locate(ckpt_dir: str) -> str:
    """The whole path of a checkpoint; a name, such as a hub id, where there is no folder."""
    try:
        return str(find_folder(ckpt_dir).resolve())
    except CheckpointError:
        return ckpt_dir


def is_free_for(place: str, folder: Path) -> bool:
    """Whether a folder of results holds some of the checkpoint at `place`, or none at all."""
    owners = set()
    for path in folder.rglob("outputs_*.meta.json"):
        try:
            meta = read_meta(path.with_name(path.name.replace(".meta.json", ".json")), "results") or {}
        except InputError:
            continue
        owner = meta.get("checkpoint_path")
        owners |= {locate(owner)} if isinstance(owner, str) and owner else set()
    return not owners or place in owners
