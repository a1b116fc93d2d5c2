"""Tables of texts with a label, as a YAML file describes them: rows -> examples -> prompt file."""

import csv
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from preprocess.build import PromptOptions, limited, locate, read_test, read_train, write_prompt_file
from preprocess.definition import Table, read_table
from preprocess.errors import InputError
from preprocess.prompts import METHODS, Example
from preprocess.sources import load_rows, split_files

Row = dict[str, Any]
Adapt = Callable[[Row, str], Row]


@dataclass(frozen=True)
class TableConfig:
    """Turn a data set that a YAML file describes into a prompt file.

    Args:
        config: The YAML file, such as samples/datasets/sst2.yaml; preprocess/definition.py explains its keys. Without
            --data_path its prompts go to real/.
        method: What the prompts are for: direct (calibrated and generate read them too) or channel.
        prompts: The options that all data sets share.
    """

    config: str = ""
    method: str = "direct"
    prompts: PromptOptions = field(default_factory=PromptOptions)

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise InputError(f"--method {self.method}: expected {' or '.join(METHODS)}")


def preprocess_config(config: TableConfig) -> None:
    """The data set of a YAML file as prompts of either method."""
    if not config.config:
        raise InputError("--config: expected a YAML file, such as samples/datasets/sst2.yaml")
    table, options = read_table(config.config), config.prompts
    path = options.data_path or f"real/inputs_{config.method}_{table.dataset.name}.json"
    preprocess(table, replace(options, data_path=path), config.method)  # files of samples/ are left to their scripts


def preprocess(table: Table, options: PromptOptions, method: str, adapt: Adapt | None = None) -> None:
    """Rows to a prompt file. `adapt` brings rows of other forms into the table's, given the row and its place."""
    plan = locate(table.dataset, options, method)
    read = partial(read_split, table, adapt=adapt)
    test = limited(read_test(read, plan), plan)
    train = read_train(read, plan) if plan.options.k else []
    train = [replace(example, id=f"train-{number}") for number, example in enumerate(train)]  # a lone file says test
    write_prompt_file(plan, test, train)


def read_split(
    table: Table, dataset_path: str, split: str, flag: str = "--dataset_path", adapt: Adapt | None = None
) -> list[Example] | None:
    """The examples of a split, in its order; None where there is no such split.

    Raises:
        InputError: Nothing to read, or a row that is not of the table; names file and row.
    """
    file = headerless_file(table, Path(dataset_path), split)
    if file is not None:
        pairs = read_headerless_csv(file, table.headerless, len(table.words))
        found = [(text, table.dataset.label_words[label]) for text, label in pairs]
    else:
        rows = load_rows(dataset_path, split, flag, table.dataset.split, **table.hub)
        if rows is None:
            return None
        found = []
        for number, row in enumerate(tqdm(rows, desc=f"{split} rows", unit="row", disable=None)):
            where = f"{dataset_path}: {split} row {number}"
            found.append(read_row(table, adapt(row, where) if adapt else row, where))
    return [Example(f"{split}-{number}", text, word) for number, (text, word) in enumerate(found)]


def read_row(table: Table, row: Row, place: str) -> tuple[str, str]:
    """(text, label word) of a row."""
    dataset, parts = table.dataset, []
    for key, column in (*(("text", column) for column in table.text), ("label", table.label)):
        if column not in row:
            raise InputError(f"{place}: no column {column!r}; found {', '.join(row)}{dataset.cite(key)}")
    for column in table.text:
        if not isinstance(row[column], str):
            raise InputError(f"{place}: the {column} is {row[column]!r}, expected a string{dataset.cite('text')}")
        parts.append(row[column].strip())
    label = row[table.label]
    written = str(label).strip() if isinstance(label, str | int) and not isinstance(label, bool) else None
    if written not in table.words:
        expected = f"expected one of {', '.join(table.words)}{dataset.cite('label_words')}"
        raise InputError(f"{place}: {table.label} {label!r}, {expected}")
    return " ".join(filter(None, parts)), table.words[written]


def headerless_file(table: Table, path: Path, split: str) -> Path | None:
    """The file of a split if it is the one, and a csv without a header: its first field is a class."""
    if not table.headerless:
        return None
    files = [path] if path.is_file() and split == table.dataset.split else []
    files = split_files(path, split) if path.is_dir() else files
    if len(files) != 1 or files[0].suffix != ".csv":
        return None
    with files[0].open(encoding="utf-8-sig", errors="replace") as file:
        first = re.match(r'("?)([1-9][0-9]*)\1,', file.read(16))
    return files[0] if first and int(first[2]) <= len(table.words) else None


def read_headerless_csv(path: Path, fields: tuple[str, ...], classes: int) -> list[tuple[str, int]]:
    """(text, label from 0) of the form of Zhang et al. (2015): class from 1, then the fields of the text.

    The fields are joined as they are, since the hub's AG News has them so in its one column.

    Raises:
        InputError: A row of another form; names its line.
    """
    pairs = []
    known = {str(number + 1): number for number in range(classes)}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for number, row in enumerate(csv.reader(file, strict=True), start=1):
                if len(row) != 1 + len(fields) or row[0] not in known:
                    expected = f"expected class 1 to {classes}, {', '.join(fields)}"
                    found = f"{len(row)} fields, the first {row[0]!r}" if row else "an empty line"
                    raise InputError(f"{path}: row {number}: {expected}; found {found}")
                pairs.append((" ".join(row[1:]).strip(), known[row[0]]))
    except csv.Error as error:
        raise InputError(f"{path}: row {len(pairs) + 1}: not readable as csv: {error}") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8: {error}") from None
    return pairs
