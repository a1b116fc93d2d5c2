"""Fixtures of the tests of LayoutLMv3: a stand-in for the hub, finished runs."""

import logging
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest


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

    def upload_folder(self, repo_id, folder_path, ignore_patterns=(), path_in_repo="", commit_message=""):
        names = {path.name for path in Path(folder_path).iterdir()} - {*ignore_patterns}
        self.calls.append((repo_id, *filter(None, [path_in_repo]), sorted(names)))


@pytest.fixture(autouse=True)
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A stand-in for the hub. Restores logging and the handler of Ctrl-C, which Lightning sets to ignore."""
    from finetune import hub as hub_module

    stand_in = Hub()
    monkeypatch.setattr(hub_module, "HfApi", lambda: stand_in)
    yield stand_in
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.INFO)


@pytest.fixture(scope="session")
def runs() -> dict[str, Any]:
    return {}


@pytest.fixture
def whole(runs, quick_layout, tmp_path_factory) -> Callable[[str], Any]:
    """(trainer) -> the options of a finished, uninterrupted run, which tests do not change."""
    from finetune.layoutlmv3.fine_tuning import finetune_layoutlmv3

    def find(trainer: str) -> Any:
        if trainer not in runs:
            runs[trainer] = quick_layout(str(tmp_path_factory.mktemp("whole") / trainer), trainer=trainer)
            finetune_layoutlmv3(runs[trainer])
        return runs[trainer]

    return find
