"""Processes of a run that are killed: the same command gives the same bytes as an uninterrupted run."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.evaluate.journals import arguments, batches_of, lasting, lines_in, names

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
