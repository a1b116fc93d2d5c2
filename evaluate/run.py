"""What the four methods share: open a checkpoint, know whether the result is there already, write it, say so."""

import importlib.metadata
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from evaluate.journal import Journal
from evaluate.metrics import accuracy, classes_of, confusion_matrix, macro_f1
from evaluate.predictions import finished, read_meta, write_predictions
from evaluate.results_folder import checkpoint_name, default_output
from evaluate.runner import Examples, Outcome, run_batches
from llama import LLaMA
from llama.batches import count_tokens, digest
from llama.checkpoint import Checkpoint, open_checkpoint, resolve_dtype
from llama.llama import load_model
from llama.model import Transformer
from llama.parallel import check_replicas, is_rank_0, own_device, start, world_size
from llama.shared import Computation
from preprocess.errors import InputError
from preprocess.files import PathFlag, check_writable
from preprocess.prompts import PromptFile
from preprocess.schema import PROMPT_META

LOADED: dict[tuple, Transformer] = {}  # the model of the last run: a sweep scores many prompt files with one
PACKAGES = ("torch", "sentencepiece", "fairscale", "numpy")


@dataclass(frozen=True)
class RunOptions:
    """The options that all methods share.

    Args:
        output_path: The predictions file to write; default results/CHECKPOINT/outputs_METHOD_DATASET.json, where
            CHECKPOINT has as much of the path as tells checkpoints apart.
        ckpt_dir: Folder of a checkpoint in Meta's or in Hugging Face's form or of an adapter (peft), its name below
            checkpoints/ or checkpoints/llama/, or OWNER/NAME on the Hugging Face hub.
        revision: Branch, tag or commit of a model on the hub; default main.
        tokenizer_path: Default that in the checkpoint's folder, or tokenizer.model in the parent of a folder in Meta's
            form.
        max_seq_len: Tokens that a prompt with its completion may have; default that of params.json, else 1024; all
            positions of a model in Hugging Face's form, at most 4,096.
        max_batch_size: Rows (texts, with all that hangs on them) that the model computes at once; default as many as
            max_batch_tokens allow.
        max_batch_tokens: Tokens that the model computes at once; default 2,048 on a CPU, 16,384 on CUDA.
        model_parallel_size: Processes that share one copy of the weights; default the number of its shards where that
            divides the number of processes, else 1. The other processes compute other batches.
        overwrite: Replace a result that is there already, complete or not.
    """

    output_path: PathFlag = ""
    ckpt_dir: PathFlag = "checkpoints/tiny"
    revision: str = ""
    tokenizer_path: PathFlag = ""
    max_seq_len: int | None = None
    max_batch_size: int | None = None
    max_batch_tokens: int | None = None
    model_parallel_size: int | None = None
    overwrite: bool = False

    def __post_init__(self) -> None:
        if not self.ckpt_dir:
            raise InputError("--ckpt_dir: expected a folder, a name below checkpoints/, or OWNER/NAME on the hub")
        for flag in ("max_seq_len", "max_batch_size", "max_batch_tokens", "model_parallel_size"):
            value = getattr(self, flag)
            if value is not None and value < 1:
                raise InputError(f"--{flag} {value}: expected 1 or more")


