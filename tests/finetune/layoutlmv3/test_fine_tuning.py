"""Whole runs of LayoutLMv3 with both trainers: output, resuming, refusals."""

import csv
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

pytest.importorskip("transformers", reason="needs requirements-finetune.txt")
pytest.importorskip("lightning", reason="needs requirements-finetune.txt")

from PIL import Image
from safetensors.torch import load_file
from transformers import AutoModelForTokenClassification, LayoutLMv3Processor

from documents import layoutlmv3 as layoutlmv3_model
from documents import prepared
from evaluate.reading import read_checked
from evaluate.result import Result
from finetune import hub as hub_module
from finetune import training
from finetune.layoutlmv3 import fine_tuning as layoutlmv3
from finetune.layoutlmv3.fine_tuning import DEFAULTS, LayoutLMv3Config, finetune_layoutlmv3
from finetune.outputs import settings_of
from preprocess.blocks import LABEL_WORDS
from preprocess.build import ExampleOptions, PromptOptions
from preprocess.doclaynet import DocLayNetConfig, preprocess_direct
from preprocess.errors import InputError
from preprocess.pages import read_pages
from preprocess.seals import SEAL
from training import lightning as by_pytorch_lightning
from training.lightning import LightningOptions

TRAINERS = ("lightning", "hf")
NAME = "outputs_layoutlmv3_doclaynet.json"


class Hub:
    """A stand-in for HfApi."""

    def __init__(self):
        self.calls = []
        self.fails = False

    def create_repo(self, name, repo_type, private, exist_ok):
        if self.fails:
            raise RuntimeError("401 Unauthorized\nsign in")
        self.calls.append((name, private))

    def repo_info(self, name, repo_type):
        return SimpleNamespace(private=True)

    def upload_folder(self, repo_id, folder_path, ignore_patterns):
        names = {path.name for path in folder_path.iterdir()} - {*ignore_patterns}
        self.calls.append((repo_id, sorted(names)))


