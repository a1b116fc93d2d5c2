"""A run that is killed at any moment and restarted gives the same bytes as an uninterrupted one."""

import itertools
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace

import pytest

from evaluate.journal import Journal
from llama.scoring import Scoring
from preprocess.errors import InputError

SCRIPT = "run_evaluate_direct_llama.py"
PATIENCE = 200.0  # seconds; others may use the machine

WITH_ITS_ID = '''
"""FOLDER SCRIPT ...: a script of the project, of which each process writes down its id."""
import os
import runpy
import sys
from pathlib import Path

Path(sys.argv[1], os.environ.get("RANK", "0")).write_text(str(os.getpid()))
sys.argv = sys.argv[2:]
runpy.run_path(sys.argv[0], run_name="__main__")
'''


class Job:
    """The direct script in its own processes, to be killed.

    Args:
        folder: Receives the ids of its processes, and their output.
        command: Its arguments.
        processes: Number of processes under torchrun; None: plain python.
    """

    def __init__(self, root: Path, folder: Path, command: list[str], processes: int | None = None):
        folder.mkdir()
        self.ids = folder / "ids"
        self.ids.mkdir()
        self.processes = processes
        (folder / "worker.py").write_text(WITH_ITS_ID)
        launcher = [sys.executable]
        if processes is not None:
            launcher += ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
        self.stderr = folder / "stderr"
        with self.stderr.open("w") as stderr:
            self.process = subprocess.Popen(
                [*launcher, str(folder / "worker.py"), str(self.ids), str(root / SCRIPT), *command],
                env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(root)},
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )

    def workers(self) -> dict[int, int]:
        """Rank -> ids of the processes that have started."""
        found = {path.name: path.read_text() for path in self.ids.iterdir()}
        return {int(rank): int(number) for rank, number in found.items() if number}

    def wait_for(self, condition: Callable[[], bool]) -> None:
        begin = time.monotonic()
        while not condition():
            if self.process.poll() is not None or time.monotonic() - begin > PATIENCE:
                pytest.fail(f"came to no such moment: {self.stderr.read_text()}")
            time.sleep(0.002)

    def kill(self, what: str, rank: int = 0) -> None:
        """kill -9: of the job, a rank, or torchrun, whose workers live on."""
        if what in ("job", "torchrun"):
            self.process.kill()
        for number, worker in self.workers().items():
            if what == "job" or (what == "rank" and number == rank):
                with suppress(ProcessLookupError):
                    os.kill(worker, signal.SIGKILL)

    def end(self, seconds: float = PATIENCE) -> tuple[int, str]:
        """Exit status and stdout, after the last of its processes has closed it."""
        out, _ = self.process.communicate(timeout=seconds)
        return self.process.returncode, out


