"""The steps: tests, then seconds, rates, memory and kernels of the product, the naive reference and transformers."""

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from compare import compare_scores
from limit import count_work, flop_of
from measure import generated_pairs, machine
from processes import Worker
from steps import Results, Step
from weights import SHAPES

CODE = Path(__file__).resolve().parents[2]
METHODS = ("direct", "channel", "generate")
SHAPES_OF = {"full": ("7B", "8B"), "tiny": ("1M", "15M")}  # the shape of all steps, and that of one
TESTS = (  # that are marked cuda
    "tests/llama/test_attention.py",
    "tests/llama/test_scoring.py",
    "tests/llama/test_generation.py",
    "tests/llama/test_int8.py",
    "tests/llama/test_memory.py",
    "tests/llama/test_parallel.py",
    "tests/evaluate/test_sample_predictions.py",
)
DTYPES = {"cuda": "bfloat16", "cpu": "float32"}  # a CPU may be slow in bfloat16
PATIENCE = {"cuda": 1, "cpu": 10}  # times the limit of a step
LIMITS = {"direct": 60, "channel": 150, "generate": 90}  # seconds of the product's run, the load included
PROFILED = {"direct": 1000, "channel": 250, "generate": 1000}  # examples
LOG = 6000  # characters of a log that are kept


