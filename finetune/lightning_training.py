"""A token classifier trained by PyTorch Lightning: its Trainer, when it evaluates, its logs, its checkpoints."""

import contextlib
import logging
import os
import re
import signal
import sys
import time
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint, TQDMProgressBar
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from finetune.lightning_modules import ChunkData, TokenClassifier
from finetune.run_folder import seconds_of, write_log
from finetune.seals import read_state
from finetune.training import TrainingOptions
from preprocess.errors import InputError, first_line

LAST, BEST = "last.ckpt", "best.ckpt"
STATE = ("global_step", "state_dict", "optimizer_states", "lr_schedulers", "loops", "callbacks", "rng")
PROCESSES = 4 * max(os.cpu_count() or 1, 4)  # each holds a model; many more would take the machine down
DEVICES = re.compile(r"auto|-1|\d+(,\d+)*")
STRATEGIES = ("auto", "ddp")  # those whose checkpoints are one file


@dataclass(frozen=True)
class LightningOptions:
    """Where and in which precision Lightning computes, by its own names.

    Args:
        accelerator: auto, cpu, gpu, ...
        devices: How many (2), which (0,1), -1 for all, or auto.
        strategy: How several devices share the work: auto or ddp.
        precision: 32-true, bf16-mixed, 16-mixed, ...
        num_workers: Processes that read batches; 0 reads in the main one.
    """

    accelerator: str = "auto"
    devices: str = "1"
    strategy: str = "auto"
    precision: str = "32-true"
    num_workers: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.num_workers <= PROCESSES:
            raise InputError(f"--num_workers {self.num_workers}: expected 0 to {PROCESSES} on this machine")
        numbers = self.devices.split(",")
        too_many = numbers[0].isdecimal() and len(numbers) == 1 and not 1 <= int(numbers[0][:9]) <= PROCESSES
        if not DEVICES.fullmatch(self.devices) or len(set(numbers)) < len(numbers) or too_many:
            expected = f"how many (1 to {PROCESSES} on this machine), which (0,1), -1 for all, or auto"
            raise InputError(f"--devices {self.devices:.40}: expected {expected}")
        if self.strategy not in STRATEGIES:
            raise InputError(f"--strategy {self.strategy}: expected {' or '.join(STRATEGIES)}")


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
        steps = options.eval_steps or replace(options, steps=None, epochs=1).steps_of(
            len(trainer.datamodule.read), trainer.world_size
        )
        trainer.val_check_batch = steps * trainer.accumulate_grad_batches

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, number: int
    ) -> None:
        if number + 1 == trainer.num_training_batches:
            trainer.val_check_batch = number + 1


class BestAndLast(ModelCheckpoint):
    """Keeps the best checkpoint and the last, and knows the best one again in a run folder that was moved."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        best = str(Path(self.dirpath, BEST))
        moved = {"dirpath": self.dirpath, "best_model_path": best, "kth_best_model_path": best}
        super().load_state_dict(state | moved | {"best_k_models": {best: state["best_model_score"]}})


def make_trainer(
    options: TrainingOptions, where: LightningOptions, folder: Path, show_progress: bool = False
) -> Trainer:
    """Lightning's Trainer with its logs: TensorBoard's in `folder`/tensorboard, `folder`/log.csv.

    Raises:
        InputError: Lightning knows no such device, strategy or precision.
    """
    last = folder / "checkpoints" / LAST
    purge = read_state(last, STATE)["global_step"] + 1 if last.exists() else None
    chosen_by = {"monitor": f"eval/{options.best_by}", "mode": "max"}
    best = BestAndLast(
        last.parent, "best", save_last=True, enable_version_counter=False, save_on_train_epoch_end=False, **chosen_by
    )
    patient = EarlyStopping(patience=options.patience, check_on_train_epoch_end=False, **chosen_by)
    callbacks = [best, LogCsv(folder / "log.csv"), Evaluate()]
    callbacks += [patient] if options.patience else []
    callbacks += [TQDMProgressBar()] if show_progress else []
    return plain_trainer(
        where,
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


def plain_trainer(where: LightningOptions, **options: Any) -> Trainer:
    """A Trainer that computes there.

    Raises:
        InputError: Lightning knows no such device, strategy or precision.
    """
    try:
        return Trainer(
            accelerator=where.accelerator,
            devices=where.devices,
            strategy=where.strategy,
            precision=where.precision,
            **options,
        )
    except (TypeError, ValueError, ImportError, MisconfigurationException) as error:
        raise InputError(f"--accelerator, --devices, --strategy or --precision: {first_line(error)}") from None


def check(where: LightningOptions) -> None:
    """Find out before anything is read or made whether Lightning can compute there.

    Raises:
        InputError: As of `plain_trainer`.
    """
    plain_trainer(where, logger=False, enable_checkpointing=False, enable_progress_bar=False)


def train(trainer: Trainer, module: TokenClassifier, data: ChunkData, folder: Path) -> dict[str, Any]:
    """Train from the last checkpoint, if there is one, and put the best one's weights into the module.

    For the metrics: how long was trained, and at which step the best checkpoint was saved.
    """
    last, best = folder / "checkpoints" / LAST, folder / "checkpoints" / BEST
    if last.exists() and trainer.is_global_zero:
        print(f"{last}: goes on from there")
    module.train()  # transformers loads models without dropout, and Lightning leaves them so
    try:
        with contextlib.redirect_stdout(sys.stderr):  # where bars belong
            trainer.fit(module, data, ckpt_path=str(last) if last.exists() else None, weights_only=True)
    except SystemExit:  # that is what Lightning makes of Ctrl-C
        if not trainer.is_global_zero:
            raise  # the first process says it for all
        if last.exists():
            print(f"{last}: is kept; the same command goes on from there", file=sys.stderr)
        raise KeyboardInterrupt from None
    except Exception:
        if trainer.strategy.launcher is not None:  # the other processes would wait for this one
            trainer.strategy.launcher.kill(signal.SIGKILL)
        raise
    kept = read_state(best, STATE)
    module.load_state_dict(kept["state_dict"])
    module.to(trainer.strategy.root_device, torch.float32)  # Lightning leaves it on the CPU, in --precision
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
    warnings.filterwarnings("ignore", message="Grad strides do not match")  # of an axis of one, on several devices
