"""The run folder: identifies the run, detects a finished one, and contains its log."""

import csv
import importlib.metadata
import io
import os
import shutil
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import transformers

from documents.pretrained import RANDOM
from evaluate.predictions import difference
from evaluate.run import git_commit
from preprocess.errors import InputError
from preprocess.files import check_writable, read_json, write_bytes
from preprocess.schema import RUN, check

PACKAGES = ("torch", "transformers", "peft", "lightning", "scikit-learn", "numpy")
FOLDERS = ("adapter", "base", "checkpoints", "figures", "merged", "model", "tensorboard")  # what runs make
FILES = ("configuration.json", "metrics.json", "training.json", "log.csv", "prepared.*", "outputs_*.json")
MARK = "made_by_a_run"  # in a base/ that is
DERIVED = ("prepared.json", "prepared.codes.npy", "prepared.codebook.safetensors")  # from pages, by the options
PREPARED = (*DERIVED, "prepared.images")  # made before the run begins
NOT_THE_RUN = (
    "output_dir",
    "overwrite",
    "merge",
    "push_to_hub",
    "private",
    "hub_strategy",
    "num_workers",
    "preview",
    "logger",
)  # they change no result


def circumstances() -> dict[str, Any]:
    """Under which a run was made."""
    return {
        "versions": {package: importlib.metadata.version(package) for package in PACKAGES},
        "git_commit": git_commit(),
        "threads": torch.get_num_threads(),
    }


def is_first_process() -> bool:
    """Lightning starts the command again for each further device."""
    return int(os.environ.get("LOCAL_RANK", "0")) == 0


def begin(config: Any, finished: Sequence[str] = ("metrics.json",)) -> bool:
    """Whether the very run is finished; `--overwrite` clears what is there.

    Args:
        config: A dataclass with `output_dir` and `overwrite`.
        finished: The files or folders that a finished run has.

    Raises:
        InputError: Another run is there, and what differs; things that are no run's; the folder cannot be written.
    """
    folder = Path(config.output_dir)
    path = folder / "configuration.json"
    check_writable(path, "--output_dir")
    recorded = read_configuration(path)
    if recorded is not None and config.overwrite:
        clear(folder)
        recorded = None
    if recorded is None:
        refuse_others(folder)
        if (folder / "base" / MARK).exists():  # of a run that never began, with other options perhaps
            shutil.rmtree(folder / "base")
        for name in DERIVED:
            (folder / name).unlink(missing_ok=True)
        return False
    found, wanted = flags_of(comparable(recorded)), flags_of(comparable(asdict(config)))
    if (found := {flag: value for flag, value in found.items() if flag in wanted}) != wanted:
        other, ours = difference(found, wanted)
        raise InputError(f"{folder}: holds a run with {other}, now {ours}; --overwrite replaces it (--output_dir)")
    if not all((folder / name).exists() for name in finished):
        return False
    print(f"{folder}: finished already, same options; --overwrite repeats it")
    return True


def read_configuration(path: Path) -> dict[str, Any] | None:
    """The options of the run in a folder; None where there is none.

    Raises:
        InputError: The file is something else.
    """
    if not path.exists():
        return None
    content = read_json(path, "--output_dir")
    if not isinstance(content, dict) or not isinstance(content.get("configuration"), dict):
        raise InputError(f"{path}: is not that of a run; name another folder (--output_dir)")
    return check(content, RUN, str(path))["configuration"]


def refuse_others(folder: Path) -> None:
    """Refuse a folder that is no run's and holds what a run would write over, and `--overwrite` remove.

    Raises:
        InputError: It does.
    """
    found = [path.name for pattern in (*FOLDERS, *FILES) for path in sorted(folder.glob(pattern))]
    begun = {*PREPARED, "base"} if (folder / "base" / MARK).exists() else {*PREPARED}
    others = [name for name in found if name not in begun]
    if others:
        raise InputError(
            f"{folder}: holds {', '.join(others)}, but no configuration.json as the folder of a run does; "
            "name another one, or remove them (--output_dir)"
        )


def clear(folder: Path) -> None:
    """Remove what a run left in its folder, and nothing else. First what says that it is finished, last whose it is."""
    (folder / "metrics.json").unlink(missing_ok=True)
    for name in FOLDERS:
        shutil.rmtree(folder / name, ignore_errors=True)
    for path in [path for pattern in reversed(FILES) for path in folder.glob(pattern)]:
        path.unlink(missing_ok=True)


def base_folder(folder: Path, model: str) -> Path:
    """Where a run keeps the model that `--model random` makes, marked as its own."""
    base = folder / "base"
    if model == RANDOM:
        base.mkdir(parents=True, exist_ok=True)
        (base / MARK).touch()
    return base


def comparable(settings: dict[str, Any]) -> dict[str, Any]:
    """What makes a run another one."""
    kept = {key: value for key, value in settings.items() if key not in NOT_THE_RUN}
    return {key: comparable(value) if isinstance(value, dict) else value for key, value in kept.items()}


def flags_of(settings: dict[str, Any]) -> dict[str, Any]:
    """By flag alone: in which dataclass one stands may change."""
    flags: dict[str, Any] = {}
    for key, value in settings.items():
        flags |= flags_of(value) if isinstance(value, dict) else {key: value}
    return flags


def save_whole(folder: Path, save: Callable[[Path], None]) -> None:
    """Have `save` fill a folder; it is there with everything in it, or not at all."""
    part = folder.with_name(f".{folder.name}")
    shutil.rmtree(part, ignore_errors=True)
    save(part)
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(part, folder)


def write_log(path: Path, history: Sequence[dict[str, float]]) -> None:
    """The whole history as CSV, a row a step.

    Args:
        history: What was logged, each entry with its step; one step may have several.
    """
    by_step: dict[int, dict[str, float]] = {}
    for entry in history:
        by_step.setdefault(entry["step"], {}).update(entry)
    named = {key for row in by_step.values() for key in row}
    text = io.StringIO()
    writer = csv.DictWriter(text, ["step", *sorted(named - {"step"})], lineterminator="\n")
    writer.writeheader()
    writer.writerows(by_step.values())
    write_bytes(path, text.getvalue().encode())


def seconds_of(history: Sequence[dict[str, float]]) -> float:
    """Seconds of training until the last entry, those of the sessions before a resume included."""
    return history[-1]["seconds"] if history else 0.0


def quiet_libraries() -> None:
    """Bars only on a terminal, and none of transformers' remarks on itself."""
    transformers.logging.set_verbosity_error()
    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")
    if not sys.stderr.isatty():
        transformers.logging.disable_progress_bar()
