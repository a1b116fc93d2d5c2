"""Whole pre-training runs: output, resuming, the definition of a step, refusals."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

pytest.importorskip("transformers", reason="needs requirements-finetune.txt")
pytest.importorskip("lightning", reason="needs requirements-finetune.txt")

from PIL import Image
from safetensors.torch import load_file
from transformers import LayoutLMv3Model

from documents.pages import PageOptions
from finetune.layoutlmv3.fine_tuning import LayoutLMv3Config, finetune_layoutlmv3
from finetune.training import TrainingOptions
from preprocess.errors import InputError
from pretrain.codebook import FILE
from pretrain.layoutlmv3 import HEADS, pretrain_layoutlmv3
from pretrain.modules import Pretraining, PretrainingOptions
from training.lightning import LightningOptions


def log_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "log.csv").open() as file:
        return [{key: value for key, value in row.items() if key != "seconds"} for row in csv.DictReader(file)]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model/model.safetensors") | load_file(folder / "model" / HEADS)


def equal(one: dict, other: dict, **tolerance) -> bool:
    return one.keys() == other.keys() and all(torch.allclose(one[key], other[key], **tolerance) for key in one)


def test_a_run(quick, tmp_path, capsys):
    """Its output: logs, metrics, a model that transformers and fine-tuning load, heads, codebook, card."""
    config = quick(hidden={"objectives": "mlm,mim,wpa,cpc"})
    pretrain_layoutlmv3(config)
    said = capsys.readouterr().out
    folder = tmp_path / "run"
    metrics, rows = json.loads((folder / "metrics.json").read_text()), log_of(folder)
    found = metrics["held_out"]
    for name in ("mlm", "mim", "wpa", "cpc"):
        assert 0 <= found[f"{name}_accuracy"] <= 1
        assert 0 < found[f"{name}_most_frequent"] <= 1
        assert found[f"{name}_loss"] > 0
        assert f"held out, {name}: loss" in said
    assert found["loss"] == pytest.approx(sum(found[f"{name}_loss"] for name in ("mlm", "mim", "wpa", "cpc")), rel=1e-5)
    evaluated = [row for row in rows if row["eval_loss"]]
    assert [row["step"] for row in evaluated] == ["2", "4"]
    best = min(evaluated, key=lambda row: float(row["eval_loss"]))
    assert metrics["best_step"] == metrics["kept_step"] == int(best["step"])
    assert float(best["eval_mlm_accuracy"]) == pytest.approx(found["mlm_accuracy"])
    assert list((folder / "tensorboard").glob("events*"))
    assert {HEADS, FILE, "README.md", "tokenizer.json"} <= {path.name for path in (folder / "model").iterdir()}
    model, report = LayoutLMv3Model.from_pretrained(folder / "model", output_loading_info=True)
    assert not report["missing_keys"] and not report["unexpected_keys"]
    assert model.config.architectures == ["LayoutLMv3Model"]
    assert "| masked words |" in (folder / "model/README.md").read_text()
    pretrain_layoutlmv3(config)
    assert "already finished" in capsys.readouterr().out
    few = TrainingOptions(steps=2, batch_size=2, eval_steps=2, learning_rate=1e-3, schedule="linear")
    pages = PageOptions(dataset_path=config.pages.dataset_path)
    tuned = LayoutLMv3Config(
        *(str(folder / "model"), "doclaynet", str(tmp_path / "tuned")),
        *("lightning", 512, 128, "segment"),
        pages=pages,
        training=few,
        lightning=LightningOptions(accelerator="cpu"),
    )
    finetune_layoutlmv3(tuned)
    assert json.loads((tmp_path / "tuned/metrics.json").read_text())["steps"] == 2


def test_heads_are_reused(quick, tmp_path, capsys):
    pretrain_layoutlmv3(quick())
    capsys.readouterr()
    again = quick("again", model=str(tmp_path / "run/model"), image_tokenizer=str(tmp_path / "run/model"))
    pretrain_layoutlmv3(replace(again, training=replace(again.training, learning_rate=1e-12)))
    said = capsys.readouterr().out
    assert "weights of heads from" in said and "random" not in said
    assert equal(weights(tmp_path / "run"), weights(tmp_path / "again"), atol=1e-6)


def test_a_resumed_run_is_bit_identical(quick, tmp_path, monkeypatch):
    """Interrupted by Ctrl-C in the third step, after the first evaluation."""
    pretrain_layoutlmv3(quick("whole"))
    step = Pretraining.training_step

    def stopped(self, batch, number):
        if self.trainer.global_step == 3:
            raise KeyboardInterrupt
        return step(self, batch, number)

    with monkeypatch.context() as patch:
        patch.setattr(Pretraining, "training_step", stopped)
        with pytest.raises(KeyboardInterrupt):
            pretrain_layoutlmv3(quick("stopped"))
    assert not (tmp_path / "stopped/metrics.json").exists()
    pretrain_layoutlmv3(quick("stopped"))
    one, other = (weights(tmp_path / name) for name in ("whole", "stopped"))
    assert one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)
    assert log_of(tmp_path / "whole") == log_of(tmp_path / "stopped")


def test_a_resumed_run_loses_no_evaluation(quick, small, tmp_path, monkeypatch):
    """The last checkpoint is that of the last evaluation, although the best one is earlier: the loss rises."""
    training = {"steps": 4, "eval_steps": 1, "learning_rate": 1.0, "schedule": "constant"}
    config = quick("run", training, hidden={"objectives": "mlm"}, model=str(small))
    step, steps = Pretraining.training_step, []

    def stopped(self, batch, number):
        steps.append(self.trainer.global_step)
        if steps.count(3) == 1 and steps[-1] == 3:
            raise KeyboardInterrupt
        return step(self, batch, number)

    monkeypatch.setattr(Pretraining, "training_step", stopped)
    with pytest.raises(KeyboardInterrupt):
        pretrain_layoutlmv3(config)
    folder = tmp_path / "run/checkpoints"
    reached = {name: torch.load(folder / f"{name}.ckpt", weights_only=True)["global_step"] for name in ("best", "last")}
    assert reached["best"] < reached["last"] == 3
    pretrain_layoutlmv3(config)
    assert steps == [0, 1, 2, 3, 3]
    assert json.loads((tmp_path / "run/metrics.json").read_text())["best_step"] == reached["best"]


def test_the_last_weights_instead_of_the_best(quick, small, tmp_path, capsys):
    """With so high a learning rate the loss rises."""
    options = {"steps": 3, "eval_steps": 1, "learning_rate": 1.0, "schedule": "constant"}
    for keep in ("best", "last"):
        pretrain_layoutlmv3(quick(keep, options | {"keep": keep}, hidden={"objectives": "mlm"}, model=str(small)))
    assert capsys.readouterr().out.count("; kept: step 3") == 1
    metrics = {keep: json.loads((tmp_path / keep / "metrics.json").read_text()) for keep in ("best", "last")}
    assert metrics["best"]["kept_step"] == metrics["best"]["best_step"] == metrics["last"]["best_step"] < 3
    assert metrics["last"]["kept_step"] == 3
    losses = {int(row["step"]): float(row["eval_loss"]) for row in log_of(tmp_path / "last") if row["eval_loss"]}
    for found in metrics.values():
        assert found["held_out"]["loss"] == pytest.approx(losses[found["kept_step"]])
    for keep, found in metrics.items():
        state = torch.load(tmp_path / f"{keep}/checkpoints/{keep}.ckpt", weights_only=True)
        assert state["global_step"] == found["kept_step"]
        kept = load_file(tmp_path / keep / "model/model.safetensors")
        assert all(torch.equal(weight, state["state_dict"][f"model.backbone.{name}"]) for name, weight in kept.items())


def test_a_step_is_the_mean_over_its_targets(quick, small, tmp_path):
    """For any number of accumulated batches, which have different numbers of targets."""
    options = {"model": str(small), "hidden": {"objectives": "mlm,mim,wpa,cpc"}}
    pretrain_layoutlmv3(quick("one", {"batch_size": 4, "steps": 3}, **options))
    pretrain_layoutlmv3(quick("four", {"batch_size": 1, "gradient_accumulation_steps": 4, "steps": 3}, **options))
    assert equal(weights(tmp_path / "one"), weights(tmp_path / "four"), atol=2e-5)
    one, four = ([row for row in log_of(tmp_path / name) if row["loss"]] for name in ("one", "four"))
    names = ("mlm", "mim", "wpa", "cpc")
    for figure in ["loss", *(f"{name}_{kind}" for name in names for kind in ("loss", "accuracy"))]:
        assert [float(row[figure]) for row in one] == pytest.approx([float(row[figure]) for row in four], rel=1e-4)
    for row in one:
        assert float(row["loss"]) == pytest.approx(sum(float(row[f"{name}_loss"]) for name in names), rel=1e-5)


def test_gradient_checkpointing_changes_nothing(quick, small, tmp_path):
    for name, training in (("plain", {}), ("checkpointed", {"gradient_checkpointing": True})):
        pretrain_layoutlmv3(quick(name, {"steps": 2} | training, model=str(small)))
    assert equal(weights(tmp_path / "plain"), weights(tmp_path / "checkpointed"), atol=1e-6)


def test_bf16(quick, tmp_path):
    pretrain_layoutlmv3(quick(training={"steps": 2}, lightning={"precision": "bf16-mixed"}))
    assert load_file(tmp_path / "run/model/model.safetensors")["cls_token"].dtype == torch.float32


def test_texts_and_boxes_alone(quick, tmp_path):
    """The first row of the paper's ablation."""
    pretrain_layoutlmv3(quick(visual=False, hidden={"objectives": "mlm"}, training={"steps": 2}))
    assert not LayoutLMv3Model.from_pretrained(tmp_path / "run/model").config.visual_embed
    assert not (tmp_path / "run/model" / FILE).exists()


