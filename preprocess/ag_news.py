"""AG News (Zhang et al. 2015): title and description of a news article, four classes."""

import csv
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from preprocess.build import PromptOptions, Source, limited, locate, read_train, write_prompt_file
from preprocess.demonstrations import draw_demonstrations, draw_stratified
from preprocess.errors import InputError
from preprocess.prompts import Example
from preprocess.sources import load_rows, split_files

HUB_ID = "fancyzhx/ag_news"
SAMPLE_PATH = "samples/ag_news"
LABEL_WORDS = ("World", "Sports", "Business", "Science and technology")
NAMES = {word.lower(): label for label, word in enumerate(LABEL_WORDS)} | {"sci/tech": 3}


def preprocess_direct(options: PromptOptions) -> None:
    """AG News as prompts of the direct method."""
    preprocess(options, "direct")


def preprocess_channel(options: PromptOptions) -> None:
    """AG News as prompts of the channel method."""
    preprocess(options, "channel")


def preprocess(options: PromptOptions, method: str) -> None:
    origin, dataset, path = locate(options, method, "ag_news", SAMPLE_PATH, HUB_ID)
    test = read_split(origin, "test")
    if test is None:
        raise InputError(f"{origin}: no test split in it (--dataset_path)")
    test = limited(test, options, origin)
    train = read_train(read_split, options, origin) if options.k else []
    train = [replace(example, id=f"train-{number}") for number, example in enumerate(train)]  # a lone file says test
    shown = draw_demonstrations(draw_stratified, train, test, LABEL_WORDS, options.k, options.seed)
    source = Source(dataset, origin, "Article", LABEL_WORDS, test, train, shown, Counter())
    write_prompt_file(source, method, options, path)


def read_split(dataset_path: str, split: str, flag: str = "--dataset_path") -> list[Example] | None:
    """The examples of a split, in its order; None where there is no such split.

    Raises:
        InputError: Nothing to read, or a row that is not of AG News; names file and row.
    """
    path = Path(dataset_path)
    files = split_files(path, split) if path.is_dir() else [path] if path.is_file() and split == "test" else []
    if len(files) == 1 and is_headerless(files[0]):
        pairs = read_headerless_csv(files[0])
    else:
        rows = load_rows(dataset_path, split, flag)
        if rows is None:
            return None
        bar = tqdm(rows, desc=f"{split} rows", unit="row", disable=None)
        pairs = [read_row(row, f"{dataset_path}: {split} row {number}") for number, row in enumerate(bar)]
    return [Example(f"{split}-{number}", text, LABEL_WORDS[label]) for number, (text, label) in enumerate(pairs)]


def is_headerless(path: Path) -> bool:
    """Whether a file is in the original form: a csv without header, its first field a class from 1 to 4."""
    if path.suffix != ".csv":
        return False
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        return re.match(r'"?[1-4]"?,', file.read(4)) is not None


def read_headerless_csv(path: Path) -> list[tuple[str, int]]:
    """(text, label from 0) of the original form: class from 1, title, description.

    Raises:
        InputError: A row of another form; names its line.
    """
    pairs = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for number, row in enumerate(csv.reader(file, strict=True), start=1):
                if len(row) != 3 or row[0] not in {"1", "2", "3", "4"}:
                    found = f"{len(row)} fields, the first {row[0]!r}" if row else "an empty line"
                    raise InputError(f"{path}: row {number}: expected class 1 to 4, title, description; found {found}")
                pairs.append((f"{row[1]} {row[2]}".strip(), int(row[0]) - 1))
    except csv.Error as error:
        raise InputError(f"{path}: row {len(pairs) + 1}: not readable as csv: {error}") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8: {error}") from None
    return pairs


def read_row(row: dict[str, Any], place: str) -> tuple[str, int]:
    """(text, label from 0) of a row with columns: text, or title and description; label from 0, or class from 1."""
    values = {name.lower(): value for name, value in row.items()}
    if "text" in values:
        text = values["text"]
    elif "title" in values and "description" in values:
        text = f"{values['title'] or ''} {values['description'] or ''}"
    else:
        raise InputError(f"{place}: expected a column text, or title and description; found {', '.join(row)}")
    if not isinstance(text, str):
        raise InputError(f"{place}: the text is {text!r}, expected a string")
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
    return text.strip(), label
