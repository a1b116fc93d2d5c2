"""What the four methods share: open a checkpoint, know whether the result is there already, write it, say so."""

import importlib.metadata
import re
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from evaluate.metrics import accuracy, macro_f1
from evaluate.predictions import finished, read_meta, sha256, write_predictions
from llama import LLaMA
from llama.checkpoint import Checkpoint, open_checkpoint, resolve_dtype
from llama.llama import load_model
from llama.parallel import finish, is_rank_0, own_device, start, world_size
from preprocess.errors import InputError
from preprocess.files import check_writable
from preprocess.prompts import Prompt

PACKAGES = ("torch", "sentencepiece", "fairscale", "numpy")


@dataclass(frozen=True)
class RunOptions:
    """The options that all methods share.

    Args:
        output_path: The predictions file to write; default results/CHECKPOINT/outputs_METHOD_DATASET.json.
        ckpt_dir: Folder of a checkpoint in Meta's format, or its name below checkpoints/ or checkpoints/llama/.
        tokenizer_path: Default tokenizer.model in the checkpoint's folder or its parent.
        max_seq_len: Tokens that a prompt with its completion may have; default that of params.json, else 1024.
        max_batch_size: Rows that the model computes at once.
        model_parallel_size: Processes that share one copy of the weights; default all.
        overwrite: Replace a result that is there already.
    """

    output_path: str = ""
    ckpt_dir: str = "checkpoints/tiny"
    tokenizer_path: str = ""
    max_seq_len: int | None = None
    max_batch_size: int = 16
    model_parallel_size: int | None = None
    overwrite: bool = False

    def __post_init__(self) -> None:
        for flag in ("max_seq_len", "max_batch_size", "model_parallel_size"):
            value = getattr(self, flag)
            if value is not None and value < 1:
                raise InputError(f"--{flag} {value}: expected 1 or more")
        if self.model_parallel_size not in (None, world_size()):
            raise InputError(
                f"--model_parallel_size {self.model_parallel_size}: expected the number of processes, {world_size()}"
            )


