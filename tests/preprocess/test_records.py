"""Rows of JSON, JSON Lines and Parquet: values keep their types, and invalid ones have a message."""

import gzip
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from preprocess.errors import InputError
from preprocess.records import parquet_features, read_json_lines, read_json_rows, read_parquet

ROWS: list[dict[str, Any]] = [
    {"text": "2020-01-01T00:00:00Z", "label": 1, "unused": 1},
    {"text": "01", "label": True, "unused": "another type"},
    {"text": None, "label": 1.0, "unused": {"deep": [1, "a"]}, "more": 1},
    {"text": "\u2028 \x00 { } \u202e", "label": "1"},
]


def types(rows: list[dict[str, Any]]) -> str:
    return repr(rows)  # to tell 1, 1.0 and True apart


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_lines_keep_their_types(name: str, encoding: str, tmp_path: Path):
    content = "\n\n".join(json.dumps(row, ensure_ascii=False) for row in ROWS).encode(encoding)
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    found = list(read_json_lines(tmp_path / name, "utf-8" if encoding == "utf-8-sig" else encoding))
    assert types([row for _, row in found]) == types(ROWS)
    assert [line for line, _ in found] == [1, 3, 5, 7]


@pytest.mark.parametrize("indent", [None, 2])
def test_a_list_keeps_its_types(indent: int | None, tmp_path: Path):
    (tmp_path / "a.json").write_text(json.dumps(ROWS, indent=indent), encoding="utf-8-sig")
    assert types([row for _, row in read_json_rows(tmp_path / "a.json", "utf-8")]) == types(ROWS)


def test_json_may_be_json_lines(tmp_path: Path):
    (tmp_path / "a.json").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    assert types([row for _, row in read_json_rows(tmp_path / "a.json", "utf-8")]) == types(ROWS)


def test_half_a_surrogate_pair_is_the_replacement_character(tmp_path: Path):
    (tmp_path / "a.jsonl").write_text('{"text": "a\\ud800b"}\n{"text": "\\uD83D\\uDE00"}\n')
    assert [row["text"] for _, row in read_json_lines(tmp_path / "a.jsonl", "utf-8")] == ["a\ufffdb", "😀"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", '{"text": "a"}\n{"text": \n', "a.jsonl: line 2: not JSON: column 9: Expecting value"),
        ("a.jsonl", '{"text": "a"}\n["b"]\n', "a.jsonl: line 2: expected an object, found \"['b']\""),
        ("a.jsonl", '{"text": "a"}{"text": "b"}\n', "a.jsonl: line 1: not JSON: column 14: Extra data"),
        ("a.jsonl", '\n{"text": "a", "text": "b"}\n', "a.jsonl: line 2: invalid: duplicate key 'text'"),
        ("a.jsonl", '{"text": "a\x00"}\n', "a.jsonl: line 1: not JSON: column 12: Invalid control character"),
        ("a.jsonl", '{"label": ' + "1" * 5000 + "}\n", "a.jsonl: line 1: invalid: Exceeds the limit"),
        ("a.jsonl", '{"a":' + "[" * 100_000, "a.jsonl: line 1: invalid: maximum recursion depth"),
        ("a.jsonl", b'{"text": "a"}\n{"text": "\xe9"}\n', "a.jsonl: line 2: not utf-8: 0xe9"),
        ("a.json", '[{"text": "a"},\n{"text": }]', "a.json: not JSON: line 2 column 10: Expecting value"),
        ("a.json", '[{"text": "a"},\n 3]', "a.json: row 1: expected an object, found '3'"),
        ("a.json", '{"data": [\n{"text": "a"}]}', "a.json: expected a list of objects, found one with the keys data"),
        ("a.json", '{"text": "a"}\n{"text": \n', "a.json: line 2: not JSON: column 9"),
        ("a.json", "3", "a.json: expected a list of objects, found int"),
        ("a.json", " ", "a.json: not JSON: column 2: Expecting value"),
    ],
)
def test_invalid_rows_are_named(name: str, content: str | bytes, message: str, tmp_path: Path):
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    read = read_json_lines if name == "a.jsonl" else read_json_rows
    with pytest.raises(InputError) as error:
        list(read(tmp_path / name, "utf-8"))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_parquet_gives_the_columns_that_are_needed(tmp_path: Path):
    rows = [{"text": "a", "label": 1, "date": datetime(2020, 1, 1), "image": b"no image"}]
    path = tmp_path / "a.parquet"
    parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    assert list(read_parquet(path, ["text", "label"])) == [(None, {"text": "a", "label": 1})]
    ((_, row),) = read_parquet(path, ["text", "none"], ["image"])
    assert list(row) == ["text", "label", "date"]
    assert list(read_parquet(path, None)) == [(None, rows[0])]
    assert list(parquet_features(path)) == ["text", "label", "date", "image"]


@pytest.mark.parametrize("read", [lambda path: list(read_parquet(path, None)), parquet_features])
def test_damaged_parquet_is_named(read, tmp_path: Path):
    (tmp_path / "a.parquet").write_bytes(b"PAR1 and no more of it")
    with pytest.raises(InputError, match=r"a\.parquet: not readable as parquet: ."):
        read(tmp_path / "a.parquet")
