"""A local hub: downloaded files of a model, the cache, refusals."""

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from llama.formats.hub import fetch_files, is_hub_id

COMMIT = "0123456789abcdef0123456789abcdef01234567"
OPEN = """
import sys
from llama import CheckpointError, open_checkpoint
for argument in sys.argv[1:]:
    name, _, revision = argument.partition("@")
    try:
        found = open_checkpoint(name, revision=revision or None)
        print(found.name, found.folder)
    except CheckpointError as error:
        print(error)
"""


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Any]:
    """The parts of the hub's interface that its client uses. `.url`; `.fetched`: names of files that were sent."""
    fetched: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
            self.send_response(status)
            for name, value in ({"Content-Length": str(len(body))} | headers).items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def do_GET(self) -> None:
            parts = self.path.split("?")[0].strip("/").split("/")
            if parts[:2] == ["api", "models"]:
                folder, revision = tmp_path / "hub" / parts[2] / parts[3], [*parts, "", "main"][5]
                if not folder.is_dir():
                    return self.answer(404, X_Error_Code="RepoNotFound")
                if parts[2] == "gated":
                    return self.answer(403, X_Error_Code="GatedRepo")
                if revision not in ("main", "v1", COMMIT):
                    return self.answer(404, X_Error_Code="RevisionNotFound")
                files = [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()]
                model = {"id": "/".join(parts[2:4]), "sha": COMMIT, "siblings": [{"rfilename": name} for name in files]}
                return self.answer(200, json.dumps(model).encode(), Content_Type="application/json")
            path = tmp_path / "hub" / parts[0] / parts[1] / "/".join(parts[4:])
            if not path.is_file():
                return self.answer(404, X_Error_Code="EntryNotFound")
            if self.command == "GET":
                fetched.append(path.name)
            body = path.read_bytes()
            return self.answer(200, body, X_Repo_Commit=COMMIT, ETag=f'"{hashlib.sha256(body).hexdigest()}"')

        do_HEAD = do_GET

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    server.url, server.fetched = f"http://127.0.0.1:{server.server_address[1]}", fetched
    yield server
    server.shutdown()


@pytest.fixture
def opened(hub: Any, root: Path, tmp_path: Path) -> Callable[..., list[str]]:
    """A function: (NAME or NAME@REVISION ..., offline=False) -> the output of opening each, in its own process, since
    the client reads its environment once."""

    def run(*names: str, offline: bool = False) -> list[str]:
        environment = os.environ | {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "cache"), "PYTHONPATH": str(root)}
        environment |= {"HF_HUB_OFFLINE": "1" if offline else "0", "HF_HUB_DISABLE_XET": "1"}
        command = [sys.executable, "-c", OPEN, *names]
        done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    return run


def test_only_what_is_read_is_fetched(opened, hub, save_model, tmp_path) -> None:
    """It is downloaded once; then it is found in the cache without the hub."""
    folder = tmp_path / "hub/owner/Tiny-1B"
    save_model(folder, max_shard_size="20KB")
    for name in ("README.md", "pytorch_model.bin", "tokenizer.model", "model.onnx", "model.fp16.safetensors"):
        (folder / name).write_text("not read")
    first, *others = opened("owner/Tiny-1B", "owner/Tiny-1B", f"owner/Tiny-1B@{COMMIT}", "owner/Tiny-1B@v1")
    name, place = first.split()
    assert (name, Path(place).name) == ("Tiny-1B", COMMIT)
    assert others == [first] * 3
    shards = {path.name for path in folder.glob("model-0*.safetensors")}
    small = {"config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"}
    assert sorted(hub.fetched) == sorted(shards | small | {"model.safetensors.index.json"})

    hub.fetched.clear()
    *found, absent = opened("owner/Tiny-1B", "owner/Tiny-1B@v1", "owner/Other", offline=True)
    assert found == [first] * 2
    assert "the hub: unreachable, and nothing is cached (" in absent
    assert hub.fetched == []


def test_refusals_of_the_hub(opened, save_model, tmp_path) -> None:
    save_model(tmp_path / "hub/gated/Tiny")
    save_model(tmp_path / "hub/owner/Tiny")
    (tmp_path / "hub/owner/Empty").mkdir()
    lines = {
        "owner/Nothing": "the hub: no such model; if it is private, run `hf auth login`",
        "gated/Tiny": "the hub: the model is gated: accept the terms on its page, then",
        "owner/Tiny@v9": "the hub at revision v9: no such revision (`revision`)",
        "owner/Empty": "the hub: it has neither config.json nor adapter_config.json",
    }
    for found, (name, line) in zip(opened(*lines), lines.items(), strict=True):
        name = name.partition("@")[0]
        looked = f"`ckpt_dir` {name}: no such folder; looked at {name}, checkpoints/{name}, checkpoints/llama/{name}"
        assert found.startswith(f"{looked}; {line}")


def test_an_adapter_and_its_base(opened, hub, save_model, tmp_path) -> None:
    peft = pytest.importorskip("peft", reason="needs requirements-finetune.txt")
    model = save_model(tmp_path / "hub/owner/Base")
    adapted = peft.get_peft_model(model, peft.LoraConfig(target_modules=["q_proj"], task_type="CAUSAL_LM"))
    adapted.peft_config["default"].base_model_name_or_path = "owner/Base"
    adapted.save_pretrained(tmp_path / "hub/me/Adapter")
    (found,) = opened("me/Adapter")
    assert found.startswith("Adapter ")
    assert {"adapter_config.json", "adapter_model.safetensors", "model.safetensors"} <= set(hub.fetched)


def test_which_files_are_read() -> None:
    def chosen(*files: str) -> list[str]:
        asked: list[str] = []
        fetch_files(files, lambda name: asked.append(name) or Path(name))
        return sorted(asked)

    assert chosen("config.json", "model.safetensors", "pytorch_model.bin") == ["config.json", "model.safetensors"]
    assert chosen("config.json", "pytorch_model.bin", "tokenizer.model") == [
        "config.json",
        "pytorch_model.bin",
        "tokenizer.model",
    ]
    assert chosen("adapter_config.json", "adapter_model.bin") == ["adapter_config.json", "adapter_model.bin"]


@pytest.mark.parametrize("name", ["HuggingFaceTB/SmolLM2-135M", "a/b", "meta-llama/Llama-3.1-8B"])
def test_a_name_on_the_hub(name) -> None:
    assert is_hub_id(name)


@pytest.mark.parametrize("name", ["7B", "a/b/c", "/a/b", "../b", "./b", "a/", "~/b", "a/b c", "a--b/c", "a/.b"])
def test_invalid_names_on_the_hub(name) -> None:
    assert not is_hub_id(name)
