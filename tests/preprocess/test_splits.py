"""Files of a folder that form a split: one source, and a message if names are ambiguous."""

from pathlib import Path

import pytest

from preprocess.errors import InputError
from preprocess.splits import kind_of, split_files, split_names

HASHED = "data/test-00000-of-00001-0123456789abcdef.parquet"
SHARDS = "data/test-00000-of-00003.parquet data/test-00001-of-00003.parquet data/test-00002-of-00003.parquet"


def make(folder: Path, names: str) -> Path:
    for name in names.split():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


@pytest.mark.parametrize(
    ("names", "split", "expected"),
    [
        ("test.csv train.csv", "test", "test.csv"),
        ("test.csv.gz train.csv", "test", "test.csv.gz"),
        ("test.csv test_old.csv test_set/train.csv", "test", "test.csv"),
        ("test.csv old/test.csv old/more/test.csv", "test", "test.csv"),
        ("test/a.csv data/test.csv", "test", "test/a.csv"),
        ("test.csv test-2.csv my_test.csv", "test", "test.csv"),
        (f"data/train-00000-of-00001.parquet {HASHED}", "train", "data/train-00000-of-00001.parquet"),
        (SHARDS, "test", SHARDS),
        (f"{SHARDS} data/test_old-00000-of-00002.parquet", "test", SHARDS),
        (HASHED, "test", HASHED),
        ("test/b.jsonl test/a.jsonl train/a.jsonl", "test", "test/a.jsonl test/b.jsonl"),
        ("default/test/0000.parquet default/test/0001.parquet default/train/0000.parquet", "test",
         "default/test/0000.parquet default/test/0001.parquet"),
        ("test/0-of-2.jsonl test/1-of-2.jsonl", "test", "test/0-of-2.jsonl test/1-of-2.jsonl"),
        ("test/part-1-of-2.csv test/part-2-of-2.csv", "test", "test/part-1-of-2.csv test/part-2-of-2.csv"),
        ("test/train.csv test/test.csv", "train", "test/train.csv"),
        ("test/train.csv test/test.csv", "test", "test/test.csv"),
        ("test/train.csv", "test", ""),
        ("latest.csv contest.csv attest_1.csv", "test", ""),
        ("test_set/train.csv", "test", ""),
        ("ag_news_test.json ag_news_train.json", "test", "ag_news_test.json"),
        ("ag_news.test.json", "test", "ag_news.test.json"),
        ("data/imdb-test-00000-of-00001.parquet", "test", "data/imdb-test-00000-of-00001.parquet"),
        ("test.md test.txt test.parquet.gz validation.csv .test.csv .cache/test.csv", "test", ""),
        ("state.json dataset_info.json dataset_dict.json", "state", ""),
        ("test.csv data/validation-00000-of-00001.csv", "validation", "data/validation-00000-of-00001.csv"),
        ("test.csv DEV.CSV", "Dev", "DEV.CSV"),
        ("a/b/c/test.csv", "test", ""),
    ],
)  # fmt: skip
def test_files_are_assigned_to_splits_by_name(names: str, split: str, expected: str, tmp_path: Path):
    found = [str(path.relative_to(tmp_path)) for path in split_files(make(tmp_path, names), split)]
    assert found == expected.split()


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            "test_a.csv test_b.csv",
            "ambiguous split test: only similar names exist: test_a.csv, test_b.csv; give the",
        ),
        ("test-1.jsonl test-2.jsonl", "only similar names exist: test-1.jsonl, test-2.jsonl"),
        ("test_old.csv train.csv", "only similar names exist: test_old.csv"),
        ("a_test.csv b_test.csv", "only similar names exist: a_test.csv, b_test.csv"),
        ("test_set/rows.csv", "only similar names exist: test_set/rows.csv"),
        ("test.csv test.jsonl", "several files match: test.csv, test.jsonl"),
        ("test.csv test.csv.gz", "several files match: test.csv, test.csv.gz"),
        ("test.csv TEST.csv", "several files match: TEST.csv, test.csv"),
        ("a/test.csv b/test.csv", "several files match: a/test.csv, b/test.csv"),
        ("a/test.csv b/test/a.csv", "several files match: a/test.csv, b/test/*.csv"),
        ("test.csv test/0000.csv", "several files match: test.csv, test/*.csv"),
        ("test/a.csv test/a.jsonl", "several files match: test/*.csv, test/*.jsonl"),
        ("a/test/0000.parquet b/test/0000.parquet", "several files match: a/test/*.parquet, b/test/*.parquet"),
        (
            "test-0-of-1.csv test-0-of-2.csv test-1-of-2.csv",
            "several files match: test-*-of-1.csv, test-*-of-2.csv",
        ),
        (SHARDS.rpartition(" ")[0], "data: shard 2 is missing: data/test-*-of-00003.parquet has 2 of 3 files"),
        (SHARDS.partition(" ")[2], "data: shard 0 is missing: data/test-*-of-00003.parquet has 2 of 3 files"),
        ("test/0000.parquet test/0002.parquet", "test: shard 1 is missing: test/*.parquet has 2 of 3 files"),
        ("test/0003.parquet", "test: shard 1 is missing: test/*.parquet has 1 of 3 files"),
        (
            "test/a-0-of-2.csv test/b-1-of-2.csv test/b-0-of-2.csv",
            "test: the shards do not match: test/*.csv",
        ),
        (" ".join(f"test_{number}.csv" for number in range(20)), "test_18.csv, test_19.csv and 8 more; give"),
    ],
)
def test_ambiguous_names_are_refused(names: str, message: str, tmp_path: Path):
    with pytest.raises(InputError) as error:
        split_files(make(tmp_path, names), "test", "--demonstrations")
    assert str(error.value).startswith(str(tmp_path))
    assert message in str(error.value)
    assert str(error.value).endswith("(--demonstrations)")


def test_the_existing_splits(tmp_path: Path):
    make(tmp_path, f"{SHARDS} train.csv default/dev/0000.parquet saved/state.json README.md")
    assert split_names(tmp_path) == ["dev", "saved", "test", "train"]


@pytest.mark.parametrize(
    ("name", "kind"),
    [("a.csv", ".csv"), ("A.TSV.GZ", ".tsv"), ("a.json.gz", ".json"), ("a.parquet.gz", ""), ("a.gz", ""), ("csv", "")],
)
def test_kinds(name: str, kind: str):
    assert kind_of(Path(name)) == kind
