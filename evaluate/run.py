"""A run of one method on one prompt file: opens the checkpoint, detects a finished result, writes the predictions."""

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
from evaluate.requests import Encoded, encode_together
from evaluate.results_folder import checkpoint_name, default_output
from evaluate.runner import Examples, Outcome, run_batches
from llama import int8
from llama.batches import digest
from llama.checkpoint import Checkpoint, open_checkpoint, resolve_dtype
from llama.parallel import Launch, check_replicas, is_rank_0, own_device, start, world_size
from llama.shared import Computation
from preprocess.errors import InputError
from preprocess.files import PathFlag, check_writable
from preprocess.prompts import Prompt, PromptFile
from preprocess.schema import PROMPT_META

PACKAGES = ("torch", "sentencepiece", "fairscale", "numpy")


@dataclass(frozen=True)
class RunOptions:
    """The options that all methods share.

    Args:
        output_path: Output predictions file; default results/CHECKPOINT/outputs_METHOD_DATASET.json. CHECKPOINT is the
            checkpoint's name, with more of its path if two checkpoints have the same name.
        ckpt_dir: Checkpoint folder (Meta's or Hugging Face's format, or a peft adapter), its name in checkpoints/ or
            checkpoints/llama/, or OWNER/NAME on the Hugging Face hub.
        revision: Branch, tag or commit of a model on the hub; default main.
        tokenizer_path: Tokenizer file; default that of the checkpoint folder, or tokenizer.model in the parent of a
            folder in Meta's format.
        max_seq_len: Maximum number of tokens of a prompt with its completion; default that of params.json, else 1024;
            for Hugging Face's format all positions of the model, at most 4,096.
        max_batch_size: Maximum number of rows (texts with their continuations) in a batch; default limited only by
            max_batch_tokens.
        max_batch_tokens: Maximum number of tokens in a batch; default 2,048 on a CPU, 16,384 on CUDA.
        model_parallel_size: Number of processes that share one copy of the weights; default the number of shards if it
            divides the number of processes, else 1. The other processes are replicas and compute other batches.
        threads: CPU threads of each process; default OMP_NUM_THREADS, else the number of free CPUs.
        overwrite: Replace an existing result, finished or not.
    """

    output_path: PathFlag = ""
    ckpt_dir: PathFlag = "checkpoints/tiny"
    revision: str = ""
    tokenizer_path: PathFlag = ""
    max_seq_len: int | None = None
    max_batch_size: int | None = None
    max_batch_tokens: int | None = None
    model_parallel_size: int | None = None
    threads: int | None = None
    overwrite: bool = False

    def __post_init__(self) -> None:
        if not self.ckpt_dir:
            raise InputError("--ckpt_dir: expected a folder, a name in checkpoints/, or OWNER/NAME on the hub")
        for flag in ("max_seq_len", "max_batch_size", "max_batch_tokens", "model_parallel_size", "threads"):
            value = getattr(self, flag)
            if value is not None and value < 1:
                raise InputError(f"--{flag} {value}: expected 1 or more")


