"""A process with one system, which runs it on request: systems take turns, and memory is measured separately.

    python worker.py FOLDER SYSTEM

    it reads                 it answers, a line of JSON each
    FOLDER/workload.json     {"threads", "note"} when the system is loaded and warm
    a line                   {"seconds", "tokens"} of one run over all requests
    the end of its input     {"peak_bytes", "before_bytes"}, after FOLDER/SYSTEM.json is written: what the last run gave

It imports nothing of the project, because the peers' interpreter imports it too.
"""

import contextlib
import ctypes
import gc
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

WARM_UP = 16  # requests


class Process:
    """This process: what it was given, and its answers."""

    def __init__(self) -> None:
        folder, self.system = sys.argv[1:]
        self.folder = Path(folder)
        self.answers = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)  # what a library prints must not stand between the answers
        self.workload: dict[str, Any] = json.loads((self.folder / "workload.json").read_text())

    @property
    def device(self) -> str:
        return self.workload["device"]

    @property
    def dtype(self) -> torch.dtype:
        return getattr(torch, self.workload["dtype"])

    def answer(self, **facts: Any) -> None:
        print(json.dumps(facts), file=self.answers, flush=True)

    def serve(
        self, run: Callable[[Sequence], Sequence], requests: Sequence, embedding: torch.nn.Module, note: str = ""
    ) -> None:
        """Answer until the input ends.

        Args:
            run: Requests to results, one each.
            requests: All of them.
            embedding: The model's, where tokens are counted.
            note: How the system was set up.
        """
        fed = TokenCounter(embedding)
        reset_peak()
        before = peak_bytes()
        run(requests[:WARM_UP])
        self.answer(threads=torch.get_num_threads(), note=note)
        results: Sequence = []
        for _ in sys.stdin:
            results, facts = timed(run, requests, fed)
            self.answer(**facts)
        peak = peak_bytes()
        self.write(self.system, results)
        self.answer(peak_bytes=peak, before_bytes=before)

    def write(self, name: str, results: Sequence) -> None:
        """Write results, one for each request, to FOLDER/NAME.json."""
        plain = [result.tolist() if isinstance(result, torch.Tensor) else list(result) for result in results]
        (self.folder / f"{name}.json").write_text(json.dumps(plain))


class TokenCounter:
    """Counts the tokens that pass an embedding: each token that a model computes passes it once."""

    def __init__(self, embedding: torch.nn.Module):
        self.tokens = 0
        embedding.register_forward_pre_hook(self.count)

    def count(self, _: torch.nn.Module, arguments: tuple) -> None:
        self.tokens += arguments[0].numel()


def timed(
    run: Callable[[Sequence], Sequence], requests: Sequence, fed: TokenCounter
) -> tuple[Sequence, dict[str, float]]:
    """The results of one run, and its seconds and tokens."""
    fed.tokens = 0
    synchronize()
    begin = time.perf_counter()
    results = run(requests)
    synchronize()
    return results, {"seconds": time.perf_counter() - begin, "tokens": fed.tokens}


def synchronize() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def reset_peak() -> None:
    """Forget the peak so far and give back what was freed: loading holds the weights twice for a moment."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    elif sys.platform == "linux":
        if hasattr(library := ctypes.CDLL(None), "malloc_trim"):
            library.malloc_trim(0)
        with contextlib.suppress(OSError):  # not every kernel has it
            Path("/proc/self/clear_refs").write_text("5")


def peak_bytes() -> int | None:
    """Peak memory of the device on CUDA, else of this process (ru_maxrss would include the parent's); None if it is
    unknown."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    status = Path("/proc/self/status")
    if not status.exists():
        return None
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024
