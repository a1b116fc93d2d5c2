"""Entries of our own files have the declared types, also in the shipped files."""

import json
from pathlib import Path
from typing import Any

import pytest

from preprocess.errors import InputError
from preprocess.schema import BATCH, BATCHES_BEGUN, PREDICTIONS_META, PROMPT_META, RUN, Kind, Schema, check

VALUES = [
    True,
    -1,
    1.5,
    float("nan"),
    float("inf"),
    10**400,
    10**9999,
    "x" * 200,
    "",
    [],
    [1],
    ["a"],
    [[1, 2]],
    [{}],
    {},
    {"a": 1},
]
SCHEMAS = {"prompt": PROMPT_META, "meta": PREDICTIONS_META, "run": RUN, "header": BATCHES_BEGUN, "batch": BATCH}


def flat(schema: Schema, above: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], Kind | None]]:
    """Each entry by its keys; nested ones have no kind."""
    found = []
    for key, kind in schema.items():
        found += (
            [((*above, key), kind)] if isinstance(kind, Kind) else [((*above, key), None), *flat(kind, (*above, key))]
        )
    return found


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_entry_has_its_kind_or_is_refused(name: str):
    for keys, kind in flat(SCHEMAS[name]):
        for value in VALUES:
            content: Any = value
            for key in reversed(keys):
                content = {key: content}
            if isinstance(value, dict) if kind is None else kind.fits(value):
                assert check(content, SCHEMAS[name], "x.json") == content
            elif not (kind is None and isinstance(value, dict)):
                with pytest.raises(InputError) as caught:
                    check(content, SCHEMAS[name], "x.json")
                line = str(caught.value)
                assert line.startswith("x.json: ")
                assert "expected" in line
                assert f"{keys[-1]!r}" in line
                assert len(line) < 220
        assert check({keys[0]: None}, SCHEMAS[name], "x.json")  # not known


def test_a_batch_needs_all():
    for key in BATCH:
        whole = {"batch": 0, "seconds": 0.5, "results": [[0, "x"]]}
        assert check(whole, BATCH, "x", needed=True) == whole
        with pytest.raises(InputError, match=rf"^x: '{key}' is missing$"):
            check({other: value for other, value in whole.items() if other != key}, BATCH, "x", needed=True)


@pytest.mark.parametrize("content", [None, [], "x", 3])
def test_non_objects_are_refused(content: object):
    with pytest.raises(InputError, match=r"^x\.meta\.json: .*, expected an object$"):
        check(content, PROMPT_META, "x.meta.json")


def test_shipped_files_are_declared(root: Path):
    for path in (root / "samples").glob("*.meta.json"):
        schema = PREDICTIONS_META if path.name.startswith("outputs") else PROMPT_META
        content = json.loads(path.read_text())
        assert check(content, schema, path.name) == content
        assert set(content) <= set(schema)
