"""Tables in all formats that a YAML file can describe: files, labels, ids, divisions; and messages for others."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset

from options import parse
from preprocess.build import PromptOptions
from preprocess.errors import InputError
from preprocess.files import meta_path, read_json
from preprocess.tables import LabelOptions, PreprocessConfig, preprocess_config

Write = Callable[..., tuple[list[dict[str, Any]], dict[str, Any]]]


def write_films(tmp_path: Path, content: str | bytes, name: str = "test.csv", more: str = "", **keys: str) -> Path:
    """A data set of one table and its YAML file, with changed keys."""
    definition = {"text": "text", "label": "label", "label_words": "[Bad, Good]"} | keys
    lines = [f"{key}: {value}" for key, value in ({"dataset": "films", "path": tmp_path / "set"} | definition).items()]
    template = "template: |\n  Film: {text}\n  Verdict: {label_word}\nk: 0\n"
    (tmp_path / "films.yaml").write_text("\n".join([*lines, template + more]), encoding="utf-8")
    (tmp_path / "set").mkdir(exist_ok=True)
    (tmp_path / "set" / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return tmp_path / "films.yaml"


def pairs(prompts: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(row["text"], row["ground_truth"]) for row in prompts]


@pytest.mark.parametrize(
    ("content", "name", "keys", "expected"),
    [
        ("text,label\na,01\nb,1\nc,2\n", "test.csv", {"label_words": "{01: X, 1: Y, 2: Z}"}, "aX bY cZ"),
        ("text,label,\na,True,\nb,False,\n", "test.csv", {"label_words": "{True: X, False: Y}"}, "aX bY"),
        ("label;text\n1;a\n0;b\n", "test.csv", {}, "aGood bBad"),
        ("label\ttext\n1\ta\n0\tb\n", "test.tsv", {}, "aGood bBad"),
        ("label|text\n1|a;b\n", "test.csv", {"delimiter": "'|'", "first_label": "1"}, "a;bBad"),
        ("text,label\n\xe9,1\nb,0\n".encode("latin-1"), "test.csv", {"encoding": "latin-1"}, "\xe9Good bBad"),
        ("text,label\n\xe9,1\nb,0\n".encode("utf-8-sig"), "test.csv", {}, "\xe9Good bBad"),
        ("text,label\n\xe9,1\nb,0\n".encode("utf-16"), "test.csv", {"encoding": "utf-16"}, "\xe9Good bBad"),
        (gzip.compress(b"text,label\na,1\nb,0\n", mtime=0), "test.csv.gz", {}, "aGood bBad"),
        (gzip.compress(b'{"text": "a", "label": 0}', mtime=0), "test.jsonl.gz", {}, "aBad"),
        ('{"text": "2020-01-01", "label": false}', "test.jsonl", {"label_words": "{false: X, true: Y}"}, "2020-01-01X"),
        ('[{"text": 7, "label": 1.0}, {"text": "b", "label": 0}]', "test.json", {}, "7Good bBad"),
        (
            '{"text": "a", "label": {"name": "y"}}\n{"text": "b", "label": {"name": "x"}}',
            "test.jsonl",
            {"label": "label.name", "label_words": "[x, y]"},
            "ay bx",
        ),
        ('{"label.name": 0, "label": 1, "text": "a"}', "test.jsonl", {"label": "label.name"}, "aBad"),
        ('{"in": {"text": "a"}, "label": 0}', "test.jsonl", {"text": "in.text"}, "aBad"),
    ],
)
def test_tables_are_read_as_intended(
    content: str | bytes, name: str, keys: dict[str, str], expected: str, tmp_path: Path, write: Write
):
    prompts, _ = write(write_films(tmp_path, content, name, **keys), "")
    assert " ".join(text + word for text, word in pairs(prompts)) == expected


def test_unused_columns_are_ignored(tmp_path: Path, write: Write):
    rows = [{"text": "a", "label": 0, "unused": 1}] * 3000 + [{"text": "2020-01-01", "label": 1, "unused": ["b"]}]
    content = "".join(json.dumps(row) + "\n" for row in rows)
    prompts, _ = write(write_films(tmp_path, content, "test.jsonl"), "")
    assert pairs(prompts)[-1] == ("2020-01-01", "Good")


@pytest.mark.parametrize("name", ["films[1]", "a*b?", "~"])
def test_a_path_is_a_path(name: str, tmp_path: Path, write: Write, monkeypatch):
    """Brackets and stars are ordinary characters; `~` is the home folder, in the file and in every flag."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    folder = tmp_path / "home" if name == "~" else tmp_path / name
    table = Dataset.from_list([{"text": f"a {n}", "label": n % 2} for n in range(8)])
    for split in ("test", "train"):
        table.to_parquet(folder / f"{split}.parquet")
        (folder / "x[y]" / f"{split}.csv").parent.mkdir(exist_ok=True)
        table.to_csv(folder / "x[y]" / f"{split}.csv")
    path = name if name == "~" else folder
    config = write_films(tmp_path, "", path=f"'{path}'")
    assert len(write(config, "")[0]) == 8
    assert len(write(config, f"{folder}/x[y]", k=1, demonstrations=f"{folder}/x[y]/train.csv", limit=2)[0]) == 2
    if name == "~":
        flags = "--config=~/../films.yaml --dataset_path=~/x[y] --demonstrations ~/x[y]/train.csv --k 1 --limit 2"
        preprocess_config(parse(PreprocessConfig, [*flags.split(), "--data_path=~/new/inputs.json"]))
        assert (tmp_path / "home/new/inputs.json").exists()