class Run:
    """One method on one prompt file with one checkpoint. Opening it checks everything that can be checked without the
    model.

    Args:
        method: Its name in file names and meta files.
        prompt_path: The prompt file.
        options: The shared options.
        dtype: auto, float32, bfloat16 or float16.
        settings: What else the scores depend on.
        configuration: All flags, for the meta file.

    Raises:
        CheckpointError, InputError: See `open_checkpoint`, `check_writable`.
    """

    def __init__(
        self,
        method: str,
        prompt_path: str,
        options: RunOptions,
        dtype: str,
        settings: dict[str, Any],
        configuration: Any,
    ):
        self.method = method
        self.prompt_path = Path(prompt_path)
        self.options = options
        self.checkpoint: Checkpoint = open_checkpoint(
            options.ckpt_dir, options.tokenizer_path or None, options.max_seq_len, world_size()
        )
        self.device = own_device()
        self.dtype = resolve_dtype(dtype, self.checkpoint, self.device)
        self.max_seq_len = self.checkpoint.args.max_seq_len
        self.settings = settings | {"dtype": dtype_name(self.dtype), "max_seq_len": self.max_seq_len}
        self.configuration = asdict(configuration)
        self.output_path = Path(options.output_path or default_output(method, self.prompt_path, self.checkpoint.name))
        if self.output_path.resolve() == self.prompt_path.resolve():
            raise InputError(f"--output_path {self.output_path}: is the prompt file")
        check_writable(self.output_path, "--output_path")
        self.prompt_meta = read_meta(self.prompt_path, "the meta file of the prompts")

    @cached_property
    def identity(self) -> dict[str, Any]:
        """What the result is a function of: the same identity, the same predictions."""
        return {
            "method": self.method,
            "prompt_sha256": sha256(self.prompt_path),
            "fingerprint": self.checkpoint.fingerprint(),
            "settings": self.settings,
        }

    def is_finished(self) -> bool:
        """Whether the very result is there; then a line says so on rank 0.

        Raises:
            InputError: Another result is there, and no --overwrite.
        """
        meta = finished(self.output_path, self.identity, self.options.overwrite)
        if meta is not None and is_rank_0():
            print(f"{self.output_path}: finished already, same inputs, options and checkpoint; --overwrite repeats it")
        return meta is not None

    def load(self) -> LLaMA:
        """The model, on this process's device. From here on all ranks compute together."""
        launch = start(self.options.model_parallel_size)
        model = load_model(self.checkpoint, launch, self.dtype)
        return LLaMA(model, self.checkpoint.tokenizer, self.options.max_batch_size)

    def write(self, rows: Sequence[dict[str, Any]], seconds: float | None, counters: dict[str, Any]) -> None:
        """Write the predictions and their meta file and print a summary, on rank 0; then leave the process group.

        Args:
            rows: One a prompt, in the order of the file.
            seconds: Spent on scoring; None where that is not known.
            counters: More entries of the meta file: tokens, ties, cut examples.
        """
        if is_rank_0():
            write_predictions(self.output_path, rows, self.meta(rows, seconds) | counters)
            print(summary(rows, seconds, counters.get("cut") or [], self.output_path))
        finish()

    def meta(self, rows: Sequence[dict[str, Any]], seconds: float | None) -> dict[str, Any]:
        return self.identity | {
            "configuration": self.configuration,
            "num_examples": len(rows),
            "seconds": None if seconds is None else round(seconds, 3),
            "prompt_path": str(self.prompt_path),
            "checkpoint": self.checkpoint.name,
            "checkpoint_path": str(self.checkpoint.folder),
            "dtype": dtype_name(self.dtype),
            "device": torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else "cpu",
            "world_size": world_size(),
            "threads": torch.get_num_threads(),
            "versions": {package: importlib.metadata.version(package) for package in PACKAGES},
            "git_commit": git_commit(),
            "prompt": self.prompt_meta,
        }


class Progress:
    """A bar over the examples, on rank 0, with the accuracy so far. Leaving it, by Ctrl-C too, ends its line."""

    def __init__(self, total: int, description: str):
        self.right = self.done = 0
        self.bar = tqdm(total=total, desc=description, unit="example", disable=not is_rank_0(), dynamic_ncols=True)

    def add(self, prompt: Prompt, prediction: str | None) -> None:
        self.done += 1
        self.right += prediction == prompt.ground_truth
        self.bar.set_postfix_str(f"accuracy {self.right / self.done:.4f}", refresh=False)
        self.bar.update()

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()


def dtype_name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def default_output(method: str, prompt_path: Path, checkpoint: str) -> str:
    """results/<checkpoint>/outputs_<method>_<data set>.json: a checkpoint never overwrites another's results."""
    dataset = re.sub(r"^inputs_(direct|channel)_", "", prompt_path.stem)
    return f"results/{checkpoint}/outputs_{method}_{dataset}.json"


def git_commit() -> str | None:
    """The commit that the code is at, None outside of a repository."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return found.stdout.strip() or None if found.returncode == 0 else None


def summary(rows: Sequence[dict[str, Any]], seconds: float | None, cut: Sequence[str], path: Path) -> str:
    predictions, truths = [row["prediction"] for row in rows], [row["ground_truth"] for row in rows]
    took = "time unknown" if seconds is None else f"{seconds:.1f} s"
    lines = [
        f"accuracy {accuracy(predictions, truths):.4f}, macro-F1 {macro_f1(predictions, truths):.4f},"
        f" {predictions.count(None)} of {len(rows)} unanswered, {took}",
    ]
    if cut:
        named = ", ".join(cut[:3]) + (", ..." if len(cut) > 3 else "")
        lines.append(
            f"warning: {len(cut)} of {len(rows)} texts were too long and lost words at their end: {named}"
            " (all in the meta file)"
        )
    lines.append(f"written to {path}")
    return "\n".join(lines)
