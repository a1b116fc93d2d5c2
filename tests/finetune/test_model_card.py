"""The card of a saved model, and the hub, which is never reached."""

import re
from pathlib import Path

import pytest

pytest.importorskip("transformers", reason="needs requirements-finetune.txt")
pytest.importorskip("PIL", reason="needs requirements-finetune.txt")

from huggingface_hub import ModelCard

from finetune import model_card
from finetune.model_card import check_push, push, write_card
from finetune.pages import Source
from preprocess.errors import InputError

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
    """The hub takes its own ids alone as base models; the licence may be that of the published weights all the same."""
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
    """In place of HfApi."""

    def __init__(self):
        self.calls = []

    def create_repo(self, *names, **options):
        self.calls.append((names, options))

    def upload_folder(self, **options):
        self.calls.append(options)


@pytest.mark.parametrize("private", [True, False])
def test_push(tmp_path, monkeypatch, capsys, private):
    hub = Hub()
    monkeypatch.setattr(model_card, "HfApi", lambda: hub)
    push(tmp_path, "me/forms", private)
    assert hub.calls == [
        (("me/forms",), {"private": private, "exist_ok": True}),
        {"repo_id": "me/forms", "folder_path": tmp_path / "model"},
    ]
    assert capsys.readouterr().out == f"{tmp_path}/model: is on the hub as me/forms\n"


def test_a_hub_that_fails(tmp_path, monkeypatch):
    class Failing(Hub):
        def upload_folder(self, **_):
            raise RuntimeError("401 Unauthorized\nsign in")

    monkeypatch.setattr(model_card, "HfApi", Failing)
    with pytest.raises(InputError, match=r"^--push_to_hub me/forms: .*: 401 Unauthorized; it is in .*/model$"):
        push(tmp_path, "me/forms", False)


@pytest.mark.parametrize(
    "name, private, message",
    [
        ("not a name", False, "--push_to_hub not a name: expected USER/NAME"),
        ("a/b/c", False, "--push_to_hub a/b/c"),
        ("", True, "--private: expected only with --push_to_hub"),
    ],
)
def test_refused_names(name, private, message):
    with pytest.raises(InputError, match=message):
        check_push(name, private)
    check_push("me/forms", True)
    check_push("", False)
