"""Files that a later session of a run reads, damaged in every way: a one-line error, and the files are not used."""

import json
import shutil
from pathlib import Path

import pytest

pytest.importorskip("transformers", reason="needs requirements-finetune.txt")
pytest.importorskip("lightning", reason="needs requirements-finetune.txt")

from finetune.layoutlmv3.fine_tuning import finetune_layoutlmv3
from finetune.llama.fine_tuning import finetune_llama
from preprocess.errors import InputError
from preprocess.files import read_json
from preprocess.seals import SEAL
from tests.damages import DAMAGES

FILES = {
    "lightning": ("checkpoints/last.ckpt", "checkpoints/best.ckpt", "base/model.safetensors", "prepared.json"),
    "hf": ("checkpoints/checkpoint-6/optimizer.pt", "checkpoints/checkpoint-6/trainer_state.json", "prepared.images"),
    "lora": ("checkpoints/checkpoint-12/adapter_model.safetensors", "base/config.json", "configuration.json"),
}
AFTER = {
    "lightning": ("model/model.safetensors", "training.json"),
    "hf": ("model/config.json", "training.json"),
    "lora": ("adapter/adapter_model.safetensors", "training.json"),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("moment", ["while it trains", "after training"])
def test_damaged_files_of_a_run(kind: str, moment: str, quick, quick_layout, tmp_path: Path):
    """Any damage to any file ends the run with a line that names the file."""
    config = quick() if kind == "lora" else quick_layout(trainer=kind)
    train = finetune_llama if kind == "lora" else finetune_layoutlmv3
    train(config)
    run = Path(config.output_dir)
    (run / "metrics.json").unlink()
    if moment == "while it trains":
        (run / "training.json").unlink()
        shutil.rmtree(run / ("adapter" if kind == "lora" else "model"))
    whole = tmp_path / "whole"
    run.rename(whole)
    for name in FILES[kind] if moment == "while it trains" else AFTER[kind]:
        for damage in DAMAGES.values():
            shutil.copytree(whole, run)
            damage(run / name)
            with pytest.raises((InputError, OSError), match=str(run)) as refused:
                train(config)
            assert "\n" not in str(refused.value)
            shutil.rmtree(run)


def test_a_model_is_sealed_with_all_its_files(quick_layout):
    config = quick_layout()
    finetune_layoutlmv3(config)
    folder = Path(config.output_dir, "model")
    names = {path.name for path in folder.iterdir()} - {SEAL, "README.md"}
    assert {*read_json(folder / SEAL, "")} == names
    assert json.loads((folder / "config.json").read_text())["model_type"] == "layoutlmv3"
