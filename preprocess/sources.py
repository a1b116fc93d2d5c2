"""Rows of a data set, wherever it lies: the hub, or a folder or file that `datasets` reads."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from preprocess.errors import InputError

BUILDERS = {".csv": "csv", ".json": "json", ".jsonl": "json", ".parquet": "parquet"}
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?")


def load_rows(
    dataset_path: str, split: str, flag: str = "--dataset_path", lone: str = "test", **hub: str
) -> Iterator[dict[str, Any]] | None:
    """The rows of a split, or None where the data set has no such split. What the hub holds is streamed.

    Args:
        dataset_path: A hub id; a folder, whose files tell their splits by their names; or one file.
        split: `train`, `test` or what else the data set has.
        lone: The split that one file is.
        hub: `name` and `revision` on the hub, where the data set has several.

    Raises:
        InputError: Neither found here nor on the hub, or not readable as a table.
    """
    path = Path(dataset_path)
    if path.is_file():
        if path.suffix not in BUILDERS:
            raise InputError(f"{path}: expected {', '.join(BUILDERS)} or a folder, found {path.suffix!r} ({flag})")
        return load_files([path], flag, path) if split == lone else None
    if path.is_dir():
        files = split_files(path, split)
        return load_files(files, flag, path) if files else None
    if not HUB_ID.fullmatch(dataset_path) or path.suffix in BUILDERS:
        raise InputError(f"{dataset_path}: no such file or folder, and no id of the hub ({flag})")
    return load(dataset_path, split, flag, f"{path}: no such folder here; on the hub", streaming=True, **hub)


def split_files(folder: Path, split: str) -> list[Path]:
    """The tables of a split in a folder or one level below: named for it, or in a folder of its name."""
    files = sorted(file for file in [*folder.glob("*"), *folder.glob("*/*")] if file.suffix in BUILDERS)
    named = re.compile(rf"(^|[^a-z]){split.lower()}([^a-z]|$)")
    found = [file for file in files if named.search(str(file.relative_to(folder)).lower())]
    return [file for file in found if file.suffix == found[0].suffix]


def load_files(files: list[Path], flag: str, path: Path) -> Iterator[dict[str, Any]]:
    """The rows of tables of one kind."""
    for file in files:
        if file.stat().st_size == 0:
            raise InputError(f"{file}: is empty ({flag})")
    builder = BUILDERS[files[0].suffix]
    options = {"keep_default_na": False} if builder == "csv" else {}  # no text, or the text NA, is a text
    names = [str(file) for file in files]
    return load(builder, "train", flag, str(path), data_files=names, streaming=True, **options)


def load(builder: str, split: str, flag: str, place: str, **options: Any) -> Iterator[dict[str, Any]]:
    """`datasets.load_dataset` without page images, with its many exceptions as one line that begins with `place`."""
    import datasets  # takes a second to import: not before it is known to be needed

    datasets.disable_progress_bars()
    try:
        rows = datasets.load_dataset(builder, split=split, **options)
        if "image" in (rows.column_names or []):
            # Decoding would be most of the work, and needs Pillow. Streamed rows are decoded before remove_columns.
            rows = rows.select_columns([name for name in rows.column_names if name != "image"])
        yield from rows
    except Exception as error:  # whatever its readers raise, the cause is the file or the network
        cause = error.__cause__ or error
        reason = (str(cause).splitlines() or [type(cause).__name__])[0]
        raise InputError(f"{place}: `datasets` cannot read it: {reason} ({flag})") from None
