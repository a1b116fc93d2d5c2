"""A token classifier trained by PyTorch Lightning: its LightningModule, its LightningDataModule, its logs."""

import logging
import math
import sys
import time
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint, TQDMProgressBar
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from torch import Tensor, nn
from torch.utils.data import DataLoader
from transformers import get_scheduler

from finetune.block_metrics import block_metrics
from finetune.chunks import Encoded
from finetune.pretrained import first_line
from finetune.run_folder import seconds_of, write_log
from finetune.training import Collator, TrainingOptions, mean_loss
from preprocess.errors import InputError

LAST, BEST = "last.ckpt", "best.ckpt"
SEED_OF_LOADERS = 0  # they draw one from the global generator else, and a resumed run would draw once more


@dataclass(frozen=True)
class LightningOptions:
    """Where and in which precision Lightning computes, by its own names.

    Args:
        accelerator: auto, cpu, gpu, ...
        devices: How many (2), which (0,1), or auto.
        strategy: How several devices share the work: auto, ddp, ...
        precision: 32-true, bf16-mixed, 16-mixed, ...
        num_workers: Processes that read batches; 0 reads in the main one.
    """

    accelerator: str = "auto"
    devices: str = "1"
    strategy: str = "auto"
    precision: str = "32-true"
    num_workers: int = 0

    def __post_init__(self) -> None:
        if self.num_workers < 0:
            raise InputError(f"--num_workers {self.num_workers}: expected 0 or more")


