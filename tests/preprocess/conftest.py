"""What the tests of preprocess/ share: a run of the real function into a temporary file, and a cache of its own."""

import json
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pytest

from preprocess import ag_news, doclaynet
from preprocess.build import ExampleOptions, PromptOptions
from preprocess.doclaynet import BlockOptions, DocLayNetConfig
from preprocess.files import meta_path, read_json
from preprocess.prompts import read_prompts
from preprocess.tables import PreprocessConfig, preprocess_config


@dataclass(frozen=True)
class Written:
    """What a run leaves behind."""

    prompts: list[dict[str, Any]]
    meta: dict[str, Any]
    screen: str


def prompt_options(data_path: object = "", **flags: Any) -> PromptOptions:
    """The options in which each flag has its place."""
    of_examples = {field.name for field in fields(ExampleOptions)} & flags.keys()
    examples = ExampleOptions(**{flag: flags.pop(flag) for flag in of_examples})
    return PromptOptions(str(data_path), examples=examples, **flags)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
    """`datasets` keeps copies of what it reads: here, not among the user's. Relative paths are the project's."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.chdir(root)


@pytest.fixture
def write_ag_news(tmp_path: Path, capsys: pytest.CaptureFixture) -> Callable[..., Written]:
    """(dataset_path, method, **options) -> what preprocessing of AG News writes."""

    def write(dataset_path: object = "", method: str = "direct", **options: Any) -> Written:
        path = tmp_path / "written" / f"inputs_{method}.json"
        ag_news.preprocess(prompt_options(path, dataset_path=str(dataset_path), **options), method)
        return written(path, capsys)

    return write


@pytest.fixture
def write_doclaynet(tmp_path: Path, capsys: pytest.CaptureFixture) -> Callable[..., Written]:
    """(dataset_path, method, train_pages, max_demo_words, **options) -> what preprocessing of page blocks writes."""

    def write(
        dataset_path: object = "",
        method: str = "direct",
        train_pages: int = 500,
        max_demo_words: int = 40,
        **options: Any,
    ) -> Written:
        path = tmp_path / "written" / f"inputs_{method}.json"
        shared = prompt_options(path, dataset_path=str(dataset_path), **options)
        doclaynet.preprocess(DocLayNetConfig(BlockOptions(train_pages, max_demo_words), shared), method)
        return written(path, capsys)

    return write


def written(path: Path, capsys: pytest.CaptureFixture) -> Written:
    meta = path.with_name(path.name.replace(".json", ".meta.json"))
    return Written(json.loads(path.read_bytes()), json.loads(meta.read_bytes()), capsys.readouterr().out)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., tuple[list, dict]]:
    """(config, dataset_path, method, **options) -> prompts and meta file that are made of it."""

    def write(config: object, dataset_path: object, method: str = "direct", **options: Any) -> tuple[list, dict]:
        path = tmp_path / "written" / f"inputs_{method}.json"
        shared = prompt_options(path, dataset_path=str(dataset_path), **options)
        preprocess_config(PreprocessConfig(str(config), method, prompts=shared))
        assert len(read_prompts(path, method)) > 0
        return read_json(path, ""), read_json(meta_path(path), "")

    return write
