"""What a run keeps for the session after it, damaged in every way: one line, and nothing of it is run or used."""

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("transformers", reason="needs requirements-finetune.txt")
pytest.importorskip("lightning", reason="needs requirements-finetune.txt")

import torch

from finetune.layoutlmv3 import finetune_layoutlmv3
from finetune.llama_layout import finetune_llama
from finetune.seals import SEAL, check_seal, read_state, seal
from preprocess.errors import InputError
from preprocess.files import read_json


class Evil:
    """What runs if it is unpickled."""

    def __reduce__(self) -> tuple:
        return Path.touch, (Path("evil"),)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x55
    path.write_bytes(content)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "truncated": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "flipped": flip,
    "empty": lambda path: path.write_bytes(b""),
    "pickle": lambda path: path.write_bytes(pickle.dumps(Evil())),
    "archive": lambda path: torch.save({"a": torch.ones(1)}, path),
    "json": lambda path: path.write_text("[1]"),
    "folder": lambda path: (path.unlink(), path.mkdir()),
}
EVERY = pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())


@EVERY
def test_a_sealed_folder(damage: Callable[[Path], object], tmp_path: Path):
    (tmp_path / "a").write_text("some text")
    (tmp_path / "b.json").write_text('{"c": 1}')
    seal(tmp_path)
    (tmp_path / "later").touch()
    check_seal(tmp_path)
    for name in ("b.json", SEAL):
        copy = shutil.copytree(tmp_path, tmp_path.with_name(f"{tmp_path.name}-{name}"))
        damage(copy / name)
        with pytest.raises(InputError, match=rf"^{copy / name}: ") as refused:
            check_seal(copy)
        assert "\n" not in str(refused.value)
    (tmp_path / "a").unlink()
    with pytest.raises(InputError, match=r"/a: is not what was saved there; --overwrite begins anew \(--output_dir\)$"):
        check_seal(tmp_path)
    (tmp_path / SEAL).unlink()
    check_seal(tmp_path)  # of an earlier version


@EVERY
def test_the_state_of_a_training(damage: Callable[[Path], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    path = Path("last.ckpt")
    torch.save({"step": 3, "weights": torch.arange(20_000.0)}, path)
    assert read_state(path, ("step", "weights"))["step"] == 3
    damage(path)
    with pytest.raises(
        InputError, match=r"^last\.ckpt: is not what was saved there; --overwrite begins anew .*: "
    ) as refused:
        read_state(path, ("step", "weights"))
    assert "\n" not in str(refused.value)
    assert not Path("evil").exists()


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
    """Whatever is wrong with whatever file; the run ends in a line that names it."""
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
