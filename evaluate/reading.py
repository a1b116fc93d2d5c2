"""Predictions files as results: found, read, and checked against their meta files and their prompts."""

import gc
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from evaluate.predictions import Predictions, check_row, read_predictions
from evaluate.result import Result
from preprocess.errors import InputError
from preprocess.files import read_hashed_json, read_json


def read_results(paths: Sequence[str]) -> list[Result]:
    """All results that `paths` name, read, checked, and sorted by data set, checkpoint, k, seed and method.

    Raises:
        InputError: See `find_files`, `read_checked`.
    """
    with no_garbage_collection():
        return sorted((Result(read_checked(path)) for path in find_files(paths)), key=lambda result: result.sort_key)


@contextmanager
def no_garbage_collection() -> Iterator[None]:
    """Rows have no cycles, but the collector walks through all of them again and again: two thirds of the time that
    it takes to read some millions. What is read meanwhile is left out of later walks too."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.freeze()
            gc.enable()


def find_files(paths: Sequence[str]) -> list[Path]:
    """The predictions files that `paths` name.

    Raises:
        InputError: A path that does not exist, or a folder without predictions.
    """
    files: list[Path] = []
    for path in map(Path, paths):
        if path.is_dir():
            inside = sorted(file for file in path.rglob("outputs_*.json") if not file.name.endswith(".meta.json"))
            if not inside:
                raise InputError(f"{path}: no outputs_*.json in it")
            files += inside
        elif path.is_file():  # a shell's outputs_*.json names the meta files as well
            files += [] if path.name.endswith(".meta.json") else [path]
        else:
            raise InputError(f"{path}: no such file or folder")
    return list(dict.fromkeys(files))


def read_checked(path: Path) -> Predictions:
    """A predictions file that belongs together with its meta file and, where that is at hand, with its input.

    Raises:
        InputError: Says what does not fit.
    """
    predictions = read_predictions(path, "FILES")
    share_label_words(predictions.rows)
    meta = predictions.meta
    if meta is None:  # an earlier file, or one of another program: nothing but its name says what it was made from
        complete_by_name(predictions)
        return predictions
    if meta.get("num_examples") != len(predictions.rows):
        raise InputError(f"{path}: {len(predictions.rows)} rows, its meta file says {meta.get('num_examples')}")
    inputs = Path(meta.get("prompt_path") or "")
    if inputs.is_file():
        prompts, sha256 = read_hashed_json(inputs, "FILES")
        if sha256 != meta.get("prompt_sha256"):
            raise InputError(f"{path}: was made from another version of {inputs}; evaluate again or restore that file")
        differs = difference_from(predictions.rows, prompts, inputs)
        if differs is not None:
            raise InputError(f"{path}: {differs}")
        complete(predictions, prompts)
    return predictions


def share_label_words(rows: Sequence[dict[str, Any]]) -> None:
    """Keep equal lists of label words once: of a thousand classes they are most of the file."""
    seen: dict[tuple[str, ...], list[str]] = {}
    for row in rows:
        if "label_words" in row:
            row["label_words"] = seen.setdefault(tuple(row["label_words"]), row["label_words"])


def complete_by_name(predictions: Predictions) -> None:
    """Fill in what the prompt file of its name tells, if one is at hand that fits; a line says where none does."""
    refused = []
    for inputs in inputs_by_name(predictions.path):
        prompts = read_json(inputs, "FILES")
        differs = difference_from(predictions.rows, prompts, inputs)
        if differs is None:
            complete(predictions, prompts)
            return
        refused.append(differs)
    if refused:
        print(f"warning: {predictions.path}: no prompt file of its name fits: {'; '.join(refused)}", file=sys.stderr)


def inputs_by_name(path: Path) -> list[Path]:
    """The prompt files that the name of a predictions file tells: beside it, else where scripts put them."""
    parts = path.name.removeprefix("outputs_").split("_")
    kind = "channel" if parts[0] == "channel" else "direct"
    names = [f"inputs_{kind}_{'_'.join(parts[begin:])}" for begin in range(1, len(parts))]
    candidates = [folder / name for folder in (path.parent, Path("real"), Path("samples")) for name in names]
    return [candidate for candidate in candidates if candidate.is_file()]


def difference_from(rows: Sequence[dict[str, Any]], prompts: Sequence[dict[str, Any]], inputs: Path) -> str | None:
    """What says that predictions were not made from these prompts; None where nothing does. Rows of other programs may
    have no ids."""
    if not isinstance(prompts, list) or not all(isinstance(row, dict) and "ground_truth" in row for row in prompts):
        return f"{inputs} is no prompt file"
    if len(prompts) != len(rows):
        return f"{len(rows)} rows for {len(prompts)} examples of {inputs}"
    for number, (prompt, row) in enumerate(zip(prompts, rows, strict=True)):
        expected = prompt.get("id", str(number)), prompt["ground_truth"]
        found = row["id"], row.get("ground_truth", prompt["ground_truth"])
        if found != expected and found != (str(number), expected[1]):
            return f"row {number} is {found}, in {inputs} it is {expected}"
    return None


def complete(predictions: Predictions, prompts: Sequence[dict[str, Any]]) -> None:
    """Fill in what rows leave out and the prompt file tells: id, label words, ground truth, page.

    Raises:
        InputError: The scores are not as many as the label words.
    """
    for number, (prompt, row) in enumerate(zip(prompts, predictions.rows, strict=True)):
        row["id"] = prompt.get("id", str(number))
        missing = [f for f in ("label_words", "ground_truth", "group") if f not in row and prompt.get(f) is not None]
        if missing:
            row |= {field: prompt[field] for field in missing}
            check_row(row, f"{predictions.path}: row {number}")
