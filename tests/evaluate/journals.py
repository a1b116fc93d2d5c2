"""What tests read of the files of a run: its journal, its meta file, names."""

import json
from pathlib import Path


def arguments(flags: dict[str, object]) -> list[str]:
    return [f"--{name}={value}" for name, value in flags.items()]


def batches_of(folder: Path) -> list[int]:
    """The batches in a journal, read from its complete lines."""
    lines = [line for path in folder.glob("*.jsonl") for line in path.read_bytes().splitlines(keepends=True)[1:]]
    return [json.loads(line[9:])["batch"] for line in lines if line.endswith(b"\n")]


def lines_in(folder: Path) -> int:
    """The number of lines with batches, counted quickly."""
    return sum(path.read_bytes().count(b"\n") - 1 for path in folder.glob("*.jsonl"))


def lasting(path: Path) -> dict:
    """The meta file beside `path` without entries that may differ between two runs."""
    meta = json.loads(path.with_suffix(".meta.json").read_text())
    for key in ("seconds", "git_commit", "world_size"):
        del meta[key]
    del meta["configuration"]["run"]["output_path"]
    return meta


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}