@pytest.fixture
def start_job(root: Path, tmp_path: Path) -> Iterator[Callable[..., Job]]:
    """A function that starts a job: (*arguments, processes=None) -> job. Remaining processes are killed at the end."""
    jobs: list[Job] = []

    def start(*command: object, processes: int | None = None) -> Job:
        jobs.append(Job(root, tmp_path / f"job-{len(jobs)}", [str(argument) for argument in command], processes))
        return jobs[-1]

    yield start
    for job in jobs:
        if not job.process.stdout.closed:  # it has not ended
            job.kill("job")
            job.end()


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


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The batches that runs of this process have written, in order; a test may clear the list."""
    append, batches = Journal.append, []

    def recording(journal: Journal, line: dict) -> None:
        append(journal, line)
        batches.extend([line["batch"]] if "batch" in line else [])

    monkeypatch.setattr(Journal, "append", recording)
    return batches


def arguments(flags: dict[str, object]) -> list[str]:
    return [f"--{name}={value}" for name, value in flags.items()]


def batches_of(folder: Path) -> list[int]:
    """The batches in a journal, read from its complete lines."""
    lines = [line for path in folder.glob("*.jsonl") for line in path.read_bytes().splitlines(keepends=True)[1:]]
    return [json.loads(line[9:])["batch"] for line in lines if line.endswith(b"\n")]


def lines_in(folder: Path) -> int:
    """The number of lines with batches, counted quickly."""
    return sum(path.read_bytes().count(b"\n") - 1 for path in folder.glob("*.jsonl"))


def lasting(path: Path) -> dict:
    """The meta file beside `path` without entries that may differ between two runs."""
    meta = json.loads(path.with_suffix(".meta.json").read_text())
    for key in ("seconds", "git_commit", "world_size"):
        del meta[key]
    del meta["configuration"]["run"]["output_path"]
    return meta


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


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
    done = run_script(SCRIPT, *arguments(flags))
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


@pytest.fixture
def make_flags(write_prompts: Callable, make_rows: Callable, make_checkpoint: Callable, tmp_path: Path) -> Callable:
    """A function that returns the flags of a run with one batch per example: (examples, words, **params)."""

    def make(examples: int, words: int, **params: int) -> dict[str, object]:
        rows = make_rows("direct", {str(n): " ".join(["rain", str(n), *["stopped"] * words]) for n in range(examples)})
        return {
            "data_path": write_prompts("direct", rows),
            "ckpt_dir": make_checkpoint(tmp_path / "checkpoint", max_seq_len=160, **params),
            "output_path": tmp_path / "new/outputs.json",
            "max_batch_tokens": words + 20,  # of one example
        }

    return make


def assert_complete(output: Path, expected: Path) -> None:
    """The files of an uninterrupted run, and nothing else in the folder."""
    assert output.read_bytes() == expected.read_bytes()
    assert lasting(output) == lasting(expected)
    assert names(output.parent) == {"outputs.json", "outputs.meta.json"}


def test_kill_9(start_job, evaluate, make_flags, computed, tmp_path, capsys):
    """Killed twice in the middle."""
    flags = make_flags(300, words=20, dim=64, n_layers=4)
    output, expected = flags["output_path"], tmp_path / "expected.json"
    evaluate("direct", expected, **flags | {"output_path": expected})
    total = len(computed)
    partial = output.with_suffix(".partial")
    for batches in (20, 60):
        job = start_job(*arguments(flags))
        job.wait_for(lambda enough=batches: lines_in(partial) >= enough)
        job.kill("job")
        status, _ = job.end()
        assert status == -signal.SIGKILL
        assert names(output.parent) == {"outputs.partial"}
    there = batches_of(partial)
    assert len(set(there)) == len(there) >= 60
    capsys.readouterr()
    evaluate("direct", output, **flags)
    assert f"resuming, {len(there)} of {total} batches are finished" in capsys.readouterr().out
    assert_complete(output, expected)


@pytest.fixture
def slow_flags(make_flags: Callable) -> dict[str, object]:
    """The flags of a run that is long enough to be interrupted."""
    return make_flags(600, words=40, dim=256, n_layers=8)


@pytest.mark.slow
def test_kill_9_twenty_times(start_job, evaluate, slow_flags, computed, tmp_path):
    """Of the whole job, of one rank, or of torchrun alone, at random moments, with a random number of replicas."""
    output, expected = slow_flags["output_path"], tmp_path / "expected.json"
    evaluate("direct", expected, **slow_flags | {"output_path": expected})
    total = len(computed)
    partial = output.with_suffix(".partial")
    draw = random.Random(3)
    kinds = ["job", "job alone"] * 3 + ["rank"] * 7 + ["torchrun"] * 7
    draw.shuffle(kinds)
    for kind in kinds:
        job = start_job(*arguments(slow_flags), processes=None if kind == "job alone" else 2)
        before = lines_in(partial)
        if kind != "torchrun" and draw.random() < 0.2:
            job.wait_for(lambda job=job: len(job.workers()) == (job.processes or 1))
            time.sleep(draw.uniform(0, 2))
        else:
            enough = before + draw.randint(1, 12)
            job.wait_for(lambda enough=enough: lines_in(partial) >= enough)
            time.sleep(draw.uniform(0, 0.1))
        job.kill(kind.split()[0], rank=draw.randrange(2))
        status, _ = job.end()
        assert status == (1 if kind == "rank" else -signal.SIGKILL)
        assert not output.exists(), f"{kind}: came too late"
    there = len(set(batches_of(partial)))
    status, out = start_job(*arguments(slow_flags), processes=2).end()
    assert status == 0
    assert out.startswith(f"{partial}: resuming, {there} of {total} batches are finished\n")
    assert_complete(output, expected)


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_torchrun_killed_while_a_worker_lives_on(start_job, evaluate, slow_flags, tmp_path, rank):
    """While rank 0 lives, the next job waits and is then refused; rank 1 alone is no obstacle."""
    output, expected = slow_flags["output_path"], tmp_path / "expected.json"
    evaluate("direct", expected, **slow_flags | {"output_path": expected})
    first = start_job(*arguments(slow_flags), processes=2)
    first.wait_for(lambda: lines_in(output.with_suffix(".partial")) > 4)
    worker = first.workers()[rank]
    os.kill(worker, signal.SIGSTOP)
    first.kill("torchrun")
    while True:
        job = start_job(*arguments(slow_flags))
        status, _ = job.end()
        if status == 0:
            break
        holder = first.workers()[0]
        refused = f"error: {output}: another run is writing it (process {holder} on {os.uname().nodename});"
        said = job.stderr.read_text().splitlines()
        assert said[0].endswith("waiting up to 30 s")
        assert said[1].startswith(refused)
        assert status == 2
        if rank == 0:
            os.kill(worker, signal.SIGCONT)
            first.end()
    if rank == 1:
        os.kill(worker, signal.SIGCONT)
        first.end()
    assert_complete(output, expected)


@pytest.mark.slow
def test_the_next_job_waits_for_the_workers_of_a_killed_torchrun(start_job, evaluate, slow_flags, tmp_path):
    """They end by themselves, and the job resumes."""
    output, expected = slow_flags["output_path"], tmp_path / "expected.json"
    evaluate("direct", expected, **slow_flags | {"output_path": expected})
    first = start_job(*arguments(slow_flags), processes=2)
    first.wait_for(lambda: lines_in(output.with_suffix(".partial")) > 4)
    first.kill("torchrun")
    job = start_job(*arguments(slow_flags), processes=2)
    status, _ = job.end(300)
    assert status == 0, job.stderr.read_text()
    assert_complete(output, expected)


@pytest.mark.slow
def test_torchrun_killed_while_its_workers_start(start_job, make_flags):
    """They end within a minute, and so release the output."""
    job = start_job(*arguments(make_flags(4, words=20)), processes=2)
    job.wait_for(lambda: len(job.workers()) == 2)
    job.kill("torchrun")
    job.end(60)
