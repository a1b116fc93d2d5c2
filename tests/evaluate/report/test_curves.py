"""Curves of training runs in the report: which are drawn, their values, and logs that are none."""

import json
from pathlib import Path

import pytest

from evaluate.reading import read_results
from evaluate.report.curves import LOG, MOST_LINES, MOST_POINTS, draw_curves, read_curves, runs_of, thinned, words
from evaluate.report.page import ReportConfig, write_report
from evaluate.report.sections import sections_of

TEXT = (
    "step,eval_accuracy,eval_loss,eval_runtime,eval_unanswered,learning_rate,loss,seconds\n"
    "1,,,,,0.001,3.5,1\n2,0.5,2.5,9,0,0.0005,2.0,2\n4,0.75,nan,9,0,,,3\n"
)


def write_log(folder: Path, text: str = TEXT) -> Path:
    (folder / LOG).write_text(text, encoding="utf-8")
    return folder / LOG


def test_curves_by_figure(tmp_path):
    """Values that are not finite, counts and seconds are left out."""
    assert read_curves(write_log(tmp_path)) == {
        "loss": {"eval_loss": [(2, 2.5)], "loss": [(1, 3.5), (2, 2.0)]},
        "learning_rate": {"learning_rate": [(1, 0.001), (2, 0.0005)]},
        "held_out": {"eval_accuracy": [(2, 0.5), (4, 0.75)]},
    }


def test_curves_are_the_values():
    figure = draw_curves({"loss": [(1, 3.5), (2, 2.0)], "eval_loss": [(2, 2.5)]}, "loss")
    lines = [line.get_xydata().tolist() for line in figure.axes[0].lines]
    assert lines == [[[1, 3.5], [2, 2.0]], [[2, 2.5]]]
    shown = [(line.get_color(), line.get_linestyle(), line.get_marker() != "") for line in figure.axes[0].lines]
    assert shown[0][0] == shown[1][0]
    assert [look[1:] for look in shown] == [("--", False), ("-", True)]
    single, _ = draw_curves({"loss": [(1, 3.5)], "eval_loss": [(1, 2.0)]}, "loss").axes[0].lines
    assert single.get_marker() != ""  # a dash of one point would be invisible
    assert words({"loss": [(1, 3.5), (2, 2.0)]}) == "loss: 3.5 at step 1, 2 at step 2"


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"step\n", b"step,loss\n", b"time,loss\n1,2\n", b"step,loss\nx,y\n,\n1\n", b"\xff\xfe\x00"),
        b"step,loss\n1," + b"9" * 200_000,
    ],
    ids=["empty", "header", "no row", "another log", "no number", "no text", "long field"],
)
def test_a_log_that_is_none(tmp_path, content):
    (tmp_path / LOG).write_bytes(content)
    assert read_curves(tmp_path / LOG) == {}
    assert read_curves(tmp_path / "missing.csv") == {}


def test_the_losses_of_train_and_held_out_examples_are_neighbours(tmp_path):
    names = ["eval_loss", "eval_mim_loss", "eval_mlm_loss", "loss", "mim_loss", "mlm_loss"]
    curves = read_curves(write_log(tmp_path, f"step,{','.join(names)}\n1,1,2,3,4,5,6\n"))["loss"]
    assert list(curves) == ["eval_loss", "loss", "eval_mim_loss", "mim_loss", "eval_mlm_loss", "mlm_loss"]


def test_long_and_wide_logs_stay_small(tmp_path):
    names = [f"{number}_loss" for number in range(40)]
    rows = [[str(step), *["1"] * len(names)] for step in range(1, 1002)]
    curves = read_curves(write_log(tmp_path, "\n".join(map(",".join, [["step", *names], *rows]))))["loss"]
    assert len(curves) == MOST_LINES
    shown = thinned(curves["0_loss"])
    assert len(shown) <= MOST_POINTS + 1
    assert (shown[0][0], shown[-1][0]) == (1, 1001)


@pytest.fixture
def trained(write_results, tmp_path) -> Path:
    """A run folder with a trained model and a baseline, and results that were not trained."""
    for path in write_results(tmp_path / "run", ["layoutlmv3", "majority"], 20):
        meta = json.loads(path.with_suffix(".meta.json").read_text())
        if "majority" in path.name:
            del meta["checkpoint"]
        path.with_suffix(".meta.json").write_text(json.dumps(meta))
    write_results(tmp_path / "other", ["direct"], 20)
    return tmp_path


def test_runs_of_a_section(trained):
    (section,) = sections_of(read_results([str(trained)]))
    assert list(runs_of(section)) == []
    write_log(trained / "run")
    (run,) = runs_of(section)
    assert section.methods[run.place].name == "LayoutLMv3"
    assert run.name == section.names[run.place]
    assert list(run.curves) == ["loss", "learning_rate", "held_out"]


def test_on_the_page(trained, read_page, attacks):
    """Markup in a log is text; without a log there is no such part."""
    config = ReportConfig((str(trained),), str(trained / "report.html"), str(trained / "figures"))
    write_report(config)
    assert "<h3>Training</h3>" not in Path(config.output).read_text()
    name = attacks[1].replace('"', '""')
    write_log(trained / "run", f'step,loss,"{name}_loss"\n1,3.5,1\n2,2.0,1\n')
    write_report(config)
    page = Path(config.output).read_text()
    assert "<h3>Training</h3>" in page
    assert page.count("loss: 3.5 at step 1, 2 at step 2") == 1
    assert "<img" not in page and "onerror" not in read_page(page).attributes
    made = {path.suffix for path in (trained / "figures").glob("news_training-loss_LayoutLMv3*")}
    assert made == {".svg", ".pdf"}
