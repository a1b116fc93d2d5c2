"""Rows of a data set, wherever it lies: the hub, or a folder or file that `datasets` reads."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from preprocess.errors import InputError, first_line

BUILDERS = {".csv": "csv", ".json": "json", ".jsonl": "json", ".parquet": "parquet"}
SAVED = "dataset_dict.json"  # in a folder of splits that `datasets` saved
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?")


@dataclass(frozen=True)
class Table:
    """A split of a data set; opened when it is first needed.

    Args:
        open: Gives what `datasets` makes of it.
        place: Messages begin with it.
        flag: What named the place, for messages.
    """

    open: Callable[[], Any]
    place: str
    flag: str

    @cached_property
    def opened(self) -> Any:
        """The `Dataset` or `IterableDataset`.

        Raises:
            InputError: Not found, or not readable as a table.
        """
        import datasets  # takes a second to import: not before it is known to be needed

        datasets.disable_progress_bars()
        with one_line(self.place, self.flag):
            return self.open()

    def rows(self, images: bool = False) -> Iterator[dict[str, Any]]:
        """Its rows; `images` keeps the column image, as the bytes of its files or their paths.

        Decoding would be most of the work, and needs Pillow. Streamed rows are decoded before remove_columns.
        """
        import datasets

        rows = self.opened
        with one_line(self.place, self.flag):
            if not images and "image" in (rows.column_names or []):
                rows = rows.select_columns([name for name in rows.column_names if name != "image"])
            elif isinstance((rows.features or {}).get("image"), datasets.Image):
                rows = rows.cast_column("image", datasets.Image(decode=False))
            yield from rows

    def class_names(self, column: str) -> list[str] | None:
        """The names of the classes of a column of lists of classes; None where it has none."""
        feature = (self.opened.features or {}).get(column)
        feature = feature[0] if isinstance(feature, list) else getattr(feature, "feature", None)
        return getattr(feature, "names", None)


@contextmanager
def one_line(place: str, flag: str) -> Iterator[None]:
    """The many exceptions of `datasets` as one line that begins with `place`."""
    try:
        yield
    except Exception as error:  # whatever its readers raise, the cause is the file or the network
        reason = first_line(error.__cause__ or error)
        raise InputError(f"{place}: `datasets` cannot read it: {reason} ({flag})") from None


def load_rows(
    dataset_path: str,
    split: str,
    flag: str = "--dataset_path",
    lone: str = "test",
    images: bool = False,
    **hub: str,
) -> Iterator[dict[str, Any]] | None:
    """The rows of a split, as of `find_table`; None where the data set has no such split."""
    table = find_table(dataset_path, split, flag, lone, **hub)
    return None if table is None else table.rows(images)


def find_table(
    dataset_path: str, split: str, flag: str = "--dataset_path", lone: str = "test", **hub: str
) -> Table | None:
    """A split, or None where the data set has no such split. What the hub holds is streamed.

    Args:
        dataset_path: A hub id; a folder, whose files tell their splits by their names, or which `save_to_disk` of
            `datasets` wrote; or one file.
        split: `train`, `test` or what else the data set has.
        lone: The split that one file is.
        hub: `name` and `revision` on the hub, where the data set has several.

    Raises:
        InputError: Neither found here nor on the hub; when it is opened, not readable as a table.
    """
    path = Path(dataset_path)
    if path.is_file():
        if path.suffix not in BUILDERS:
            raise InputError(f"{path}: expected {', '.join(BUILDERS)} or a folder, found {path.suffix!r} ({flag})")
        return files_table([path], flag, path) if split == lone else None
    if (path / SAVED).is_file():
        return saved_table(path / split, flag) if (path / split).is_dir() else None
    if path.is_dir():
        files = split_files(path, split)
        return files_table(files, flag, path) if files else None
    if not HUB_ID.fullmatch(dataset_path) or path.suffix in BUILDERS:
        raise InputError(f"{dataset_path}: no such file or folder, and no id of the hub ({flag})")
    return table(dataset_path, split, flag, f"{path}: no such folder here; on the hub", **hub)


def split_files(folder: Path, split: str) -> list[Path]:
    """The tables of a split in a folder or one level below: named for it, or in a folder of its name."""
    files = sorted(file for file in [*folder.glob("*"), *folder.glob("*/*")] if file.suffix in BUILDERS)
    named = re.compile(rf"(^|[^a-z]){split.lower()}([^a-z]|$)")
    found = [file for file in files if named.search(str(file.relative_to(folder)).lower())]
    return [file for file in found if file.suffix == found[0].suffix]


def files_table(files: list[Path], flag: str, path: Path) -> Table:
    """Tables of one kind as one."""
    for file in files:
        if file.stat().st_size == 0:
            raise InputError(f"{file}: is empty ({flag})")
    builder = BUILDERS[files[0].suffix]
    options = {"keep_default_na": False} if builder == "csv" else {}  # no text, or the text NA, is a text
    return table(builder, "train", flag, str(path), data_files=[str(file) for file in files], **options)


def table(builder: str, split: str, flag: str, place: str, **options: Any) -> Table:
    """What `datasets.load_dataset` streams."""

    def load() -> Any:
        import datasets

        return datasets.load_dataset(builder, split=split, streaming=True, **options)

    return Table(load, place, flag)


def saved_table(folder: Path, flag: str) -> Table:
    """A split that `save_to_disk` wrote."""

    def load() -> Any:
        import datasets

        return datasets.load_from_disk(str(folder))

    return Table(load, str(folder), flag)
