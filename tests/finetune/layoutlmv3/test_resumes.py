"""Runs of LayoutLMv3 that are interrupted or moved: how they resume, with both trainers."""

from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("transformers", reason="needs requirements-finetune.txt")
pytest.importorskip("lightning", reason="needs requirements-finetune.txt")


from documents import prepared
from finetune.layoutlmv3 import fine_tuning as layoutlmv3
from finetune.layoutlmv3.fine_tuning import finetune_layoutlmv3
from tests.finetune.layoutlmv3.runs import TRAINERS, content, interrupt, same


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
def test_what_a_failed_beginning_leaves_is_not_used(quick_layout, whole, monkeypatch, place, function):
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


@pytest.mark.parametrize("trainer", ["lightning", "hf"])
def test_a_folder_that_is_moved_in_mid_run_knows_its_best_checkpoint(quick_layout, monkeypatch, trainer):
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


def test_what_is_trained_is_not_trained_again(quick_layout, monkeypatch):
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
