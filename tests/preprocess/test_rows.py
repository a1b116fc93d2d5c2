"""Reading the first examples reads only their rows, and those that determine the meaning of labels."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from preprocess import tables
from preprocess.ag_news import read_split
from preprocess.doclaynet import BlockOptions, DocLayNetConfig, preprocess_direct
from preprocess.records import read_parquet
from tests.preprocess.conftest import prompt_options


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of the rows that are read."""
    read: list[int] = []
    real = tables.read_row

    def note(config: object, row: object, place: str) -> object:
        read.append(len(read))
        return real(config, row, place)

    monkeypatch.setattr(tables, "read_row", note)
    return read


def write(path: Path, labels: list[object], texts: list[str | None] | None = None) -> str:
    texts = texts or [f"text {number}" for number in range(len(labels))]
    if path.suffix == ".csv":
        rows = [f"{label},{text}" for label, text in zip(labels, texts, strict=True)]
        path.write_text("label,text\n" + "\n".join(rows) + "\n")
    else:
        rows = [{"label": label, "text": text} for label, text in zip(labels, texts, strict=True)]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.mark.parametrize("name", ["test.csv", "test.jsonl"])
def test_the_first_rows_are_enough(name: str, tmp_path: Path, counted: list[int]):
    path = write(tmp_path / name, [1, 2, 3, 4] * 500)
    found = read_split(path, "test", first_label=1, first=5)
    assert len(counted) == 5
    assert found.examples == read_split(path, "test", first_label=1).examples[:5]


@pytest.mark.parametrize(("labels", "first"), [([1, 2, 3] * 3 + [4] + [1] * 500, 1), ([3, 2, 1] * 3 + [0] * 500, 0)])
def test_labels_that_later_rows_determine(labels: list[int], first: int, tmp_path: Path, counted: list[int]):
    """The second row alone is ambiguous."""
    path = write(tmp_path / "test.csv", labels)
    found = read_split(path, "test", first=2)
    assert len(counted) < 20
    assert found.examples == read_split(path, "test", first_label=first).examples[:2]


def test_rows_without_a_text_are_counted_until_there_are_enough(tmp_path: Path, counted: list[int]):
    path = write(tmp_path / "test.jsonl", [1, 4, 1, 2, 1], [None, "a", None, "b", None])
    found = read_split(path, "test", first=2)
    assert ([example.id for example in found.examples], found.dropped) == (["test-1", "test-3"], Counter({"World": 2}))
    assert len(counted) == 4


def test_a_random_order_reads_all(tmp_path: Path, write_ag_news, counted: list[int]):
    path = write(tmp_path / "test.csv", [1, 2, 3, 4] * 10)
    write_ag_news(path, k=0, limit=5)
    assert len(counted) == 5
    write_ag_news(path, k=0, limit=5, shuffle=1)
    assert len(counted) == 45


def test_pages_are_read_until_there_are_enough_blocks(tmp_path: Path, pages: Path, monkeypatch: pytest.MonkeyPatch):
    import preprocess.pages

    read: list[Path] = []
    real = preprocess.pages.json_page
    monkeypatch.setattr(preprocess.pages, "json_page", lambda file, *rest: read.append(file) or real(file, *rest))
    options = prompt_options(tmp_path / "x.json", dataset_path=str(pages), limit=5, k=0)
    preprocess_direct(DocLayNetConfig(BlockOptions(), options))
    assert len(read) == 1


def test_parquet_is_read_in_portions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import pyarrow
    from pyarrow import parquet

    parquet.write_table(pyarrow.table({"text": [f"text {n}" for n in range(5000)]}), tmp_path / "x.parquet")
    sizes: list[int] = []
    real = parquet.ParquetFile.iter_batches

    def noted(self: object, *arguments: object, **options: object) -> Iterator[object]:
        for batch in real(self, *arguments, **options):
            sizes.append(len(batch))
            yield batch

    monkeypatch.setattr(parquet.ParquetFile, "iter_batches", noted)
    rows = read_parquet(tmp_path / "x.parquet", None)
    assert [next(rows)[1]["text"] for _ in range(2)] == ["text 0", "text 1"]
    assert sizes == [256]
