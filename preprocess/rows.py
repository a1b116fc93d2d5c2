"""Rows of a table as a YAML file describes them: the text, the label, the id and the group of each."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llama.templates import TEXT
from preprocess.dataset_config import DatasetConfig
from preprocess.errors import InputError
from preprocess.records import Record


@dataclass(frozen=True)
class Row:
    """A row as it was read.

    Args:
        text: Stripped; None where all columns of it are null.
        label: As it stands there.
        id, group: None where the configuration names no column for them.
    """

    text: str | None
    label: Any
    id: str | None
    group: str | None


def read_row(config: DatasetConfig, row: Record, place: str) -> Row:
    """What is needed of a row."""
    columns = {column: text_value(config, row, column, place) for column in config.text}
    text = None if set(columns.values()) == {None} else text_of(config, columns)
    name, group = (name_value(config, row, key, place) for key in ("id", "group"))
    return Row(text, pick(config, row, config.label, "label", place), name, group)


def text_of(config: DatasetConfig, columns: Mapping[str, str | None]) -> str:
    """The text of an example, as the template makes it of the columns; {text} stands for all of them."""
    values = {name: value or "" for name, value in columns.items()}
    stripped = {name: value.strip() for name, value in values.items()}
    joined = " ".join(filter(None, stripped.values())) if config.spaced else " ".join(values.values()).strip()
    template = config.dataset.template
    return joined if template.text == TEXT else template.text_of({"text": joined} | stripped).strip()


def text_value(config: DatasetConfig, row: Record, column: str, place: str) -> str | None:
    """A string as it is, a whole number by its digits; null has no text."""
    value = pick(config, row, column, "text", place)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if value is not None and not isinstance(value, str):
        raise InputError(f"{place}: the {column} is {value!r}, expected a string{config.dataset.cite('text')}")
    return value


def name_value(config: DatasetConfig, row: Record, key: str, place: str) -> str | None:
    """The id or the group of a row as a string; None where the configuration names no such column."""
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
    """The value of a column, or of one in a column, as in `label.name`.

    Raises:
        InputError: There is none; `key` of the YAML file has named it.
    """
    if column in row:
        return row[column]
    value: Any = row
    for name in column.split("."):
        if value is None:
            return None
        if not isinstance(value, dict) or name not in value:
            inner = [f"{one}.{two}" for one, cell in row.items() if isinstance(cell, dict) for two in cell]
            found = ", ".join([*row, *inner])
            raise InputError(f"{place}: no column {column!r}; found {found}{config.dataset.cite(key)}")
        value = value[name]
    return value


def check_ids(config: DatasetConfig, rows: Sequence[Row], place: Callable[[int], str]) -> None:
    """Raises InputError where two rows have one id."""
    seen: dict[str, int] = {}
    for number, row in enumerate(rows):
        if row.id is not None and row.id in seen:
            raise InputError(
                f"{place(number)}: the id {row.id!r} stands at row {seen[row.id]} already{config.dataset.cite('id')}"
            )
        seen[row.id or ""] = number
