"""The prompt file, which preprocessing writes and evaluation reads. `llama.templates` makes its strings.

`{text}` and `{label_word}` are fields. Only the last occurrence of a field is replaced, literally: braces in
demonstrations and texts stay as they are. Prompt, separator and completion form one text.
"""

import sys
import unicodedata
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from llama.templates import LABEL_WORD, TEXT
from preprocess.errors import InputError
from preprocess.files import read_hashed_json

METHODS = ("direct", "channel")
DEFAULTS = {"group": None, "separator": " "}  # of optional fields


@dataclass(frozen=True)
class Example:
    """A text with its class.

    Args:
        id: Unique in its data set: `test-17`, `<page_hash>-<n>`.
        text: Its text, stripped.
        label_word: The label word of its class.
        group: The page of a block; None for independent examples.
    """

    id: str
    text: str
    label_word: str
    group: str | None = None


@dataclass(frozen=True)
class Prompt:
    """One row of a prompt file: an example and the two strings with the fields.

    Args:
        prompt: The context of the model; contains {text} (direct) or {label_word} (channel).
        completion: The text that is scored after it; contains {label_word} (direct) or {text} (channel).
        text, label_words: The values of the fields.
        ground_truth: The correct label word.
        separator: The text between prompt and completion, see `llama.tokenizer.Tokenizer.encode_pair`.
    """

    id: str
    prompt: str
    completion: str
    text: str
    label_words: tuple[str, ...]
    ground_truth: str
    group: str | None = None
    separator: str = " "


@dataclass(frozen=True)
class PromptFile:
    """The content of a prompt file.

    Args:
        path: The file.
        prompts: In the order of the file.
        sha256: SHA-256 of the bytes that the prompts were read from.
    """

    path: Path
    prompts: list[Prompt]
    sha256: str


def to_rows(prompts: Sequence[Prompt]) -> list[dict[str, Any]]:
    """Prompts as the objects of a prompt file, without fields at their default."""
    rows = [asdict(prompt) for prompt in prompts]
    return [{key: value for key, value in row.items() if (key, value) not in DEFAULTS.items()} for row in rows]


def read_prompts(path: str | Path, method: str, flag: str = "--data_path") -> list[Prompt]:
    """The prompts of a file, see `read_prompt_file`."""
    return read_prompt_file(path, method, flag).prompts


def read_prompt_file(path: str | Path, method: str, flag: str = "--data_path") -> PromptFile:
    """Read and check a prompt file. In files without ids, such as the original system's, the row number is the id.

    Args:
        method: `direct` or `channel`, which determines the fields of prompt and completion.
        flag: The flag that named the file, for messages.

    Raises:
        InputError: The file is invalid; the message names file, row and field, what was found and what was expected.
    """
    rows, sha256 = read_hashed_json(path, flag)
    if not isinstance(rows, list):
        raise InputError(f"{path}: expected a list of examples, found {kind(rows)} ({flag})")
    if not rows:
        raise InputError(f"{path}: the list of examples is empty ({flag})")
    prompts, seen = [], {}
    for number, row in enumerate(rows):
        prompt = read_row(row, number, method, f"{path}: row {number}")
        if prompt.id in seen:
            raise InputError(f"{path}: row {number}: duplicate id {prompt.id!r}, first in row {seen[prompt.id]}")
        seen[prompt.id] = number
        prompts.append(prompt)
    return PromptFile(Path(path), prompts, sha256)


def read_row(row: Any, number: int, method: str, place: str) -> Prompt:
    """One object of a prompt file, checked; messages begin with `place`."""
    if not isinstance(row, dict):
        raise InputError(f"{place}: expected an object, found {kind(row)}")
    for field in ("prompt", "completion", "text", "label_words", "ground_truth"):
        if field not in row:
            raise InputError(f"{place}: field {field!r} is missing")
    values = {"id": str(number)} | DEFAULTS | row
    for field in ("id", "prompt", "completion", "text", "ground_truth", "separator"):
        if not isinstance(values[field], str):
            raise InputError(f"{place}: {field!r} is {kind(values[field])}, expected a string")
    if values["group"] is not None and not isinstance(values["group"], str):
        raise InputError(f"{place}: 'group' is {kind(values['group'])}, expected a string")
    check_label_words(values["label_words"], place)
    if values["ground_truth"] not in values["label_words"]:
        raise InputError(f"{place}: ground_truth {values['ground_truth']!r}, expected one of {values['label_words']}")
    fields = (
        {"prompt": TEXT, "completion": LABEL_WORD} if method == "direct" else {"prompt": LABEL_WORD, "completion": TEXT}
    )
    for name, field in fields.items():
        if field not in values[name]:
            raise InputError(f"{place}: {name!r} has no {field}, which the {method} method requires")
    known = {key: values[key] for key in Prompt.__dataclass_fields__}
    # Most examples have the same prompt, of several thousand characters with demonstrations: one object for all.
    return Prompt(**known | {"prompt": sys.intern(values["prompt"]), "label_words": tuple(values["label_words"])})


def check_label_words(label_words: Any, place: str) -> None:
    """Raises InputError unless `label_words` is a list of at least two distinct, non-empty strings."""
    if not isinstance(label_words, list) or not all(isinstance(word, str) for word in label_words):
        raise InputError(f"{place}: 'label_words' is not a list of strings")
    if len(label_words) < 2:
        raise InputError(f"{place}: 'label_words' has {len(label_words)}, expected at least two")
    seen: dict[str, str] = {}
    for word in label_words:
        read = unicodedata.normalize("NFC", word.strip())
        if not read:
            raise InputError(f"{place}: 'label_words' contains an empty string")
        if seen.get(read) == word:
            raise InputError(f"{place}: 'label_words' contains {word!r} twice")
        if read in seen:
            raise InputError(f"{place}: 'label_words' contains {seen[read]!r} and {word!r}, which look the same")
        seen[read] = word


def kind(value: Any) -> str:
    """The JSON type of a value, for messages."""
    names = {dict: "an object", list: "a list", str: "a string", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
