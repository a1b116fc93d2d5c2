"""A run that is stopped at any moment and restarted gives the same bytes as an uninterrupted one."""

import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from evaluate.journal import Journal
from llama.scoring import Scoring
from preprocess.errors import InputError
from tests.evaluate.journals import arguments, batches_of, lasting, names


class Stopped(Exception):
    pass


@pytest.fixture
def stopping_after(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], AbstractContextManager[None]]:
    """A context in which a run of this process is stopped when a number of batches is on disk."""

    @contextmanager
    def stopping(batches: int) -> Iterator[None]:
        append, number = Journal.append, itertools.count()

        def limited(journal: Journal, line: dict) -> None:
            if "batch" in line and next(number) == batches:
                raise Stopped
            append(journal, line)

        with monkeypatch.context() as patch, pytest.raises(Stopped):
            patch.setattr(Journal, "append", limited)
            yield

    return stopping


@pytest.mark.parametrize("method", ["direct", "channel", "generate"])
def test_a_run_resumes_where_it_stopped(run, tmp_path, stopping_after, computed, capsys, method):
    """It reports where, computes only what is missing, and leaves no partial results."""
    run(method, "expected.json", max_batch_tokens=100)
    total = len(computed)
    assert sorted(computed) == list(range(total))
    half = total // 2
    computed.clear()
    with stopping_after(half):
        run(method, max_batch_tokens=100)
    assert len(computed) == half > 0
    before = names(tmp_path) - {"outputs.partial"}
    capsys.readouterr()
    run(method, max_batch_tokens=100)
    first, *_ = capsys.readouterr().out.splitlines()
    assert first == (f"{tmp_path / 'outputs.partial'}: resuming, {half} of {total} batches are finished")
    assert sorted(computed) == list(range(total))
    assert (tmp_path / "outputs.json").read_bytes() == (tmp_path / "expected.json").read_bytes()
    assert lasting(tmp_path / "outputs.json") == lasting(tmp_path / "expected.json")
    assert names(tmp_path) == before | {"outputs.json", "outputs.meta.json"}


def test_killed_again_and_again(run, tmp_path, stopping_after, computed):
    """Killed after each batch; in the end each batch has been computed once."""
    run("direct", "expected.json", max_batch_tokens=100)
    total = len(computed)
    computed.clear()
    for _ in range(total):
        with stopping_after(1):
            run("direct", max_batch_tokens=100)
            if len(computed) == total:
                raise Stopped
    assert sorted(computed) == list(range(total))
    assert (tmp_path / "outputs.json").read_bytes() == (tmp_path / "expected.json").read_bytes()


def test_seconds_of_all_sessions(run, stopping_after, computed, monkeypatch):
    """The meta file states the total time, for any number of interruptions."""
    # A clock that advances when it is read: at the beginning, after each batch, at the end.
    clock = SimpleNamespace(perf_counter=itertools.count(step=100).__next__)
    monkeypatch.setattr("evaluate.runner.time", clock)
    for batches in (1, 2, 3):
        with stopping_after(batches):
            run("direct", max_batch_tokens=100)
    computed.clear()
    _, meta = run("direct", max_batch_tokens=100)
    assert meta["seconds"] == 100 + 200 + 300 + 100 * (len(computed) + 1)


@pytest.mark.parametrize("damage", ["torn", "flipped", "empty", "no newline"])
def test_damaged_journal(run, tmp_path, stopping_after, damage):
    """Lost results are computed again."""
    run("direct", "expected.json", max_batch_tokens=100)
    with stopping_after(6):
        run("direct", max_batch_tokens=100)
    (path,) = (tmp_path / "outputs.partial").glob("*.jsonl")
    content = path.read_bytes()
    middle = len(content) // 2
    flipped = content[:middle] + bytes([content[middle] ^ 4]) + content[middle + 1 :]
    path.write_bytes({"torn": content[:-20], "flipped": flipped, "empty": b"", "no newline": content[:-1]}[damage])
    run("direct", max_batch_tokens=100)
    assert (tmp_path / "outputs.json").read_bytes() == (tmp_path / "expected.json").read_bytes()


def test_killed_between_the_two_files(run, tmp_path, monkeypatch, computed, capsys):
    """The predictions exist without their meta file, which is written without computing anything again."""
    run("direct", "expected.json", max_batch_tokens=100)
    total = len(computed)
    with monkeypatch.context() as patch, pytest.raises(Stopped):
        replace = os.replace

        def stop_at_meta(source: str, target: Path) -> None:
            if str(target).endswith(".meta.json"):
                (tmp_path / "outputs.partial/.outputs.meta.json.x7").write_text("{")  # as kill -9 leaves it
                raise Stopped
            replace(source, target)

        patch.setattr(os, "replace", stop_at_meta)
        run("direct", max_batch_tokens=100)
    assert names(tmp_path) >= {"outputs.json", "outputs.partial"}
    assert "outputs.meta.json" not in names(tmp_path)
    computed.clear()
    capsys.readouterr()
    run("direct", max_batch_tokens=100)
    assert f"resuming, {total} of {total} batches are finished" in capsys.readouterr().out
    assert computed == []
    assert (tmp_path / "outputs.json").read_bytes() == (tmp_path / "expected.json").read_bytes()
    assert lasting(tmp_path / "outputs.json") == lasting(tmp_path / "expected.json")
    assert not [name for name in names(tmp_path) if "partial" in name or name.startswith(".")]


