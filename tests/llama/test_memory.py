"""Running out of memory, and what it contains."""

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

import llama.scoring
import llama.shared
from llama import CheckpointError, LLaMA, Request, Transformer, load
from llama.batches import Limits, digest
from llama.generation import Generation, Sampling
from llama.scoring import Scoring
from llama.shared import all_batches, is_out_of_memory

EOS = 2
SHARED = (1, *range(3, 23))
LABEL_WORDS = [(40,), (41, 42), (41, 43)]


def requests(count: int, seed: int = 0) -> list[Request]:
    """Few-shot prompts: texts of 3 to 30 tokens after a shared prefix, each with every label word."""
    source = random.Random(seed)
    texts = [tuple(source.choices(range(50, 384), k=source.randint(3, 30))) for _ in range(count)]
    return [Request(SHARED + text, word) for text in texts for word in LABEL_WORDS]


def scoring(small: LLaMA) -> Scoring:
    return Scoring(small.model, requests(24), EOS, Limits(200))


def generation(small: LLaMA) -> Generation:
    contexts = [request.context for request in requests(24)[::3]]
    return Generation(small.model, contexts, range(len(contexts)), {EOS}, Sampling(4, 0.9, 0.9), Limits(200))


COMPUTATIONS = {"scoring": scoring, "generation": generation}


@pytest.fixture
def memory(monkeypatch) -> Callable[..., list[int]]:
    """A function: (tokens, error) makes the model run out of memory with more tokens per call, including padding.

    Returns the tokens of each successful call so far.
    """
    forward, fitted = Transformer.forward, []

    def limit(tokens: int, error: Exception | None = None) -> list[int]:
        def limited(self: Transformer, ids: Tensor, *args: Any, **kwargs: Any) -> Tensor:
            if ids.numel() > tokens:
                raise error or torch.OutOfMemoryError(f"CUDA out of memory. Tried to allocate {ids.numel()} GiB.")
            fitted.append(ids.numel())
            return forward(self, ids, *args, **kwargs)

        fitted.clear()
        monkeypatch.setattr(Transformer, "forward", limited)
        return fitted

    return limit


def same(found: Tensor | list[int], expected: Tensor | list[int], exactly: bool) -> bool:
    """Whether two results are the same: log-probabilities within 1e-5 nats a token, or new ids."""
    if isinstance(found, list) or exactly:
        return bool(torch.equal(torch.as_tensor(found), torch.as_tensor(expected)))
    return torch.allclose(found, expected, atol=1e-5, rtol=0)


def computed(computation: Scoring | Generation, fitted: list[int]) -> Iterator[tuple[list, list[int]]]:
    """The results of each batch, and the tokens of each call of the model."""
    for number in range(len(computation.batches)):
        fitted.clear()
        yield computation.compute(number), list(fitted)


@pytest.mark.parametrize("tokens", [150, 90, 40])
@pytest.mark.parametrize("kind", COMPUTATIONS)
def test_a_batch_that_does_not_fit_is_computed_in_halves(kind, tokens, small, memory) -> None:
    """And in halves of halves; the results are the same, and other batches are unchanged."""
    computation, again = COMPUTATIONS[kind](small), COMPUTATIONS[kind](small)
    plan = digest(computation.batches)
    enough = list(computed(computation, memory(10**6)))
    little = list(computed(again, memory(tokens)))
    for (expected, before), (found, after) in zip(enough, little, strict=True):
        fits = max(before) <= tokens
        assert max(after) <= tokens
        assert (before == after) if fits else (len(after) > len(before))
        assert [index for index, _ in found] == [index for index, _ in expected]
        for (_, ours), (_, theirs) in zip(found, expected, strict=True):
            assert same(ours, theirs, exactly=fits)
    assert {max(before) <= tokens for _, before in enough} >= {False}
    assert digest(again.batches) == digest(computation.batches) == plan


@pytest.mark.parametrize("kind", COMPUTATIONS)
def test_halves_are_halved_again(kind, small, memory) -> None:
    enough = [len(calls) for _, calls in computed(COMPUTATIONS[kind](small), memory(10**6))]
    little = [len(calls) for _, calls in computed(COMPUTATIONS[kind](small), memory(40))]
    assert max(after - before for before, after in zip(enough, little, strict=True)) >= 3  # four parts or more


