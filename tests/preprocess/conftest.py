"""Shared by the tests of preprocess/: runs of the real function into temporary files, with a separate cache."""

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
    """The output of a run."""

    prompts: list[dict[str, Any]]
    meta: dict[str, Any]
    screen: str


def prompt_options(data_path: object = "", **flags: Any) -> PromptOptions:
    """The nested options from flat flags."""
    of_examples = {field.name for field in fields(ExampleOptions)} & flags.keys()
    examples = ExampleOptions(**{flag: flags.pop(flag) for flag in of_examples})
    return PromptOptions(str(data_path), examples=examples, **flags)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
    """Keep the cache of `datasets` out of the user's folders. Relative paths are the project's."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.chdir(root)


@pytest.fixture
def write_ag_news(tmp_path: Path, capsys: pytest.CaptureFixture) -> Callable[..., Written]:
    """(dataset_path, method, **options) -> the output of preprocessing AG News."""

    def write(dataset_path: object = "", method: str = "direct", **options: Any) -> Written:
        path = tmp_path / "written" / f"inputs_{method}.json"
        ag_news.preprocess(prompt_options(path, dataset_path=str(dataset_path), **options), method)
        return written(path, capsys)

    return write


@pytest.fixture
def write_doclaynet(tmp_path: Path, capsys: pytest.CaptureFixture) -> Callable[..., Written]:
    """(dataset_path, method, train_pages, max_demo_words, **options) -> the output of preprocessing page blocks."""

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
    """(config, dataset_path, method, **options) -> prompts and meta file of the data set."""

    def write(config: object, dataset_path: object, method: str = "direct", **options: Any) -> tuple[list, dict]:
        path = tmp_path / "written" / f"inputs_{method}.json"
        shared = prompt_options(path, dataset_path=str(dataset_path), **options)
        preprocess_config(PreprocessConfig(str(config), method, prompts=shared))
        assert len(read_prompts(path, method)) > 0
        return read_json(path, ""), read_json(meta_path(path), "")

    return write
