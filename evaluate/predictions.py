"""Predictions files and their meta files, from which the tables are made."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from preprocess.errors import InputError
from preprocess.files import encode_json, is_unfinished, mark_of, meta_path, read_hashed_json, read_json, write_pair
from preprocess.prompts import Prompt
from preprocess.schema import PREDICTIONS_META, Schema, check

IDENTITY = ("method", "prompt_sha256", "fingerprint", "settings")  # they determine a result


@dataclass(frozen=True)
class Predictions:
    """The content of a predictions file.

    Args:
        path: The file.
        rows: Its objects; the row number is the id of rows without one.
        meta: Its meta file; None if there is none.
        sha256: SHA-256 of the bytes that the rows were read from.
    """

    path: Path
    rows: list[dict[str, Any]]
    meta: dict[str, Any] | None
    sha256: str


def sha256(path: str | Path) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def prediction_row(prompt: Prompt, prediction: str | None, details: dict[str, Any]) -> dict[str, Any]:
    """One object of a predictions file; `details` are the scores or the text that determine the prediction."""
    row = {
        "id": prompt.id,
        "label_words": list(prompt.label_words),
        "ground_truth": prompt.ground_truth,
        "prediction": prediction,
        "correct": prediction == prompt.ground_truth,
    }
    if prompt.group is not None:
        row["group"] = prompt.group
    return row | details


def write_predictions(
    path: Path, rows: Sequence[dict[str, Any]], meta: dict[str, Any], scratch: Path | None = None
) -> None:
    """Write a predictions file, then its meta file with the hash of the first. A result is finished if both exist.

    Args:
        scratch: Folder for temporary files, on the same disk; None: the folder of `path`.
    """
    content = encode_json(list(rows))
    meta = meta | {"output_sha256": hashlib.sha256(content).hexdigest()}
    write_pair(path, content, encode_json(meta), scratch)


def read_predictions(path: str | Path, flag: str) -> Predictions:
    """Read and check a predictions file. Files of the original system have no ids, ground truths or meta file.

    Raises:
        InputError: The file is not a list of predictions, or does not match its meta file.
    """
    path = Path(path)
    rows, digest = read_hashed_json(path, flag)
    if not isinstance(rows, list) or not rows:
        raise InputError(f"{path}: expected a non-empty list of predictions ({flag})")
    seen: set[str] = set()
    for number, row in enumerate(rows):
        check_row(row, f"{path}: row {number}")
        row.setdefault("id", str(number))
        if row["id"] in seen:
            raise InputError(f"{path}: row {number}: duplicate id {row['id']!r}")
        seen.add(row["id"])
    meta = read_meta(path, flag, PREDICTIONS_META)
    if meta is not None and meta.get("output_sha256") != digest:
        raise InputError(
            f"{path}: does not match {meta_path(path).name}: it was edited, or is from another run;"
            " evaluate again with --overwrite"
        )
    return Predictions(path, rows, meta, digest)


def read_meta(path: Path, flag: str, schema: Schema) -> dict[str, Any] | None:
    """The meta file of a predictions or prompt file; None if there is none.

    Args:
        schema: PREDICTIONS_META or PROMPT_META.

    Raises:
        InputError: The meta file does not fit the schema.
    """
    if not meta_path(path).exists():
        return None
    return check(read_json(meta_path(path), flag), schema, str(meta_path(path)))


def check_row(row: Any, place: str) -> None:
    """Raises InputError if a field that readers use is missing or invalid; other fields are not checked."""
    if not isinstance(row, dict):
        raise InputError(f"{place}: expected an object")
    for field in ("prediction", "correct"):
        if field not in row:
            raise InputError(f"{place}: field {field!r} is missing")
    if not isinstance(row["correct"], bool) or not isinstance(row["prediction"], str | None):
        raise InputError(f"{place}: expected 'prediction' to be a string or null, and 'correct' to be true or false")
    if not isinstance(row.get("id", ""), str):
        raise InputError(f"{place}: 'id' is {row['id']!r}, expected a string")
    if "ground_truth" in row and row["correct"] != (row["prediction"] == row["ground_truth"]):
        raise InputError(f"{place}: 'correct' is {row['correct']}, which contradicts prediction and ground_truth")
    words = row.get("label_words")
    if "label_words" in row and not (isinstance(words, list) and words and set(map(type, words)) == {str}):
        raise InputError(f"{place}: 'label_words' is {words!r}, expected a non-empty list of strings")
    if words and row["prediction"] is not None and row["prediction"] not in words:
        raise InputError(
            f"{place}: prediction {row['prediction']!r} is no label word ({', '.join(words)}); null means no answer"
        )
    for field in ("ground_truth", "generation", "group"):
        if not isinstance(row.get(field, ""), str):
            raise InputError(f"{place}: {field!r} is {row[field]!r}, expected a string")
    for field in ("log_probs", "score"):
        if row.get(field) is not None:
            check_numbers(row, field, len(words) if words else None, place)


def check_numbers(row: dict[str, Any], field: str, count: int | None, place: str) -> None:
    """Raises InputError unless `field` is a list of `count` finite numbers; None: of any number of them."""
    values = row.get(field)
    if not isinstance(values, list) or (count is not None and len(values) != count):
        raise InputError(f"{place}: expected {field!r} with one number for each label word")
    if not (set(map(type, values)) <= {float, int} and all(map(math.isfinite, values))):
        raise InputError(f"{place}: {field!r} contains something other than finite numbers")


def finished(path: Path, identity: dict[str, Any], overwrite: bool, begun: bool) -> dict[str, Any] | None:
    """The meta file of a finished result with the same identity; None if it does not exist or will be replaced.

    Args:
        identity: The inputs that determine the result.
        overwrite: Whether an existing result is replaced.
        begun: Whether there are partial results: an output without meta file was then interrupted between the two.

    Raises:
        InputError: The output is another result; the message names what differs.
    """
    if overwrite or not path.exists():
        return None
    if not meta_path(path).exists():
        if begun or is_unfinished(path):
            return None
        raise InputError(f"{path}: exists without a meta file; --overwrite replaces it")
    meta = read_predictions(path, "--output_path").meta or {}
    check_same(f"{path}: exists", meta, {key: identity[key] for key in IDENTITY})
    mark_of(path).unlink(missing_ok=True)  # of a writer that was killed in its last moment
    return meta


def check_same(what: str, found: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Raises InputError if an entry of `wanted` differs in `found`; the message names the difference."""
    for key in wanted:
        if found.get(key) != wanted[key]:
            other, ours = difference(found.get(key), wanted[key])
            raise InputError(
                f"{what} with {key} {other}, now {ours}; --overwrite replaces it, another --output_path keeps it"
            )


def difference(found: Any, wanted: Any) -> tuple[Any, Any]:
    """Two values for a message: of objects only the entries that differ, of hashes the beginnings."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        keys = [key for key in wanted | found if found.get(key) != wanted.get(key)]
        pairs = {key: difference(found.get(key), wanted.get(key)) for key in keys}
        return {key: pair[0] for key, pair in pairs.items()}, {key: pair[1] for key, pair in pairs.items()}
    return tuple(
        value[:12] + "…" if isinstance(value, str) and len(value) == 64 else value for value in (found, wanted)
    )
