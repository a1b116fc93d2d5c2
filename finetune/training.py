"""Training options of a token classifier, and its training with transformers' Trainer."""

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.tensorboard import SummaryWriter
from transformers import (
    EarlyStoppingCallback,
    EvalPrediction,
    PrinterCallback,
    ProgressCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from transformers.integrations import MLflowCallback, TensorBoardCallback, WandbCallback
from transformers.modeling_outputs import TokenClassifierOutput

from documents.chunks import IGNORED, Encoded, collate
from finetune.block_metrics import block_metrics, block_scores, decisions, is_iob
from llama.malloc import keep_freed_memory, release_freed_memory
from preprocess.errors import InputError
from preprocess.seals import check_seal, is_sealed, seal
from training.options import CSV, TENSORBOARD, StepOptions
from training.run_folder import seconds_of, write_log

Collator = Callable[[Sequence[dict[str, Any]]], dict[str, Tensor]]

CHOSEN_BY = ("macro_f1", "accuracy", "entity_f1")
KEPT = 2  # checkpoints: the best and the last
EVAL_BATCHES = 8  # after which logits are moved to the CPU


@dataclass(frozen=True)
class TrainingOptions(StepOptions):
    """How a token classifier is trained.

    Args:
        best_by: Metric that selects the checkpoint on the validation pages: macro_f1, accuracy or, with IOB tags,
            entity_f1.
    """

    best_by: str = "macro_f1"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.best_by not in CHOSEN_BY:
            raise InputError(f"--best_by {self.best_by}: expected {', '.join(CHOSEN_BY)}")

    def check_labels(self, label_words: Sequence[str]) -> None:
        """Check `best_by`: entity F1 requires IOB tags.

        Raises:
            InputError: The metric is not defined for these label words.
        """
        if self.best_by == "entity_f1" and not is_iob(label_words):
            raise InputError(f"--best_by entity_f1: expected IOB tags, found {', '.join(label_words)}")


def mean_loss(outputs: TokenClassifierOutput, labels: Tensor, num_items_in_batch: Tensor | int | None = None) -> Tensor:
    """Mean cross-entropy of the blocks of a step.

    The model's own loss is the mean of a batch: NaN for a chunk that classifies no block, and not the mean of the step
    if gradients are accumulated.

    Args:
        outputs: logits (B, T, C).
        labels: (B, T).
        num_items_in_batch: Number of blocks in the whole step; None: those of this batch.
    """
    total = cross_entropy(outputs.logits.flatten(0, 1).float(), labels.flatten(), ignore_index=IGNORED, reduction="sum")
    count = (labels != IGNORED).sum() if num_items_in_batch is None else num_items_in_batch
    return total / max(int(count), 1)


class CsvCallback(TrainerCallback):
    """Writes the log to a CSV file, with the seconds of training.

    It is written from the Trainer's history, which checkpoints contain, so that a resumed run repeats no row.
    """

    def __init__(self, path: Path):
        self.path = path

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        self.began = time.perf_counter() - seconds_of(state.log_history)

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        state.log_history[-1]["seconds"] = round(time.perf_counter() - self.began, 3)
        write_log(self.path, state.log_history)


class FreedMemory(TrainerCallback):
    """Keeps freed memory between steps, and returns what is left of it at each row of the log."""

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        keep_freed_memory()

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        release_freed_memory()


class Sealed(TrainerCallback):
    """Seals each complete checkpoint, and finds the best one even if the run folder was moved."""

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        seal(Path(args.output_dir) / f"checkpoint-{state.global_step}")

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        if state.best_global_step:
            state.best_model_checkpoint = str(Path(args.output_dir) / f"checkpoint-{state.best_global_step}")


class EvaluateLast(TrainerCallback):
    """Also evaluates after the last step, regardless of --eval_steps, because it may be the best."""

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        if state.global_step >= state.max_steps:
            control.should_evaluate = True


def last_checkpoint(folder: Path) -> Path | None:
    """The last complete checkpoint."""
    return max(complete_checkpoints(folder), key=lambda path: int(path.name.partition("-")[2]), default=None)


def complete_checkpoints(folder: Path) -> list[Path]:
    """The checkpoints whose last file was written: the state of the trainer."""
    return sorted(path.parent for path in folder.glob("checkpoint-*/trainer_state.json"))


def arguments(options: TrainingOptions, folder: Path, bf16: bool, show_progress: bool) -> TrainingArguments:
    """The options as transformers' TrainingArguments."""
    converted = TrainingArguments(
        output_dir=str(folder / "checkpoints"),
        max_steps=options.steps or -1,
        num_train_epochs=options.epochs or 3.0,
        per_device_train_batch_size=options.batch_size,
        per_device_eval_batch_size=options.batch_size,
        gradient_accumulation_steps=options.gradient_accumulation_steps,
        learning_rate=options.learning_rate,
        lr_scheduler_type=options.transformers_schedule,
        warmup_steps=options.warmup_steps or options.warmup,
        weight_decay=options.weight_decay,
        eval_strategy="steps",
        eval_steps=options.eval_steps,
        eval_accumulation_steps=EVAL_BATCHES,
        save_strategy="steps",
        save_steps=options.eval_steps,
        save_total_limit=KEPT,
        load_best_model_at_end=True,
        metric_for_best_model=options.best_by,
        greater_is_better=True,
        logging_steps=options.logging_steps,
        activation_checkpointing=options.gradient_checkpointing,
        bf16=bf16,
        use_cpu=bf16 and not torch.cuda.is_available(),  # otherwise transformers refuses bfloat16 on CPUs
        seed=options.seed,
        label_names=["labels"],
        remove_unused_columns=False,
        report_to="none",
        disable_tqdm=not show_progress,
        dataloader_pin_memory=torch.cuda.is_available(),
        restore_callback_states_from_checkpoint=True,  # the number of evaluations without improvement
    )
    converted._n_gpu = min(converted.n_gpu, 1)  # with several, it would use DataParallel, which does not count blocks
    return converted


def make_trainer(
    model: nn.Module,
    options: TrainingOptions,
    folder: Path,
    train: Encoded,
    validation: Encoded,
    collator: Collator = collate,
    *,
    bf16: bool = False,
    show_progress: bool = False,
    callbacks: Sequence[TrainerCallback] = (),
) -> Trainer:
    """transformers' Trainer, which logs to `folder`/log.csv and to `options.logger`.

    Args:
        bf16: Whether to use autocast to bfloat16.
        callbacks: Called after those that log and seal.
    """

    def measure(evaluated: EvalPrediction) -> dict[str, float]:
        scores = block_scores(evaluated.predictions, validation.chunks, len(validation.blocks))
        return block_metrics(decisions(scores, validation.label_words), validation.blocks, validation.label_words)

    last = last_checkpoint(folder / "checkpoints")
    purge = None if last is None else int(last.name.partition("-")[2]) + 1
    trainer = Trainer(
        model=model,
        args=arguments(options, folder, bf16, show_progress),
        data_collator=collator,
        train_dataset=[row for row, chunk in zip(train.rows(), train.chunks, strict=True) if chunk.reads],
        eval_dataset=validation.rows(),
        compute_loss_func=mean_loss,
        compute_metrics=measure,
        callbacks=[
            *logged(options.logger, folder, purge),
            CsvCallback(folder / "log.csv"),
            FreedMemory(),
            EvaluateLast(),
            Sealed(),
            *([EarlyStoppingCallback(options.patience)] if options.patience else []),
            *callbacks,
        ],
    )
    trainer.remove_callback(PrinterCallback)  # it prints every log entry if there is no progress bar
    if not show_progress:
        trainer.remove_callback(ProgressCallback)
    return trainer


def logged(logger: str, folder: Path, purge: int | None) -> list[TrainerCallback]:
    """The callbacks of the logger in addition to the CSV file.

    Args:
        purge: The step from which TensorBoard discards entries logged before a resume.
    """
    if logger == TENSORBOARD:
        return [TensorBoardCallback(SummaryWriter(str(folder / "tensorboard"), purge_step=purge))]
    return [] if logger == CSV else [{"mlflow": MLflowCallback, "wandb": WandbCallback}[logger]()]


def train(trainer: Trainer, folder: Path) -> None:
    """Train, from the last complete checkpoint if there is one, and load the best one.

    Raises:
        InputError: A checkpoint is damaged.
    """
    last = last_checkpoint(folder / "checkpoints")
    if last is not None:
        for checkpoint in complete_checkpoints(folder / "checkpoints"):
            if is_sealed(checkpoint):
                check_seal(checkpoint)
            else:  # the process was killed between checkpoint and seal
                seal(checkpoint)
        print(f"{last}: resuming from this checkpoint")
    try:
        trainer.train(resume_from_checkpoint=str(last) if last else None)
    except KeyboardInterrupt:
        kept = last_checkpoint(folder / "checkpoints")
        if kept is not None:
            print(f"{kept}: saved; the same command resumes from it", file=sys.stderr)
        raise


def progress(trainer: Trainer) -> dict[str, Any]:
    """Entries of the metrics: the step of the best checkpoint, the number of steps, the seconds of training."""
    return {
        "best_step": int(Path(trainer.state.best_model_checkpoint).name.partition("-")[2]),
        "steps": trainer.state.global_step,
        "training_seconds": seconds_of(trainer.state.log_history),
    }
