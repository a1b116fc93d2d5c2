"""Warm-up, schedules and loggers, with either trainer."""

import csv
from pathlib import Path

import pytest

pytest.importorskip("transformers", reason="needs requirements-finetune.txt")
pytest.importorskip("lightning", reason="needs requirements-finetune.txt")


from finetune.training import TrainingOptions as FineTuningOptions
from finetune.training import arguments
from preprocess.errors import InputError
from pretrain.layoutlmv3 import pretrain_layoutlmv3
from training import options as training_options
from training.options import StepOptions


def rates(folder: Path) -> list[float]:
    with (folder / "log.csv").open() as file:
        return [float(row["learning_rate"]) for row in csv.DictReader(file) if row["learning_rate"]]


@pytest.mark.parametrize("warmup", [{"warmup_steps": 2}, {"warmup": 0.5}])
def test_warm_up_and_constant(quick_pretraining, tmp_path, warmup):
    """The rate rises for two of four steps, then is constant; only the CSV file is written."""
    config = quick_pretraining({"schedule": "constant", "learning_rate": 1e-3, "logger": "csv"} | warmup)
    pretrain_layoutlmv3(config)
    assert rates(Path(config.output_dir)) == pytest.approx([0.0, 5e-4, 1e-3, 1e-3], abs=1e-9)
    assert not (Path(config.output_dir) / "tensorboard").exists()


def test_transformers_trainer_gets_the_same_schedule(tmp_path):
    made = arguments(FineTuningOptions(steps=9, schedule="constant", warmup_steps=3), tmp_path, False, False)
    assert made.get_warmup_steps(9) == 3
    assert made.lr_scheduler_type == "constant_with_warmup"
    made = arguments(FineTuningOptions(steps=10, warmup=0.2), tmp_path, False, False)
    assert made.get_warmup_steps(10) == 2


def test_warmup_of():
    assert StepOptions(warmup=0.048).warmup_of(1000) == 48
    assert StepOptions(warmup_steps=7).warmup_of(1000) == 7
    assert StepOptions(warmup_steps=7).warmup_of(5) == 5


def test_a_missing_package_is_one_line(monkeypatch):
    monkeypatch.setattr(training_options, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="--logger mlflow: the package mlflow is not installed: pip install mlflow"):
        StepOptions(logger="mlflow")
    with pytest.raises(InputError, match="--logger comet: expected tensorboard, csv, mlflow, wandb"):
        StepOptions(logger="comet")
    assert StepOptions(logger="csv").logger == "csv"
