"""Rows of a data set from the hub, a folder saved by `datasets`, a folder of files, or one file."""

import logging
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from preprocess.delimited import Format, is_headerless, read_delimited
from preprocess.errors import InputError, first_line
from preprocess.records import Record, parquet_features, read_json_lines, read_json_rows, read_parquet
from preprocess.splits import SAVED, SAVED_SPLITS, TABLES, kind_of, split_files

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?")
IMAGE = "image"  # this column is skipped unless it is requested
Records = Iterator[tuple[str, Record]]
CONVERTED = "refs/convert/parquet"  # the hub's branch for data sets of a script, which is not run
PLAIN = Format()


@dataclass(frozen=True)
class Table:
    """A split of a data set, opened lazily.

    Args:
        read: (needed columns, or None for all; whether to read images) -> the line and the content of each row.
        features: Returns the `Features` of its columns; None if the files have no types.
        place: The beginning of messages.
        flag: The flag that named the data set, for messages.
        headerless: Whether it is csv without a header: its columns are CLASS and the fields of the format.
    """

    read: Callable[[Collection[str] | None, bool], Records]
    features: Callable[[], Any]
    place: str
    flag: str
    headerless: bool = False

    def records(self, columns: Collection[str] | None = None) -> Records:
        """Its rows, each with its file and line, if any. Columnar formats read only `columns`."""
        return self.read(columns, False)

    def rows(self, images: bool = False) -> Iterator[Record]:
        """Its rows; with `images`, the column image contains the bytes or paths of its files."""
        return (row for _, row in self.read(None, images))

    def class_names(self, column: str) -> list[str] | None:
        """The class names of a column, or of its lists of classes; None if it has none.

        A nested column is written with a dot.
        """
        feature, rest = self.features(), column
        while isinstance(feature, dict):
            name, _, rest = (rest, "", "") if rest in feature else rest.partition(".")
            feature = feature.get(name)
        feature = feature[0] if isinstance(feature, list) else getattr(feature, "feature", feature)
        return getattr(feature, "names", None)