def test_killed_before_its_journal_is_removed(run, tmp_path, monkeypatch, without_model, capsys):
    """Both files exist: the next run reports that, and removes the journal."""
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "remove", lambda _: None)
        run("direct", max_batch_tokens=100)
    assert batches_of(tmp_path / "outputs.partial")
    capsys.readouterr()
    with without_model():
        run("direct", max_batch_tokens=100)
    assert "outputs.json: already finished" in capsys.readouterr().out
    assert names(tmp_path) == {"inputs_direct_news.json", "inputs_direct_news.meta.json"} | {
        "outputs.json",
        "outputs.meta.json",
    }


def test_overwrite_starts_over(run, tmp_path, stopping_after, computed, capsys):
    """Partial results are not used; an existing result is kept until the new one is complete."""
    run("direct", max_batch_tokens=100)
    total, complete = len(computed), (tmp_path / "outputs.json").read_bytes()
    with stopping_after(3):
        run("direct", max_batch_tokens=100, overwrite=True)
    assert len(batches_of(tmp_path / "outputs.partial")) == 3
    assert (tmp_path / "outputs.json").read_bytes() == complete
    assert (tmp_path / "outputs.meta.json").exists()
    computed.clear()
    capsys.readouterr()
    run("direct", max_batch_tokens=100, overwrite=True)
    assert "resuming" not in capsys.readouterr().out
    assert len(computed) == total
    assert (tmp_path / "outputs.json").read_bytes() == complete
    assert not (tmp_path / "outputs.partial").exists()


def test_an_overwriting_run_resumes(run, tmp_path, stopping_after, computed, capsys):
    """Without the flag; the existing result, with other options, is still to be replaced."""
    run("direct", max_batch_tokens=100, score_eos=False)
    run("direct", "expected.json", max_batch_tokens=100)
    total = len(computed) // 2
    with stopping_after(3):
        run("direct", max_batch_tokens=100, overwrite=True)
    computed.clear()
    run("direct", max_batch_tokens=100)
    assert "resuming" in capsys.readouterr().out
    assert len(computed) == total - 3
    assert (tmp_path / "outputs.json").read_bytes() == (tmp_path / "expected.json").read_bytes()
    assert not (tmp_path / "outputs.partial").exists()


@pytest.mark.parametrize(
    ("other", "difference"),
    [
        ({"max_batch_tokens": 90}, "plan {'max_batch_tokens': 100"),
        ({"max_batch_size": 1}, "plan {'max_batch_size': None"),
        ({"score_eos": False}, "settings {'score_eos': True}, now {'score_eos': False}; --overwrite replaces it"),
        ({"dtype": "bfloat16"}, "settings {'dtype': 'float32'}, now {'dtype': 'bfloat16'}; --overwrite replaces it"),
    ],
)
def test_partial_results_with_other_options(run, tmp_path, stopping_after, other, difference):
    """They are refused in a line that names the difference, and kept."""
    with stopping_after(3):
        run("direct", max_batch_tokens=100)
    with pytest.raises(InputError) as refused:
        run("direct", **{"max_batch_tokens": 100} | other)
    assert refused.value.exit_status == 2
    assert str(refused.value).startswith(f"{tmp_path / 'outputs.partial'}: started with {difference}")
    assert str(refused.value).endswith("; --overwrite replaces it, another --output_path keeps it")
    assert len(batches_of(tmp_path / "outputs.partial")) == 3
    assert not (tmp_path / "outputs.json").exists()
    run("direct", "other.json", **{"max_batch_tokens": 100} | other)
    run("direct", overwrite=True, **{"max_batch_tokens": 100} | other)
    assert (tmp_path / "outputs.json").read_bytes() == (tmp_path / "other.json").read_bytes()


def test_an_output_in_use(run_script, evaluate, write_prompts, checkpoint, tmp_path):
    """Status 2 and one line that names the process, also with --overwrite; its files are not changed."""
    journal = Journal(tmp_path / "outputs.json")
    journal.lock()
    flags = {"data_path": write_prompts("direct"), "output_path": journal.output_path, "ckpt_dir": checkpoint}
    message = (
        f"{journal.output_path}: another run is writing it (process {os.getpid()} on {os.uname().nodename});"
        " wait for it, stop it, or choose another --output_path"
    )
    done = run_script("run_evaluate_direct_llama.py", *arguments(flags))
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"error: {message}\n")
    with pytest.raises(InputError) as refused:
        evaluate("direct", journal.output_path, **flags, overwrite=True)
    assert str(refused.value) == message
    assert names(journal.folder) == {"lock"}
    journal.close()


def test_a_finished_result_that_another_job_repeats(run, tmp_path, capsys):
    """The same command without --overwrite reports the finished result, and does not change the other's journal."""
    run("direct")
    other = Journal(tmp_path / "outputs.json")
    other.lock()
    other.begin({"session": 0})
    other.append({"batch": 0, "seconds": 0.0, "results": []})
    capsys.readouterr()
    run("direct")
    assert "outputs.json: already finished" in capsys.readouterr().out
    assert batches_of(other.folder) == [0]
    with pytest.raises(InputError, match="another run is writing it"):
        Journal(tmp_path / "outputs.json").lock()
    other.close()


@pytest.mark.parametrize("batches", [0, 2])
def test_the_message_of_an_interrupted_run_is_true(run, tmp_path, monkeypatch, capsys, batches):
    """It says that results are kept only if there are any."""
    compute, number = Scoring.compute, itertools.count()

    def interrupted(scoring: Scoring, batch: int) -> list:
        if next(number) == batches:
            raise KeyboardInterrupt
        return compute(scoring, batch)

    monkeypatch.setattr(Scoring, "compute", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run("direct", max_batch_tokens=100)
    assert (tmp_path / "outputs.partial").exists() == (batches > 0)
    assert ("partial results are kept" in capsys.readouterr().err) == (batches > 0)
