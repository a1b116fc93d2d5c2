"""LLM.int8 on a pretrained model: memory, log-probabilities, predictions and time beside bfloat16 and float32.

python benchmarks/int8.py --ckpt_dir checkpoints/smollm2-135m --news_path data/ag_news --output_dir runs/int8

It resumes after an interruption; tables.md is updated after each step. Beside int8 as the engine computes it, it
measures int8 without outliers, and how far results depend on batches with outlier columns of the whole batch.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from options import run

# isort: split

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

import llama.int8
from evaluate.formats import four_digits
from evaluate.reading import read_checked
from evaluate.requests import encode
from evaluate.result import Result
from evaluate.run import RunOptions
from evaluate.session import Session
from evaluate.sweep import Draw, SweepConfig, names, score_draw, write_draw
from llama import LLaMA, load
from llama.parallel import start
from preprocess.build import ExampleOptions
from preprocess.errors import InputError
from preprocess.files import PathFlag, write_bytes
from preprocess.prompts import read_prompt_file

METHODS = ("direct", "generate", "channel")
ROUNDS = 3  # of timing, in turns
SMALL_BATCH = 256  # tokens


class Variant(NamedTuple):
    """A way to compute.

    Args:
        name: In tables.
        dtype: As in --dtype.
        find_outliers: Replaces `llama.int8.find_outliers`.
    """

    name: str
    dtype: str
    find_outliers: Callable[[Tensor], Tensor] = llama.int8.find_outliers


def no_outliers(x: Tensor) -> Tensor:
    return torch.zeros_like(x, dtype=torch.bool)


def outliers_of_the_batch(x: Tensor) -> Tensor:
    """Whole columns, as in the paper: those with an outlier of any token."""
    return (x.abs() >= llama.int8.THRESHOLD).any(0).expand_as(x)


VARIANTS = (
    Variant("float32", "float32"),
    Variant("bfloat16", "bfloat16"),
    Variant("int8", "int8"),
    Variant("int8 without outliers", "int8", no_outliers),
    Variant("int8, columns of the batch", "int8", outliers_of_the_batch),
)


@dataclass(frozen=True)
class Int8Config:
    """Score AG News without demonstrations in float32, bfloat16 and int8, and write tables of the differences.

    Args:
        ckpt_dir: The checkpoint.
        news_path: Folder of AG News: train.csv and test.csv.
        output_dir: Folder for prompts, predictions and tables.
        methods: Comma-separated list of direct, generate, channel.
        limit: Keep only the first N rows.
        few: Rows for timing and for small batches; 0 leaves both out.
    """

    ckpt_dir: PathFlag = "checkpoints/smollm2-135m"
    news_path: PathFlag = "data/ag_news"
    output_dir: PathFlag = "runs/int8"
    methods: str = ",".join(METHODS)
    limit: int = 1000
    few: int = 64

    def __post_init__(self) -> None:
        for method in names(self.methods):
            if method not in METHODS:
                raise InputError(f"--methods {method!r}: expected a comma-separated list of {', '.join(METHODS)}")
        for flag, least in (("limit", 1), ("few", 0)):
            if getattr(self, flag) < least:
                raise InputError(f"--{flag} {getattr(self, flag)}: expected {least} or more")


def measure(config: Int8Config) -> None:
    """Take every step that is not finished, and write the tables after each."""
    if not Path(config.news_path).exists():
        raise InputError(f"--news_path {config.news_path}: no such folder")
    parts: dict[str, str] = {}

    def add(title: str, table: str) -> None:
        parts[title] = f"## {title}\n\n{table}\n"
        write_bytes(Path(config.output_dir) / "tables.md", "\n".join(parts.values()).encode())

    try:
        with Session() as session:
            for method in names(config.methods):
                results = []
                for variant in VARIANTS[:4]:
                    results.append(score(config, session, variant, method, config.limit))
                    add(f"{method}, {config.limit} rows", compare(results))
            if config.few:
                pairs = [
                    [score(config, session, variant, "direct", config.few, small) for small in (False, True)]
                    for variant in VARIANTS
                ]
                add(f"direct, {config.few} rows, every variant", compare([default for default, _ in pairs]))
                add(
                    f"direct, {config.few} rows, batches of {SMALL_BATCH} tokens and of the default size",
                    batches(pairs),
                )
                add(f"memory and time, direct, {config.few} rows", costs(config))
    finally:
        with_outliers(VARIANTS[2])
    print(f"written to {Path(config.output_dir) / 'tables.md'}")


def score(
    config: Int8Config, session: Session, variant: Variant, method: str, limit: int, small: bool = False
) -> Result:
    """The predictions of a method."""
    run = RunOptions(ckpt_dir=config.ckpt_dir, max_batch_tokens=SMALL_BATCH if small else None)
    examples = ExampleOptions(config.news_path, limit=limit)
    sweep = SweepConfig(dataset="ag_news", methods=method, dtype=variant.dtype, examples=examples, run=run)
    place = f"{variant.name}_{limit}{'_small' if small else ''}".replace(",", "").replace(" ", "_")
    with_outliers(variant)
    draw = Draw(Path(config.output_dir) / place, sweep.dataset, 0, 1)
    launch = start()
    write_draw(sweep, launch, draw)
    (output,) = score_draw(sweep, session, launch, draw)
    return Result(read_checked(Path(output)))


def with_outliers(variant: Variant) -> None:
    llama.int8.find_outliers = variant.find_outliers


def compare(results: Sequence[Result]) -> str:
    """Accuracy, and what differs from float32 and from bfloat16. Differences in nats a token of a label's sum."""
    head = ["", "accuracy", "95 % interval"]
    whats = ("same predictions as", "mean difference from", "largest from")
    head += [f"{what} {name}" for name in ("float32", "bfloat16") for what in whats]
    rows = []
    for variant, result in zip(VARIANTS, results, strict=False):
        ends = result.wilson_interval
        row = [variant.name, four_digits(result.accuracy), f"{four_digits(ends[0])}–{four_digits(ends[1])}"]
        for reference in results[:2]:
            same = np.mean([a == b for a, b in zip(result.predicted, reference.predicted, strict=True)])
            row += [f"{same:.1%}", *differences(result, reference)]
        rows.append(row)
    return table(head, rows)


