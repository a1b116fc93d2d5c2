"""One model of lm-evaluation-harness in its own process, see serve.py: llama or hf.

It runs on the interpreter with the harness. Each line of its input names a task and a batch size; it answers with
seconds, tokens and results.
"""

import sys
from pathlib import Path

sys.path.insert(1, str(Path(__file__).resolve().parent.parent))

import json
import time
from typing import Any

import torch
from lm_eval.api.instance import Instance
from serve import Process, TokenCounter, peak_bytes, reset_peak

from llama.harness.__main__ import leave_checkout

WARM_UP = [("Question: one two three?\nAnswer:", f" {word}") for word in ("four", "five", "six", "seven")]


def load(process: Process) -> Any:
    """The model of the harness."""
    workload = process.workload
    common = {"dtype": workload["dtype"], "max_length": workload["max_length"], "pretrained": workload["ckpt_dir"]}
    if process.system == "llama":
        from llama.harness.model import HarnessModel

        return HarnessModel(**common)
    from lm_eval.models.huggingface import HFLM

    return HFLM(device=process.device, max_batch_size=workload["max_batch_size"], **common)


def set_batch_size(model: Any, size: str) -> None:
    """Set the batch size of `hf`, which reads it before each call; `llama` ignores it."""
    model.batch_size_per_gpu = size if size == "auto" else int(size)


def main() -> None:
    leave_checkout()  # the harness needs another package called `evaluate`
    process = Process()
    model = load(process)
    network = model.llama.model if process.system == "llama" else model.model
    embedding = network.tok_embeddings if process.system == "llama" else network.get_input_embeddings()
    fed = TokenCounter(embedding)

    def run(kind: str, requests: list) -> list:
        given = [Instance(kind, {}, tuple(arguments), number) for number, arguments in enumerate(requests)]
        return getattr(model, kind)(given, disable_tqdm=True)

    run("loglikelihood", WARM_UP)
    reset_peak()
    process.answer(threads=torch.get_num_threads())
    for line in sys.stdin:
        turn = json.loads(line)
        task = process.workload["tasks"][turn["task"]]
        set_batch_size(model, turn["batch_size"])
        fed.tokens = 0
        begin, used = time.perf_counter(), time.process_time()
        found = run(task["kind"], task["requests"][: turn["requests"]])
        seconds, cpu_seconds = time.perf_counter() - begin, time.process_time() - used
        process.answer(seconds=seconds, cpu_seconds=cpu_seconds, tokens=fed.tokens, found=found)
    process.answer(peak_bytes=peak_bytes())


main()
