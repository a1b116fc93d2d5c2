"""Training with transformers' Trainer: trained weights, checkpoints, logs."""

import csv
import math
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

pytest.importorskip("transformers", reason="needs requirements-finetune.txt")
pytest.importorskip("peft", reason="needs requirements-finetune.txt")

import peft
import transformers
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from transformers.modeling_outputs import TokenClassifierOutput

from documents.chunks import Chunk, Encoded
from finetune.llama.lora import LoraOptions, with_adapter
from finetune.llama.model import load_base
from finetune.training import TrainingOptions, last_checkpoint, make_trainer, mean_loss, progress, train
from preprocess.blocks import LABEL_WORDS, Block
from preprocess.errors import InputError

IDS = torch.tensor([[1, 300, 17, 5, 260, 99, 120, 8]])
OPTIONS = TrainingOptions(steps=6, eval_steps=4, logging_steps=2, learning_rate=1e-2)
LORA = LoraOptions(lora_r=4)
BLOCKS = [Block(f"p-{n}", "text", LABEL_WORDS[n % 3], (0, 0, 1, 1), "p", "", 1) for n in range(6)]
ENCODED = Encoded([Chunk([1, 5 + n % 3, 40 + n], [(2, n)]) for n in range(6)], BLOCKS, LABEL_WORDS)


def small(folder: Path):
    torch.manual_seed(3)
    return load_base(str(folder), LABEL_WORDS, torch.float32, [], folder).model


@pytest.fixture
def folder(make_checkpoint, tmp_path):
    return make_checkpoint(tmp_path / "meta")


@pytest.fixture
def trained(folder, tmp_path):
    """A Trainer after a few steps, and its folder."""
    trainer = make_trainer(with_adapter(small(folder), LORA), OPTIONS, tmp_path / "run", ENCODED, ENCODED)
    trainer.train()
    return trainer, tmp_path / "run"


def logits(model) -> torch.Tensor:
    with torch.inference_mode():
        return model.eval()(input_ids=IDS).logits


def test_only_adapter_and_classifier_are_trained(folder):
    model = with_adapter(small(folder), LORA)
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    kinds = {re.sub(r"^base_model\.model\.(model\.layers\.\d+\.)?", "", name) for name in trained}
    lora = {f"self_attn.{name}_proj.lora_{half}.default.weight" for name in "qv" for half in "AB"}
    assert kinds == lora | {"score.modules_to_save.default.weight", "score.modules_to_save.default.bias"}
    assert all(parameter.dtype == torch.float32 for parameter in model.parameters() if parameter.requires_grad)


@pytest.mark.parametrize("modules, refused", [("nothing", True), ("score", True), ("all-linear", False)])
def test_modules(folder, modules, refused):
    options = LoraOptions(lora_modules=modules)
    if refused:
        with pytest.raises(InputError, match=f"--lora_modules {modules}: expected some of down_proj, "):
            with_adapter(small(folder), options)
    else:
        names = [name for name, _ in with_adapter(small(folder), options).named_parameters() if "lora_A" in name]
        assert len(names) == 2 * 7
        assert not any("score" in name for name in names)


def test_adapter_round_trip_and_merge(trained, folder, tmp_path):
    trainer, _ = trained
    expected = logits(trainer.model)
    assert (expected - logits(with_adapter(small(folder), LORA))).abs().max() > 0.01
    trainer.model.save_pretrained(tmp_path / "adapter")
    torch.manual_seed(77)  # the classifier comes from the adapter
    again = load_base(str(folder), LABEL_WORDS, torch.float32, [], folder).model
    assert torch.equal(logits(peft.PeftModel.from_pretrained(again, tmp_path / "adapter")), expected)
    merged = trainer.model.merge_and_unload()
    merged.save_pretrained(tmp_path / "merged")
    read = transformers.LlamaForTokenClassification.from_pretrained(tmp_path / "merged")
    torch.testing.assert_close(logits(read), expected, atol=1e-5, rtol=0)
    assert list(read.config.id2label.values()) == list(LABEL_WORDS)


def test_logs(trained):
    trainer, run = trained
    scalars = EventAccumulator(str(run / "tensorboard"))
    scalars.Reload()
    found = set(scalars.Tags()["scalars"])
    assert {"train/loss", "train/learning_rate", "eval/loss", "eval/accuracy", "eval/macro_f1"} <= found
    assert [event.step for event in scalars.Scalars("eval/macro_f1")] == [4, 6]
    with (run / "log.csv").open() as file:
        rows = {int(row["step"]): row for row in csv.DictReader(file)}
    assert list(rows) == [2, 4, 6]
    assert all(float(row["loss"]) > 0 and float(row["learning_rate"]) > 0 for row in rows.values())
    assert rows[2]["eval_accuracy"] == ""
    assert float(rows[6]["eval_accuracy"]) == trainer.state.log_history[-2]["eval_accuracy"]


def test_the_best_checkpoint_is_in_use_at_the_end(trained):
    trainer, run = trained
    scores = {entry["step"]: entry["eval_macro_f1"] for entry in trainer.state.log_history if "eval_macro_f1" in entry}
    best = max(scores, key=lambda step: (scores[step], -step))
    assert trainer.state.best_model_checkpoint.endswith(f"checkpoint-{best}")
    assert trainer.evaluate()["eval_macro_f1"] == scores[best]
    assert last_checkpoint(run / "checkpoints").name == "checkpoint-6"