class TokenClassifier(LightningModule):
    """A token classifier with its loss, its optimizer and its figures on the validation pages.

    Args:
        model: Takes a collated batch without labels.
        validation: What `validation_step` sees; its blocks are counted once each, on however many devices.
    """

    def __init__(self, model: nn.Module, options: TrainingOptions, validation: Encoded):
        super().__init__()
        self.save_hyperparameters(asdict(options))
        self.model, self.options, self.validation = model, options, validation
        self.said: dict[int, str] = {}  # block -> label word
        self.resumed_rng: Tensor | None = None

    def training_step(self, batch: dict[str, Tensor], _: int) -> Tensor:
        batch.pop("chunk")
        labels = batch.pop("labels")
        loss = mean_loss(self.model(**batch), labels)
        rate = self.trainer.lr_scheduler_configs[0].scheduler.get_last_lr()[0]
        self.log("train/loss", loss.detach(), prog_bar=True, batch_size=len(labels))
        self.log("train/learning_rate", rate)
        return loss

    def validation_step(self, batch: dict[str, Tensor], _: int) -> None:
        numbers, labels = batch.pop("chunk").tolist(), batch.pop("labels")
        outputs = self.model(**batch)
        self.log("eval/loss", mean_loss(outputs, labels), batch_size=len(labels), sync_dist=True)
        places = outputs.logits.argmax(-1).tolist()
        for number, row in zip(numbers, places, strict=True):
            for position, block in self.validation.chunks[number].reads:
                self.said[block] = self.validation.label_words[row[position]]

    def on_validation_epoch_end(self) -> None:
        said = self.said
        if self.trainer.world_size > 1:
            parts: list[Any] = [None] * self.trainer.world_size
            torch.distributed.all_gather_object(parts, said)
            said = {block: word for part in parts for block, word in part.items()}
        self.said = {}
        blocks, label_words = self.validation.blocks, self.validation.label_words
        found = block_metrics([said.get(number) for number in range(len(blocks))], blocks, label_words)
        self.log_dict({f"eval/{name}": value for name, value in found.items()}, rank_zero_only=False)

    def configure_optimizers(self) -> dict[str, Any]:
        trained = [parameter for parameter in self.parameters() if parameter.requires_grad]
        groups = [
            {"params": [parameter for parameter in trained if parameter.ndim > 1]},
            {"params": [parameter for parameter in trained if parameter.ndim <= 1], "weight_decay": 0.0},
        ]
        optimizer = torch.optim.AdamW(groups, lr=self.options.learning_rate, weight_decay=self.options.weight_decay)
        # estimated_stepping_batches would have the train batches made before it is known which were computed already
        steps = self.trainer.datamodule.steps
        scheduler = get_scheduler(self.options.schedule, optimizer, math.ceil(self.options.warmup * steps), steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["rng"] = torch.get_rng_state()  # of dropout: a resumed run goes on as one that was not stopped

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.resumed_rng = checkpoint["rng"]

    def on_train_start(self) -> None:
        if self.resumed_rng is not None:
            torch.set_rng_state(self.resumed_rng.cpu())


class Batches:
    """The batches of a whole run, one pass over the chunks after another, each in an order of its own.

    Lightning sees one epoch, so it can evaluate, stop and go on at any step.

    Args:
        chunks: Those to draw from.
        size: Chunks in a batch.
        count: Batches of this process.
        rank, world: This process takes every `world`-th batch.
        done: So many of this process have been computed before the run was stopped.
    """

    def __init__(self, chunks: list[int], size: int, count: int, seed: int, rank: int, world: int, done: int):
        self.chunks, self.size, self.count, self.seed = chunks, size, count, seed
        self.rank, self.world, self.done = rank, world, done

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[list[int]]:
        each = math.ceil(len(self.chunks) / self.size)
        for number in range(self.done, self.count):
            turn, place = divmod(number * self.world + self.rank, each)
            order = torch.randperm(len(self.chunks), generator=torch.Generator().manual_seed(self.seed + turn))
            yield [self.chunks[n] for n in order[place * self.size : (place + 1) * self.size].tolist()]


class ChunkData(LightningDataModule):
    """The chunks of the train and of the validation pages, in batches."""

    def __init__(
        self, train: Encoded, validation: Encoded, collator: Collator, options: TrainingOptions, num_workers: int
    ):
        super().__init__()
        self.train, self.validation = train, validation
        self.read = [number for number, chunk in enumerate(train.chunks) if chunk.reads]
        self.collator, self.options, self.num_workers = collator, options, num_workers

    def collate(self, rows: list[dict[str, Any]]) -> dict[str, Tensor]:
        return self.collator(rows) | {"chunk": torch.tensor([row["chunk"] for row in rows])}

    def loader(self, encoded: Encoded, batches: Any) -> DataLoader:
        rows = [row | {"chunk": number} for number, row in enumerate(encoded.rows())]
        return DataLoader(
            rows,
            batch_sampler=batches,
            collate_fn=self.collate,
            num_workers=self.num_workers,
            generator=torch.Generator().manual_seed(SEED_OF_LOADERS),
        )

    @property
    def steps(self) -> int:
        """Of the optimizer, in the whole run."""
        return self.options.steps_of(len(self.read), self.trainer.world_size)

    def train_dataloader(self) -> DataLoader:
        trainer, accumulated = self.trainer, self.options.gradient_accumulation_steps
        count = self.steps * accumulated
        done = trainer.global_step * accumulated
        return self.loader(
            self.train,
            Batches(
                self.read,
                self.options.batch_size,
                count,
                self.options.seed,
                trainer.global_rank,
                trainer.world_size,
                done,
            ),
        )

    def val_dataloader(self) -> DataLoader:
        numbers = list(range(self.trainer.global_rank, len(self.validation.chunks), self.trainer.world_size))
        size = self.options.batch_size
        return self.loader(self.validation, [numbers[n : n + size] for n in range(0, len(numbers), size)])


class LogCsv(Callback):
    """Writes what is logged to a CSV file; checkpoints hold the history, so that no row is lost or stands twice."""

    def __init__(self, path: Path):
        self.path = path
        self.history: list[dict[str, float]] = []

    def state_dict(self) -> dict[str, Any]:
        return {"history": self.history}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.history = state["history"]

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        self.began = time.perf_counter() - seconds_of(self.history)

    def note(self, trainer: Trainer, kind: str, prefix: str) -> None:
        found = {name: value.item() for name, value in trainer.callback_metrics.items() if name.startswith(kind)}
        entry = {"step": trainer.global_step, "seconds": round(time.perf_counter() - self.began, 3)}
        self.history.append(entry | {prefix + name.removeprefix(kind): found[name] for name in found})
        if trainer.is_global_zero:
            write_log(self.path, self.history)

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, number: int
    ) -> None:
        stepped = (number + 1) % trainer.accumulate_grad_batches == 0
        if stepped and trainer.global_step % trainer.log_every_n_steps == 0:
            self.note(trainer, "train/", "")

    def on_validation_end(self, trainer: Trainer, module: LightningModule) -> None:
        self.note(trainer, "eval/", "eval_")