def test_preview(quick, tmp_path, capsys):
    path = tmp_path / "preview.png"
    pretrain_layoutlmv3(quick(preview=str(path), hidden={"objectives": "mlm,mim,wpa,cpc"}))
    assert "preview.png" in capsys.readouterr().out
    colours = {colour for _, colour in Image.open(path).getcolors(1 << 24)}
    assert {(214, 39, 40), (31, 119, 180), (44, 160, 44), (148, 103, 189)} <= colours
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "options, said",
    [
        ({"visual": False}, "--visual False: expected"),
        ({"codebook_size": 1}, "--codebook_size 1: expected 2 or more"),
        ({"stride": 600}, "--stride 600: expected"),
        ({"boxes": "page"}, "--boxes page: expected"),
        ({"training": {"keep": "all"}}, "--keep all: expected best or last"),
    ],
)
def test_refused(quick, options, said):
    with pytest.raises(InputError, match=said):
        quick(**options)


def test_defaults_are_those_of_the_paper():
    options = PretrainingOptions()
    assert options.batch_size * options.gradient_accumulation_steps == 2048
    assert (options.learning_rate, options.weight_decay, options.warmup) == (1e-4, 0.01, 0.048)
    assert (options.adam_beta1, options.adam_beta2) == (0.9, 0.98)


@pytest.mark.slow
def test_two_devices_learn_the_same_as_one(small, run_script, pages_with_images, tmp_path):
    flags = [
        "--model",
        small,
        "--dataset_path",
        pages_with_images,
        "--steps",
        3,
        "--eval_steps",
        3,
        "--codebook_size",
        16,
    ]
    flags += ["--accelerator", "cpu", "--validation_fraction", 0.3, "--learning_rate", 1e-3]
    for name, more in (("one", [1, 4, 1]), ("two", [2, 2, 1])):
        devices, size, batches = more
        where = ["--devices", devices, "--batch_size", size, "--gradient_accumulation_steps", batches]
        done = run_script("run_pretrain_layoutlmv3.py", *flags, *where, "--output_dir", tmp_path / name)
        assert done.returncode == 0, done.stderr
    assert equal(weights(tmp_path / "one"), weights(tmp_path / "two"), atol=2e-5)
    found = [json.loads((tmp_path / name / "metrics.json").read_text())["held_out"] for name in ("one", "two")]
    assert found[0] == pytest.approx(found[1], abs=1e-4)