def test_null_texts_are_dropped_and_counted(tmp_path: Path, write: Write, capsys):
    """Rows are dropped if all columns of the text are null, but not for an empty text. Ids remain row numbers."""
    rows = [(None, None), ("", None), (None, "b"), (None, None), ("c", "d")]
    content = "".join(json.dumps({"t": one, "u": two, "label": 1}) + "\n" for one, two in rows)
    prompts, meta = write(write_films(tmp_path, content, "test.jsonl", text="[t, u]", first_label="0"), "")
    assert [(row["id"], row["text"]) for row in prompts] == [("test-1", ""), ("test-2", "b"), ("test-4", "c d")]
    assert meta["dropped_without_text"] == {"Good": 2}
    assert "\ndropped, no text: 2 Good\n" in capsys.readouterr().out


def test_rows_may_have_ids_and_groups(tmp_path: Path, write: Write):
    content = "n,page,text,label\n7,p,a,0\nx,p,b,1\n07,q,c,1\n"
    prompts, _ = write(write_films(tmp_path, content, more="id: n\ngroup: page\n"), "")
    assert [(row["id"], row["group"]) for row in prompts] == [("7", "p"), ("x", "p"), ("07", "q")]
    rows = [{"n": number, "page": number // 2, "text": "a", "label": number % 2} for number in range(4)]
    prompts, _meta = write(
        write_films(tmp_path, json.dumps(rows), "all.json", more="id: n\ngroup: page\ntest_size: 2\n"),
        tmp_path / "set" / "all.json",
    )
    assert {(row["id"], row["group"]) for row in prompts} <= {("0", "0"), ("1", "0"), ("2", "1"), ("3", "1")}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("7,p,a,0\n8,p,b,0\n7,p,c,0\n", "test row 2 (line 4): duplicate id '7', first in row 0 ({config}:10)"),
        (",p,a,0\n", "test row 0 (line 2): the id is '', expected a name or a whole number ({config}:10)"),
        ("7,,a,0\n", "test row 0 (line 2): the group is '', expected a name or a whole number ({config}:11)"),
    ],
)
def test_invalid_ids_and_groups(rows: str, message: str, tmp_path: Path, write: Write):
    config = write_films(tmp_path, "n,page,text,label\n" + rows, more="id: n\ngroup: page\n")
    with pytest.raises(InputError) as error:
        write(config, "")
    assert str(error.value).endswith(message.format(config=config))


@pytest.mark.parametrize(("value", "size"), [("10", 10), ("0.25", 10)])
def test_a_file_without_splits_is_divided(value: str, size: int, tmp_path: Path, write: Write):
    """The division is stratified and the same for every seed of the draw; demonstrations come from the rest."""
    rows = [(f"text {number}", int(number % 5 == 0)) for number in range(40)]
    content = "text,label\n" + "".join(f"{text},{label}\n" for text, label in rows)
    config = write_films(tmp_path, content, "all.csv", more=f"test_size: {value}\n")
    lone = tmp_path / "set" / "all.csv"
    prompts, meta = write(config, lone, k=2, seed=1)
    places = [int(row["id"].removeprefix("test-")) for row in prompts]
    assert places == sorted(places)
    assert [(row["text"], row["ground_truth"] == "Good") for row in prompts] == [rows[place] for place in places]
    assert len(prompts) == size
    assert meta["test_counts"] == {"Bad": 8, "Good": 2}
    assert meta["train_counts"] == {"Bad": 24, "Good": 6}
    assert (meta["test_size"], meta["split_seed"]) == (float(value), 42)
    shown = [int(name.removeprefix("train-")) for name in meta["demonstrations"]]
    assert not set(shown) & set(places)
    assert all(rows[place][0] in prompts[0]["prompt"] for place in shown)
    again, other = write(config, lone, k=2, seed=2)
    assert [row["id"] for row in again] == [row["id"] for row in prompts]
    assert other["demonstrations"] != meta["demonstrations"]
    config.write_text(config.read_text() + "split_seed: 1\n")
    assert [row["id"] for row in write(config, lone)[0]] != [row["id"] for row in prompts]


