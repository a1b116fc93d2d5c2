"""Training with Lightning: how several processes end. Whole runs are tested with what is trained."""

from types import SimpleNamespace

import pytest

pytest.importorskip("lightning", reason="needs requirements-finetune.txt")

import torch

from training.lightning import leave_group


@pytest.mark.parametrize(("processes", "expected"), [(1, []), (2, ["wait", "leave"])])
def test_the_group_is_left_by_all_at_once(monkeypatch, processes, expected):
    """A group that others made, of one process, is not Lightning's."""
    calls: list[str] = []
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "destroy_process_group", lambda: calls.append("leave"))
    strategy = SimpleNamespace(barrier=lambda: calls.append("wait"))
    leave_group(SimpleNamespace(world_size=processes, strategy=strategy))
    assert calls == expected
