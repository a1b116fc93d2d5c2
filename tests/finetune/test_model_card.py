"""The card of a saved model, and its upload to the hub, which is never reached."""

import re
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("transformers", reason="needs requirements-finetune.txt")
pytest.importorskip("PIL", reason="needs requirements-finetune.txt")

from huggingface_hub import ModelCard

from documents.pages import Source
from finetune import hub
from finetune.model_card import push, write_card
from preprocess.errors import InputError
from preprocess.seals import SEAL

SOURCE = Source("funsd", ("O", "B-HEADER"), lambda *_: None, "nielsr/funsd-layoutlmv3", "funsd")
TEST = {"accuracy": 0.5, "macro_f1": 0.25, "weighted_f1": 0.125}


def card_of(folder: Path, model: str, name: str, **more: float) -> ModelCard:
    write_card(model, name, SOURCE, {"test": TEST | more, "data": {"test": {"blocks": 17}}}, folder)
    return ModelCard((folder / "model/README.md").read_text())  # which reads the heading


def test_a_published_model(tmp_path):
    card = card_of(tmp_path, "microsoft/layoutlmv3-base", "layoutlmv3-base", entity_f1=0.75)
    assert card.data.base_model == "microsoft/layoutlmv3-base"
    assert card.data.license == "cc-by-nc-sa-4.0"
    assert (card.data.library_name, card.data.pipeline_tag) == ("transformers", "token-classification")
    figures = dict(re.findall(r"^\| (.*) \| (\d.*) \|$", card.text, re.MULTILINE))
    assert figures == {"accuracy": "0.5000", "macro-F1": "0.2500", "weighted F1": "0.1250", "entity F1": "0.7500"}
    assert "17 blocks" in card.text
    assert "O, B-HEADER" in card.text
    assert "not for commercial use" in card.text


def test_a_folder(tmp_path):
    """The hub accepts only its own ids as base models; the licence may still be that of the published weights."""
    card = card_of(tmp_path, str(tmp_path), tmp_path.name)
    assert card.data.base_model is None
    assert card.data.license == "cc-by-nc-sa-4.0"
    assert str(tmp_path.parent) not in card.content


def test_a_random_model(tmp_path):
    card = card_of(tmp_path, "random", "random")
    assert (card.data.base_model, card.data.license) == (None, None)
    assert "commercial" not in card.text
    assert "entity" not in card.text


class Hub:
    """A stand-in for HfApi with public repositories."""

    def __init__(self) -> None:
        self.calls: list[tuple] = []

    def create_repo(self, name: str, repo_type: str, **_: object) -> None:
        self.calls.append((name, repo_type))

    def repo_info(self, name: str, repo_type: str) -> SimpleNamespace:
        return SimpleNamespace(private=False)

    def upload_folder(self, repo_id: str, folder_path: Path, ignore_patterns: list[str]) -> None:
        assert ignore_patterns == [SEAL]
        self.calls.append((repo_id, folder_path))


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Hub:
    made = Hub()
    monkeypatch.setattr(hub, "HfApi", lambda: made)
    return made


def test_push(tmp_path, stand_in, capsys):
    push(tmp_path, "me/forms", False)
    assert stand_in.calls == [("me/forms", "model"), ("me/forms", tmp_path / "model")]
    assert capsys.readouterr().out == f"{tmp_path}/model: uploaded to the hub as me/forms\n"


def test_nothing_private_is_uploaded_to_a_public_repository(tmp_path, stand_in):
    message = r"^--push_to_hub me/forms: not uploaded: --private: .*; it is in .*/model$"
    with pytest.raises(InputError, match=message):
        push(tmp_path, "me/forms", True)
    assert stand_in.calls == [("me/forms", "model")]