class Run:
    """One method on one prompt file with one checkpoint. The constructor checks everything that needs no model.

    Args:
        method: Name in file names and meta files.
        file: The prompts.
        options: The options that all methods share.
        dtype: auto, float32, bfloat16, float16 or int8.
        settings: All other settings that determine the scores.
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
        """The inputs that determine the predictions."""
        return {
            "method": self.method,
            "prompt_sha256": self.file.sha256,
            "fingerprint": self.checkpoint.fingerprint(),
            "settings": self.settings,
        }

    def encode(self, prompts: Sequence[Prompt], method: str, room: int = 0) -> Encoded:
        """Encode prompts on all processes together, see `evaluate.requests.encode`. All ranks must call this."""
        launch = start(self.model_parallel_size)
        tokenizer = self.checkpoint.tokenizer
        return encode_together(launch, prompts, method, tokenizer, self.max_seq_len, self.prompt_path, room)

    def is_finished(self) -> bool:
        """Whether the result exists already, which is then reported on rank 0.

        Raises:
            InputError: The output is another result, without --overwrite.
        """
        overwrite = self.options.overwrite or self.journal.replaces()
        if overwrite or not self.output_path.exists():
            return False  # the fingerprint is not waited for
        meta = finished(self.output_path, self.identity, overwrite, self.journal.exists())
        if meta is not None and is_rank_0():
            self.journal.remove_leftovers()
            print(
                f"{self.output_path}: already finished with the same inputs, options and checkpoint;"
                " --overwrite repeats it"
            )
        return meta is not None

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Lock the output, so that no other run writes it.

        Raises:
            InputError: Another run has locked it.
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
                print(f"{self.journal.folder}: partial results are kept; {command} resumes from there", file=sys.stderr)
            raise
        finally:
            self.journal.close()

    def compute(
        self, computation: Computation[Any], record: Callable[[Any], Any], examples: Examples, launch: Launch
    ) -> Outcome | None:
        """Compute the batches of this run, see `evaluate.runner.run_batches`: the outcome on rank 0, None elsewhere."""
        plan = {
            "max_batch_size": self.options.max_batch_size,
            "max_batch_tokens": self.options.max_batch_tokens,
            "batches": digest(computation.batches),
            "model_parallel_size": self.model_parallel_size,  # affects the rounding of sums over ranks
        }
        identity = self.identity | {"plan": plan}
        return run_batches(computation, record, examples, self.journal, identity, launch, self.method)

    def write(self, outcome: Outcome, counters: dict[str, Any]) -> None:
        """Write the predictions and their meta file, and print a summary. Only on rank 0.

        Args:
            outcome: One row for each prompt, in the order of the file.
            counters: Further entries of the meta file: tokens, ties, cut examples.
        """
        meta = self.meta(outcome) | counters
        write_predictions(self.output_path, outcome.rows, meta, self.journal.folder)
        self.journal.remove()
        print(summary(outcome.rows, outcome.seconds, counters, self.output_path))

    def meta(self, outcome: Outcome) -> dict[str, Any]:
        """The entries of the meta file."""
        scaling = self.checkpoint.args.rope_scaling  # Meta's files do not state it
        stated = {} if scaling is None else {"rope_scaling": asdict(scaling)}
        return (
            self.identity
            | stated
            | {
                "configuration": self.configuration,
                "num_examples": len(outcome.rows),
                "seconds": None if outcome.seconds is None else round(outcome.seconds, 3),
                "tokens_computed": outcome.tokens_computed,
                "prompt_path": str(self.prompt_path),
                "checkpoint": self.checkpoint_name,
                "checkpoint_path": str(self.checkpoint.folder),
                "dtype": dtype_name(self.dtype),
                "device": torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else "cpu",
                "world_size": world_size(),
                "model_parallel_size": self.model_parallel_size,
                "threads": torch.get_num_threads(),
                "versions": {package: importlib.metadata.version(package) for package in packages(self.dtype)},
                "git_commit": git_commit(),
                "prompt": self.prompt_meta,
            }
        )


def packages(dtype: torch.dtype) -> list[str]:
    """The packages whose versions may change results."""
    return [*PACKAGES, *([int8.PACKAGE] if dtype == torch.int8 else [])]


def dtype_name(dtype: torch.dtype) -> str:
    """float32, bfloat16, float16 or int8."""
    return str(dtype).removeprefix("torch.")


def git_commit() -> str | None:
    """The commit of the code; None outside a repository."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None


def summary(rows: Sequence[dict[str, Any]], seconds: float | None, counters: dict[str, Any], path: Path) -> str:
    """The summary of a result for the screen; `counters` as for `Run.write`."""
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
            " score, and the first is used"
        )
    cut = counters.get("cut")
    if cut:
        named = ", ".join(cut[:3]) + (", ..." if len(cut) > 3 else "")
        lines.append(
            f"warning: {len(cut)} of {len(rows)} texts were too long and were cut at their end: {named}"
            " (all are listed in the meta file)"
        )
    lines.append(f"written to {path}")
    return "\n".join(lines)
