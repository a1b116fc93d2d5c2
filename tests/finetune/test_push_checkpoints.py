"""Uploads while transformers' Trainer trains: which files, to where, and what a failure does."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("transformers", reason="needs requirements-finetune.txt")

from finetune import hub
from finetune.hub import check_push
from finetune.llama.fine_tuning import finetune_llama
from finetune.push_checkpoints import PushCheckpoints, pushed
from preprocess.errors import InputError
from preprocess.seals import SEAL
from tests.finetune.test_hub import Hub

MODEL = {"model.safetensors", "config.json"}
STATE = {"optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json", "training_args.bin", "README.md", SEAL}


class Filling(Hub):
    """A hub that lists what it is given: (path in the repository, names)."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.given: list[tuple[str, set[str]]] = []
        self.fails = False

    def upload_folder(
        self, *, repo_id: str, folder_path: str, path_in_repo: str = "", commit_message: str = ""
    ) -> None:
        if self.fails:
            raise OSError("503 Service Unavailable\ntry again")
        self.given.append((path_in_repo, {path.name for path in Path(folder_path).iterdir()}))


@pytest.fixture
def filling(monkeypatch: pytest.MonkeyPatch) -> Filling:
    stand_in = Filling()
    monkeypatch.setattr(hub, "HfApi", lambda: stand_in)
    return stand_in


@pytest.fixture
def save(tmp_path: Path) -> Any:
    """(callback, step) -> as the Trainer does when a checkpoint is there."""
    arguments = SimpleNamespace(output_dir=str(tmp_path))

    def save(callback: PushCheckpoints, step: int) -> None:
        for name in MODEL | STATE:
            path = tmp_path / f"checkpoint-{step}" / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(name)
        callback.on_train_begin(arguments, None, None)
        callback.on_save(arguments, SimpleNamespace(global_step=step), None)

    return save


@pytest.mark.parametrize(
    ("strategy", "more"),
    [
        ("every_save", []),
        ("checkpoint", [("last-checkpoint", MODEL | STATE)]),
        ("all_checkpoints", [("checkpoint-4", MODEL | STATE)]),
    ],
)
def test_what_is_uploaded(filling, save, strategy, more):
    """The model with its tokenizer at the root; the whole checkpoint, from which training continues, in a folder."""
    (callback,) = pushed("me/forms", True, strategy, lambda folder: (folder / "tokenizer.json").write_text(""))
    save(callback, 4)
    assert filling.given == [("", MODEL | {"tokenizer.json"}), *more]
    assert filling.repositories == {("me/forms", "model"): True}


def test_a_failed_upload_does_not_end_the_training(filling, save, capsys):
    filling.fails = True
    save(PushCheckpoints("me/forms", False, "every_save", lambda _: None), 4)
    told = "--push_to_hub me/forms: checkpoint-4 not uploaded: 503 Service Unavailable; training continues\n"
    assert capsys.readouterr().err == told


def test_a_public_repository_is_refused_before_the_training(monkeypatch, save):
    monkeypatch.setattr(hub, "HfApi", lambda: Filling({("me/forms", "model"): False}))
    with pytest.raises(InputError, match=r"^--push_to_hub me/forms: --private: .* is public; .*; nothing was trained$"):
        save(PushCheckpoints("me/forms", True, "checkpoint", lambda _: None), 4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("me/forms", False, "always"), "--hub_strategy always: expected end, every_save, checkpoint, all_checkpoints"),
        (("", False, "checkpoint"), "--hub_strategy checkpoint: expected only with --push_to_hub"),
    ],
)
def test_refused(arguments, message):
    with pytest.raises(InputError, match=f"^{message}$"):
        check_push(*arguments)


def test_a_run(filling, quick):
    """The adapter of both checkpoints, with its tokenizer and without peft's card; at the end the one with the card."""
    filling.upload_folder = lambda folder_path, repo_id, path_in_repo="", **_: filling.given.append(
        (path_in_repo, {path.name: path.read_bytes() for path in Path(folder_path).iterdir()})
    )
    config = quick(training={"steps": 2, "eval_steps": 1}, push_to_hub="me/pages", hub_strategy="checkpoint")
    finetune_llama(config)
    places, files = zip(*filling.given, strict=True)
    assert places == ("", "last-checkpoint", "", "last-checkpoint", "")
    assert {"adapter_model.safetensors", "adapter_config.json", "tokenizer.json"} <= set(files[0])
    assert "README.md" not in files[0] and "README.md" in files[-1]
    assert files[0].keys() < files[-1].keys()
    assert json.loads(files[3]["trainer_state.json"])["global_step"] == 2
