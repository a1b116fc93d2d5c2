"""Pushing to the hub, which is never reached: a stand-in treats existing repositories like its client."""

import re
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from huggingface_hub import HfApi

from finetune import hub
from finetune.hub import check_push, repository
from preprocess.errors import InputError


class Hub:
    """A stand-in for HfApi.

    Args:
        repositories: (name, kind) -> whether it is private.
        default: Whether a new repository is private by default.
    """

    def __init__(self, repositories: dict[tuple[str, str], bool] | None = None, default: bool = False) -> None:
        self.repositories = repositories or {}
        self.default = default

    def create_repo(self, name: str, *, repo_type: str, private: bool | None, exist_ok: bool) -> None:
        assert exist_ok
        self.repositories.setdefault((name, repo_type), self.default if private is None else private)

    def repo_info(self, name: str, *, repo_type: str) -> Any:
        return SimpleNamespace(private=self.repositories[name, repo_type])


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Any:
    """(stand-in) -> use it as the hub."""

    def use(stand_in: Hub) -> Hub:
        monkeypatch.setattr(hub, "HfApi", lambda: stand_in)
        return stand_in

    return use


KINDS = pytest.mark.parametrize("kind", ["model", "dataset"])


@KINDS
@pytest.mark.parametrize("default", [True, False])
@pytest.mark.parametrize("private", [True, False])
def test_a_new_repository(use, capsys, kind, private, default):
    """It is private on request; otherwise its visibility is the owner's default."""
    stand_in = use(Hub(default=default))
    with repository("me/forms", kind, private, Path("run/model")) as api:
        assert api is stand_in
        assert capsys.readouterr().out == ""
    assert stand_in.repositories == {("me/forms", kind): private or default}
    assert capsys.readouterr().out == "run/model: uploaded to the hub as me/forms\n"


@KINDS
@pytest.mark.parametrize("private, found", [(True, True), (False, True), (False, False)])
def test_a_repository_that_exists(use, kind, private, found):
    """It is filled; a private one remains private."""
    stand_in, filled = use(Hub({("me/forms", kind): found})), []
    with repository("me/forms", kind, private, Path("run/model")):
        filled.append(True)
    assert (filled, stand_in.repositories) == ([True], {("me/forms", kind): found})


@KINDS
def test_private_data_is_not_uploaded_to_a_public_repository(use, capsys, kind):
    """The client accepts an existing public repository silently; then nothing is uploaded."""
    stand_in, filled = use(Hub({("me/forms", kind): False})), []
    message = r"^--push_to_hub me/forms: not uploaded: --private: the repository exists .*; it is in run/model$"
    with pytest.raises(InputError, match=message) as caught, repository("me/forms", kind, True, Path("run/model")):
        filled.append(True)
    assert "\n" not in str(caught.value)
    assert (filled, stand_in.repositories) == ([], {("me/forms", kind): False})
    assert capsys.readouterr().out == ""


def test_a_repository_of_the_other_kind_is_another(use):
    stand_in = use(Hub({("me/forms", "dataset"): False}))
    with repository("me/forms", "model", True, Path("run/model")):
        pass
    assert stand_in.repositories == {("me/forms", "dataset"): False, ("me/forms", "model"): True}


@pytest.mark.parametrize("step", ["create_repo", "repo_info", "upload"])
def test_a_hub_that_fails(use, monkeypatch, capsys, step):
    """Any failure is one line, which names the local folder."""

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("401 Unauthorized\nsign in")

    use(Hub())
    monkeypatch.setattr(Hub, step, fail, raising=False)
    message = "^--push_to_hub me/forms: not uploaded: 401 Unauthorized; it is in run/model$"
    with pytest.raises(InputError, match=message), repository("me/forms", "model", True, Path("run/model")) as api:
        api.upload()
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "name", ["forms", "not a name", "me/a b", "a/b/c", "me/", "/forms", "me/forms.git", "me/a--b", "me/a..b", "é/forms"]
)
def test_refused_names(name):
    with pytest.raises(InputError, match=f"^--push_to_hub {re.escape(name)}: expected USER/NAME, ") as caught:
        check_push(name, False)
    assert "\n" not in str(caught.value)


def test_accepted_names():
    for name in ("me/forms", "My-Group/forms_2.1", ""):
        check_push(name, False)
    check_push("me/forms", True)
    with pytest.raises(InputError, match=r"^--private: expected only with --push_to_hub$"):
        check_push("", True)


@KINDS
@pytest.mark.parametrize("found", [True, False])
def test_the_real_client(use, monkeypatch, kind, found):
    """It treats the hub's "exists already" (409) as success, and reports the visibility only on request."""
    httpx2, asked = pytest.importorskip("httpx2"), []  # which the client is made of

    def answer(request: Any) -> Any:
        asked.append(request.url.path)
        if request.method == "POST":
            return httpx2.Response(409, json={"url": "https://hub.test/me/forms"}, request=request)
        return httpx2.Response(200, json={"id": "me/forms", "private": found, "tags": []}, request=request)

    client = httpx2.Client(transport=httpx2.MockTransport(answer))
    monkeypatch.setattr("huggingface_hub.hf_api.get_session", lambda: client)
    use(HfApi("https://hub.test", token=False))
    public = pytest.raises(InputError, match="--private: the repository exists and is public")
    with nullcontext() if found else public, repository("me/forms", kind, True, Path("run/model")):
        pass
    assert asked == ["/api/repos/create", f"/api/{kind}s/me/forms"]
