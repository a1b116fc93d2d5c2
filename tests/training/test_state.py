"""Training states that are damaged in every way: a one-line error, and no code in them is run."""

from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("lightning", reason="needs requirements-finetune.txt")

import torch

from preprocess.errors import InputError
from tests.damages import EVERY
from training.state import read_state


@EVERY
def test_the_state_of_a_training(damage: Callable[[Path], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    path = Path("last.ckpt")
    torch.save({"step": 3, "weights": torch.arange(20_000.0)}, path)
    assert read_state(path, ("step", "weights"))["step"] == 3
    damage(path)
    with pytest.raises(
        InputError, match=r"^last\.ckpt: differs from what was saved; --overwrite starts over .*: "
    ) as refused:
        read_state(path, ("step", "weights"))
    assert "\n" not in str(refused.value)
    assert not Path("evil").exists()
