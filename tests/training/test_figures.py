"""Figures and cards of training runs, from their logs."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

pytest.importorskip("transformers", reason="needs requirements-finetune.txt")

from training.card import training_section
from training.figures import draw_curves, write_curves

LOG = (
    "step,eval_accuracy,eval_loss,learning_rate,loss,seconds\n1,,,0.001,3.5,1\n2,0.5,2.5,0.0005,2.0,2\n4,0.75,nan,,,3\n"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "log.csv").write_text(LOG)
    return tmp_path


def test_curves(folder):
    """A line for each column with numbers, over the steps at which it has one."""
    written = write_curves(folder)
    assert [path.name for path in written] == ["loss.svg", "learning_rate.svg", "held_out.svg"]
    root = ElementTree.parse(folder / "figures/loss.svg").getroot()
    assert {"loss", "eval_loss", "step"} <= {node.text for node in root.iter() if node.tag.endswith("text")}
    curves = {"loss": [(1.0, 3.5), (2.0, 2.0)], "eval_loss": [(2.0, 2.5)]}  # the other one is no number
    (axes,) = draw_curves(curves, "loss").axes
    assert [list(zip(*line.get_data(), strict=True)) for line in axes.lines] == list(curves.values())


def test_an_empty_log(tmp_path):
    (tmp_path / "log.csv").write_text("step\n")
    assert write_curves(tmp_path) == []


def test_card_tells_options_log_and_versions(folder):
    assert training_section(folder) == []
    record = {"configuration": {"training": {"steps": 4, "epochs": None}}, "versions": {"torch": "2"}}
    (folder / "configuration.json").write_text(json.dumps(record))
    text = "\n".join(training_section(folder))
    assert "| steps | 4 |" in text and "epochs" not in text
    assert "| 2 | 0.5000 | 2.5000 |" in text
    assert "torch 2" in text
