"""Whole runs of LayoutLMv3 with both trainers: output and refusals."""

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("transformers", reason="needs requirements-finetune.txt")
pytest.importorskip("lightning", reason="needs requirements-finetune.txt")

from PIL import Image
from safetensors.torch import load_file
from transformers import AutoModelForTokenClassification, LayoutLMv3Processor

from documents import layoutlmv3 as layoutlmv3_model
from evaluate.reading import read_checked
from evaluate.result import Result
from finetune.layoutlmv3.fine_tuning import DEFAULTS, LayoutLMv3Config, finetune_layoutlmv3
from finetune.outputs import settings_of
from preprocess.blocks import LABEL_WORDS
from preprocess.build import ExampleOptions, PromptOptions
from preprocess.doclaynet import DocLayNetConfig, preprocess_direct
from preprocess.errors import InputError
from preprocess.pages import read_pages
from preprocess.seals import SEAL
from tests.finetune.layoutlmv3.runs import NAME, TRAINERS, content, log_of, scores_of
from training.lightning import LightningOptions


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


def test_checkpoints_on_the_hub(quick_layout, hub):
    """With the processor, as transformers opens them."""
    config = quick_layout(trainer="hf", training={"steps": 2}, push_to_hub="me/forms", hub_strategy="all_checkpoints")
    finetune_layoutlmv3(config)
    created, (_, model), (_, place, whole), *end = hub.calls
    assert created == ("me/forms", None) and place == "checkpoint-2"
    assert {"config.json", "model.safetensors", "processor_config.json", "tokenizer.json"} <= {*model}
    assert not {"optimizer.pt", "trainer_state.json", SEAL} & {*model}
    assert {"optimizer.pt", "trainer_state.json", SEAL} <= set(whole)
    assert len(end) == 2


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
        (
            {"push_to_hub": "a/b", "hub_strategy": "checkpoint"},
            "--hub_strategy checkpoint: expected only with --trainer hf",
        ),
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
