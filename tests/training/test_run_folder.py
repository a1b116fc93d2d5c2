"""Run folders: no file of the user is removed, and no file of a failed run is used by another run."""

import json
import shutil
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import pytest

pytest.importorskip("transformers", reason="needs requirements-finetune.txt")

from preprocess.errors import InputError
from training.run_folder import MARK, begin, seconds_of, write_log


@dataclass(frozen=True)
class Where:
    num_workers: int = 0


@dataclass(frozen=True)
class Config:
    output_dir: str
    steps: int = 3
    overwrite: bool = False
    where: Where = field(default_factory=Where)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(str(tmp_path / "run"))


def write(config: Config, *names: str) -> Path:
    """Write a file of each name to the run folder."""
    folder = Path(config.output_dir)
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return folder


def record(config: Config) -> None:
    (write(config) / "configuration.json").write_text(json.dumps({"configuration": asdict(config)}))


def content(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def run(config: Config) -> Path:
    """A finished run, and files of the user."""
    folder = write(
        config, "metrics.json", "log.csv", "checkpoints/best.ckpt", "model/config.json", "outputs_tfidf_funsd.json"
    )
    write(config, "notes.txt", "plots/one.png", "model.txt")
    record(config)
    return folder


def test_a_missing_folder(config):
    """It is not created, in case the start fails."""
    assert not begin(config)
    assert not begin(replace(config, overwrite=True))
    assert not Path(config.output_dir).exists()


def test_a_finished_run(config, run, capsys):
    before = content(run)
    assert begin(config)
    assert capsys.readouterr().out == f"{run}: already finished with the same options; --overwrite repeats it\n"
    assert begin(replace(config, where=Where(2)))  # it changes no result
    assert not begin(config, ("metrics.json", "merged"))
    (run / "metrics.json").unlink()
    assert not begin(config)
    assert content(run) == [name for name in before if name != "metrics.json"]


def test_another_run(config, run):
    before = content(run)
    with pytest.raises(InputError, match=r"run: contains a run with \{'steps': 3\}, now \{'steps': 4\}; --overwrite"):
        begin(replace(config, steps=4))
    assert content(run) == before


def test_overwriting_keeps_what_is_the_users(config, run):
    assert not begin(replace(config, steps=4, overwrite=True))
    assert content(run) == ["model.txt", "notes.txt", "plots/one.png"]


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize(
    "name", ["checkpoints/7B/consolidated.00.pth", "model/weights", "base/config.json", "outputs_direct_funsd.json"]
)
def test_a_folder_without_a_run(config, name, overwrite):
    """A run would overwrite its files, and the next --overwrite would remove them."""
    folder = write(config, "notes.txt", name)
    with pytest.raises(InputError, match=rf"run: contains {Path(name).parts[0]}, but no configuration\.json"):
        begin(replace(config, overwrite=overwrite))
    assert content(folder) == sorted(["notes.txt", name])


@pytest.mark.parametrize("found", ["[]", '{"name": "mine"}', '{"configuration": 3}'])
def test_a_configuration_of_something_else(config, found):
    folder = write(config, "model/weights")
    (folder / "configuration.json").write_text(found)
    for overwrite in (False, True):
        with pytest.raises(InputError, match=r"configuration\.json: not the configuration of a run"):
            begin(replace(config, overwrite=overwrite))
    assert content(folder) == ["configuration.json", "model/weights"]


def test_files_of_a_failed_start(config):
    """The start may have had other options, so none of its files are used."""
    left = write(config, "notes.txt", "prepared.json", "prepared.images", "base/config.json", f"base/{MARK}")
    assert not begin(config)
    assert content(left) == ["notes.txt", "prepared.images"]  # images without prepared.json are rewritten
    assert not begin(config)


def test_overwriting_that_is_interrupted(config, run, monkeypatch, capsys):
    """The remaining files are recognized as a run, but not as a finished one."""

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(shutil, "rmtree", stop)
        begin(replace(config, overwrite=True))
    assert not begin(config)
    assert capsys.readouterr().out == ""


def test_a_file_in_the_way(config):
    Path(config.output_dir).write_text("")
    with pytest.raises(InputError, match=r"cannot be written: Not a directory \(--output_dir\)"):
        begin(config)


def test_log(tmp_path):
    """One row per step, regardless of the order of entries."""
    history = [
        {"step": 2, "loss": 1.5, "seconds": 0.5},
        {"step": 2, "eval_loss": 2.5, "seconds": 0.75},
        {"step": 4, "loss": 0.5, "seconds": 1.0},
    ]
    write_log(tmp_path / "log.csv", history)
    assert (tmp_path / "log.csv").read_text() == "step,eval_loss,loss,seconds\n2,2.5,1.5,0.75\n4,,0.5,1.0\n"
    assert (seconds_of(history), seconds_of([])) == (1.0, 0.0)
