"""Our own systems on random weights: the product and the naive reference, which uses the product's layers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import naive
import torch
from weights import hugging_face_config, random_weights

from llama import LLaMA, Request, Tokenizer
from llama.checkpoint import Checkpoint
from llama.formats.config import args_of, with_defaults
from llama.formats.files import HeldTensors
from llama.formats.hugging_face import HuggingFaceWeights
from llama.generation import Sampling
from llama.llama import load_model
from llama.parallel import start
from llama.shared import all_batches


def load_random(workload: dict[str, Any], drawn: torch.dtype, dtype: torch.dtype) -> LLaMA:
    """A model with random weights, on its device.

    Args:
        workload: Its shape, seed, device, max_seq_len and tokenizer_path.
        drawn: The dtype that the weights are drawn in.
        dtype: The dtype that they are used in.
    """
    launch = start()
    weights = random_weights(workload["shape"], workload["seed"], drawn, workload["device"])
    length = workload["max_seq_len"]
    config = with_defaults(Path(), hugging_face_config(workload["shape"], length))
    args = args_of(Path(), config, length)
    tokenizer = Tokenizer(workload["tokenizer_path"])
    held = HuggingFaceWeights(HeldTensors([weights]), args)
    return LLaMA(load_model(Checkpoint("random", Path(), args, tokenizer, held), launch, dtype), tokenizer)


def read_requests(pairs: Sequence[Sequence[Sequence[int]]]) -> list[Request]:
    """Requests that hold one object an id and one context an example, as those that the product encodes."""
    ids: dict[int, int] = {}
    contexts: dict[tuple[int, ...], tuple[int, ...]] = {}
    requests = []
    for pair in pairs:
        context, target = (tuple(ids.setdefault(token, token) for token in part) for part in pair)
        requests.append(Request(contexts.setdefault(context, context), target))
    return requests


def run_product(llama: LLaMA, requests: Sequence[Request], method: str, max_gen_len: int) -> list:
    """All requests, the planning included."""
    if method == "generate":
        contexts = [request.context for request in requests]
        work = llama.generation(contexts, range(len(contexts)), Sampling(max_gen_len, 0.0, 1.0))
    else:
        work = llama.scoring(requests)
    results: list = [None] * len(requests)
    for index, result in all_batches(work):
        results[index] = result if isinstance(result, list) else result.tolist()
    return results


def run_naive(llama: LLaMA, requests: Sequence[Request], method: str, max_gen_len: int) -> list:
    """All requests by the naive reference."""
    if method == "generate":
        return naive.generate(llama.model, requests, llama.tokenizer.eos_id, max_gen_len)
    return naive.score(llama.model, requests, llama.tokenizer.eos_id)
