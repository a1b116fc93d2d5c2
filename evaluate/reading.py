"""Finds and reads predictions files, and checks them against their meta files and prompt files."""

import gc
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from evaluate.predictions import Predictions, check_row, read_predictions
from evaluate.result import Result
from preprocess.errors import InputError
from preprocess.files import meta_path, read_hashed_json, read_json
from preprocess.schema import PROMPT_META, check

FIELDS = ("id", "label_words", "ground_truth", "group")  # of prompts: what predictions are checked against


class PromptRows(NamedTuple):
    """A prompt file without its texts.

    Args:
        rows: The content; rows of a prompt file keep only FIELDS.
        sha256: Of the file.
    """

    rows: Any
    sha256: str


def read_results(paths: Sequence[str]) -> list[Result]:
    """All results in `paths`, checked and sorted by data set, checkpoint, k, seed and method.

    Raises:
        InputError: See `find_files`, `read_checked`.
    """
    files: dict[Path, PromptRows] = {}
    with no_garbage_collection():
        results = (Result(read_checked(path, files)) for path in find_files(paths))
        return sorted(results, key=lambda result: result.sort_key)


@contextmanager
def no_garbage_collection() -> Iterator[None]:
    """Disable the garbage collector while rows are read: they have no cycles, but it takes two thirds of the time for
    some millions of rows. Later collections skip these objects too."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.freeze()
            gc.enable()


def find_files(paths: Sequence[str]) -> list[Path]:
    """The predictions files in `paths`.

    Raises:
        InputError: A path does not exist, or a folder contains no predictions.
    """
    files: list[Path] = []
    for path in map(Path, paths):
        if path.is_dir():
            inside = sorted(file for file in path.rglob("outputs_*.json") if not file.name.endswith(".meta.json"))
            if not inside:
                raise InputError(f"{path}: contains no outputs_*.json")
            files += inside
        elif path.is_file():  # the shell pattern outputs_*.json also matches meta files
            files += [] if path.name.endswith(".meta.json") else [path]
        else:
            raise InputError(f"{path}: no such file or folder")
    return list(dict.fromkeys(files))


def read_checked(path: Path, files: dict[Path, PromptRows] | None = None) -> Predictions:
    """A predictions file, checked against its meta file and, if available, its prompt file.

    Args:
        files: The prompt files that were read before; those read now are added.

    Raises:
        InputError: They do not match; the message names the difference.
    """
    files = {} if files is None else files
    predictions = read_predictions(path, "FILES")
    share_label_words(predictions.rows)
    meta = predictions.meta
    if meta is None:  # of another program: only its name identifies its prompts
        return complete_by_name(predictions, files)
    if meta.get("num_examples") != len(predictions.rows):
        raise InputError(f"{path}: {len(predictions.rows)} rows, but its meta file states {meta.get('num_examples')}")
    inputs = Path(meta.get("prompt_path") or "")
    if inputs.is_file():
        prompts, sha256 = read_prompts(inputs, files)
        if sha256 != meta.get("prompt_sha256"):
            raise InputError(
                f"{path}: was made from another version of {inputs}; evaluate again, or restore the prompt file"
            )
        differs = difference_from(predictions.rows, prompts, inputs)
        if differs is not None:
            raise InputError(f"{path}: {differs}")
        complete(predictions, prompts)
    return predictions


def read_prompts(path: Path, files: dict[Path, PromptRows]) -> PromptRows:
    """A prompt file, which is read only once: a draw has a predictions file for each method and calibration."""
    if path not in files:
        rows, sha256 = read_hashed_json(path, "FILES")
        if isinstance(rows, list) and all(isinstance(row, dict) for row in rows):
            rows = [{name: row[name] for name in FIELDS if name in row} for row in rows]
            share_label_words(rows)
        files[path] = PromptRows(rows, sha256)
    return files[path]


def share_label_words(rows: Sequence[dict[str, Any]]) -> None:
    """Store equal lists of label words once: with a thousand classes they are most of the file."""
    seen: dict[tuple[str, ...], list[str]] = {}
    for row in rows:
        words = row.get("label_words")
        if isinstance(words, list) and all(isinstance(word, str) for word in words):
            row["label_words"] = seen.setdefault(tuple(words), words)


def complete_by_name(predictions: Predictions, files: dict[Path, PromptRows]) -> Predictions:
    """Complete rows from the prompt file that has the same name, and take data set, k and seed from its meta file.

    If prompt files have this name but none matches, print a warning.
    """
    refused = []
    for method, inputs in inputs_by_name(predictions.path):
        prompts = read_prompts(inputs, files).rows
        differs = difference_from(predictions.rows, prompts, inputs)
        if differs is None:
            complete(predictions, prompts)
            about = meta_path(inputs)
            prompt = check(read_json(about, "FILES"), PROMPT_META, str(about)) if about.is_file() else None
            return replace(predictions, meta={"method": method, "prompt": prompt}) if prompt else predictions
        refused.append(differs)
    if refused:
        print(f"warning: {predictions.path}: no matching prompt file: {'; '.join(refused)}", file=sys.stderr)
    return predictions


def inputs_by_name(path: Path) -> list[tuple[str, Path]]:
    """Existing prompt files with the name of a predictions file, in its folder or in the scripts' output folders, and
    the method that its name then states: mine and inputs_direct_x.json for outputs_mine_x.json."""
    parts = path.name.removeprefix("outputs_").split("_")
    kind = "channel" if parts[0] == "channel" else "direct"
    names = {begin: f"inputs_{kind}_{'_'.join(parts[begin:])}" for begin in range(1, len(parts))}
    candidates = [
        ("_".join(parts[:begin]), folder / name)
        for folder in (path.parent, Path("real"), Path("samples"))
        for begin, name in names.items()
    ]
    return [(method, candidate) for method, candidate in candidates if candidate.is_file()]


def difference_from(rows: Sequence[dict[str, Any]], prompts: Sequence[dict[str, Any]], inputs: Path) -> str | None:
    """How predictions differ from prompts; None if they match. Rows of other programs may have no ids."""
    if not isinstance(prompts, list) or not all(isinstance(row, dict) and "ground_truth" in row for row in prompts):
        return f"{inputs} is not a prompt file"
    if len(prompts) != len(rows):
        return f"{len(rows)} rows, but {inputs} has {len(prompts)} examples"
    for number, (prompt, row) in enumerate(zip(prompts, rows, strict=True)):
        expected = prompt.get("id", str(number)), prompt["ground_truth"]
        found = row["id"], row.get("ground_truth", prompt["ground_truth"])
        if found != expected and found != (str(number), expected[1]):
            return f"row {number} is {found}, but {expected} in {inputs}"
    return None


def complete(predictions: Predictions, prompts: Sequence[dict[str, Any]]) -> None:
    """Fill in missing fields of rows from the prompt file.

    Raises:
        InputError: A row does not fit, such as by the number of its scores.
    """
    for number, (prompt, row) in enumerate(zip(prompts, predictions.rows, strict=True)):
        row["id"] = prompt.get("id", str(number))
        missing = [name for name in FIELDS if name not in row and prompt.get(name) is not None]
        if missing:
            row |= {field: prompt[field] for field in missing}
            check_row(row, f"{predictions.path}: row {number}")
