"""Compares the engine with the harness's own model for transformers, both as models of lm-evaluation-harness.

python benchmarks/harness.py --ckpt_dir checkpoints/smollm2-135m --harness_python harness/bin/python
"""

import sys
from pathlib import Path

sys.path.insert(1, str(Path(__file__).resolve().parent.parent))

from options import run

# isort: split

import datetime
import json
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import Any

import torch
from harness_tasks import Task, make_tasks
from measure import machine
from processes import Worker

from evaluate.run import git_commit
from llama.checkpoint import DTYPES
from preprocess.errors import InputError
from preprocess.files import PathFlag


@dataclass(frozen=True)
class HarnessConfig:
    """Compare `--model llama` of lm-evaluation-harness with `--model hf`.

    Args:
        ckpt_dir: A Hugging Face folder.
        harness_python: Python interpreter with lm-evaluation-harness, transformers and accelerate.
        questions: Number of questions in tasks whose questions share all shots; the other tasks have a fourth as many.
        sample: Number of questions of a task for hf, the first in order; with 25 shots a fourth as many.
        batch_sizes: Comma-separated batch sizes of hf; the best counts. auto first tries five batches of
            `max_batch_size` rows.
        max_batch_size: Maximum batch size for auto.
        max_length: Maximum number of tokens that a model sees at once.
        dtype: float32, bfloat16 or float16.
        device: cpu or cuda.
        repeats: Runs of each system, in turn; the fastest counts.
        seed: Random seed of the texts.
    """

    ckpt_dir: PathFlag = "checkpoints/smollm2-135m"
    harness_python: PathFlag = ""
    questions: int = 64
    sample: int = 8
    batch_sizes: str = "1,8,16"
    max_batch_size: int = 16
    max_length: int = 2560
    dtype: str = "float32"
    device: str = "cpu"
    repeats: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.harness_python or not Path(self.harness_python).is_file():
            raise InputError(f"--harness_python {self.harness_python}: expected a Python interpreter with the harness")
        if not (Path(self.ckpt_dir) / "config.json").is_file():
            raise InputError(f"--ckpt_dir {self.ckpt_dir}: expected a Hugging Face folder")
        for size in self.batch_sizes.split(","):
            if size != "auto" and not (size.isdecimal() and int(size)):
                raise InputError(f"--batch_sizes {self.batch_sizes}: expected comma-separated whole numbers or auto")
        for flag in ("questions", "sample", "repeats", "max_length", "max_batch_size"):
            if getattr(self, flag) < 1:
                raise InputError(f"--{flag} {getattr(self, flag)}: expected 1 or more")
        if self.dtype not in DTYPES:
            raise InputError(f"--dtype {self.dtype}: expected {', '.join(DTYPES)}")


def benchmark(config: HarnessConfig) -> None:
    """Measure, and print a table and all results as one line of JSON."""
    tasks = make_tasks(config.questions, config.seed)
    result = asdict(config) | {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        "machine": machine(config.device),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "commit": git_commit(),
    }
    print(
        "{dtype}, best of {repeats}; {date}\n{machine}, {threads} threads, torch {torch}, commit {commit}\n".format(
            **result
        )
    )
    sizes = config.batch_sizes.split(",")
    headings = ["llama", *(f"hf {size}" for size in sizes), "ratio", "by CPU", "goal", "tokens", "of hf", "difference"]
    print(f"{'questions per second':26}" + "".join(f"{heading:>11}" for heading in headings), flush=True)
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        (folder / "workload.json").write_text(json.dumps(workload(config, tasks)))
        workers = {
            system: stack.enter_context(
                Worker(folder, system, config.device, config.harness_python, script="harness_worker.py")
            )
            for system in ("llama", "hf")
        }
        result["tasks"] = [measure(config, workers, number, task) for number, task in enumerate(tasks)]
    print(json.dumps(result))


def workload(config: HarnessConfig, tasks: Sequence[Task]) -> dict[str, Any]:
    """The input of the processes."""
    return {
        "ckpt_dir": str(Path(config.ckpt_dir).resolve()),
        "dtype": config.dtype,
        "device": config.device,
        "max_length": config.max_length,
        "max_batch_size": config.max_batch_size,
        "tasks": [asdict(task) for task in tasks],
    }


def measure(config: HarnessConfig, workers: dict[str, Worker], number: int, task: Task) -> dict[str, Any]:
    """Run one task with both models, in turn; prints and returns a row of the table."""
    sample = min(task.questions, max(1, config.sample // task.fewer))
    settings = {"llama": ("llama", "1", task.questions)}
    settings |= {f"hf {size}": ("hf", size, sample) for size in config.batch_sizes.split(",")}
    turns: dict[str, list[dict[str, Any]]] = {name: [] for name in settings}
    for _ in range(config.repeats):
        for name, (system, size, questions) in settings.items():
            line = {"task": number, "batch_size": size, "requests": questions * task.each}
            turns[name].append(workers[system].turn(json.dumps(line)) | {"questions": questions})
    rates, cpu_rates = (
        {name: max(turn["questions"] / turn[unit] for turn in taken) for name, taken in turns.items()}
        for unit in ("seconds", "cpu_seconds")
    )
    best = max((name for name in rates if name != "llama"), key=rates.__getitem__)
    ours, theirs = turns["llama"][-1], turns[best][-1]
    row = {
        "task": task.name,
        "rates": rates,
        "ratio": rates["llama"] / rates[best],
        "cpu_ratio": cpu_rates["llama"] / max(rate for name, rate in cpu_rates.items() if name != "llama"),
        "goal": task.goal,
        "tokens": ours["tokens"] / task.questions,
        "hf_tokens": theirs["tokens"] / sample,
        "difference": difference(ours["found"], theirs["found"]),
    }
    numbers = [f"{row[name]:.2f}" for name in ("ratio", "cpu_ratio", "goal")]
    counts = [f"{row[name]:,.0f}" for name in ("tokens", "hf_tokens")]
    cells = [*(f"{rate:.3f}" for rate in rates.values()), *numbers, *counts, f"{row['difference']:.1e}"]
    print(f"{task.name:26}" + "".join(f"{cell:>11}" for cell in cells), flush=True)
    return row


def difference(ours: Sequence[Any], theirs: Sequence[Any]) -> float:
    """The largest difference of a log-likelihood, in nats.

    Raises:
        RuntimeError: The models disagree on which continuations are greedy.
    """
    pairs = [
        [result if isinstance(result, list) else [result, None] for result in pair]
        for pair in zip(ours[: len(theirs)], theirs, strict=True)
    ]
    if any(one[1] != other[1] for one, other in pairs):
        raise RuntimeError("the two models disagree on which continuations are greedy")
    return max(abs(one[0] - other[0]) for one, other in pairs)


run(HarnessConfig, benchmark)
