"""A process with one system on random weights, which answers what it is asked, a line of JSON each; see ../serve.py.

    {"what": "rate"}                                        the best rate of the model's matrices
    {"what": "run", "method": "direct", "examples": 64}     seconds, tokens, peak memory; results in SYSTEM-METHOD.json
    {"what": "profile", "method": "direct", "examples": 64} the kernels that take most time

FOLDER/workload.json has shape, dtype, device and seed; `encoded` there is the folder with the requests of each method.
"""

import sys
from pathlib import Path

sys.path.insert(1, str(Path(__file__).resolve().parents[2]))
sys.path.insert(1, str(Path(__file__).resolve().parents[1]))

import json
from collections.abc import Callable, Sequence
from typing import Any

import peer
import torch
from limit import best_rate
from profiling import profiled
from serve import Process, TokenCounter, peak_bytes, reset_peak, timed
from systems import load_random, read_requests, run_naive, run_product

WARM_UP = 64  # requests
ROWS = {"cuda": (1024, 4096, 16384), "cpu": (256,)}  # of the matrices whose rate is measured


class System:
    """The system of this process."""

    def __init__(self, process: Process):
        self.process = process
        self.encoded: dict[str, Any] = {}
        self.asked = ("", 0)
        if process.system == "transformers":
            self.model = peer.load_model(process)
            embedding = self.model.get_input_embeddings()
        else:
            used = torch.int8 if process.system == "int8" else process.dtype
            self.llama = load_random(process.workload, process.dtype, used)
            self.model, embedding = self.llama.model, self.llama.model.tok_embeddings
        self.fed = TokenCounter(embedding)

    def requests(self, method: str, examples: int) -> Sequence:
        """The requests of the first examples; 0: of all."""
        if (method, examples) != self.asked:
            found = json.loads((Path(self.process.workload["encoded"]) / f"{method}.json").read_text())
            pairs = found["requests"][: examples * found["words"] or None]
            self.encoded = found | {
                "requests": pairs if self.process.system == "transformers" else read_requests(pairs)
            }
            self.asked = (method, examples)
        return self.encoded["requests"]

    def runner(self, method: str) -> Callable[[Sequence], Sequence]:
        most, eos_id = self.encoded["max_gen_len"], self.encoded["eos_id"]
        if self.process.system == "transformers":
            if method == "generate":
                return lambda requests: peer.transformers_generate(self.model, requests, eos_id, most)
            return lambda requests: peer.transformers_score(self.model, requests, eos_id)
        run = run_naive if self.process.system == "naive" else run_product
        return lambda requests: run(self.llama, requests, method, most)

    def answer(self, what: str, method: str = "", examples: int = 0) -> dict[str, Any]:
        if what == "rate":
            named = self.model.named_parameters()
            matrices = [weight for name, weight in named if weight.dim() == 2 and name != "tok_embeddings.weight"]
            rate, rows = best_rate(matrices, ROWS[self.process.device])
            return {"rate": rate, "rows": rows}
        requests = self.requests(method, examples)
        run = self.runner(method)
        run(requests[:WARM_UP])
        if what == "profile":
            return profiled(run, requests)
        reset_peak()
        results, facts = timed(run, requests, self.fed)
        peak = peak_bytes()
        self.process.write(f"{self.process.system}-{method}", results)
        return facts | {"peak_bytes": peak, "requests": len(requests)}


@torch.inference_mode()
def main() -> None:
    process = Process()
    system = System(process)
    process.answer(threads=torch.get_num_threads())
    for line in sys.stdin:
        process.answer(**system.answer(**json.loads(line)))


main()