def test_loss_is_the_mean_over_blocks_and_never_nan():
    generator = torch.Generator().manual_seed(0)
    outputs = TokenClassifierOutput(logits=torch.randn(2, 3, 11, generator=generator))
    labels = torch.tensor([[-100, 4, -100], [2, -100, 9]])
    expected = -torch.log_softmax(outputs.logits, -1)[[0, 1, 1], [1, 0, 2], [4, 2, 9]]
    torch.testing.assert_close(mean_loss(outputs, labels), expected.mean())
    torch.testing.assert_close(mean_loss(outputs, labels, torch.tensor(12)), expected.sum() / 12)
    assert mean_loss(outputs, torch.full((2, 3), -100)) == 0  # a chunk inside one long block


def test_accumulated_batches_make_the_same_step(folder, tmp_path):
    """Two batches of one chunk equal one batch of two, although one has more blocks."""
    chunks = [Chunk([1, 5, 6, 7], [(1, 0), (2, 1), (3, 2)]), Chunk([1, 9], [(1, 3)])]
    norms = []
    for size in (1, 2):
        options = TrainingOptions(steps=1, batch_size=size, gradient_accumulation_steps=2 // size, logging_steps=1)
        model = small(folder)
        model.dropout.p = 0.0
        encoded = Encoded(chunks, BLOCKS, LABEL_WORDS)
        adapted = with_adapter(model, LoraOptions(lora_dropout=0.0))
        trainer = make_trainer(adapted, options, tmp_path / str(size), encoded, encoded)
        trainer.train()
        norms.append(trainer.state.log_history[0]["grad_norm"])
    assert norms[0] == pytest.approx(norms[1], rel=1e-5)


@pytest.mark.parametrize(
    "options",
    [
        {"steps": 0},
        {"warmup": 1.0},
        {"learning_rate": 0.0},
        {"learning_rate": math.nan},
        {"epochs": 0.0},
        {"best_by": "loss"},
        {"schedule": "polynomial"},
        {"patience": -1},
        {"weight_decay": -0.1},
        {"seed": -1},
        {"seed": 2**32},
        {"steps": 2**63 - 1},
        {"epochs": 1e300},
        {"batch_size": 10**10},
        {"gradient_accumulation_steps": 2**63 - 1},
        {"eval_steps": 0},
        {"steps": 9, "epochs": 2.0},
    ],
)
def test_refused_options(options):
    with pytest.raises(InputError, match=f"--{next(iter(options))}"):
        TrainingOptions(**options)


@pytest.mark.parametrize("options", [{"lora_dropout": -0.1}, {"lora_r": 0}, {"lora_alpha": 0}, {"lora_r": 2**40}])
def test_refused_adapters(options):
    with pytest.raises(InputError, match=f"--{next(iter(options))}"):
        LoraOptions(**options)


@pytest.mark.parametrize(
    "options, chunks, processes, steps",
    [
        ({"steps": 7, "epochs": None}, 100, 1, 7),
        ({"epochs": 3.0, "batch_size": 2}, 5, 1, 9),
        ({"epochs": 0.5, "batch_size": 2}, 5, 1, 2),
        ({"epochs": 2.0, "batch_size": 2, "gradient_accumulation_steps": 2}, 10, 1, 6),
        ({"epochs": 2.0, "batch_size": 2}, 10, 2, 6),
    ],
)
def test_steps(options, chunks, processes, steps):
    assert TrainingOptions(**options).steps_of(chunks, processes) == steps


def test_steps_are_those_of_the_trainer(folder, tmp_path):
    options = replace(OPTIONS, steps=None, epochs=1.5, gradient_accumulation_steps=2)
    trainer = make_trainer(with_adapter(small(folder), LORA), options, tmp_path / "run", ENCODED, ENCODED)
    trainer.train()
    assert trainer.state.global_step == options.steps_of(len(ENCODED.chunks))
    assert progress(trainer)["training_seconds"] > 0


def test_a_run_without_improvement_stops(folder, tmp_path):
    options = replace(OPTIONS, learning_rate=1e-12, steps=100, eval_steps=2, patience=2)
    trainer = make_trainer(with_adapter(small(folder), LORA), options, tmp_path / "run", ENCODED, ENCODED)
    trainer.train()
    assert trainer.state.global_step == 6
    assert progress(trainer)["best_step"] == 2


def test_patience_survives_an_interruption(folder, tmp_path):
    """Interrupted after the first of two evaluations without improvement, which end a run."""

    class Stop(transformers.TrainerCallback):
        def on_step_begin(self, args, state, control, **_):
            if state.global_step == 5:
                raise KeyboardInterrupt

    options = replace(OPTIONS, learning_rate=1e-12, steps=100, eval_steps=2, patience=2)
    stopped = make_trainer(with_adapter(small(folder), LORA), options, tmp_path / "run", ENCODED, ENCODED)
    stopped.add_callback(Stop())
    with pytest.raises(KeyboardInterrupt):
        train(stopped, tmp_path / "run")
    trainer = make_trainer(with_adapter(small(folder), LORA), options, tmp_path / "run", ENCODED, ENCODED)
    train(trainer, tmp_path / "run")
    assert (progress(trainer)["steps"], progress(trainer)["best_step"]) == (6, 2)
