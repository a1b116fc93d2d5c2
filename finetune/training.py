"""LoRA (Hu et al. 2021) on the projections of a token classifier, by transformers' Trainer."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, TaskType, get_peft_model
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.utils.tensorboard import SummaryWriter
from transformers import (
    EvalPrediction,
    PreTrainedModel,
    PrinterCallback,
    ProgressCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from transformers.integrations import TensorBoardCallback
from transformers.modeling_outputs import TokenClassifierOutput

from finetune.block_metrics import block_metrics, block_scores, decisions
from finetune.chunks import IGNORED, Chunk, collate, rows
from preprocess.blocks import LABEL_WORDS, Block
from preprocess.errors import InputError
from preprocess.files import write_bytes

CHOSEN_BY = ("macro_f1", "accuracy")
KEPT = 2  # checkpoints: the best and the last
EVAL_BATCHES = 8  # whose logits stay on the device


@dataclass(frozen=True)
class TrainingOptions:
    """How the adapter is trained.

    Args:
        steps: Steps of the optimizer.
        epochs: Passes over the train pages, instead of --steps.
        batch_size: Chunks that are computed at once.
        gradient_accumulation_steps: Batches that make one step.
        learning_rate: The highest; it rises linearly during the warm-up, then falls linearly to 0.
        warmup: Share of the steps that warms up.
        weight_decay: Of AdamW.
        lora_r: Rank of the adapter.
        lora_alpha: The adapter is scaled by lora_alpha / lora_r.
        lora_dropout: Of the adapter's input.
        lora_modules: Projections that have one, with commas, or all-linear.
        eval_steps: Evaluate on the validation pages, and save, every so many steps.
        logging_steps: Log loss and learning rate every so many steps.
        best_by: macro_f1 or accuracy of the validation blocks; the checkpoint with the highest is kept.
        gradient_checkpointing: Compute activations twice rather than hold them.
        seed: Of everything random.
    """

    steps: int = 9000
    epochs: float | None = None
    batch_size: int = 2
    gradient_accumulation_steps: int = 1
    learning_rate: float = 1e-4
    warmup: float = 0.1
    weight_decay: float = 0.0
    lora_r: int = 16
    lora_alpha: int = 32
    lora_dropout: float = 0.1
    lora_modules: str = "q_proj,v_proj"
    eval_steps: int = 500
    logging_steps: int = 50
    best_by: str = "macro_f1"
    gradient_checkpointing: bool = False
    seed: int = 42

    def __post_init__(self) -> None:
        counts = ("steps", "batch_size", "gradient_accumulation_steps", "lora_r", "lora_alpha", "eval_steps")
        for flag in (*counts, "logging_steps"):
            if getattr(self, flag) < 1:
                raise InputError(f"--{flag} {getattr(self, flag)}: expected 1 or more")
        for flag in ("warmup", "lora_dropout"):
            if not 0 <= getattr(self, flag) < 1:
                raise InputError(f"--{flag} {getattr(self, flag)}: expected a number from 0 to below 1")
        if not self.learning_rate > 0 or self.weight_decay < 0 or self.seed < 0:
            raise InputError("--learning_rate must be above 0, --weight_decay and --seed 0 or more")
        if self.epochs is not None and not self.epochs > 0:
            raise InputError(f"--epochs {self.epochs}: expected a number above 0")
        if self.best_by not in CHOSEN_BY:
            raise InputError(f"--best_by {self.best_by}: expected {' or '.join(CHOSEN_BY)}")


def with_adapter(model: PreTrainedModel, options: TrainingOptions) -> PeftModel:
    """The model with a new adapter; adapter and classifier are trained, in float32, and nothing else.

    Raises:
        InputError: `--lora_modules` names none of the model's.
    """
    everything = options.lora_modules == "all-linear"
    modules = options.lora_modules if everything else [name.strip() for name in options.lora_modules.split(",")]
    found = {name.rpartition(".")[2] for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)}
    if not everything and not set(modules) <= found - {"score"}:
        raise InputError(
            f"--lora_modules {options.lora_modules}: expected some of {', '.join(sorted(found - {'score'}))}"
        )
    config = LoraConfig(
        task_type=TaskType.TOKEN_CLS,
        r=options.lora_r,
        lora_alpha=options.lora_alpha,
        lora_dropout=options.lora_dropout,
        target_modules=modules,
        exclude_modules=["score"] if everything else None,
        modules_to_save=["score"],
    )
    adapted = get_peft_model(model, config)
    for parameter in adapted.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    return adapted


def mean_loss(outputs: TokenClassifierOutput, labels: Tensor, num_items_in_batch: Tensor | None = None) -> Tensor:
    """Cross-entropy a block: over the whole step where the Trainer tells how many blocks that has.

    The model's own loss is a mean over each batch: nan for a chunk in which no block ends, and not the mean of the step
    where gradients accumulate.

    Args:
        outputs: logits (B, T, C).
        labels: (B, T).
    """
    total = cross_entropy(outputs.logits.flatten(0, 1).float(), labels.flatten(), ignore_index=IGNORED, reduction="sum")
    count = (labels != IGNORED).sum() if num_items_in_batch is None else num_items_in_batch
    return total / max(int(count), 1)


class CsvCallback(TrainerCallback):
    """Writes what is logged to a CSV file, a row a step. It is made from the Trainer's own history, which a checkpoint
    holds: after a resume no row stands there twice.
    """

    def __init__(self, path: Path):
        self.path = path

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        by_step: dict[int, dict[str, float]] = {}
        for entry in state.log_history:
            by_step.setdefault(entry["step"], {}).update(entry)
        named = {key for row in by_step.values() for key in row}
        columns = ["step", "epoch", *sorted(named - {"step", "epoch"})]
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(by_step.values())
        write_bytes(self.path, text.getvalue().encode())


class EvaluateLast(TrainerCallback):
    """Evaluates after the last step too, whatever --eval_steps: it is saved, and may be the best."""

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        if state.global_step >= state.max_steps:
            control.should_evaluate = True


def last_checkpoint(folder: Path) -> Path | None:
    """The last complete checkpoint; its state is the last file that is written."""
    complete = [path.parent for path in folder.glob("checkpoint-*/trainer_state.json")]
    return max(complete, key=lambda path: int(path.name.partition("-")[2]), default=None)


def arguments(options: TrainingOptions, folder: Path, bf16: bool, show_progress: bool) -> TrainingArguments:
    """As transformers wants it."""
    return TrainingArguments(
        output_dir=str(folder / "checkpoints"),
        max_steps=-1 if options.epochs else options.steps,
        num_train_epochs=options.epochs or 3.0,
        per_device_train_batch_size=options.batch_size,
        per_device_eval_batch_size=options.batch_size,
        gradient_accumulation_steps=options.gradient_accumulation_steps,
        learning_rate=options.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=options.warmup,
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
        seed=options.seed,
        label_names=["labels"],
        remove_unused_columns=False,
        report_to="none",
        disable_tqdm=not show_progress,
        dataloader_pin_memory=torch.cuda.is_available(),
    )


def make_trainer(
    model: PeftModel,
    options: TrainingOptions,
    folder: Path,
    train: tuple[Sequence[Chunk], Sequence[Block]],
    validation: tuple[Sequence[Chunk], Sequence[Block]],
    *,
    bf16: bool = False,
    show_progress: bool = False,
) -> Trainer:
    """The Trainer with its logs: TensorBoard's in `folder`/tensorboard, `folder`/log.csv.

    Args:
        train, validation: Chunks, and the blocks that they count.
    """
    chunks, blocks = validation

    def measure(evaluated: EvalPrediction) -> dict[str, float]:
        return block_metrics(decisions(block_scores(evaluated.predictions, chunks, len(blocks))), blocks)

    last = last_checkpoint(folder / "checkpoints")
    purge = None if last is None else int(last.name.partition("-")[2]) + 1
    trainer = Trainer(
        model=model,
        args=arguments(options, folder, bf16, show_progress),
        data_collator=collate,
        train_dataset=[row for row, chunk in zip(labelled(*train), train[0], strict=True) if chunk.reads],
        eval_dataset=labelled(chunks, blocks),
        compute_loss_func=mean_loss,
        compute_metrics=measure,
        callbacks=[
            TensorBoardCallback(SummaryWriter(str(folder / "tensorboard"), purge_step=purge)),
            CsvCallback(folder / "log.csv"),
            EvaluateLast(),
        ],
    )
    trainer.remove_callback(PrinterCallback)  # it prints every log where there is no progress bar
    if not show_progress:
        trainer.remove_callback(ProgressCallback)
    return trainer


def labelled(chunks: Sequence[Chunk], blocks: Sequence[Block]) -> list[dict[str, list[int]]]:
    """Chunks as rows, with the labels of their blocks."""
    return rows(chunks, [LABEL_WORDS.index(block.label_word) for block in blocks])