@pytest.mark.parametrize("tokens", [20, 21], ids=["what all share", "the longest row"])
@pytest.mark.parametrize("kind", COMPUTATIONS)
def test_one_row_that_does_not_fit(kind, tokens, small, memory) -> None:
    memory(tokens)
    with pytest.raises(CheckpointError) as refused:
        list(all_batches(COMPUTATIONS[kind](small)))
    assert refused.value.exit_status == 2
    assert refused.value.__suppress_context__  # no traceback behind it
    assert refused.match(
        r"^out of memory with 1 row\(s\) of \d+ tokens:"
        r" try a smaller `max_batch_tokens` or `max_seq_len`, or another `dtype`$"
    )


@pytest.mark.parametrize("kind", COMPUTATIONS)
def test_batches_of_several_ranks_are_not_halved(kind, small, memory, monkeypatch) -> None:
    """The other ranks would wait for the one that ran out of memory."""
    monkeypatch.setattr(llama.shared, "get_model_parallel_world_size", lambda: 2)
    fitted = memory(90)
    with pytest.raises(CheckpointError, match=r"^out of memory with [2-9]\d* row\(s\) of \d+ tokens: "):
        list(all_batches(COMPUTATIONS[kind](small)))
    assert fitted == [len(SHARED)]


@pytest.mark.parametrize("error", [RuntimeError("mat1 and mat2 shapes cannot be multiplied"), ValueError("no")])
@pytest.mark.parametrize("kind", COMPUTATIONS)
def test_other_errors_pass_through(kind, error, small, memory) -> None:
    memory(100, error)
    with pytest.raises(type(error)) as raised:
        list(all_batches(COMPUTATIONS[kind](small)))
    assert raised.value is error


ABSURD = {
    "PyTorch on a CPU": lambda: torch.empty(2**55),
    "PyTorch on a CPU, zeros": lambda: torch.zeros(2**50, 8),
    "NumPy": lambda: np.empty(2**55),
    "Python": lambda: [0] * 2**58,
}


@pytest.mark.parametrize("allocate", ABSURD.values(), ids=ABSURD)
def test_real_errors_are_recognised(allocate) -> None:
    with pytest.raises((RuntimeError, MemoryError)) as raised:
        allocate()
    assert is_out_of_memory(raised.value)


@pytest.mark.parametrize(
    "message",
    [
        "CUDA driver error: out of memory",
        "CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported at some other API call",
    ],
)
def test_errors_of_cuda_are_recognised(message) -> None:
    """They do not come from PyTorch's allocator, and have its type in no version."""
    assert is_out_of_memory(RuntimeError(message))


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory."), MemoryError()])
def test_weights_that_do_not_fit(error, make_checkpoint, one_process, monkeypatch, tmp_path) -> None:
    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr("llama.llama.load_weights", fail)
    line = r"the weights do not fit into the memory of cpu in float32: try another `dtype`, or more processes"
    with pytest.raises(CheckpointError, match=line) as refused:
        load(str(make_checkpoint(tmp_path / "large")))
    assert refused.value.__suppress_context__


def test_other_errors_are_not_taken_for_them() -> None:
    with pytest.raises(RuntimeError) as raised:
        torch.ones(2, 3) @ torch.ones(2, 3)
    assert not is_out_of_memory(raised.value)


LITTLE_MEMORY = """
import json, resource, sys

import torch

from llama import Request, load
from llama.batches import Limits
from llama.scoring import Scoring

def allow(mib: int | None) -> None:
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        free, total = torch.cuda.mem_get_info()
        bound = total if mib is None else torch.cuda.memory_allocated() + mib * 2**20
        torch.cuda.set_per_process_memory_fraction(bound / total)
        return
    held = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (hard if mib is None else held + mib * 2**20, hard))

model = load(sys.argv[1]).model
requests = [Request((1, 3 + row, *range(5, 205)), (4,)) for row in range(64)]
computation = Scoring(model, requests, 2, Limits(2**20))
small = Scoring(model, requests[:1], 2, Limits(2**20))
small.compute(0)  # threads, buffers of libraries
allow(int(sys.argv[2]))
calls = []
forward = type(model).forward
def counted(self, tokens, *arguments, **named):
    calls.append(tokens.numel())
    return forward(self, tokens, *arguments, **named)
type(model).forward = counted
found = computation.compute(0)
halved = list(calls)
allow(None)
calls.clear()
expected = computation.compute(0)
apart = max(float((ours - theirs).abs().max()) for (_, ours), (_, theirs) in zip(found, expected, strict=True))
same = [index for index, _ in found] == [index for index, _ in expected]
device = model.norm.weight.device.type
print(json.dumps({"halved": halved, "whole": calls, "apart": apart, "same": same, "device": device}))
"""


