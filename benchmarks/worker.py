"""One of our own systems in its own process, see serve.py: product, naive, reference (naive in float32)."""

import sys
from pathlib import Path

sys.path.insert(1, str(Path(__file__).resolve().parent.parent))

import json
from collections.abc import Sequence

import naive
import torch
from serve import Process
from weights import VOCABULARY, hugging_face_config, random_weights

from llama import LLaMA, Request, Tokenizer
from llama.checkpoint import Checkpoint
from llama.formats.config import args_of, with_defaults
from llama.formats.files import HeldTensors
from llama.formats.hugging_face import HuggingFaceWeights
from llama.generation import Sampling
from llama.llama import load_model
from llama.parallel import finish, start
from llama.shared import all_batches


def read_requests(pairs: Sequence[Sequence[Sequence[int]]]) -> list[Request]:
    """Requests that share objects for equal ids and contexts, like those that the product encodes."""
    ids = tuple(range(VOCABULARY))
    contexts: dict[tuple[int, ...], tuple[int, ...]] = {}
    requests = []
    for pair in pairs:
        context, target = (tuple(ids[token] for token in part) for part in pair)
        requests.append(Request(contexts.setdefault(context, context), target))
    return requests


def run_product(llama: LLaMA, requests: Sequence[Request], method: str, max_gen_len: int) -> list:
    """The results of all requests, including the planning of batches."""
    if method == "generate":
        contexts = [request.context for request in requests]
        work = llama.generation(contexts, range(len(contexts)), Sampling(max_gen_len, 0.0, 1.0))
    else:
        work = llama.scoring(requests)
    results: list = [None] * len(requests)
    for index, result in all_batches(work):
        results[index] = result if isinstance(result, list) else result.tolist()
    return results


def main() -> None:
    process = Process()
    workload = process.workload
    launch = start()
    drawn = random_weights(workload["shape"], workload["seed"], process.dtype, process.device)
    dtype = torch.float32 if process.system == "reference" else process.dtype
    tokenizer = Tokenizer(workload["tokenizer_path"])
    length = workload["max_seq_len"]
    config = with_defaults(Path(), hugging_face_config(workload["shape"], length))
    args = args_of(Path(), config, length)
    weights = HuggingFaceWeights(HeldTensors([drawn]), args)
    model = load_model(Checkpoint("random", Path(), args, tokenizer, weights), launch, dtype)
    del drawn, weights
    llama, eos_id = LLaMA(model, tokenizer), tokenizer.eos_id
    method, max_gen_len = workload["method"], workload["max_gen_len"]
    requests = read_requests(workload["requests"])
    if process.system == "reference":
        requests = read_requests(json.loads((process.folder / "to_reference.json").read_text()))
    elif process.system == "naive":
        requests = requests[: workload["sample"]]
    del workload["requests"]

    def run(requests: Sequence[Request]) -> list:
        if process.system == "product":
            return run_product(llama, requests, method, max_gen_len)
        if method == "generate" and process.system == "naive":
            return naive.generate(model, requests, eos_id, max_gen_len)
        return naive.score(model, requests, eos_id)

    process.serve(run, requests, model.tok_embeddings)
    finish()


main()
