"""The values of a row that a YAML file asks for: text, label, id and group."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llama.templates import TEXT
from preprocess.dataset_config import DatasetConfig
from preprocess.errors import InputError
from preprocess.records import Record


@dataclass(frozen=True)
class Row:
    """The values read from a row.

    Args:
        text: Stripped; None if all its columns are null.
        label: The value of the label column.
        id, group: None if the configuration names no column for them.
    """

    text: str | None
    label: Any
    id: str | None
    group: str | None


def read_row(config: DatasetConfig, row: Record, place: str) -> Row:
    """The values of the configured columns of a row."""
    columns = {column: text_value(config, row, column, place) for column in config.text}
    text = None if set(columns.values()) == {None} else text_of(config, columns)
    name, group = (name_value(config, row, key, place) for key in ("id", "group"))
    return Row(text, pick(config, row, config.label, "label", place), name, group)


def text_of(config: DatasetConfig, columns: Mapping[str, str | None]) -> str:
    """The text of an example, composed of its columns by the template; {text} stands for all of them."""
    values = {name: value or "" for name, value in columns.items()}
    stripped = {name: value.strip() for name, value in values.items()}
    joined = " ".join(filter(None, stripped.values())) if config.spaced else " ".join(values.values()).strip()
    template = config.dataset.template
    return joined if template.text == TEXT else template.text_of({"text": joined} | stripped).strip()


def text_value(config: DatasetConfig, row: Record, column: str, place: str) -> str | None:
    """The value of a text column: a string, or an integer as a string; None for null."""
    value = pick(config, row, column, "text", place)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if value is not None and not isinstance(value, str):
        raise InputError(f"{place}: the {column} is {value!r}, expected a string{config.dataset.cite('text')}")
    return value


def name_value(config: DatasetConfig, row: Record, key: str, place: str) -> str | None:
    """The id or the group of a row as a string; None if the configuration names no such column."""
    column = getattr(config, key)
    if not column:
        return None
    value = pick(config, row, column, key, place)
    if not isinstance(value, str | int) or isinstance(value, bool) or value == "":
        raise InputError(
            f"{place}: the {key} is {value!r}, expected a name or a whole number{config.dataset.cite(key)}"
        )
    return str(value)


def pick(config: DatasetConfig, row: Record, column: str, key: str, place: str) -> Any:
    """The value of a column, or of a nested one such as `label.name`.

    Args:
        key: The key of the YAML file that names the column, for messages.

    Raises:
        InputError: There is no such column.
    """
    if column in row:
        return row[column]
    value: Any = row
    for name in column.split("."):
        if value is None:
            return None
        if not isinstance(value, dict) or name not in value:
            inner = [f"{one}.{two}" for one, cell in row.items() if isinstance(cell, dict) for two in cell]
            columns = ", ".join([*row, *inner])
            raise InputError(f"{place}: no column {column!r}; found {columns}{config.dataset.cite(key)}")
        value = value[name]
    return value


def check_ids(config: DatasetConfig, rows: Sequence[Row], place: Callable[[int], str]) -> None:
    """Raises InputError if two rows have the same id."""
    seen: dict[str, int] = {}
    for number, row in enumerate(rows):
        if row.id is not None and row.id in seen:
            raise InputError(
                f"{place(number)}: duplicate id {row.id!r}, first in row {seen[row.id]}{config.dataset.cite('id')}"
            )
        seen[row.id or ""] = number
