"""Real processes on gloo: results do not depend on the number of processes, and a dying process ends the job."""

import json
import re
import runpy
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from llama.parallel import Launch, start
from preprocess.errors import InputError

WORKER = '''
"""JOBS: one evaluation after the other, (method, arguments, batches that each replica may compute; None: all).

Each process prints how many examples it encoded in each job, and the errors in its input.
"""
import json
import os
import sys
from itertools import islice
from unittest.mock import patch

import evaluate.requests
from evaluate.calibration import CalibrateConfig, evaluate_direct_calibrate
from evaluate.generation import GenerateConfig, evaluate_generate
from evaluate.scoring import ScoreConfig, evaluate_channel, evaluate_direct
from fairscale.nn.model_parallel.initialize import destroy_model_parallel
from llama.parallel import Launch, finish
from options import parse
from preprocess.errors import InputError

METHODS = {
    "direct": (ScoreConfig, evaluate_direct),
    "channel": (ScoreConfig, evaluate_channel),
    "direct_calibrate": (CalibrateConfig, evaluate_direct_calibrate),
    "generate": (GenerateConfig, evaluate_generate),
}
claims = Launch.claims


class Stopped(Exception):
    pass


def work(jobs):
    for method, arguments, limit in jobs:
        config, function = METHODS[method]

        def limited(self, name, total, limit=limit):
            yield from islice(claims(self, name, total), limit)
            if limit is not None:
                raise Stopped

        with patch.object(Launch, "claims", limited), patch("evaluate.session.finish"):
            with patch("evaluate.requests.fit", wraps=evaluate.requests.fit) as fit:
                options = parse(config, arguments)
                try:
                    function(options)
                except Stopped:
                    pass
                except InputError as error:
                    if "RANK" not in os.environ:
                        raise
                    print(f"rank {os.environ['RANK']}: {error}")
            print(f"rank {os.environ.get('RANK', 0)} encoded {fit.call_count} for {options.run.output_path}")
        destroy_model_parallel()  # the next one may have another size


if __name__ == "__main__":
    work(json.loads(sys.argv[1]))
    finish()
'''

CLAIM = '''
"""SIZE: what each rank of copies of so many ranks is handed out of 40; rank 0 works fast, all others slowly."""
import json
import sys
import time

import torch.distributed as dist
from llama.parallel import finish, start

launch = start(int(sys.argv[1]))
claimed = []
for number in launch.claims("numbers", 40):
    claimed.append(number)
    time.sleep(0.01 if launch.rank < int(sys.argv[1]) else 0.2)
of_ranks = launch.gather(claimed)
if launch.rank == 0:
    print(json.dumps(of_ranks))
finish()
'''

DIE = '''
"""RANK HOW SCRIPT ...: a script of the project, of which a rank dies in its third batch; the others are slower."""
import os
import runpy
import signal
import sys
import time
from pathlib import Path

import llama.scoring

rank, how = sys.argv[1:3]
compute, batches = llama.scoring.Scoring.compute, []


def dying(self, number):
    batches.append(number)
    if os.environ["RANK"] != rank:
        time.sleep(0.1)
    elif len(batches) == 3:
        Path(__file__).with_suffix(".died").touch()
        if how == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        raise {"broken": RuntimeError("the fan fell off"), "full": OSError(28, "No space left on device")}[how]
    return compute(self, number)


llama.scoring.Scoring.compute = dying
sys.argv = sys.argv[3:]
runpy.run_path(sys.argv[0], run_name="__main__")
'''

METHODS = {  # a name for each: the method, its flags
    "direct": ("direct", {"max_batch_tokens": 150}),
    "channel": ("channel", {"max_batch_tokens": 150}),
    "greedy": ("generate", {"max_batch_tokens": 150, "temperature": 0}),
    "sampled": ("generate", {"max_batch_tokens": 150, "temperature": 2.0}),
    "calibrated": ("direct_calibrate", {"max_batch_tokens": 60}),
}
TOO_LONG = {"second-part": [45, 50], "both-parts": [20, 45]}  # rows without room for their text
STOP = {"direct": 5, "channel": 5, "greedy": 5, "sampled": 5, "calibrated": 2}  # batches a replica


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("replicas")


