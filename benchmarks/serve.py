"""A process with one system, which runs it on request: systems take turns, and memory is measured separately.

    python worker.py FOLDER SYSTEM

    it reads                 it answers, a line of JSON each
    FOLDER/workload.json     {"threads", "note"} when the system is loaded and warm
    a line                   {"seconds", "tokens"} of one run over all requests
    the end of its input     {"peak_bytes", "before_bytes"}, after the results of the last run are in FOLDER/SYSTEM.json

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
    """This process: its workload and its answers."""

    def __init__(self) -> None:
        folder, self.system = sys.argv[1:]
        self.folder = Path(folder)
        self.answers = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)  # output of libraries must not mix with the answers
        self.workload: dict[str, Any] = json.loads((self.folder / "workload.json").read_text())

    @property
    def device(self) -> str:
        return self.workload["device"]

    @property
    def dtype(self) -> torch.dtype:
        return getattr(torch, self.workload["dtype"])

    def answer(self, **facts: Any) -> None:
        """Write an answer, one line of JSON."""
        print(json.dumps(facts), file=self.answers, flush=True)

    def serve(
        self, run: Callable[[Sequence], Sequence], requests: Sequence, embedding: torch.nn.Module, note: str = ""
    ) -> None:
        """Answer until the input ends.

        Args:
            run: Maps requests to results, one each.
            requests: All requests.
            embedding: The embedding layer, at which computed tokens are counted.
            note: A note on the setup of the system.
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
    """Reset the peak and release freed memory, because loading temporarily holds the weights twice."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    elif sys.platform == "linux":
        if hasattr(library := ctypes.CDLL(None), "malloc_trim"):
            library.malloc_trim(0)
        with contextlib.suppress(OSError):  # not every kernel supports it
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
