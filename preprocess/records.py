"""Rows of JSON, JSON Lines and Parquet files. Values keep their types."""

import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from preprocess.errors import InputError, first_line
from preprocess.files import replace_surrogates
from preprocess.lines import read_lines

BATCH = 256  # rows of Parquet in a batch: few, because they may be large, or only the first may be needed
Record = dict[str, Any]


def read_json_lines(path: Path, encoding: str) -> Iterator[tuple[int, Record]]:
    """(line, row) of each line that is not blank.

    Raises:
        InputError: A line is not a JSON object; the message names it.
    """
    for number, line in enumerate(read_lines(path, encoding), start=1):
        if line.strip():
            yield number, as_row(parse(line.rstrip(), f"{path}: line {number}"), f"{path}: line {number}")


def read_json_rows(path: Path, encoding: str) -> Iterator[tuple[int | None, Record]]:
    """(None, row) of each object of a list; a file that begins with an object is JSON Lines.

    Raises:
        InputError: The file is neither.
    """
    content = "".join(read_lines(path, encoding))
    if content.lstrip()[:1] == "{":
        if isinstance(whole := try_parse(content), dict) and len(content.strip().splitlines()) > 1:
            raise InputError(f"{path}: expected a list of objects, found one with the keys {', '.join(whole)}")
        yield from read_json_lines(path, encoding)
        return
    rows = parse(content, str(path))
    if not isinstance(rows, list):
        raise InputError(f"{path}: expected a list of objects, found {type(rows).__name__}")
    for number, row in enumerate(rows):
        yield None, as_row(row, f"{path}: row {number}")


def as_row(value: Any, place: str) -> Record:
    """`value` as a row; InputError unless it is an object."""
    if not isinstance(value, dict):
        raise InputError(f"{place}: expected an object, found {str(value)[:40]!r}")
    return value


def try_parse(text: str) -> Any:
    """Parsed JSON; None if it is invalid."""
    try:
        return parse(text, "")
    except InputError:
        return None


def parse(text: str, place: str) -> Any:
    """Parsed JSON; InputError if it is invalid, with a message that begins with `place`."""
    try:
        value = json.loads(text, object_pairs_hook=unique)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno} column {error.colno}" if "\n" in text.rstrip() else f"column {error.colno}"
        raise InputError(f"{place}: not JSON: {where}: {error.msg}") from None
    except (RecursionError, ValueError) as error:  # nested too deep; a number with thousands of digits; duplicate keys
        raise InputError(f"{place}: invalid: {error}") from None
    return replace_surrogates(value) if "\\ud" in text or "\\uD" in text else value


def unique(pairs: list[tuple[str, Any]]) -> Record:
    """A JSON object as a dictionary; ValueError if it has duplicate keys."""
    row = dict(pairs)
    if len(row) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"duplicate key {next(key for key in row if keys.count(key) > 1)!r}")
    return row


def read_parquet(
    path: Path, columns: Collection[str] | None, without: Collection[str] = ()
) -> Iterator[tuple[None, Record]]:
    """(None, row) of each row, with only `columns` if the file has all of them, else with all but `without`.

    Raises:
        InputError: The file is not valid Parquet.
    """
    import pyarrow
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            names = file.schema_arrow.names
            known = columns is not None and set(columns) <= set(names)
            chosen = [name for name in names if (name in columns if known else name not in without)]
            for batch in file.iter_batches(BATCH, columns=chosen):
                for row in batch.to_pylist():
                    yield None, row
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise InputError(f"{path}: not readable as parquet: {first_line(error)}") from None


def parquet_features(path: Path) -> Any:
    """The `Features` of `datasets` for the columns, including class names.

    Raises:
        InputError: The file is not valid Parquet.
    """
    import datasets
    import pyarrow
    from pyarrow import parquet

    try:
        return datasets.Features.from_arrow_schema(parquet.read_schema(path))
    except (pyarrow.ArrowException, OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: not readable as parquet: {first_line(error)}") from None
