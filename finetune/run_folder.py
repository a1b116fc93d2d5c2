"""A run folder: whose run it holds, whether that is finished, what happened on the way."""

import csv
import io
import shutil
import sys
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import transformers

from evaluate.predictions import difference
from preprocess.errors import InputError
from preprocess.files import check_writable, read_json, write_bytes

FOLDERS = ("adapter", "base", "checkpoints", "merged", "model", "tensorboard")  # what runs make
FILES = ("configuration.json", "metrics.json", "log.csv", "prepared.*", "outputs_*.json")
BEFORE_THE_RUN = ("base/config.json", "prepared.json")  # what is whole if this is there, and made once
NOT_THE_RUN = ("output_dir", "overwrite", "merge", "push_to_hub", "private", "num_workers")  # they change no result


def begin(config: Any, finished: Sequence[str] = ("metrics.json",)) -> bool:
    """Whether the very run is finished; `--overwrite` clears what is there.

    Args:
        config: A dataclass with `output_dir` and `overwrite`.
        finished: The files or folders that a finished run has.

    Raises:
        InputError: Another run is there, and what differs; the folder cannot be written.
    """
    folder = Path(config.output_dir)
    path = folder / "configuration.json"
    check_writable(path, "--output_dir")
    if config.overwrite and path.exists():
        clear(folder)
    if not path.exists():
        for name in BEFORE_THE_RUN:  # of one that never began, with other options perhaps
            (folder / name).unlink(missing_ok=True)
        return False
    recorded = read_json(path, "--output_dir")
    found, wanted = comparable(recorded["configuration"]), comparable(asdict(config))
    if found != wanted:
        other, ours = difference(found, wanted)
        raise InputError(f"{folder}: holds a run with {other}, now {ours}; --overwrite replaces it (--output_dir)")
    if not all((folder / name).exists() for name in finished):
        return False
    print(f"{folder}: finished already, same options; --overwrite repeats it")
    return True


def clear(folder: Path) -> None:
    """Remove what a run left in its folder, and nothing else."""
    for name in FOLDERS:
        shutil.rmtree(folder / name, ignore_errors=True)
    for path in [path for pattern in FILES for path in folder.glob(pattern)]:
        path.unlink()


def comparable(settings: dict[str, Any]) -> dict[str, Any]:
    """What makes a run another one."""
    return {key: value for key, value in settings.items() if key not in NOT_THE_RUN}


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
    writer = csv.DictWriter(text, ["step", "epoch", *sorted(named - {"step", "epoch"})], lineterminator="\n")
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