class Figures:
    """Everything that the steps share.

    Args:
        folder: What prepare.sh has made.
        work: Folder for encoded prompts and results of systems.
        device: cpu or cuda.
        shape: full or tiny.
        examples: Examples of the product; 0: all.
        sample: Examples of the other systems.
        results: What was found so far.
    """

    def __init__(self, folder: Path, work: Path, device: str, shape: str, examples: int, sample: int, results: Results):
        self.folder, self.work, self.device = folder, work, device
        self.main, self.other = SHAPES_OF[shape]
        self.examples, self.sample = examples, sample
        self.results = results
        self.worker: Worker | None = None
        self.loaded = ("", "")  # params and system

    def steps(self) -> list[Step]:
        """In order of importance, since what does not fit in time is skipped; those of one process are adjacent."""
        steps = [Step("machine", 30, 0, self.describe), Step("tests", 150, 30, self.test)]
        steps += [Step("encoding", 90, 10, self.encode)]
        steps += [self.rate(self.main), *(self.run(self.main, "product", method) for method in METHODS)]
        steps += [self.profile(method) for method in METHODS]
        steps += [self.run(self.main, "naive", method) for method in METHODS]
        if importlib.util.find_spec("bitsandbytes"):
            steps += [self.run(self.main, "int8", "direct")]
        if importlib.util.find_spec("transformers"):
            steps += [self.run(self.main, "transformers", method) for method in METHODS]
        steps += [self.rate(self.other), self.run(self.other, "product", "direct")]
        return [replace(step, limit=step.limit * PATIENCE[self.device]) for step in steps]

    def describe(self, seconds: float) -> dict[str, Any]:
        cuda = self.device == "cuda"
        return {
            "device": machine(self.device),
            "memory_bytes": torch.cuda.get_device_properties(0).total_memory if cuda else None,
            "python": sys.version.split()[0],
            "torch": torch.__version__,
            "cuda": torch.version.cuda if cuda else None,
        }

    def test(self, seconds: float) -> dict[str, Any]:
        """pytest on the tests marked cuda, whose lines are read as they come: a kill leaves those that have run."""
        command = [sys.executable, "-m", "pytest", "-m", "cuda", "-v", "--tb=short", "-p", "no:cacheprovider", *TESTS]
        log = self.work / "tests.log"
        status = run_within(command, seconds, log, CODE)
        text = log.read_text(errors="replace")
        ends = re.findall(r"^(\S+::.+?) (PASSED|FAILED|ERROR|SKIPPED)\b", text, re.MULTILINE)
        counts = {end.lower(): count for end, count in sorted(Counter(end for _, end in ends).items())}
        failed = sorted({name for name, end in ends if end in ("FAILED", "ERROR")})
        found = {"counts": counts, "failed": failed, "stopped": status is None}
        return found | ({} if status == 0 else {"state": "failed", "log": text[-LOG:]})

    def encode(self, seconds: float) -> dict[str, Any]:
        """The prompts of all methods, one process each."""
        script = Path(__file__).with_name("encode.py")
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        commands = [
            [sys.executable, str(script), str(self.folder), method, str(self.examples), str(self.work)]
            for method in METHODS
        ]
        running = [subprocess.Popen(command, env=environment) for command in commands]
        try:
            statuses = [process.wait(seconds) for process in running]
        finally:
            for process in running:
                process.kill()
        if any(statuses):
            raise RuntimeError(f"encoding ended with {statuses}")
        encoded = {method: json.loads((self.work / f"{method}.json").read_text()) for method in METHODS}
        for params in (self.main, self.other):
            self.write_workload(params, max(workload["max_seq_len"] for workload in encoded.values()))
        counted = ("words", "tokens", "positions", "max_seq_len")
        return {method: {key: workload[key] for key in counted} for method, workload in encoded.items()}

    def write_workload(self, params: str, max_seq_len: int) -> None:
        """What a process with this shape is given, see ../serve.py."""
        workload = {
            "shape": SHAPES[params],
            "dtype": DTYPES[self.device],
            "device": self.device,
            "seed": 0,
            "tokenizer_path": str(self.folder / "data/llama_tokenizer/tokenizer.model"),
            "max_seq_len": max_seq_len,
            "encoded": str(self.work),
        }
        (self.work / params).mkdir(exist_ok=True)
        (self.work / params / "workload.json").write_text(json.dumps(workload))

    def rate(self, params: str) -> Step:
        def measure(seconds: float) -> dict[str, Any]:
            return self.ask(params, "product", seconds, what="rate")

        return Step(f"{params} rate", 60, 30, measure)

    def run(self, params: str, system: str, method: str) -> Step:
        """All examples by the product, the first ones by another system."""
        examples = {"product": self.examples, "int8": self.fewer(method)}.get(system, self.sample)

        def measure(seconds: float) -> dict[str, Any]:
            found = self.ask(params, system, seconds, what="run", method=method, examples=examples)
            results = json.loads((self.work / params / f"{system}-{method}.json").read_text())
            taken = found["run_seconds"] = found.pop("seconds")
            found["examples"] = found.pop("requests") // self.results.of("encoding")[method]["words"]
            found["examples_per_second"] = found["examples"] / taken
            found["tokens_per_second"] = found["tokens"] / taken
            if system == "product":
                return found | self.limit(params, method, results, taken)
            return found | self.beside(params, method, results, found["examples_per_second"])

        needs = LIMITS[method] / 2 if system == "product" else 25
        return Step(f"{params} {system} {method}", LIMITS[method], needs, measure)

    def limit(self, params: str, method: str, results: Sequence, seconds: float) -> dict[str, Any]:
        """The fraction of the best rate of the matrices, as ../limit.py defines it."""
        encoded = self.results.of("encoding")[method]
        tokens, positions = encoded["tokens"], encoded["positions"]
        if method == "generate":
            requests = json.loads((self.work / f"{method}.json").read_text())["requests"]
            tokens, positions, _ = count_work(generated_pairs(requests, results))
        flop = flop_of(SHAPES[params], tokens, positions)
        rate = self.results.of(f"{params} rate").get("rate")
        return {"flop": flop, "fraction": flop / rate / seconds if rate else None}

    def beside(self, params: str, method: str, results: Sequence, examples_per_second: float) -> dict[str, Any]:
        """How many times as fast the product is, and how far its results are from these."""
        product = self.results.of(f"{params} product {method}")
        if not product:
            return {}
        found: dict[str, Any] = {"product_is_times": product["examples_per_second"] / examples_per_second}
        own = json.loads((self.work / params / f"product-{method}.json").read_text())[: len(results)]
        if method == "generate":
            same = sum(list(a) == list(b) for a, b in zip(own, results, strict=True))
            return found | {"same_continuations": same / len(results)}
        return found | {"largest_difference": compare_scores(own, results, sums_alone=False)["difference"]}

    def fewer(self, method: str) -> int:
        """Examples that are enough for a batch to be full."""
        return min(PROFILED[method], self.examples or PROFILED[method])

    def profile(self, method: str) -> Step:
        examples = self.fewer(method)

        def measure(seconds: float) -> dict[str, Any]:
            found = self.ask(self.main, "product", seconds, what="profile", method=method, examples=examples)
            return {"examples": examples, "profiled_seconds": found.pop("seconds")} | found

        return Step(f"{self.main} profile {method}", 60, 20, measure)

    def ask(self, params: str, system: str, seconds: float, **asked: Any) -> dict[str, Any]:
        """The answer of the process with a system, which is started unless it is the one that runs.

        Raises:
            RuntimeError: It ended, or did not answer in time and was ended.
        """
        if self.loaded != (params, system):
            self.close()
        late = threading.Event()

        def stop() -> None:
            late.set()
            if self.worker is not None:
                self.worker.process.kill()

        timer = threading.Timer(seconds, stop)
        timer.start()
        try:
            if self.worker is None:
                folder = self.work / params
                self.worker = Worker(folder, system, self.device, sys.executable, script="cuda/one_system.py")
                self.loaded = (params, system)
                self.worker.__enter__()
            return self.worker.turn(json.dumps(asked))
        except BaseException as error:
            self.close()
            raise RuntimeError(f"stopped after {seconds:.0f} s" if late.is_set() else str(error)) from error
        finally:
            timer.cancel()

    def close(self) -> None:
        """End the process that runs."""
        if self.worker is not None:
            self.worker.__exit__()
        self.worker, self.loaded = None, ("", "")


def run_within(command: Sequence[str], seconds: float, log: Path, folder: Path) -> int | None:
    """Run a command into a log: its status; None if it was stopped after `seconds`, with all that it had started."""
    with log.open("w") as file, tempfile.TemporaryDirectory() as temporary:
        environment = os.environ | {"TMPDIR": temporary}
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=file, stderr=file, start_new_session=True
        )
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