def test_a_data_set_with_only_a_train_split_is_divided(tmp_path: Path, write: Write):
    content = "text,label\n" + "".join(f"text {number},{number % 2}\n" for number in range(20))
    config = write_films(tmp_path, content, "train.csv", more="test_size: 4\n")
    prompts, meta = write(config, "", k=1)
    assert (len(prompts), sum(meta["train_counts"].values())) == (4, 16)
    (tmp_path / "set" / "test.csv").write_text(content)
    with pytest.raises(InputError, match=r"set: has a test split, so test_size cannot be used \(.*yaml:10\)$"):
        write(config, "")
    config.write_text(config.read_text().replace("test_size: 4", "train_split: fit\nsplit: dev\ntest_size: 4"))
    with pytest.raises(InputError, match=r"set: no fit split for test_size to divide \(--dataset_path, .*:12\)$"):
        write(config, "")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (
            "",
            "no train split to draw demonstrations from; name one with --demonstrations, test_size in the YAML file",
        ),
        ("test_size: 4\n", "test_size 4: no stratified part of 4 examples: too few"),
        (
            "test_size: 1\n",
            "test_size 1: no stratified part of 4 examples: The test_size = 1 should be greater or equal",
        ),
    ],
)
def test_a_file_that_must_not_be_divided(more: str, message: str, tmp_path: Path, write: Write):
    config = write_films(tmp_path, "text,label\na,0\nb,1\nc,0\nd,1\n", "all.csv", more=more)
    with pytest.raises(InputError) as error:
        write(config, tmp_path / "set" / "all.csv", k=1)
    assert message in str(error.value)


def test_demonstrations_from_the_test_file(tmp_path: Path, write: Write):
    """Test examples are left out in one pass; if nothing else remains, there is a message."""
    content = "text,label\n" + "".join(f"text {number},{number % 2}\n" for number in range(2000))
    config = write_films(tmp_path, content, "all.csv")
    lone = tmp_path / "set" / "all.csv"
    _prompts, meta = write(config, lone, demonstrations=str(lone), k=3, limit=1990)
    assert all(int(name.removeprefix("train-")) >= 1990 for name in meta["demonstrations"])
    assert len(meta["demonstrations"]) == 6
    with pytest.raises(InputError, match=r"class Bad has 0 examples .* without the test examples \(2000 of 2000\)"):
        write(config, lone, demonstrations=str(lone), k=3)


def test_a_random_part_of_the_test_examples(tmp_path: Path, write: Write):
    content = "text,label\n" + "".join(f"text {number},{number % 2}\n" for number in range(60))
    config = write_films(tmp_path, content)
    every, part, first = ([row["id"] for row in write(config, "", **how)[0]] for how in SHUFFLES)
    assert part == every[:10] != first[:10]
    assert sorted(every) == sorted(first)
    assert write(config, "", shuffle=3)[1]["shuffle"] == 3
    assert [row["id"] for row in write(config, "", shuffle=4)[0]] != every


SHUFFLES = ({"shuffle": 3}, {"shuffle": 3, "limit": 10}, {})


def test_the_first_label_may_be_a_flag(tmp_path: Path, write: Write):
    config = write_films(tmp_path, "text,label\na,1\n")
    with pytest.raises(InputError, match="label contains 1, neither 0 nor 2: it may count from 0 or from 1; set --"):
        write(config, "")
    for first, word in ((0, "Good"), (1, "Bad")):
        path = tmp_path / f"{first}.json"
        preprocess_config(PreprocessConfig(str(config), "direct", LabelOptions(first), PromptOptions(str(path))))
        assert read_json(meta_path(path), "")["first_label"] == first
        assert read_json(path, "")[0]["ground_truth"] == word
    with pytest.raises(InputError, match="--first_label 2: expected 0 or 1"):
        LabelOptions(first_label=2)
    mapped = write_films(tmp_path, "text,label\na,1\n", label_words="{1: Bad, 2: Good}")
    with pytest.raises(InputError, match=r"--first_label 1: label_words is a mapping \(.*films\.yaml:5\)"):
        preprocess_config(PreprocessConfig(str(mapped), "direct", LabelOptions(1), PromptOptions("x.json")))


def test_templates_may_use_columns_of_every_format(tmp_path: Path, write: Write):
    """By name, from a file with a header and from one without."""
    template = "template: |\n  {title} / {body}\n  Verdict: {label_word}\n"
    for content in ("title,body,label\n a ,b,1\nc,,2\n", "1, a ,b\n2,c,\n"):
        config = write_films(tmp_path, content, text="[title, body]", more="headerless: [title, body]\n")
        config.write_text(
            config.read_text().replace("template: |\n  Film: {text}\n  Verdict: {label_word}\n", template)
        )
        assert pairs(write(config, "")[0]) == [("a / b", "Bad"), ("c /", "Good")]