class Evaluate(Callback):
    """Evaluates every --eval_steps, by default after each pass over the chunks; and after the last step, which is saved
    and may be the best."""

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        options = module.options
        steps = options.eval_steps or replace(options, epochs=1).steps_of(
            len(trainer.datamodule.read), trainer.world_size
        )
        trainer.val_check_batch = steps * trainer.accumulate_grad_batches

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, number: int
    ) -> None:
        if number + 1 == trainer.num_training_batches:
            trainer.val_check_batch = number + 1


def make_trainer(
    options: TrainingOptions, where: LightningOptions, folder: Path, show_progress: bool = False
) -> Trainer:
    """Lightning's Trainer with its logs: TensorBoard's in `folder`/tensorboard, `folder`/log.csv.

    Raises:
        InputError: Lightning knows no such device, strategy or precision.
    """
    last = folder / "checkpoints" / LAST
    purge = torch.load(last, weights_only=True)["global_step"] + 1 if last.exists() else None
    chosen_by = {"monitor": f"eval/{options.best_by}", "mode": "max"}
    best = ModelCheckpoint(
        last.parent, "best", save_last=True, enable_version_counter=False, save_on_train_epoch_end=False, **chosen_by
    )
    patient = EarlyStopping(patience=options.patience, check_on_train_epoch_end=False, **chosen_by)
    callbacks = [best, LogCsv(folder / "log.csv"), Evaluate()]
    callbacks += [patient] if options.patience else []
    callbacks += [TQDMProgressBar()] if show_progress else []
    try:
        return Trainer(
            accelerator=where.accelerator,
            devices=where.devices,
            strategy=where.strategy,
            precision=where.precision,
            max_epochs=1,
            accumulate_grad_batches=options.gradient_accumulation_steps,
            log_every_n_steps=options.logging_steps,
            logger=TensorBoardLogger(folder, name="", version="tensorboard", purge_step=purge),
            callbacks=callbacks,
            gradient_clip_val=1.0,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
            enable_progress_bar=show_progress,
            enable_model_summary=False,
        )
    except (TypeError, ValueError, MisconfigurationException) as error:
        raise InputError(f"--accelerator, --devices, --strategy or --precision: {first_line(error)}") from None


def train(trainer: Trainer, module: TokenClassifier, data: ChunkData, folder: Path) -> dict[str, Any]:
    """Train from the last checkpoint, if there is one, and put the best one's weights into the module.

    For the metrics: how long was trained, and at which step the best checkpoint was saved.
    """
    last, best = folder / "checkpoints" / LAST, folder / "checkpoints" / BEST
    if last.exists() and trainer.is_global_zero:
        print(f"{last}: goes on from there")
    try:
        trainer.fit(module, data, ckpt_path=str(last) if last.exists() else None, weights_only=True)
    except SystemExit:  # that is what Lightning makes of Ctrl-C
        if last.exists() and trainer.is_global_zero:
            print(f"{last}: is kept; the same command goes on from there", file=sys.stderr)
        raise KeyboardInterrupt from None
    kept = torch.load(best, weights_only=True, map_location="cpu")
    module.load_state_dict(kept["state_dict"])
    (log,) = [callback for callback in trainer.callbacks if isinstance(callback, LogCsv)]
    return {
        "best_step": kept["global_step"],
        "steps": trainer.global_step,
        "training_seconds": seconds_of(log.history),
    }


def quiet_lightning() -> None:
    """None of Lightning's remarks on itself; our own lines say what went wrong."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
