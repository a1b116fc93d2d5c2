"""One of our own systems in its own process, see serve.py: product, naive, reference (naive in float32)."""

import sys
from pathlib import Path

sys.path.insert(1, str(Path(__file__).resolve().parent.parent))

import json
from collections.abc import Sequence

import torch
from serve import Process
from systems import load_random, read_requests, run_naive, run_product

from llama import Request
from llama.parallel import finish


def main() -> None:
    process = Process()
    workload = process.workload
    llama = load_random(workload, process.dtype, torch.float32 if process.system == "reference" else process.dtype)
    method, max_gen_len = workload["method"], workload["max_gen_len"]
    requests = read_requests(workload["requests"])
    if process.system == "reference":  # it scores what others have generated
        method, requests = "direct", read_requests(json.loads((process.folder / "to_reference.json").read_text()))
    elif process.system == "naive":
        requests = requests[: workload["sample"]]
    del workload["requests"]

    def run(requests: Sequence[Request]) -> list:
        run_system = run_product if process.system == "product" else run_naive
        return run_system(llama, requests, method, max_gen_len)

    process.serve(run, requests, llama.model.tok_embeddings)
    finish()


main()