class Run:
    """One method on one prompt file with one checkpoint. Opening it checks everything that can be checked without the
    model.

    Args:
        method: Its name in file names and meta files.
        file: The prompts.
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
        file: PromptFile,
        options: RunOptions,
        dtype: str,
        settings: dict[str, Any],
        configuration: Any,
    ):
        self.method = method
        self.file = file
        self.prompt_path = file.path
        self.options = options
        self.checkpoint: Checkpoint = open_checkpoint(
            options.ckpt_dir, options.tokenizer_path or None, options.max_seq_len, options.revision or None
        )
        self.checkpoint.start_hashing()
        self.model_parallel_size = self.checkpoint.model_parallel_size(options.model_parallel_size, world_size())
        check_replicas(self.model_parallel_size)
        self.device = own_device()
        self.dtype = resolve_dtype(dtype, self.checkpoint, self.device)
        self.max_seq_len = self.checkpoint.args.max_seq_len
        self.settings = settings | {"dtype": dtype_name(self.dtype), "max_seq_len": self.max_seq_len}
        self.configuration = asdict(configuration)
        self.checkpoint_name = checkpoint_name(options.ckpt_dir)
        self.output_path = Path(options.output_path or default_output(method, self.prompt_path, self.checkpoint_name))
        if self.output_path.resolve() == self.prompt_path.resolve():
            raise InputError(f"--output_path {self.output_path}: is the prompt file")
        check_writable(self.output_path, "--output_path")
        self.journal = Journal(self.output_path)
        self.prompt_meta = read_meta(self.prompt_path, "--data_path", PROMPT_META)

    @cached_property
    def identity(self) -> dict[str, Any]:
        """What the result is a function of: the same identity, the same predictions."""
        return {
            "method": self.method,
            "prompt_sha256": self.file.sha256,
            "fingerprint": self.checkpoint.fingerprint(),
            "settings": self.settings,
        }

    def is_finished(self) -> bool:
        """Whether the very result is there; then a line says so on rank 0.

        Raises:
            InputError: Another result is there, and no --overwrite.
        """
        overwrite = self.options.overwrite or self.journal.replaces()
        if overwrite or not self.output_path.exists():
            return False  # the fingerprint is not waited for
        meta = finished(self.output_path, self.identity, overwrite, self.journal.exists())
        if meta is not None and is_rank_0():
            self.journal.remove_leftovers()
            print(f"{self.output_path}: finished already, same inputs, options and checkpoint; --overwrite repeats it")
        return meta is not None

    @contextmanager
    def alone(self) -> Iterator[None]:
        """No other run writes this output meanwhile.

        Raises:
            InputError: Another one does.
        """
        if is_rank_0():
            self.journal.lock()
            if self.options.overwrite:
                self.journal.overwrite()
        try:
            yield
        except KeyboardInterrupt:
            if is_rank_0() and self.journal.holds_batches():
                command = "the same command without --overwrite" if self.options.overwrite else "the same command"
                kept = f"{self.journal.folder}: what is computed is kept; {command} goes on from there"
                print(kept, file=sys.stderr)
            raise
        finally:
            self.journal.close()

    def load(self) -> LLaMA:
        """The model, on this process's device. From here on all ranks compute together."""
        self.launch = start(self.model_parallel_size)
        key = (self.checkpoint.stamp(), self.dtype, self.max_seq_len, self.model_parallel_size)
        if key not in LOADED:
            LOADED.clear()
            LOADED[key] = load_model(self.checkpoint, self.launch, self.dtype)
        model = LOADED[key]
        options = self.options
        return LLaMA(model, self.checkpoint.tokenizer, options.max_batch_size, options.max_batch_tokens)

    def compute(
        self, computation: Computation[Any], record: Callable[[Any], Any], examples: Examples
    ) -> Outcome | None:
        """`evaluate.runner.run_batches` for this run: the outcome on rank 0, None elsewhere."""
        plan = {
            "max_batch_size": self.options.max_batch_size,
            "max_batch_tokens": self.options.max_batch_tokens,
            "batches": digest(computation.batches),
            "model_parallel_size": self.model_parallel_size,  # sums over ranks round in another order
        }
        identity = self.identity | {"plan": plan}
        self.tokens_computed = count_tokens(computation.batches)
        return run_batches(computation, record, examples, self.journal, identity, self.launch, self.method)

    def write(self, rows: Sequence[dict[str, Any]], seconds: float | None, counters: dict[str, Any]) -> None:
        """Write the predictions and their meta file and print a summary. On rank 0 alone.

        Args:
            rows: One a prompt, in the order of the file.
            seconds: Spent on scoring; None where that is not known.
            counters: More entries of the meta file: tokens, ties, cut examples.
        """
        write_predictions(self.output_path, rows, self.meta(rows, seconds) | counters, self.journal.folder)
        self.journal.remove()
        print(summary(rows, seconds, counters, self.output_path))

    def meta(self, rows: Sequence[dict[str, Any]], seconds: float | None) -> dict[str, Any]:
        scaling = self.checkpoint.args.rope_scaling  # Meta's files leave it to the reader
        stated = {} if scaling is None else {"rope_scaling": asdict(scaling)}
        return (
            self.identity
            | stated
            | {
                "configuration": self.configuration,
                "num_examples": len(rows),
                "seconds": None if seconds is None else round(seconds, 3),
                "tokens_computed": self.tokens_computed,
                "prompt_path": str(self.prompt_path),
                "checkpoint": self.checkpoint_name,
                "checkpoint_path": str(self.checkpoint.folder),
                "dtype": dtype_name(self.dtype),
                "device": torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else "cpu",
                "world_size": world_size(),
                "model_parallel_size": self.model_parallel_size,
                "threads": torch.get_num_threads(),
                "versions": {package: importlib.metadata.version(package) for package in PACKAGES},
                "git_commit": git_commit(),
                "prompt": self.prompt_meta,
            }
        )


def dtype_name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def git_commit() -> str | None:
    """The commit that the code is at, None outside of a repository."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return found.stdout.strip() or None if found.returncode == 0 else None


def summary(rows: Sequence[dict[str, Any]], seconds: float | None, counters: dict[str, Any], path: Path) -> str:
    """What the screen says of a result; `counters` as of `Run.write`."""
    predictions, truths = [row["prediction"] for row in rows], [row["ground_truth"] for row in rows]
    confusion = confusion_matrix(predictions, truths, classes_of(predictions, truths))
    took = "time unknown" if seconds is None else f"{seconds:.1f} s"
    lines = [
        f"accuracy {accuracy(confusion):.4f}, macro-F1 {macro_f1(confusion):.4f},"
        f" {predictions.count(None)} of {len(rows)} unanswered, {took}",
    ]
    if counters.get("ties"):
        lines.append(
            f"warning: {counters['ties']} of {len(rows)} predictions are ties: several label words have the highest"
            " score, the first of them is taken"
        )
    cut = counters.get("cut")
    if cut:
        named = ", ".join(cut[:3]) + (", ..." if len(cut) > 3 else "")
        lines.append(
            f"warning: {len(cut)} of {len(rows)} texts were too long and lost words at their end: {named}"
            " (all in the meta file)"
        )
    lines.append(f"written to {path}")
    return "\n".join(lines)