@pytest.fixture(scope="module")
def prompts(folder: Path, make_rows: Callable[..., list[dict]]) -> dict[str, Path]:
    """Prompt files by method: 60 texts of many lengths after six sets of demonstrations."""
    texts = {str(n): " ".join(f"rain {place * n} stopped play" for place in range(1 + n % 7)) for n in range(60)}
    paths = {}
    for method in ("direct", "channel"):
        rows = make_rows(method, texts)
        for n, row in enumerate(rows):
            row["prompt"] = f"market {n % 6} today\n{row['prompt']}"
        paths[method] = folder / f"inputs_{method}_news.json"
        paths[method].write_text(json.dumps(rows))
    rows = json.loads(paths["direct"].read_text())
    for name, numbers in TOO_LONG.items():
        long = [row | {"prompt": "market " * 200 * (n in numbers) + row["prompt"]} for n, row in enumerate(rows)]
        (folder / f"{name}.json").write_text(json.dumps(long))
    return paths


@pytest.fixture(scope="module")
def job(folder: Path, prompts: dict[str, Path], checkpoint: Path, make_checkpoint: Callable[..., Path]) -> Callable:
    """A function that returns a job for the worker: (name in METHODS, output, shards=1, limit=None, **flags) -> job."""
    checkpoints = {1: checkpoint, 2: make_checkpoint(folder / "two-shards", shards=2, max_seq_len=160)}

    def make(name: str, output: str, shards: int = 1, limit: int | None = None, **more: object) -> tuple:
        method, flags = METHODS[name]
        flags = flags | {"ckpt_dir": checkpoints[shards], "output_path": folder / f"{output}-{name}.json"} | more
        if method == "direct_calibrate":
            direct = "mp-direct" if shards == 2 else "one-direct"
            flags |= {"direct_input_path": prompts["direct"], "direct_output_path": folder / f"{direct}.json"}
        else:
            flags.setdefault("data_path", prompts["channel" if method == "channel" else "direct"])
        return method, [f"--{flag}={value}" for flag, value in flags.items()], limit

    return make


@pytest.fixture(scope="module")
def worker(folder: Path) -> Path:
    (folder / "worker.py").write_text(WORKER)
    return folder / "worker.py"


@pytest.fixture(scope="module")
def in_this_process(worker: Path, one_process: None) -> Iterator[Callable[[list], None]]:
    """The function `work` of the worker."""
    yield runpy.run_path(str(worker))["work"]
    start()


@pytest.fixture(scope="module")
def made(folder: Path, job: Callable, worker: Path, in_this_process: Callable, run_script: Callable) -> SimpleNamespace:
    """Results of one process and of two, each resumed by the other, in one launch of two processes."""
    in_this_process([job(name, "one") for name in METHODS])
    in_this_process([job(name, "one-then-two", limit=STOP[name]) for name in METHODS])
    of_one = lines_of(folder, "one-then-two")
    jobs = [job(name, "two") for name in METHODS]
    jobs += [job(name, "one-then-two") for name in METHODS]
    jobs += [job(name, "two-then-one", limit=STOP[name]) for name in METHODS]
    jobs += [job(name, "mp", shards=2, max_batch_tokens=1000) for name in METHODS]
    jobs += [job("direct", name, data_path=folder / f"{name}.json") for name in TOO_LONG]
    done = run_script(worker, json.dumps(jobs), processes=2)
    assert done.returncode == 0, done.stderr
    of_two = lines_of(folder, "two-then-one")
    in_this_process([job(name, "two-then-one") for name in METHODS])
    return SimpleNamespace(of_one=of_one, of_two=of_two, stdout=done.stdout)


def lines_of(folder: Path, output: str) -> dict[str, list[list[dict]]]:
    """The lines with batches in each file of each method's journal."""
    found = {}
    for name in METHODS:
        paths = (folder / f"{output}-{name}.partial").glob("*.jsonl")
        found[name] = [[json.loads(line[9:]) for line in path.read_bytes().splitlines()[1:]] for path in paths]
    return found


