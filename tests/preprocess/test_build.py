"""From examples to a prompt file: names, paths, and the scripts run as by a user."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from llama.templates import read_template
from preprocess import files
from preprocess.build import DataSet, PromptOptions, locate, shorten
from preprocess.demonstrations import draw_per_class
from preprocess.errors import InputError
from preprocess.prompts import read_prompts
from tests.preprocess.conftest import prompt_options

TEMPLATE = read_template("Text: {text}\nCategory: {label_word}", ["text"], ("A", "B"))
SET = DataSet("set", "owner/set", TEMPLATE, ("A", "B"), draw_per_class, sample="samples/set")


@pytest.mark.parametrize(
    ("options", "origin", "dataset", "path"),
    [
        (PromptOptions(), "samples/set", "set_sample", "samples/inputs_direct_set.json"),
        (
            prompt_options(dataset_path="./samples/set/"),
            "./samples/set/",
            "set_sample",
            "samples/inputs_direct_set.json",
        ),
        (prompt_options(dataset_path="samples/set2"), "samples/set2", "set", "real/inputs_direct_set.json"),
        (prompt_options(sample=False), "owner/set", "set", "real/inputs_direct_set.json"),
        (PromptOptions(k=2), "samples/set", "set_sample", "real/inputs_direct_set.json"),
        (prompt_options(shuffle=0), "samples/set", "set_sample", "real/inputs_direct_set.json"),
        (prompt_options(limit=5), "samples/set", "set_sample", "real/inputs_direct_set.json"),
        (prompt_options("x.json", sample=False), "owner/set", "set", "x.json"),
        (prompt_options(dataset_path="elsewhere"), "elsewhere", "set", "real/inputs_direct_set.json"),
    ],
)
def test_where_rows_come_from_and_where_prompts_go(
    options: PromptOptions, origin: str, dataset: str, path: str, tmp_path: Path, monkeypatch
):
    """No file is written yet; a sample set never gets the name or the path of the real one."""
    monkeypatch.chdir(tmp_path)
    plan = locate(SET, options, "direct")
    assert (plan.origin, plan.name, plan.path) == (origin, dataset, Path(path))
    assert list(tmp_path.iterdir()) == []


def test_a_set_without_a_sample_is_read_from_its_path(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plan = locate(replace(SET, sample=""), PromptOptions(), "channel")
    assert (plan.origin, plan.name, plan.path) == ("owner/set", "set", Path("real/inputs_channel_set.json"))


@pytest.mark.parametrize(("given", "k"), [(None, 3), (0, 0), (1, 1), (3, 3)])
def test_k_defaults_to_that_of_the_data_set(given: int | None, k: int, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plan = locate(replace(SET, k=3), PromptOptions(k=given), "direct")
    assert plan.options.k == k
    assert plan.path.parent == Path("samples" if k == 3 else "real")


def test_a_prompt_file_that_no_script_wrote_is_kept(tmp_path: Path):
    """Hand-written prompts have no meta file; a script's file is replaced."""
    path = tmp_path / "inputs.json"
    path.write_text("[]")
    where = (SET, PromptOptions(data_path=str(path)), "direct")
    with pytest.raises(InputError, match=r"inputs\.json: exists without a meta file"):
        locate(*where)
    (tmp_path / "inputs.meta.json").write_text("{}")
    assert locate(*where).path == path


@pytest.mark.parametrize("flag", ["k", "seed", "limit", "shuffle"])
def test_counts_below_zero_are_refused(flag: str):
    with pytest.raises(InputError, match=f"--{flag} -1: expected 0 or more"):
        prompt_options("x.json", **{flag: -1})


@pytest.mark.parametrize(("name", "shown"), [("train-17", "train-17"), ("0123456789abcdef" * 4 + "-3", "01234567…-3")])
def test_the_summary_shortens_hashes(name: str, shown: str):
    assert shorten(name) == shown


def test_a_failing_write_leaves_no_meta_file_of_another_run(tmp_path: Path, write_ag_news, monkeypatch):
    def stop(*_: object) -> None:
        raise OSError(28, "No space left on device")

    write_ag_news(k=1, limit=5)
    write = files.write_bytes
    first = lambda path, *rest: stop() if path.name == "inputs_direct.meta.json" else write(path, *rest)  # noqa: E731
    monkeypatch.setattr(files, "write_bytes", first)  # the prompts are written, the meta file is not
    with pytest.raises(OSError, match="No space left"):
        write_ag_news(k=0, limit=4)
    assert len(read_prompts(tmp_path / "written" / "inputs_direct.json", "direct")) == 4
    monkeypatch.undo()
    assert not (tmp_path / "written/inputs_direct.meta.json").exists()
    write_ag_news(k=0, limit=4)  # the same command again
    assert {path.name for path in (tmp_path / "written").iterdir()} == {"inputs_direct.json", "inputs_direct.meta.json"}


@pytest.mark.parametrize("dataset", ["ag_news", "doclaynet"])
@pytest.mark.parametrize("method", ["direct", "channel"])
def test_the_four_scripts(method: str, dataset: str, run_script, tmp_path: Path):
    path = tmp_path / "new" / "inputs.json"
    done = run_script(f"run_preprocess_{method}_{dataset}.py", "--data-path", path, "--limit=3", "--k", 1)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{dataset}_sample, {method}: 3 examples from samples/{dataset}\n")
    assert done.stdout.endswith(f"written to {path}\n")
    assert sorted(file.name for file in path.parent.iterdir()) == ["inputs.json", "inputs.meta.json"]
    assert len(read_prompts(path, method)) == 3
    meta = json.loads((tmp_path / "new" / "inputs.meta.json").read_text())
    assert (meta["dataset"], meta["method"], meta["k"]) == (f"{dataset}_sample", method, 1)