linux = pytest.mark.skipif(sys.platform != "linux", reason="/proc and RLIMIT_AS are Linux's")


def run(code: str, *arguments: object) -> Any:
    """The output of a separate process, as JSON."""
    path = [str(Path(llama.__file__).parent.parent), os.environ.get("PYTHONPATH")]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, path))}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@linux
def test_a_limited_address_space(make_checkpoint, tmp_path, device) -> None:
    """PyTorch's own errors, from any part of the model: in a limited address space, or part of a GPU."""
    folder = make_checkpoint(tmp_path / "wide", dim=256, n_heads=8, max_seq_len=256)
    found = run(LITTLE_MEMORY, folder, 48)
    assert found["device"] == device
    assert len(found["halved"]) > len(found["whole"]) == 1
    assert found["same"] and found["apart"] <= (1e-5 if device == "cpu" else 1e-4)


@pytest.fixture
def logits(small) -> Iterator[list[int]]:
    """The number of rows of every matrix of logits."""
    rows: list[int] = []
    hook = small.model.output.register_forward_hook(lambda layer, inputs, out: rows.append(out.numel() // 384))
    yield rows
    hook.remove()


@pytest.mark.parametrize("positions", [1, 5, 2**25 // 384])
def test_logits_only_of_scored_positions(positions, small, logits, monkeypatch) -> None:
    """Each scored position once, for any number of label words, and no other positions."""
    monkeypatch.setitem(llama.scoring.LOGITS, "cpu", positions * 384)
    list(all_batches(scoring(small)))
    scored = {
        (request.context + request.target)[:end]
        for request in requests(24)
        for end in range(len(request.context), len(request.context + request.target) + 1)
    }
    assert sum(logits) == len(scored)
    assert max(logits) <= positions
    assert positions > 5 or max(logits) == positions


def test_generation_has_logits_of_one_position_a_row(small, logits) -> None:
    computation = generation(small)
    rows = max(len(batch.rows) for batch in computation.batches)
    list(all_batches(computation))
    assert 1 < max(logits) <= rows


class Largest(TorchDispatchMode):
    """The number of elements of the largest tensor that an operator returns."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        out = function(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, tuple | list) else [out]:
            if isinstance(tensor, Tensor):
                self.numbers = max(self.numbers, tensor.untyped_storage().nbytes() // tensor.element_size())
        return out


@pytest.mark.parametrize("kind", COMPUTATIONS)
def test_shared_keys_are_not_copied_to_each_row(kind, make_checkpoint, one_process, tmp_path) -> None:
    """The keys of 500 shared tokens for each of 64 rows would be by far the largest tensor of all."""
    model = load(str(make_checkpoint(tmp_path, max_seq_len=512))).model
    shared = (1, *([5] * 499))
    contexts = [(*shared, 10 + row, 3) for row in range(64)]
    if kind == "scoring":
        computation = Scoring(model, [Request(context, (7,)) for context in contexts], EOS, Limits(520))
    else:
        computation = Generation(model, contexts, [0] * 64, (), Sampling(3, 0, 1), Limits(520))
    (batch,) = computation.batches
    assert (len(batch.rows), [segment.tokens for segment in batch.path]) == (64, [shared])
    with Largest() as largest:
        computation.compute(0)
    assert largest.numbers < len(batch.rows) * len(shared) * model.args.dim / 8


PEAK = """
import json, random, re, sys

from llama import Request, load
from llama.shared import all_batches

def texts(count):
    source = random.Random(0)
    for _ in range(count):
        yield tuple(source.choices(range(50, 384), k=source.randint(20, 120)))

llama = load(sys.argv[1], max_batch_tokens=2048)
shared = (1, *random.Random(1).choices(range(3, 50), k=263))
contexts = [shared + text for text in texts(int(sys.argv[2]))]
requests = [Request(context, word) for context in contexts for word in [(3,), (4, 5), (4, 6), (7,)]]
sums = [0.0] * len(requests)
for index, log_probs in all_batches(llama.scoring(requests)):
    sums[index] = float(log_probs.double().sum())
print(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1])  # getrusage's is that of the parent too
"""


@linux
def test_peak_memory_does_not_grow_with_the_number_of_examples(make_checkpoint, tmp_path) -> None:
    folder = make_checkpoint(tmp_path / "narrow", max_seq_len=512)
    few, many = (run(PEAK, folder, count) for count in (250, 2000))
    print(few / 1024, many / 1024)
    assert many <= 1.1 * few
