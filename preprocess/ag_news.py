"""AG News (Zhang et al. 2015): title and description of a news article, four classes.

`samples/datasets/ag_news.yaml` describes it; here are the forms beyond that in which it is met.
"""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from preprocess import tables
from preprocess.build import PromptOptions
from preprocess.definition import Table, read_table
from preprocess.errors import InputError
from preprocess.prompts import Example

CONFIG = Path(__file__).resolve().parent.parent / "samples" / "datasets" / "ag_news.yaml"
LABEL_WORDS = ("World", "Sports", "Business", "Science and technology")  # those of the file, for import
FIELDS = ("title", "description")
NAMES = {word.lower(): label for label, word in enumerate(LABEL_WORDS)} | {"sci/tech": 3}

read_headerless_csv = partial(tables.read_headerless_csv, fields=FIELDS, classes=len(LABEL_WORDS))


def preprocess_direct(options: PromptOptions) -> None:
    """AG News as prompts of the direct method."""
    preprocess(options, "direct")


def preprocess_channel(options: PromptOptions) -> None:
    """AG News as prompts of the channel method."""
    preprocess(options, "channel")


def preprocess(options: PromptOptions, method: str) -> None:
    tables.preprocess(ag_news(), options, method, hub_row)


def ag_news() -> Table:
    """AG News of the YAML file; messages name flags, since who runs the script has named no file."""
    table = read_table(CONFIG)
    return replace(table, dataset=replace(table.dataset, places={}))


def read_split(dataset_path: str, split: str, flag: str = "--dataset_path") -> list[Example] | None:
    """The examples of a split in any form, in its order; None where there is no such split."""
    return tables.read_split(ag_news(), dataset_path, split, flag, hub_row)


def hub_row(row: dict[str, Any], place: str) -> dict[str, Any]:
    """A row as the hub has it, text and label from 0, of one that may have title and description, class from 1, names.

    Raises:
        InputError: Neither text nor title and description, or a label that is none; begins with `place`.
    """
    values = {name.lower(): value for name, value in row.items()}
    if "text" in values:
        text = values["text"]
    elif all(name in values for name in FIELDS):
        text = f"{values['title'] or ''} {values['description'] or ''}"
    else:
        raise InputError(f"{place}: expected a column text, or title and description; found {', '.join(row)}")
    first = 0 if "label" in values else 1
    found = next((values[name] for name in ("label", "class index", "class") if name in values), None)
    label = None
    if isinstance(found, str) and found.strip().isdecimal():  # one name in a column makes all of it text
        label = int(found) - first
    elif isinstance(found, str):
        label = NAMES.get(found.strip().lower())
    elif isinstance(found, int) and not isinstance(found, bool):
        label = found - first
    if label is None or not 0 <= label < len(LABEL_WORDS):
        raise InputError(
            f"{place}: label {found!r}, expected 0 to 3 (or a class from 1 to 4) or one of {', '.join(NAMES)}"
        )
    return {"text": text, "label": label}