@contextmanager
def one_line(place: str, flag: str) -> Iterator[None]:
    """Turn all exceptions of `datasets` into an InputError that begins with `place`."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # its readers raise many types; the cause is the file or the network
        reason = first_line(error.__cause__ or error)
        raise InputError(f"{place}: `datasets` cannot read it: {reason} ({flag})") from None


def load_rows(
    dataset_path: str, split: str, flag: str = "--dataset_path", lone: str = "test", images: bool = False
) -> Iterator[Record] | None:
    """The rows of a split, see `find_table`; None if there is no such split."""
    table = find_table(dataset_path, split, flag, lone)
    return None if table is None else table.rows(images)


def find_table(
    dataset_path: str,
    split: str,
    flag: str = "--dataset_path",
    lone: str = "test",
    form: Format = PLAIN,
    **hub: str,
) -> Table | None:
    """A split of a data set; None if there is no such split. Data sets on the hub are streamed.

    Args:
        dataset_path: A hub id; a folder of files, whose names identify the splits; a folder written by `save_to_disk`
            of `datasets`; or one file.
        split: `train`, `test` or another split.
        lone: The split that a single file, or a single saved `Dataset`, represents.
        form: Format of its text files.
        hub: `name` and `revision` on the hub, if the data set has several.

    Raises:
        InputError: The data set does not exist or is ambiguous; or, when it is read, a file is invalid.
    """
    path = Path(dataset_path)
    if path.is_file() and not kind_of(path):
        expected = f"expected {', '.join(TABLES)}, .gz of these texts, or a folder; found {path.suffix!r}"
        raise InputError(f"{path}: {expected} ({flag})")
    if is_lone(path):
        return one_source(path, flag, form) if split == lone else None
    if (path / SAVED_SPLITS).is_file() or (path / split / SAVED).is_file():
        return saved_table(path / split, flag) if (path / split).is_dir() else None
    if path.is_dir():
        chosen = path / hub["name"] if (path / hub.get("name", "")).is_dir() and hub.get("name") else path
        files = split_files(chosen, split, flag)
        return files_table(files, flag, form, path) if files else None
    if not HUB_ID.fullmatch(dataset_path) or kind_of(path):
        raise InputError(f"{dataset_path}: no such file or folder, and not a hub id ({flag})")
    return hub_table(dataset_path, split, flag, form, **hub)


def is_lone(path: Path) -> bool:
    """Whether a path is one table without splits: a file, or a saved `Dataset`."""
    return path.is_file() or (path / SAVED).is_file()


def one_source(path: Path, flag: str, form: Format) -> Table:
    """The table of a path without splits."""
    return files_table([path], flag, form, path) if path.is_file() else saved_table(path, flag)


def files_table(files: Sequence[Path], flag: str, form: Format, path: Path) -> Table:
    """Files of the same kind as one table."""
    for file in files:
        if file.stat().st_size == 0:
            raise InputError(f"{file}: is empty ({flag})")
    kind = kind_of(files[0])
    headerless = False
    if kind in (".csv", ".tsv"):
        heads = {is_headerless(file, form) for file in files}
        if len(heads) > 1:
            raise InputError(f"{path}: some of its files have a header, others have none ({flag})")
        headerless = heads.pop()

    def read(columns: Collection[str] | None, images: bool) -> Records:
        for file in files:
            for line, row in read_file(file, kind, form, columns, images):
                where = "" if line is None else f"line {line}"
                yield (f"{file.name}, {where}".removesuffix(", ") if len(files) > 1 else where), row

    return Table(read, lambda: parquet_features(files[0]) if kind == ".parquet" else None, str(path), flag, headerless)


def read_file(
    file: Path, kind: str, form: Format, columns: Collection[str] | None, images: bool
) -> Iterator[tuple[int | None, Record]]:
    """(line, row) of each row of a file; the line is None for formats without lines."""
    if kind == ".parquet":
        return read_parquet(file, columns, () if images else (IMAGE,))
    if kind in (".csv", ".tsv"):
        return read_delimited(file, form)
    rows = read_json_lines(file, form.encoding) if kind == ".jsonl" else read_json_rows(file, form.encoding)
    return rows if images else ((line, without_image(row)) for line, row in rows)


def without_image(row: Record) -> Record:
    """A row without the column image."""
    return {name: value for name, value in row.items() if name != IMAGE} if IMAGE in row else row


def saved_table(folder: Path, flag: str) -> Table:
    """A split written by `save_to_disk`."""

    def load() -> Any:
        import datasets

        return datasets.load_from_disk(str(folder))

    return datasets_table(load, str(folder), flag)


def hub_table(dataset_path: str, split: str, flag: str, form: Format, **hub: str) -> Table:
    """A split streamed by `datasets.load_dataset`. All columns of csv files are read as text."""

    def load() -> Any:
        import datasets
        from datasets.packaged_modules import _PACKAGED_DATASETS_MODULES

        if dataset_path in _PACKAGED_DATASETS_MODULES:  # load_dataset would read the working directory
            raise InputError(f"{dataset_path}: is a file format, expected a file, a folder or a hub id ({flag})")
        options = {"split": split, "streaming": True, **hub}
        try:
            rows = datasets.load_dataset(dataset_path, **options, trust_remote_code=False)
        except RuntimeError as error:
            if "revision" in options or "scripts are no longer supported" not in str(error):
                raise
            options["revision"] = CONVERTED  # the hub keeps the script's output as parquet
            rows = datasets.load_dataset(dataset_path, **options, trust_remote_code=False)
        if rows.info.builder_name != "csv" or rows.features:  # types from the data set's card are kept
            return rows
        names = next(iter(rows), {})
        text = datasets.Features({name: datasets.Value("string") for name in names})
        how = {"features": text, "keep_default_na": False, "encoding": form.encoding}
        return datasets.load_dataset(dataset_path, **options, **how, trust_remote_code=False)

    return datasets_table(load, f"{dataset_path}: no such folder; on the hub", flag)


def datasets_table(load: Callable[[], Any], place: str, flag: str) -> Table:
    """A `Dataset` or `IterableDataset` as a table. Images are never decoded: that is slow and needs Pillow."""

    @cache
    def opened() -> Any:
        import datasets  # takes a second to import

        datasets.disable_progress_bars()
        datasets.utils.logging.set_verbosity(logging.CRITICAL)  # our error message replaces its log
        with one_line(place, flag):
            return load()

    def read(columns: Collection[str] | None, images: bool) -> Records:
        import datasets

        rows = opened()
        with one_line(place, flag):
            names = rows.column_names or []
            if columns is not None and set(columns) <= set(names):
                rows = rows.select_columns([name for name in names if name in columns])
            elif not images and IMAGE in names:  # streamed rows are decoded before remove_columns
                rows = rows.select_columns([name for name in names if name != IMAGE])
            elif isinstance((rows.features or {}).get(IMAGE), datasets.Image):
                rows = rows.cast_column(IMAGE, datasets.Image(decode=False))
            for row in rows:
                yield "", row

    return Table(read, lambda: opened().features, place, flag)
