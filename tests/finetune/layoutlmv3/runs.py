"""Helpers of the tests of whole LayoutLMv3 runs: read the output of a run, compare two runs, interrupt a run."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from finetune import training
from finetune.layoutlmv3.fine_tuning import LayoutLMv3Config
from training import lightning as by_pytorch_lightning

TRAINERS = ("lightning", "hf")
NAME = "outputs_layoutlmv3_doclaynet.json"


def content(config: LayoutLMv3Config, name: str) -> dict:
    return json.loads((Path(config.output_dir) / name).read_text())


def log_of(config: LayoutLMv3Config) -> list[dict[str, str]]:
    with (Path(config.output_dir) / "log.csv").open() as file:
        return list(csv.DictReader(file))


def scores_of(config: LayoutLMv3Config) -> np.ndarray:
    """The log-probabilities in the predictions file, (blocks, classes)."""
    return np.array([row["log_probs"] for row in content(config, NAME)])


def same(config: LayoutLMv3Config, whole: LayoutLMv3Config) -> None:
    """Assert that two runs are bit-identical."""
    first, second = Path(config.output_dir), Path(whole.output_dir)
    assert (first / NAME).read_bytes() == (second / NAME).read_bytes()
    assert (first / "model/model.safetensors").read_bytes() == (second / "model/model.safetensors").read_bytes()
    metrics = [content(run, "metrics.json") | {"training_seconds": None} for run in (config, whole)]
    assert metrics[0] == metrics[1]
    timed = {"seconds", "eval_runtime", "eval_samples_per_second", "eval_steps_per_second", "train_runtime"}
    timed |= {"train_samples_per_second", "train_steps_per_second", "train_loss", "total_flos"}
    logs = [[{key: row[key] for key in row if key not in timed} for row in log_of(run)] for run in (config, whole)]
    assert logs[0] == logs[1]


def interrupt(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Ctrl-C after step `step`."""

    def by_lightning(self, trainer, module, outputs, batch, number):
        if trainer.global_step == step:
            raise KeyboardInterrupt

    def by_hf(self, args, state, control, **_):
        if state.global_step == step:
            raise KeyboardInterrupt

    monkeypatch.setattr(by_pytorch_lightning.Evaluate, "on_train_batch_end", by_lightning)
    monkeypatch.setattr(training.EvaluateLast, "on_step_end", by_hf)