def read(folder: Path, output: str) -> tuple[list[dict], dict]:
    return tuple(json.loads((folder / f"{output}{end}").read_text()) for end in (".json", ".meta.json"))


def assert_same_within_rounding(folder: Path, found: str, expected: str) -> None:
    """The same predictions, and log-probabilities within 1e-5 per token."""
    rows, theirs = read(folder, found)[0], read(folder, expected)[0]
    assert len(rows) == 60
    for row, other in zip(rows, theirs, strict=True):
        for numbers in ("log_probs", "eos_log_probs", "score"):
            longest = 1 + max(row.get("num_tokens", [8]))
            tolerance = 1e-5 * (1 if numbers == "eos_log_probs" else longest)
            assert row.pop(numbers, []) == pytest.approx(other.pop(numbers, []), abs=tolerance, rel=0)
        assert row == other


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("output", ["two", "one-then-two", "two-then-one"])
def test_the_same_bytes(made, folder, output, name):
    """With one process, two replicas, and a run that one process started and two finished."""
    one, found = (folder / f"{begun}-{name}.json" for begun in ("one", output))
    assert found.read_bytes() == one.read_bytes()
    assert len(read(folder, f"{output}-{name}")[0]) == 60
    assert not found.with_suffix(".partial").exists()


@pytest.mark.parametrize("name", METHODS)
def test_all_replicas_compute(made, name):
    """Each replica has its own file; no batch is computed twice."""
    (of_one,) = made.of_one[name]
    assert len(of_one) == STOP[name]
    assert [len(lines) for lines in made.of_two[name]] == [STOP[name]] * 2
    batches = [line["batch"] for lines in made.of_two[name] for line in lines]
    assert len(set(batches)) == len(batches)
    before = re.search(rf"one-then-two-{name}.partial: resuming, (\d+) of (\d+) batches are finished", made.stdout)
    assert int(before[1]) == STOP[name]
    assert int(before[2]) >= (15 if name != "calibrated" else 6)


@pytest.mark.parametrize("name", ["direct", "channel", "greedy", "sampled"])
@pytest.mark.parametrize("output", ["two", "mp"])
def test_each_example_is_encoded_once(made, folder, output, name):
    """By replicas, and by the ranks of a model: half of the examples each. Both know which texts were cut."""
    found = re.findall(rf"rank (\d) encoded (\d+) for {folder}/{output}-{name}.json", made.stdout)
    assert sorted(found) == [("0", "30"), ("1", "30")]
    (_, one), (_, meta) = read(folder, f"one-{name}"), read(folder, f"{output}-{name}")
    assert (meta["cut"], meta["tokens_scored"]) == (one["cut"], one["tokens_scored"])


@pytest.mark.parametrize("name", TOO_LONG)
def test_the_first_error_of_the_file_on_all_ranks(made, folder, name):
    lines = re.findall(rf"rank \d: {folder}/{name}.json: (.*)", made.stdout)
    assert lines[0].startswith(f"id '{TOO_LONG[name][0]}' needs")
    assert lines == lines[:1] * 2


@pytest.mark.parametrize("name", METHODS)
def test_two_processes_share_the_weights(made, folder, name):
    """With two shards, two processes hold one copy by default."""
    assert_same_within_rounding(folder, f"mp-{name}", f"one-{name}")


def test_default_of_model_parallel_size(made, folder):
    """The number of shards if it divides the number of processes, else 1; the meta file states it."""
    sizes = {output: read(folder, f"{output}-direct")[1] for output in ("one", "two", "mp")}
    sizes = {output: (meta["world_size"], meta["model_parallel_size"]) for output, meta in sizes.items()}
    assert sizes == {"one": (1, 1), "two": (2, 1), "mp": (2, 2)}


