"""Figures and cards of training runs, from their logs."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

pytest.importorskip("transformers", reason="needs requirements-finetune.txt")

from training.card import training_section
from training.figures import write_curves

LOG = (
    "step,eval_accuracy,eval_loss,learning_rate,loss,seconds\n1,,,0.001,3.5,1\n2,0.5,2.5,0.0005,2.0,2\n4,0.75,nan,,,3\n"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "log.csv").write_text(LOG)
    return tmp_path


def test_curves(folder):
    written = write_curves(folder)
    assert [path.name for path in written] == ["loss.svg", "learning_rate.svg", "held_out.svg"]
    texts = {node.text for node in ElementTree.parse(folder / "figures/loss.svg").iter() if node.text}
    assert {"loss", "eval_loss", "step"} <= texts


def test_an_empty_log(tmp_path):
    (tmp_path / "log.csv").write_text("step\n")
    assert write_curves(tmp_path) == []


def test_card_has_options_log_and_versions(folder):
    assert training_section(folder) == []
    record = {"configuration": {"training": {"steps": 4, "epochs": None}}, "versions": {"torch": "2"}}
    (folder / "configuration.json").write_text(json.dumps(record))
    text = "\n".join(training_section(folder))
    assert "| steps | 4 |" in text and "epochs" not in text
    assert "| 2 | 0.5000 | 2.5000 |" in text
    assert "torch 2" in text
