"""benchmarks/pretraining.py: its commands, their order, and its table."""

import json
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("lightning", reason="needs requirements-finetune.txt")

from options import parse
from finetune.layoutlmv3.fine_tuning import LayoutLMv3Config
from preprocess.errors import InputError
from pretrain.layoutlmv3 import LayoutLMv3PretrainingConfig


@pytest.fixture(scope="module")
def benchmark(root: Path) -> dict[str, Any]:
    """The names that the file defines: benchmarks/ is not a package, and its files import each other like scripts."""
    sys.path.insert(0, str(root / "benchmarks"))
    try:
        return runpy.run_path(str(root / "benchmarks/pretraining.py"))
    finally:
        sys.path.remove(str(root / "benchmarks"))


def test_each_run_once_and_pretraining_before_fine_tuning(benchmark, tmp_path):
    config = benchmark["PretrainingBenchmark"](output_dir=str(tmp_path), seeds=2)
    commands = list(benchmark["commands"](config, tmp_path))
    assert len({tuple(command) for command in commands}) == len(commands)
    made: set[str] = set()
    for script, *flags in commands:
        if "pretrain" in script:
            parsed = parse(LayoutLMv3PretrainingConfig, flags)
            made.add(f"{parsed.output_dir}/model")
            assert parsed.pages.datasets == ["funsd", "docbank"]
        else:
            parsed = parse(LayoutLMv3Config, flags)
            assert parsed.model in {"random", *made}
            assert parsed.pages.test_split == "test"
    assert len(made) == 5  # four rows of the ablation, word boxes
    rows = benchmark["rows_of"](config)
    assert [row.name for row in rows[:2]] == ["from nothing", "mlm-mim-wpa"]
    assert len(rows) == 10
    assert len(commands) == len(made) + 2 * len(rows)


def test_fewer_forms_get_more_epochs(benchmark, tmp_path):
    config = benchmark["PretrainingBenchmark"](output_dir=str(tmp_path), parts="few")
    runs = [
        parse(LayoutLMv3Config, command[1:])
        for command in benchmark["commands"](config, tmp_path)
        if "fine" in command[0]
    ]
    assert {run.pages.train_pages for run in runs} == {10, 40, 149}
    for run in runs:
        assert run.training.epochs * run.pages.train_pages == pytest.approx(5 * 149, rel=1e-4)


def test_table(benchmark, tmp_path):
    config = benchmark["PretrainingBenchmark"](output_dir=str(tmp_path), parts="help")
    assert "| from nothing | 149 | 0 | - | - |" in benchmark["table"](config, tmp_path)
    for seed, accuracy in ((1, 0.4), (2, 0.5)):
        folder = tmp_path / f"fine_tuned/from-nothing-149-{seed}"
        folder.mkdir(parents=True)
        (folder / "metrics.json").write_text(json.dumps({"test": {"accuracy": accuracy, "entity_f1": 0.3}}))
    folder = tmp_path / "pretrained/mlm-mim-wpa"
    folder.mkdir(parents=True)
    found = {"mlm_accuracy": 0.25, "mlm_most_frequent": 0.04}
    (folder / "metrics.json").write_text(json.dumps({"held_out": found}))
    table = benchmark["table"](config, tmp_path)
    assert "| from nothing | 149 | 2 | 0.4500 ± 0.0707 | 0.3000 ± 0.0000 |" in table
    assert "| mlm-mim-wpa | mlm | 0.2500 | 0.0400 |" in table


@pytest.mark.parametrize(
    "options, said",
    [
        ({"parts": "x"}, "--parts x: 'x' is not one of help, few, ablation, boxes"),
        ({"forms": "1"}, "--forms 1: expected numbers from 2 to 149"),
        ({"steps": 1}, "--steps 1, --seeds 3: expected"),
    ],
)
def test_refused(benchmark, options, said):
    with pytest.raises(InputError, match=said):
        benchmark["PretrainingBenchmark"](**options)