@pytest.mark.slow
def test_two_copies_of_two_ranks(made, folder, job, worker, in_this_process, run_script):
    """Four processes; then two, which hold one copy, finish the run. A single process would sum in another order."""
    jobs = [job(name, "four", shards=2, max_batch_tokens=1000) for name in METHODS]
    jobs += [job(name, "two-copies", model_parallel_size=2, limit=STOP[name]) for name in METHODS]
    done = run_script(worker, json.dumps(jobs), processes=4)
    assert done.returncode == 0, done.stderr
    for name in METHODS:
        meta = read(folder, f"four-{name}")[1]
        assert (meta["world_size"], meta["model_parallel_size"]) == (4, 2)
        assert_same_within_rounding(folder, f"four-{name}", f"one-{name}")
        # The same sums in the same order for any number of copies.
        assert (folder / f"four-{name}.json").read_bytes() == (folder / f"mp-{name}.json").read_bytes()
    for name, files in lines_of(folder, "two-copies").items():
        assert [len(lines) for lines in files] == [STOP[name]] * 2  # the first rank of a copy writes
    with pytest.raises(
        InputError, match=r"started with plan \{'model_parallel_size': 2\}, now \{'model_parallel_size': 1\}"
    ):
        in_this_process([job("direct", "two-copies")])
    jobs = [job(name, "two-copies", model_parallel_size=2) for name in METHODS]
    done = run_script(worker, json.dumps(jobs), processes=2)
    assert done.returncode == 0, done.stderr
    for name in METHODS:
        assert_same_within_rounding(folder, f"two-copies-{name}", f"one-{name}")


def test_claims_of_one_process(one_process):
    launch = start()
    assert isinstance(launch, Launch)
    assert list(launch.claims("numbers", 3)) == [0, 1, 2]
    assert list(launch.claims("numbers", 3)) == []
    assert list(launch.claims("other numbers", 0)) == []


@pytest.mark.slow
@pytest.mark.parametrize(("processes", "size"), [(2, 1), (4, 2)])
def test_claims(run_script, tmp_path, processes, size):
    """Each number is assigned once, in order, to all ranks of a copy; faster copies get more."""
    (tmp_path / "claim.py").write_text(CLAIM)
    done = run_script(tmp_path / "claim.py", size, processes=processes)
    assert done.returncode == 0, done.stderr
    of_ranks = json.loads(done.stdout)
    fast, slow = of_ranks[0], of_ranks[-1]
    assert of_ranks == [fast] * size + [slow] * size
    assert sorted(fast + slow) == list(range(40))
    assert fast == sorted(fast)
    assert slow == sorted(slow)
    assert 0 < len(slow) < 10


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rank", "how", "size", "named"),
    [
        (1, "broken", 1, "RuntimeError: the fan fell off"),
        (1, "full", 1, "error: [Errno 28] No space left on device"),
        (0, "killed", 1, "Signal 9 (SIGKILL)"),
        (1, "killed", 2, "Signal 9 (SIGKILL)"),
    ],
)
def test_a_rank_that_dies(made, folder, job, worker, run_script, tmp_path, rank, how, size, named):
    """The job ends within a minute and names the rank; results are kept, and one copy finishes with the same bytes."""
    (tmp_path / "die.py").write_text(DIE)
    name = f"{rank}-{how}-{size}"
    _, arguments, _ = job("direct", name, model_parallel_size=size)
    done = run_script(tmp_path / "die.py", rank, how, "run_evaluate_direct_llama.py", *arguments, processes=2)
    assert time.time() - (tmp_path / "die.died").stat().st_mtime < 60
    assert done.returncode != 0
    assert named in done.stderr
    assert done.stdout == ""
    output = folder / f"{name}-direct.json"
    assert not output.exists()
    batches = sum(len(lines) for lines in lines_of(folder, name)["direct"])
    assert batches >= 2
    done = run_script(worker, json.dumps([job("direct", name, model_parallel_size=size)]), processes=size)
    assert done.returncode == 0, done.stderr
    assert f"resuming, {batches} of" in done.stdout
    if size == 1:
        assert output.read_bytes() == (folder / "one-direct.json").read_bytes()
    assert_same_within_rounding(folder, output.stem, "one-direct")
    assert not output.with_suffix(".partial").exists()
