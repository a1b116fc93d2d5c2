"""benchmarks/segments.py on a few forms and a random model, run as by a user."""

from pathlib import Path

import pytest
import torch

pytest.importorskip("transformers", reason="needs requirements-finetune.txt")
pytest.importorskip("lightning", reason="needs requirements-finetune.txt")
pytest.importorskip("PIL", reason="needs requirements-finetune.txt")


from documents.forms import FUNSD_WORDS
from finetune.layoutlmv3.model import load_layout
from tests.conftest import write_forms


def test_one_row_for_each_kind_of_boxes(tmp_path: Path, run_script):
    """The three entities of a form contain the same words; words at one place are in one segment."""
    write_forms(tmp_path / "forms")
    torch.manual_seed(0)
    load_layout("random", FUNSD_WORDS, ["some text to train on"] * 50, tmp_path / "run/model")
    flags = ["--model", tmp_path / "run", "--dataset_path", tmp_path / "forms"]
    done = run_script("benchmarks/segments.py", *flags)
    assert done.returncode == 0, done.stderr
    header, _, *rows = ([cell.strip() for cell in line.split("|")[1:-1]] for line in done.stdout.splitlines())
    assert header == ["boxes", "accuracy", "entity F1"]
    assert len(rows) == 4
    assert rows[0][1:] == rows[2][1:]  # segments of the words are the entities here
