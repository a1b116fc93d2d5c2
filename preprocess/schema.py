"""Schemas of this project's JSON files, checked whenever a file is read.

Entries may be missing or null, as in files of other programs and earlier versions. Entries that are not declared are
not checked.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from preprocess.errors import InputError
from preprocess.files import LARGEST


@dataclass(frozen=True)
class Kind:
    """The type of an entry.

    Args:
        expected: Its description, for messages.
        fits: Whether a value is of this type.
    """

    expected: str
    fits: Callable[[Any], bool]


def is_count(value: Any) -> bool:
    """Whether a value is a whole number, 0 or more."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < LARGEST


def is_amount(value: Any) -> bool:
    """Whether a value is a finite number, 0 or more."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and 0 <= value < LARGEST and math.isfinite(value)


TEXT = Kind("a string", lambda value: isinstance(value, str))
FLAG = Kind("true or false", lambda value: isinstance(value, bool))
COUNT = Kind("a whole number, 0 or more", is_count)
AMOUNT = Kind("a finite number, 0 or more", is_amount)
OBJECT = Kind("an object", lambda value: isinstance(value, dict))
TEXTS = Kind("a list of strings", lambda value: isinstance(value, list) and all(isinstance(v, str) for v in value))
OBJECTS = Kind("a list of objects", lambda value: isinstance(value, list) and all(isinstance(v, dict) for v in value))
COUNTS = Kind(
    "an object of whole numbers", lambda value: isinstance(value, dict) and all(is_count(v) for v in value.values())
)

Schema = Mapping[str, "Kind | Schema"]

PROMPT_META: Schema = {
    **dict.fromkeys(("dataset", "dataset_path", "split", "method", "demonstrations_path"), TEXT),
    **dict.fromkeys(("k", "seed", "limit", "shuffle", "order", "num_examples", "train_pages", "max_demo_words"), COUNT),
    **dict.fromkeys(("demonstrations", "label_words"), TEXTS),
    **dict.fromkeys(("train_counts", "test_counts", "dropped_without_text"), COUNTS),
    "template": OBJECT,
}
HASHES = ("prompt_sha256", "output_sha256", "fingerprint", "model_sha256", "git_commit")
IDENTITY: Schema = {
    **dict.fromkeys(("method", "prompt_sha256", "fingerprint"), TEXT),
    "settings": {
        **dict.fromkeys(("calibration", "normalize", "dtype", "direct_sha256", "channel_sha256"), TEXT),
        "score_eos": FLAG,
        "max_seq_len": COUNT,
        "seed": COUNT,
    },
}
PREDICTIONS_META: Schema = {
    **IDENTITY,
    **dict.fromkeys(HASHES, TEXT),
    **dict.fromkeys(("prompt_path", "checkpoint", "checkpoint_path", "dtype", "device"), TEXT),
    **dict.fromkeys(("num_examples", "tokens_computed", "tokens_scored", "ties"), COUNT),
    **dict.fromkeys(("world_size", "model_parallel_size", "threads"), COUNT),
    **dict.fromkeys(("configuration", "versions", "rope_scaling"), OBJECT),
    "seconds": AMOUNT,
    "cut": TEXTS,
    "content_free": OBJECTS,
    "prompt": PROMPT_META,
}
RUN: Schema = {
    "configuration": {**dict.fromkeys(("pages", "training", "lora", "lightning"), OBJECT), "output_dir": TEXT},
    "versions": OBJECT,
    "git_commit": TEXT,
    "threads": COUNT,
}
TRAINED: Schema = {"best_step": COUNT, "steps": COUNT, "training_seconds": AMOUNT}
BATCHES_BEGUN: Schema = {**IDENTITY, "plan": OBJECT}
SESSION: Schema = {"session": COUNT}
BATCH: Schema = {
    "batch": COUNT,
    "seconds": AMOUNT,
    "results": Kind(
        "a list of pairs of a number and its result",
        lambda value: isinstance(value, list) and all(isinstance(v, list) and v and is_count(v[0]) for v in value),
    ),
}


def check(content: Any, schema: Schema, place: str, needed: bool = False) -> dict[str, Any]:
    """`content`, checked against a schema.

    Args:
        place: The beginning of messages.
        needed: Whether all entries are required.

    Raises:
        InputError: An entry is invalid; the message names it, what was found and what was expected.
    """
    if not isinstance(content, dict):
        raise InputError(f"{place}: {shown(content)}, expected an object")
    for key, kind in schema.items():
        value = content.get(key)
        if value is None:
            if needed and not (isinstance(kind, Kind) and key in content):
                raise InputError(f"{place}: {key!r} is missing")
        elif not isinstance(kind, Kind):
            check(value, kind, f"{place}: {key!r}")
        elif not kind.fits(value):
            raise InputError(f"{place}: {key!r} is {shown(value)}, expected {kind.expected}")
    return content


def shown(value: Any) -> str:
    """A value for a message, shortened to a line."""
    try:
        text = repr(value)
    except ValueError:  # a number with thousands of digits
        return "a number with too many digits"
    return text if len(text) <= 80 else f"{text[:80]}…"
