"""Real processes on gloo: any shards on any ranks give the numbers of one shard in one process; runs end cleanly."""

import json
import runpy
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from llama import CheckpointError, load, open_checkpoint
from llama.parallel import backend, finish, own_device, settle_kernels, start

WORKER = '''
"""[FOLDER ...]: load each on all ranks and print, from rank 0, what every rank computed."""
import json
import os
import sys

import torch
import torch.distributed as dist

import llama.parallel
from llama import Request, load
from llama.generation import Sampling
from llama.parallel import finish
from llama.shared import all_batches

PAIRS = [("Article: rain stopped play\\nCategory:", "Sports"), ("Article: rain\\nCategory:", "Science and technology")]
PAIRS += [("the market", "today"), ("a", ""), ("", "World")]


def measure(folder, dtype="auto"):
    model = load(folder, max_batch_size=2, dtype=dtype, model_parallel_size=int(os.environ.get("WORLD_SIZE", 1)))
    requests = [Request(*model.tokenizer.encode_pair(*pair)) for pair in PAIRS]
    contexts, seeds = [request.context for request in requests], range(len(requests))
    greedy, sampled = (
        model.generation(contexts, seeds, Sampling(8, temperature, top_p)) for temperature, top_p in ((0, 1), (1, 0.9))
    )
    return {
        "log_probs": [log_probs.tolist() for _, log_probs in sorted(all_batches(model.scoring(requests)))],
        "greedy": [new for _, new in sorted(all_batches(greedy))],
        "sampled": [new for _, new in sorted(all_batches(sampled))],
        "device": model.model.norm.weight.device.type,
    }


if __name__ == "__main__":
    if torch.cuda.is_available():  # nccl refuses two ranks on one device; gloo does not
        llama.parallel.own_device = lambda: torch.device("cuda", 0)
        dist.init_process_group("gloo")
    measured = [measure(folder) for folder in sys.argv[1:]] + [measure(sys.argv[1], "bfloat16")]
    of_ranks = [None] * dist.get_world_size()
    dist.all_gather_object(of_ranks, measured)
    if dist.get_rank() == 0:
        print(json.dumps(of_ranks))
    finish()
'''


@pytest.fixture
def worker(tmp_path) -> Path:
    (tmp_path / "worker.py").write_text(WORKER)
    return tmp_path / "worker.py"


def assert_near(found: dict, expected: dict, tolerance: float) -> None:
    for ours, theirs in zip(found["log_probs"], expected["log_probs"], strict=True):
        assert ours == pytest.approx(theirs, abs=tolerance)


def test_shards_on_two_ranks(worker, make_checkpoint, run_script, one_process, tmp_path, device) -> None:
    """1 -> 2, 2 -> 2 and 4 -> 2 shards, multi-head and grouped-query, against 1 -> 1. A GPU is shared by both ranks."""
    kinds = {"multi-head": {}, "grouped-query": {"n_kv_heads": 2}}
    names = [(kind, shards) for kind in kinds for shards in (1, 2, 4)]
    folders = [make_checkpoint(tmp_path / kind / str(shards), shards=shards, **kinds[kind]) for kind, shards in names]
    run = run_script(worker, *folders, processes=2)
    assert run.returncode == 0, run.stderr
    first, second = json.loads(run.stdout)  # and nothing else was printed
    assert first == second

    measure = runpy.run_path(str(worker))["measure"]
    expected = {kind: measure(str(tmp_path / kind / "1")) for kind in kinds}
    for (kind, _), found in zip(names, first[:-1], strict=True):
        assert found["device"] == device
        assert_near(found, expected[kind], 1e-5 if device == "cpu" else 1e-4)
        assert found["greedy"] == expected[kind]["greedy"]
        assert found["sampled"] == expected[kind]["sampled"]
    assert expected["multi-head"] != expected["grouped-query"]
    assert_near(first[-1], expected["multi-head"], 0.2)  # bfloat16 over gloo
    assert first[-1]["log_probs"] != first[0]["log_probs"]


@pytest.mark.slow
def test_fifty_short_runs_end_cleanly(worker, make_checkpoint, run_script, tmp_path) -> None:
    """On gloo, a process that ends without a barrier would abort in some of them."""
    folder = make_checkpoint(tmp_path / "random")
    for _ in range(50):
        run = run_script(worker, folder, processes=2)
        assert run.returncode == 0, run.stderr
        assert not [word for word in ("abort", "terminate", "Traceback", "SIG") if word in run.stderr], run.stderr


def test_world_size_must_divide_the_model(make_checkpoint, monkeypatch, tmp_path) -> None:
    folder = make_checkpoint(tmp_path, n_kv_heads=1)
    monkeypatch.setenv("WORLD_SIZE", "2")  # as torchrun says it
    with pytest.raises(CheckpointError, match=r"^`model_parallel_size` 2 does not divide n_kv_heads, 1$"):
        load(str(folder), model_parallel_size=2)


def test_model_parallel_size_is_the_number_of_shards_where_that_fits(make_checkpoint, tmp_path) -> None:
    checkpoint = open_checkpoint(str(make_checkpoint(tmp_path, shards=2)))
    sizes = [checkpoint.model_parallel_size(None, world_size) for world_size in (1, 2, 3, 4, 8)]
    assert sizes == [1, 2, 1, 2, 2]
    assert checkpoint.model_parallel_size(4, 8) == 4


def test_model_parallel_size_must_divide_the_world_size() -> None:
    with pytest.raises(CheckpointError, match=r"^`model_parallel_size` 2: expected a divisor of the .* processes, 1 "):
        start(2)


def test_start_and_finish_in_one_process(capfd) -> None:
    """Neither prints anything or opens a port, and both can be repeated."""
    finish()
    finish()
    assert not dist.is_initialized()
    for _ in range(2):
        launch = start()
        assert (launch.rank, launch.world_size, launch.device) == (0, 1, own_device())
    assert dist.get_world_size() == 1
    assert capfd.readouterr() == ("", "")


def test_a_process_without_a_device(monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert own_device() == torch.device("cuda", 1)
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(CheckpointError, match=r"^--nproc_per_node: no CUDA device for process 2, .* has 2 "):
        own_device()


def test_nccl_is_for_several_processes_on_cuda() -> None:
    cuda, cpu = torch.device("cuda", 0), torch.device("cpu")
    assert [backend(cpu, 1), backend(cpu, 8), backend(cuda, 1)] == ["gloo"] * 3
    assert backend(cuda, 2) == "cpu:gloo,cuda:nccl"


def test_cuda_kernels_do_not_depend_on_the_shape() -> None:
    """The choice is stored, and can be tested, without a device."""
    kernels, products = torch.backends.cuda, torch.backends.cuda.matmul
    names = ("allow_bf16_reduced_precision_reduction", "allow_fp16_reduced_precision_reduction")
    before = kernels.cudnn_sdp_enabled(), [getattr(products, name) for name in names]
    try:
        settle_kernels()
        assert not kernels.cudnn_sdp_enabled()
        assert [getattr(products, name) for name in names] == [False, False]
    finally:
        kernels.enable_cudnn_sdp(before[0])
        for name, value in zip(names, before[1], strict=True):
            setattr(products, name, value)