def differences(result: Result, reference: Result) -> list[str]:
    """Mean and largest difference of the log-probabilities, in nats a token."""
    if result.scores is None:
        return ["-", "-"]
    tokens = np.concatenate([row["num_tokens"] for row in reference.rows]) + 1  # and the end of sequence
    gaps = np.abs(np.concatenate(result.scores) - np.concatenate(reference.scores)) / tokens
    return [f"{gaps.mean():.4f}", f"{gaps.max():.4f}"]


def batches(results: Sequence[Sequence[Result]]) -> str:
    """How far results depend on the batches."""
    rows = [
        [variant.name, *differences(small, default)]
        for variant, (default, small) in zip(VARIANTS, results, strict=True)
    ]
    return table(["", "mean difference", "largest"], rows)


def costs(config: Int8Config) -> str:
    """Bytes of the weights, and the least processor time of some rounds, in turns."""
    path = Path(config.output_dir) / f"float32_{config.few}" / "inputs_direct_ag_news_k0_seed1.json"
    prompts = read_prompt_file(str(path), "direct").prompts
    models: dict[str, LLaMA] = {}
    seconds: dict[str, list[float]] = {}
    for _ in range(ROUNDS + 1):
        for variant in VARIANTS[:4]:
            with_outliers(variant)
            if variant.name not in models:
                models[variant.name] = load(config.ckpt_dir, dtype=variant.dtype)
            model = models[variant.name]
            encoded = encode(prompts, "direct", model.tokenizer, model.max_seq_len, path).requests
            began = time.process_time()
            model.sum_log_probs([request for requests in encoded for request in requests], True)
            seconds.setdefault(variant.name, []).append(time.process_time() - began)
    rows = []
    for name, model in models.items():
        blocks, others = held_bytes(model)
        rows.append([name, *(f"{size / 1e6:.1f}" for size in (blocks, others)), f"{min(seconds[name][1:]):.2f}"])
    return table(["", "matrices of the blocks, MB", "other weights, MB", "CPU time, s"], rows)


def held_bytes(model: LLaMA) -> tuple[int, int]:
    """Bytes of the matrices of the blocks with their scales, and of all other weights."""
    weights = {tensor.data_ptr(): (key, tensor) for key, tensor in model.model.state_dict().items()}  # tied ones once
    blocks = [tensor.nbytes for key, tensor in weights.values() if key.startswith("layers.") and "norm" not in key]
    return sum(blocks), sum(tensor.nbytes for _, tensor in weights.values()) - sum(blocks)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Markdown."""
    lines = [head, ["---", *["--:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    run(Int8Config, measure)
