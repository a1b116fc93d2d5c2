"""The shipped checkpoint on the shipped prompts: the shipped predictions, in half precision, with any size of batch."""

import json
from itertools import chain
from pathlib import Path

import pytest
import torch

from evaluate.predictions import read_predictions, sha256
from evaluate.requests import encode
from llama import LLaMA, Request, load
from llama.generation import Sampling
from llama.shared import all_batches
from preprocess.prompts import read_prompts

DATASETS = ("ag_news", "doclaynet")
EVALUATIONS = {"direct": "direct", "direct_calibrate": "direct", "channel": "channel", "generate": "direct"}
NATS = {"cpu": 1e-4, "cuda": 1e-2}  # of a sum of log-probabilities in float32
BUDGETS = (2048, 16384, 65536)  # tokens of a batch
EXAMPLES = 40
# Largest and mean difference of a token's log-probability from float32, in nats.
HALF = {"float16": (0.1, 0.005), "bfloat16": (0.5, 0.04)}


@pytest.mark.parametrize("dataset", DATASETS)
@pytest.mark.parametrize("method", EVALUATIONS)
def test_predictions_are_those_shipped(evaluate, root: Path, tmp_path: Path, device, method: str, dataset: str) -> None:
    """The same predictions, and scores within a tolerance, made again from the shipped prompts and checkpoint."""
    inputs = root / f"samples/inputs_{EVALUATIONS[method]}_{dataset}.json"
    shipped = root / f"samples/outputs_{method}_{dataset}.json"
    flags = {"data_path": inputs, "dtype": "float32"} | ({"temperature": 0} if method == "generate" else {})
    if method == "direct_calibrate":
        pytest.importorskip("scipy")
        direct = root / f"samples/outputs_direct_{dataset}.json"
        flags = {"direct_input_path": inputs, "direct_output_path": direct}  # in the dtype of these
    made = tmp_path / "outputs.json"
    evaluate(method, made, ckpt_dir=root / "checkpoints/tiny", **flags)
    new, old = read_predictions(made, ""), read_predictions(shipped, "")
    assert [list(row) for row in new.rows] == [list(row) for row in old.rows]
    for row, kept in zip(new.rows, old.rows, strict=True):
        for field, value in kept.items():
            if field in ("log_probs", "eos_log_probs", "score"):
                assert row[field] == pytest.approx(value, abs=NATS[device])
            else:
                assert row[field] == value
    assert (new.meta["device"] == "cpu") == (device == "cpu")
    assert old.meta["prompt_sha256"] == sha256(inputs)
    assert old.meta["fingerprint"] == new.meta["fingerprint"]
    assert old.meta["prompt"]["dataset"] == f"{dataset}_sample"
    assert old.meta["checkpoint"] == "tiny"


def tiny(root: Path, **options) -> LLaMA:
    return load(str(root / "checkpoints/tiny"), **options)


def requests(root: Path, llama: LLaMA, method: str) -> list[list[Request]]:
    """The requests of the first examples of AG News' sample."""
    path = root / f"samples/inputs_{'channel' if method == 'channel' else 'direct'}_ag_news.json"
    prompts = read_prompts(path, "channel" if method == "channel" else "direct")[:EXAMPLES]
    return encode(prompts, method, llama.tokenizer, llama.max_seq_len, path).requests


def scores(llama: LLaMA, examples: list[list[Request]]) -> list[list[torch.Tensor]]:
    """For each example and label word, the log-probabilities of the tokens."""
    found = dict(all_batches(llama.scoring([request for example in examples for request in example])))
    indices = iter(range(len(found)))
    return [[found[next(indices)] for _ in example] for example in examples]


def decide(example: list[torch.Tensor]) -> int:
    return int(torch.stack([log_probs.double().sum() for log_probs in example]).argmax())


@pytest.mark.parametrize("dtype", HALF)
@pytest.mark.parametrize("method", ["direct", "channel"])
def test_half_precision(root: Path, one_process, device, method: str, dtype: str) -> None:
    """Log-probabilities within stated bounds of float32's."""
    exact, rounded = tiny(root, dtype="float32"), tiny(root, dtype=dtype)
    weight = rounded.model.norm.weight
    assert (weight.dtype, weight.device.type) == (getattr(torch, dtype), device)
    examples = requests(root, exact, method)
    one, other = (torch.cat([*chain(*scores(llama, examples))]) for llama in (exact, rounded))
    differences = (one - other).abs()
    largest, mean = HALF[dtype]
    print(f"{method} {dtype}: largest {differences.max():.4f}, mean {differences.mean():.5f}")
    assert 0 < differences.max() <= largest
    assert differences.mean() <= mean


@pytest.mark.parametrize("method", ["direct", "channel"])
def test_predictions_do_not_depend_on_the_budget(root: Path, one_process, device, method: str) -> None:
    """Unless two label words are closer than the tolerance of a score."""
    first, *others = (tiny(root, dtype="float32", max_batch_tokens=budget) for budget in BUDGETS)
    examples = requests(root, first, method)
    expected = scores(first, examples)
    for llama in others:
        for one, other in zip(expected, scores(llama, examples), strict=True):
            for ours, theirs in zip(one, other, strict=True):
                torch.testing.assert_close(ours, theirs, atol=1e-5 if device == "cpu" else 1e-4, rtol=0)
            sums = torch.stack([log_probs.double().sum() for log_probs in one]).sort().values
            assert decide(one) == decide(other) or sums[-1] - sums[-2] < NATS[device]


def test_continuations_do_not_depend_on_the_budget(root: Path, one_process, device) -> None:
    found = []
    for budget in BUDGETS:
        llama = tiny(root, dtype="float32", max_batch_tokens=budget)
        contexts = [request.context for (request,) in requests(root, llama, "generate")]
        work = llama.generation(contexts, range(len(contexts)), Sampling(8, 0.0, 1.0))
        assert work.model.norm.weight.device.type == device
        found.append(sorted(all_batches(work)))
    assert found[0] == found[1] == found[2]
    assert len({json.dumps(new) for _, new in found[0]}) > 1
