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
FOLDERS = ("adapter", "base", "checkpoints", "figures", "merged", "model", "tensorboard")  # written by runs
FILES = ("configuration.json", "metrics.json", "training.json", "log.csv", "prepared.*", "outputs_*.json")
MARK = "made_by_a_run"  # in a base/ that a run wrote
DERIVED = ("prepared.json", "prepared.codes.npy", "prepared.codebook.safetensors")  # computed with the options
PREPARED = (*DERIVED, "prepared.images")  # written before the run starts
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
)  # these do not change results


def environment() -> dict[str, Any]:
    """What a run's files record of its environment: versions of packages, git commit, number of threads."""
    return {
        "versions": {package: importlib.metadata.version(package) for package in PACKAGES},
        "git_commit": git_commit(),
        "threads": torch.get_num_threads(),
    }


def is_first_process() -> bool:
    """Whether this is the first process; Lightning starts the command again for each further device."""
    return int(os.environ.get("LOCAL_RANK", "0")) == 0


def begin(config: Any, finished: Sequence[str] = ("metrics.json",)) -> bool:
    """Whether the same run is already finished; with `--overwrite`, its files are removed first.

    Args:
        config: A dataclass with `output_dir` and `overwrite`.
        finished: The files and folders that a finished run has.

    Raises:
        InputError: The folder holds a run with other options, holds files that no run wrote, or cannot be written.
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
        if (folder / "base" / MARK).exists():  # left by a run that did not start, perhaps with other options
            shutil.rmtree(folder / "base")
        for name in DERIVED:
            (folder / name).unlink(missing_ok=True)
        return False
    found, wanted = flags_of(comparable(recorded)), flags_of(comparable(asdict(config)))
    if (found := {flag: value for flag, value in found.items() if flag in wanted}) != wanted:
        other, ours = difference(found, wanted)
        raise InputError(f"{folder}: contains a run with {other}, now {ours}; --overwrite replaces it (--output_dir)")
    if not all((folder / name).exists() for name in finished):
        return False
    print(f"{folder}: already finished with the same options; --overwrite repeats it")
    return True


def read_configuration(path: Path) -> dict[str, Any] | None:
    """The options of the run in a folder; None if there is none.

    Raises:
        InputError: The file is something else.
    """
    if not path.exists():
        return None
    content = read_json(path, "--output_dir")
    if not isinstance(content, dict) or not isinstance(content.get("configuration"), dict):
        raise InputError(f"{path}: not the configuration of a run; choose another folder (--output_dir)")
    return check(content, RUN, str(path))["configuration"]


def refuse_others(folder: Path) -> None:
    """Refuse a folder without a run if it contains files that a run would overwrite or `--overwrite` would remove.

    Raises:
        InputError: It contains such files.
    """
    present = [path.name for pattern in (*FOLDERS, *FILES) for path in sorted(folder.glob(pattern))]
    begun = {*PREPARED, "base"} if (folder / "base" / MARK).exists() else {*PREPARED}
    others = [name for name in present if name not in begun]
    if others:
        raise InputError(
            f"{folder}: contains {', '.join(others)}, but no configuration.json of a run; "
            "choose another folder or remove them (--output_dir)"
        )


def clear(folder: Path) -> None:
    """Remove a run's files and nothing else: first the file that marks it as finished, last its configuration."""
    (folder / "metrics.json").unlink(missing_ok=True)
    for name in FOLDERS:
        shutil.rmtree(folder / name, ignore_errors=True)
    for path in [path for pattern in reversed(FILES) for path in folder.glob(pattern)]:
        path.unlink(missing_ok=True)


def base_folder(folder: Path, model: str) -> Path:
    """The folder of the model that `--model random` creates, marked as written by a run."""
    base = folder / "base"
    if model == RANDOM:
        base.mkdir(parents=True, exist_ok=True)
        (base / MARK).touch()
    return base


def comparable(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings in which two different runs can differ."""
    kept = {key: value for key, value in settings.items() if key not in NOT_THE_RUN}
    return {key: comparable(value) if isinstance(value, dict) else value for key, value in kept.items()}


def flags_of(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings by flag, without their dataclasses, since a flag may move to another one."""
    flags: dict[str, Any] = {}
    for key, value in settings.items():
        flags |= flags_of(value) if isinstance(value, dict) else {key: value}
    return flags


def save_whole(folder: Path, save: Callable[[Path], None]) -> None:
    """Fill a folder by calling `save`; it appears with all its files or not at all."""
    part = folder.with_name(f".{folder.name}")
    shutil.rmtree(part, ignore_errors=True)
    save(part)
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(part, folder)


def write_log(path: Path, history: Sequence[dict[str, float]]) -> None:
    """Write the whole history as CSV, one row per step.

    Args:
        history: The logged entries, each with its step; a step may have several.
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
    """Seconds of training until the last entry, including sessions before a resume."""
    return history[-1]["seconds"] if history else 0.0


def quiet_libraries() -> None:
    """Show progress bars only on a terminal, and silence transformers' notices."""
    transformers.logging.set_verbosity_error()
    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")
    if not sys.stderr.isatty():
        transformers.logging.disable_progress_bar()
