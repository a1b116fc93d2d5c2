"""Statistics of a data set, compared with its files."""

import json
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import pytest

pytest.importorskip("transformers", reason="needs requirements-finetune.txt")
pytest.importorskip("PIL", reason="needs requirements-finetune.txt")

from finetune.exploration import LENGTHS, ExploreConfig, by_length, draw_shares, explore
from preprocess.errors import InputError


def test_counts(pages: Path, tmp_path: Path, capsys):
    explore(ExploreConfig(dataset_path=str(pages), output_dir=str(tmp_path)))
    said = capsys.readouterr().out
    text = (tmp_path / "exploration.md").read_text()
    files = {
        split: [json.loads(path.read_text()) for path in (pages / split).glob("*.json")] for split in ("train", "test")
    }
    labels = {split: Counter(label for row in rows for label in row["category_id"]) for split, rows in files.items()}
    lengths = [len(cell["text"].split()) for row in files["train"] for cells in row["pdf_cells"] for cell in cells]
    assert (
        f"| train | 12 | 96 | 0 | 8 | {sorted(lengths)[47] / 2 + sorted(lengths)[48] / 2:g} | {max(lengths)} |" in text
    )
    assert f"| Caption | {labels['train'][1]} | {labels['test'][1]} | " in text
    assert text.splitlines()[2] in said
    for name in ("classes", "words_of_a_block"):
        assert ElementTree.parse(tmp_path / f"{name}.svg").getroot().tag.endswith("svg")


def test_shares():
    """A mark for each split at its share, a row for each class."""
    (axes,) = draw_shares({"train": {"Text": 3, "Title": 1}, "test": {"Text": 1, "Title": 1}}, "classes").axes
    assert [list(line.get_xdata()) for line in axes.lines] == [[0.75, 0.25], [0.5, 0.5]]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["Text", "Title"]


def test_lengths():
    found = by_length([1, 1, 2, 5, 6, 100, 101, 5000])
    assert sum(found.values()) == 8
    assert found["1"] == 2 and found["3 to 5"] == 1 and found["101 and more"] == 2
    assert len(found) == len(LENGTHS)


def test_nothing_to_count(tmp_path):
    with pytest.raises(InputError, match="expected"):
        explore(ExploreConfig(dataset="funsd", dataset_path=str(tmp_path), output_dir=str(tmp_path / "out")))
    assert not (tmp_path / "out/exploration.md").exists()
