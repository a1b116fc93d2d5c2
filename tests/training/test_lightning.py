"""Training with Lightning: what it leaves behind, how several processes end."""

import os
from dataclasses import replace
from types import SimpleNamespace

import pytest

pytest.importorskip("lightning", reason="needs requirements-finetune.txt")

import torch

from preprocess.errors import InputError
from pretrain.layoutlmv3 import pretrain_layoutlmv3
from training.lightning import OF_LAUNCHERS, LightningOptions, leave_group, plain_trainer


@pytest.mark.parametrize(("processes", "expected"), [(1, []), (2, ["wait", "leave"])])
def test_the_group_is_left_by_all_at_once(monkeypatch, processes, expected):
    """A group that others made, of one process, is not Lightning's."""
    calls: list[str] = []
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "destroy_process_group", lambda: calls.append("leave"))
    strategy = SimpleNamespace(barrier=lambda: calls.append("wait"))
    leave_group(SimpleNamespace(world_size=processes, strategy=strategy))
    assert calls == expected


def test_the_environment_is_left_as_it_was(quick_pretraining, monkeypatch):
    """Else a command that this process starts later takes itself for one of several, and waits for the others."""
    for name in OF_LAUNCHERS:
        monkeypatch.delenv(name, raising=False)
    config = quick_pretraining({"steps": 1})
    pretrain_layoutlmv3(replace(config, lightning=LightningOptions(accelerator="cpu", strategy="ddp")))
    assert [name for name in OF_LAUNCHERS if name in os.environ] == []


def test_another_launcher_is_refused(monkeypatch):
    """Lightning would start no process, and wait for one."""
    monkeypatch.setenv("LOCAL_RANK", "0")
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    plain_trainer(LightningOptions(accelerator="cpu"), **quiet)
    with pytest.raises(InputError, match=r"^--devices 2: environment variable LOCAL_RANK is 0; unset it, or take one"):
        plain_trainer(LightningOptions(accelerator="cpu", devices="2"), **quiet)