@pytest.fixture(autouse=True)
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A stand-in for the hub. Restores logging and the handler of Ctrl-C, which Lightning sets to ignore."""
    stand_in = Hub()
    monkeypatch.setattr(hub_module, "HfApi", lambda: stand_in)
    yield stand_in
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.INFO)


@pytest.fixture(scope="module")
def runs() -> dict[str, LayoutLMv3Config]:
    return {}


@pytest.fixture
def whole(runs, quick_layout, tmp_path_factory) -> Callable[[str], LayoutLMv3Config]:
    """(trainer) -> the options of a finished, uninterrupted run, which tests do not change."""

    def find(trainer: str) -> LayoutLMv3Config:
        if trainer not in runs:
            runs[trainer] = quick_layout(str(tmp_path_factory.mktemp("whole") / trainer), trainer=trainer)
            finetune_layoutlmv3(runs[trainer])
        return runs[trainer]

    return find


def content(config: LayoutLMv3Config, name: str) -> dict:
    return json.loads((Path(config.output_dir) / name).read_text())


def log_of(config: LayoutLMv3Config) -> list[dict[str, str]]:
    with (Path(config.output_dir) / "log.csv").open() as file:
        return list(csv.DictReader(file))


def scores_of(config: LayoutLMv3Config) -> np.ndarray:
    """The log-probabilities in the predictions file, (blocks, classes)."""
    return np.array([row["log_probs"] for row in content(config, NAME)])


@torch.inference_mode()
def plain_scores(config: LayoutLMv3Config, blank: bool = False) -> np.ndarray:
    """Log-probabilities of the test pages by the saved model with transformers alone, (blocks, classes).

    Args:
        blank: Use white pages.
    """
    folder = Path(config.output_dir) / "model"
    model, processor = (
        AutoModelForTokenClassification.from_pretrained(folder),
        LayoutLMv3Processor.from_pretrained(folder),
    )
    found = []
    for page in read_pages(config.pages.dataset_path, "test", images=True):
        image = Image.open(page.image)
        inputs = processor(
            Image.new("RGB", image.size) if blank else image,
            [block.text for block in page.blocks],
            boxes=[block.box for block in page.blocks],
            return_tensors="pt",
        )
        owners = inputs.word_ids()
        firsts = [owners.index(number) for number in range(len(page.blocks))]
        found.append(model.eval()(**inputs).logits[0, firsts].log_softmax(-1).numpy())
    return np.concatenate(found)


@pytest.mark.parametrize("trainer", TRAINERS)
def test_a_run_and_its_files(whole, hub, capsys, trainer, tmp_path):
    config = whole(trainer)
    folder, metrics = Path(config.output_dir), content(config, "metrics.json")
    predictions = read_checked(folder / NAME)
    result = Result(predictions)
    assert (result.method, result.dataset, result.k, result.checkpoint) == ("LayoutLMv3", "doclaynet", None, "random")
    assert result.accuracy == metrics["test"]["accuracy"]
    assert predictions.meta["seconds"] > 0
    prompts = tmp_path / "inputs.json"
    options = PromptOptions(str(prompts), 0, examples=ExampleOptions(config.pages.dataset_path))
    preprocess_direct(DocLayNetConfig(prompts=options))
    for row, prompt in zip(predictions.rows, json.loads(prompts.read_text()), strict=True):
        assert all(row[field] == prompt[field] for field in ("id", "label_words", "ground_truth", "group"))
        assert row["prediction"] == LABEL_WORDS[row["log_probs"].index(max(row["log_probs"]))]
    for name, method in (("majority", "majority"), ("tfidf", "TF-IDF")):
        floor = Result(read_checked(folder / f"outputs_{name}_doclaynet.json"))
        assert (floor.method, floor.truths) == (method, result.truths)
        assert floor.accuracy == metrics["baselines"][name]["accuracy"]
    assert metrics["data"]["test"] == {"pages": 4, "blocks": 32, "chunks": 4, "blocks_read": 32}
    assert metrics["steps"] == 6
    assert [row["step"] for row in log_of(config)] == ["2", "4", "6"]
    assert all(float(row["eval_macro_f1"]) >= 0 < float(row["loss"]) for row in log_of(config))
    assert content(config, "configuration.json")["versions"]["lightning"]
    assert list(folder.glob("tensorboard/events.*"))
    assert any((folder / "checkpoints").iterdir())
    assert (folder / "model/README.md").is_file()
    assert hub.calls == []
    assert not list(folder.rglob(".*"))  # nothing half-written


@pytest.mark.parametrize("trainer", TRAINERS)
def test_the_saved_model_is_transformers_own(whole, trainer):
    """Loaded without this project, it gives the same scores; and they depend on the image."""
    config = whole(trainer)
    np.testing.assert_allclose(plain_scores(config), scores_of(config), atol=1e-4)
    assert np.abs(plain_scores(config, blank=True) - scores_of(config)).max() > 1e-3


def test_the_best_checkpoint_is_what_is_saved(whole):
    config = whole("lightning")
    best = max(log_of(config), key=lambda row: (float(row["eval_macro_f1"]), -int(row["step"])))
    metrics = content(config, "metrics.json")
    assert metrics["best_step"] == int(best["step"])
    assert metrics["validation"]["macro_f1"] == pytest.approx(float(best["eval_macro_f1"]))
    kept = torch.load(Path(config.output_dir) / "checkpoints/best.ckpt", weights_only=True)["state_dict"]
    saved = load_file(Path(config.output_dir) / "model/model.safetensors")
    assert all(torch.equal(weight, kept[f"model.{name}"]) for name, weight in saved.items())


@pytest.mark.parametrize("trainer", TRAINERS)
def test_the_same_command_again(whole, trainer, capsys):
    config = whole(trainer)
    written = Path(config.output_dir) / "metrics.json"
    before = written.stat().st_mtime_ns
    finetune_layoutlmv3(config)
    assert "already finished" in capsys.readouterr().out
    with pytest.raises(InputError, match=r"contains a run with .*'seed': 42.* now .*'seed': 43.*--overwrite"):
        finetune_layoutlmv3(replace(config, training=replace(config.training, seed=43)))
    assert written.stat().st_mtime_ns == before


def test_overwriting(quick_layout):
    config = quick_layout(training={"steps": 2})
    finetune_layoutlmv3(config)
    notes = Path(config.output_dir) / "notes.txt"
    notes.write_text("mine")
    again = replace(config, training=replace(config.training, steps=1), overwrite=True)
    finetune_layoutlmv3(again)
    assert content(again, "metrics.json")["steps"] == 1
    assert [row["step"] for row in log_of(again)] == ["1"]
    assert notes.read_text() == "mine"


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


@pytest.mark.parametrize("trainer, kept", [("lightning", "last.ckpt"), ("hf", "checkpoint-4")])
def test_a_resumed_run_equals_one_that_was_not_stopped(quick_layout, whole, monkeypatch, capsys, trainer, kept):
    """Stopped at step 5, after the checkpoint of step 4."""
    config = quick_layout("stopped", trainer=trainer)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupt(patch, 5)
        finetune_layoutlmv3(config)
    assert f"{kept}: saved; the same command resumes" in capsys.readouterr().err
    assert not (Path(config.output_dir) / "metrics.json").exists()
    finetune_layoutlmv3(config)
    assert f"{kept}: resuming from" in capsys.readouterr().out
    same(config, whole(trainer))


@pytest.mark.parametrize("trainer", TRAINERS)
def test_a_run_that_is_stopped_before_its_first_checkpoint(quick_layout, whole, monkeypatch, capsys, trainer):
    """It starts again with the model that it created, although other random numbers have been drawn since."""
    config = quick_layout("stopped", trainer=trainer)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupt(patch, 1)
        finetune_layoutlmv3(config)
    finetune_layoutlmv3(config)
    assert "resuming" not in capsys.readouterr().out
    same(config, whole(trainer))


@pytest.mark.parametrize("place, function", [(prepared, "write_bytes"), (layoutlmv3, "encode")])
def test_files_of_a_failed_start_are_not_used(quick_layout, whole, monkeypatch, place, function):
    """Interrupted while pages are prepared, or after they and the model are written; then run with other options."""

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    config = quick_layout("begun")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(place, function, stop)
        finetune_layoutlmv3(replace(config, pages=replace(config.pages, train_pages=4, limit=3)))
    assert not (Path(config.output_dir) / "configuration.json").exists()
    finetune_layoutlmv3(config)
    same(config, whole("lightning"))


def test_limit_changes_no_score(quick_layout, whole):
    """The model sees the text after a block, so the last page is read whole, but only its first blocks are written."""
    limit = 11  # of pages of eight
    config = quick_layout(page_options={"limit": limit})
    finetune_layoutlmv3(config)
    rows, all_rows = content(config, NAME), content(whole("lightning"), NAME)
    assert [row["id"] for row in rows] == [row["id"] for row in all_rows[:limit]]
    np.testing.assert_allclose(scores_of(config), scores_of(whole("lightning"))[:limit], atol=1e-5)
    assert content(config, "metrics.json")["data"]["test"]["blocks_read"] == limit
    assert len(content(config, "outputs_tfidf_doclaynet.json")) == limit


def test_a_page_of_more_tokens_than_positions(write_pages, quick_layout):
    folder = write_pages(train=2, test=1, blocks=120, images=True)
    config = quick_layout(page_options={"dataset_path": str(folder)}, training={"steps": 1})
    finetune_layoutlmv3(config)
    data = content(config, "metrics.json")["data"]["test"]
    assert data["blocks"] == data["blocks_read"] == 120
    assert data["chunks"] > 1
    assert [row["id"] for row in content(config, NAME)] == [f"test0-{number}" for number in range(120)]
    assert content(config, "metrics.json")["test"]["unanswered"] == 0


def test_the_length_is_that_of_the_model(quick_layout, monkeypatch):
    monkeypatch.setitem(layoutlmv3_model.RANDOM_SHAPE, "max_position_embeddings", 34)
    with pytest.raises(InputError, match="--stride 128: random takes only 32 tokens"):
        finetune_layoutlmv3(quick_layout())
    config = quick_layout(stride=8, training={"steps": 1})
    finetune_layoutlmv3(config)
    data = content(config, "metrics.json")["data"]["test"]
    assert data["chunks"] > data["pages"]
    assert data["blocks_read"] == 32


@pytest.mark.parametrize("trainer", TRAINERS)
def test_a_bar_on_a_terminal(quick_layout, monkeypatch, capsys, trainer):
    """On standard error; without a terminal there is no bar."""
    config = quick_layout(trainer=trainer, training={"steps": 2})
    finetune_layoutlmv3(config)
    plain = capsys.readouterr()
    assert plain.err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    finetune_layoutlmv3(replace(config, overwrite=True))
    shown = capsys.readouterr()
    assert "2/2" in shown.err
    if trainer == "lightning":
        assert shown.out == plain.out


def test_the_hub(quick_layout, hub):
    """If it fails, the model is kept; then the finished run is pushed without training again."""
    config = quick_layout(training={"steps": 1}, push_to_hub="me/forms", private=True)
    hub.fails = True
    with pytest.raises(InputError, match=r"^--push_to_hub me/forms: .*401 Unauthorized; it is in .*/model$"):
        finetune_layoutlmv3(config)
    before = (Path(config.output_dir) / "metrics.json").stat().st_mtime_ns
    hub.fails = False
    finetune_layoutlmv3(config)
    files = sorted({path.name for path in (Path(config.output_dir) / "model").iterdir()} - {SEAL})
    assert {"README.md", "config.json", "model.safetensors", "processor_config.json", "tokenizer.json"} <= set(files)
    assert hub.calls == [("me/forms", True), ("me/forms", files)]
    assert (Path(config.output_dir) / "metrics.json").stat().st_mtime_ns == before


@pytest.mark.parametrize("precision", ["bf16-mixed", "bf16-true"])
def test_precision(quick_layout, whole, precision):
    config = quick_layout(lightning={"precision": precision})
    finetune_layoutlmv3(config)
    difference = np.abs(scores_of(config) - scores_of(whole("lightning"))).max()
    assert 0 < difference < 0.3
    assert {weight.dtype for weight in load_file(Path(config.output_dir) / "model/model.safetensors").values()} == {
        torch.float32
    }


def test_forms(data, tmp_path, quick_layout):
    """A few forms of FUNSD: words are blocks with IOB tags as labels."""
    for folder, count in (("training_data", 4), ("testing_data", 2)):
        for file in sorted((data / "funsd/dataset" / folder / "annotations").glob("*.json"))[:count]:
            for kind, name in (("annotations", file.name), ("images", f"{file.stem}.png")):
                target = tmp_path / "funsd" / folder / kind / name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(file.parent.parent / kind / name, target)
    config = quick_layout(
        dataset="funsd",
        page_options={"dataset_path": str(tmp_path / "funsd")},
        training={"steps": 2, "best_by": "entity_f1"},
    )
    finetune_layoutlmv3(config)
    predictions = read_checked(Path(config.output_dir) / "outputs_layoutlmv3_funsd.json")
    expected = []  # words are numbered through a form, blank ones included
    for file in sorted((tmp_path / "funsd/testing_data/annotations").glob("*.json")):
        words = [word["text"] for entity in json.loads(file.read_text())["form"] for word in entity["words"]]
        expected += [f"{file.stem}-{number}" for number, word in enumerate(words) if word.strip()]
    assert [row["id"] for row in predictions.rows] == expected
    assert {row["group"] for row in predictions.rows} == {name.rpartition("-")[0] for name in expected}
    found = content(config, "metrics.json")["test"]
    assert 0 <= found["entity_f1"] <= 1
    assert Result(predictions).accuracy == found["accuracy"]


def test_defaults_are_those_of_the_trainer():
    options = LayoutLMv3Config().training
    lightning, hf = options.filled(**DEFAULTS["lightning"]), options.filled(**DEFAULTS["hf"])
    assert (lightning.epochs, lightning.steps, lightning.eval_steps) == (5, None, None)
    assert (hf.epochs, hf.steps, hf.eval_steps, hf.schedule) == (None, 1000, 100, "cosine")
    found = replace(options, steps=7, learning_rate=0.5).filled(**DEFAULTS["lightning"])
    assert (found.steps, found.epochs, found.learning_rate, found.batch_size) == (7, None, 0.5, 2)
    assert replace(options, epochs=2.0).filled(**DEFAULTS["hf"]).steps is None


@pytest.mark.parametrize("trainer", ["lightning", "hf"])
def test_a_folder_that_is_moved_during_a_run_keeps_its_best_checkpoint(quick_layout, monkeypatch, trainer):
    """The second half learns nothing, so the best checkpoint is from the first half."""
    training = {"steps": 6, "eval_steps": 2, "learning_rate": 1e-12}
    whole = quick_layout("whole", trainer=trainer, training=training)
    finetune_layoutlmv3(whole)
    stopped = quick_layout("stopped", trainer=trainer, training=training)
    with monkeypatch.context() as patch:
        interrupt(patch, 5)
        with pytest.raises(KeyboardInterrupt):
            finetune_layoutlmv3(stopped)
    moved = replace(stopped, output_dir=f"{stopped.output_dir}_elsewhere")
    Path(stopped.output_dir).rename(moved.output_dir)
    finetune_layoutlmv3(moved)
    first, second = content(whole, "metrics.json"), content(moved, "metrics.json")
    assert first["best_step"] == second["best_step"] == 2
    assert first["test"] == second["test"]


def test_a_run_that_is_moved_after_its_last_checkpoint(quick_layout):
    """Killed before it saved the model: no steps remain, and the best checkpoint is found in the new place."""
    config = quick_layout(trainer="hf")
    finetune_layoutlmv3(config)
    moved = replace(config, output_dir=f"{config.output_dir}_elsewhere")
    Path(config.output_dir).rename(moved.output_dir)
    weights = Path(moved.output_dir) / "model/model.safetensors"
    before, best_step = weights.read_bytes(), content(moved, "metrics.json")["best_step"]
    for name in ("metrics.json", "training.json", "model/model.safetensors"):
        (Path(moved.output_dir) / name).unlink()
    finetune_layoutlmv3(moved)
    assert weights.read_bytes() == before
    assert content(moved, "metrics.json")["best_step"] == best_step


def test_a_trained_model_is_not_trained_again(quick_layout, monkeypatch):
    """A run that was interrupted while predicting, and moved, resumes with its saved weights."""
    config = quick_layout()
    finetune_layoutlmv3(config)
    name, recorded = "outputs_layoutlmv3_doclaynet.json", content(config, "configuration.json")["configuration"]
    assert recorded["training"]["learning_rate"] is not None  # defaults are filled in
    assert recorded["training"]["schedule"] == "linear"
    moved = replace(config, output_dir=f"{config.output_dir}_elsewhere")
    Path(config.output_dir).rename(moved.output_dir)
    before, metrics = (Path(moved.output_dir) / name).read_bytes(), content(moved, "metrics.json")
    (Path(moved.output_dir) / "metrics.json").unlink()
    (Path(moved.output_dir) / name).unlink()
    monkeypatch.setattr("finetune.layoutlmv3.fine_tuning.by_lightning", None)
    finetune_layoutlmv3(moved)
    assert (Path(moved.output_dir) / name).read_bytes() == before
    assert content(moved, "metrics.json") == metrics


def test_other_options_are_not_another_draw(quick_layout):
    """The results table combines results with the same settings and other seeds."""
    one = settings_of(quick_layout())
    assert settings_of(quick_layout("elsewhere", training={"seed": 7}, overwrite=True)) == one
    assert settings_of(quick_layout(training={"learning_rate": 0.5})) != one


@pytest.mark.parametrize(
    "options, message",
    [
        ({"trainer": "keras"}, "--trainer keras: expected lightning or hf"),
        ({"stride": 510}, "--stride 510: expected 0 or more, and less than --max_length 512 minus 2 special tokens"),
        ({"stride": -1}, "--stride -1"),
        ({"max_length": 100}, "--stride 128: .*--max_length 100"),
        ({"push_to_hub": "a b"}, "--push_to_hub a b: expected USER/NAME"),
        ({"private": True}, "--private"),
        ({"trainer": "hf", "lightning": LightningOptions(devices="2")}, "--trainer hf: takes no .*--devices"),
        ({"trainer": "hf", "lightning": LightningOptions(num_workers=1)}, "--trainer hf: takes no .*--num_workers"),
        (
            {"trainer": "hf", "lightning": LightningOptions(precision="16-mixed")},
            "--precision 16-mixed: expected 32-tr",
        ),
    ],
)
def test_refused_options(options, message):
    with pytest.raises(InputError, match=message):
        LayoutLMv3Config(**options)


def test_torchrun_is_refused(quick_layout, monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")  # as torchrun sets it in each process
    with pytest.raises(InputError, match="torchrun: run this script with plain python; --devices"):
        finetune_layoutlmv3(quick_layout())
    assert not Path(quick_layout().output_dir).exists()


TWO = ("--accelerator", "cpu", "--devices", "2", "--strategy", "ddp")


def command(pages: Path, folder: Path, *more: object) -> list[str]:
    fixed = ("--model", "random", "--dataset", "doclaynet", "--learning_rate", "1e-3", "--logging_steps", "2")
    return ["run_finetune_layoutlmv3.py", *map(str, (*fixed, "--dataset_path", pages, "--output_dir", folder, *more))]


def test_two_devices(run_script, pages_with_images, tmp_path):
    """Three validation pages, an unequal number per process. Each block counts once, and one process prints."""
    options = (*TWO, "--steps", 4, "--eval_steps", 2, "--validation_fraction", 0.25, "--overwrite")
    done = run_script(*command(pages_with_images, tmp_path / "run", *options))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("best checkpoint: step") == done.stdout.count("written to") == 1
    config = LayoutLMv3Config(output_dir=str(tmp_path / "run"))
    metrics, rows = content(config, "metrics.json"), log_of(config)
    assert metrics["data"]["validation"]["blocks_read"] == 24
    assert [row["step"] for row in rows] == ["2", "4"]
    (best,) = [row for row in rows if int(row["step"]) == metrics["best_step"]]
    for name in ("accuracy", "macro_f1", "weighted_f1"):  # found by two there, by one here
        assert float(best[f"eval_{name}"]) == pytest.approx(metrics["validation"][name])
    assert Result(read_checked(tmp_path / "run" / NAME)).accuracy == metrics["test"]["accuracy"]
    assert len(list((tmp_path / "run/tensorboard").glob("events.*"))) == 1


def test_wrong_input_with_two_devices(write_pages, quick_layout, monkeypatch):
    """It is reported before the second process starts."""
    folder = write_pages(train=3, test=1, images=True)
    (folder / "train/001.png").write_bytes(b"no image")
    monkeypatch.setattr(by_pytorch_lightning, "make_trainer", None)
    config = quick_layout(page_options={"dataset_path": str(folder)}, lightning={"devices": "2", "strategy": "ddp"})
    with pytest.raises(InputError, match=r"train/001\.png: unknown format$"):
        finetune_layoutlmv3(config)
    assert list(Path(config.output_dir).iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("to_all", [True, False])
def test_ctrl_c_with_two_devices(root, run_script, pages_with_images, tmp_path, to_all):
    """A terminal interrupts all processes, `kill` only one; no process remains, one prints, and the run resumes."""
    options = (*TWO, "--steps", 30, "--eval_steps", 2)
    arguments = [sys.executable, *command(pages_with_images, tmp_path / "run", *options)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(arguments, cwd=root, env=environment, start_new_session=True, **pipes) as running:
        try:
            last = tmp_path / "run/checkpoints/last.ckpt"
            until = time.monotonic() + 120
            while not last.exists():
                assert running.poll() is None, running.communicate()
                assert time.monotonic() < until
                time.sleep(0.1)
            (os.killpg if to_all else os.kill)(running.pid, signal.SIGINT)
            out, err = running.communicate(timeout=60)
            assert running.returncode == 130
            assert err == f"{last}: saved; the same command resumes from it\ninterrupted\n"
            assert out == ""
            until = time.monotonic() + 10
            with pytest.raises(ProcessLookupError):
                while time.monotonic() < until:
                    os.killpg(running.pid, 0)
                    time.sleep(0.1)
        finally:
            if running.poll() is None:
                os.killpg(running.pid, signal.SIGKILL)
    done = run_script(*command(pages_with_images, tmp_path / "run", *options))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{last}: resuming from this checkpoint\n")
    run_script(*command(pages_with_images, tmp_path / "whole", *options))
    assert (tmp_path / "run" / NAME).read_bytes() == (tmp_path / "whole" / NAME).read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("trainer", TRAINERS)
def test_it_learns(write_pages, quick_layout, trainer):
    """From random weights, on held-out pages: more than .95 of the blocks are correct."""
    config = quick_layout(
        trainer=trainer,
        page_options={"dataset_path": str(write_pages(train=60, test=10, blocks=10, seed=5, images=True))},
        training={"steps": 300, "eval_steps": 100, "logging_steps": 50, "batch_size": 4, "learning_rate": 2e-3},
    )
    finetune_layoutlmv3(config)
    found = content(config, "metrics.json")["test"]
    assert found["accuracy"] > 0.95
    assert found["macro_f1"] > 0.95
