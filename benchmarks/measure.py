"""Measures several systems on one setting, each in its own process, in turn, so that other load affects all equally."""

import datetime
import json
import platform
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from compare import compare
from limit import attention_flop, best_rate, count_work, flop_of
from processes import Worker
from weights import matrices, random_weights
from workload import MAX_GEN_LEN, Setting, make_workload

from evaluate.run import git_commit
from llama.checkpoint import DTYPES
from llama.malloc import keep_freed_memory


def measure(setting: Setting, systems: Sequence[str], peer_python: str = "", sample: int = 0) -> dict[str, Any]:
    """Run the systems and the model's matrices alone, and return all measurements.

    Args:
        systems: Some of product, naive, transformers, lm_eval, cappr, including product.
        peer_python: The Python interpreter with the last two.
        sample: Number of examples for the systems other than the product; 0: all.

    Raises:
        InputError: The data or a package is missing.
    """
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        workload = make_workload(setting, folder, sample)
        (folder / "workload.json").write_text(json.dumps(workload))

        def start(system: str) -> Worker:
            return stack.enter_context(Worker(folder, system, setting.device, peer_python))

        def score_reference(requests: Sequence[Sequence[Sequence[int]]]) -> list[list[float]]:
            (folder / "to_reference.json").write_text(json.dumps(requests))
            reference = start("reference")
            reference.turn()
            return reference.finish()

        workers = {system: start(system) for system in systems}
        if setting.device == "cpu":
            keep_freed_memory()  # as the product does
        weights = random_weights(workload["shape"], setting.seed, DTYPES[setting.dtype], setting.device)
        rates = []
        for _ in range(setting.repeats):
            rates.append(best_rate(matrices(weights)))
            for worker in workers.values():
                worker.turn()
        results = {system: worker.finish() for system, worker in workers.items()}
        differences = compare(workload, results, score_reference)
    threads = {worker.facts["threads"] for worker in workers.values()}
    if threads != {torch.get_num_threads()}:
        raise RuntimeError(f"the systems ran with {sorted(threads)} threads, not all with {torch.get_num_threads()}")
    rows = {
        system: summarise(worker, len(results[system]) // workload["words"]) | differences.get(system, {})
        for system, worker in workers.items()
    }
    for row in rows.values():
        row["ratio"] = rows["product"]["examples_per_second"] / row["examples_per_second"]
    limit = compute_limit(workload, results["product"], rates)
    for limited in ("limit", "limit_with_attention"):
        limit[f"fraction_of_{limited}"] = limit[f"{limited}_seconds"] / rows["product"]["seconds"]
    return describe(setting, workload) | limit | {"systems": rows}


def summarise(worker: Worker, examples: int) -> dict[str, Any]:
    """The measurements of a system; the fastest of its turns counts."""
    seconds = [turn["seconds"] for turn in worker.turns]
    return {
        "examples": examples,
        "tokens": worker.turns[-1]["tokens"],
        "seconds": min(seconds),
        "slowest_seconds": max(seconds),
        "examples_per_second": examples / min(seconds),
        "peak_bytes": worker.facts["peak_bytes"],
        "before_bytes": worker.facts["before_bytes"],
        "note": worker.facts["note"],
    }


def compute_limit(
    workload: dict[str, Any], new: Sequence[Sequence[int]], rates: Sequence[tuple[float, int]]
) -> dict[str, Any]:
    """The work of the requests, and its time at the best of `rates`; `new` are the generated tokens."""
    pairs = workload["requests"]
    if workload["method"] == "generate":
        pairs = generated_pairs(pairs, new)
    work = count_work(pairs)
    flop = flop_of(workload["shape"], work.tokens, work.positions)
    with_attention = flop + attention_flop(workload["shape"], work.attended)
    rate, rows = max(rates)
    return {
        "distinct_tokens": work.tokens,
        "scored_positions": work.positions,
        "flop": flop,
        "rate": rate,
        "rate_rows": rows,
        "slowest_rate": min(rates)[0],
        "limit_seconds": flop / rate,
        "limit_with_attention_seconds": with_attention / rate,
    }


def generated_pairs(
    pairs: Sequence[Sequence[Sequence[int]]], new: Sequence[Sequence[int]]
) -> list[tuple[Sequence[int], Sequence[int]]]:
    """Contexts with what was generated after them, but for the last token, which is not fed."""
    return [(context, tokens[: MAX_GEN_LEN - 1]) for (context, _), tokens in zip(pairs, new, strict=True)]


def describe(setting: Setting, workload: dict[str, Any]) -> dict[str, Any]:
    """The setting, date and machine of a measurement."""
    return asdict(setting) | {
        "label_words": workload["words"],
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        "machine": machine(setting.device),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "commit": git_commit(),
    }


def machine(device: str) -> str:
    """The name of the GPU, or of the processor."""
    if device == "cuda":
        return torch.cuda.get_device_name()
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0]}, {len(names)} cores" if names else platform.processor() or platform.machine()
