"""Training with PyTorch Lightning: Trainer, evaluation, logs, checkpoints, resuming."""

import contextlib
import logging
import os
import re
import signal
import sys
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint, TQDMProgressBar
from lightning.pytorch.loggers import Logger, MLFlowLogger, TensorBoardLogger, WandbLogger
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from llama.malloc import keep_freed_memory, release_freed_memory
from preprocess.errors import InputError, first_line
from training.modules import TrainData, TrainedModule
from training.options import CSV, TENSORBOARD, StepOptions
from training.run_folder import seconds_of, write_log
from training.state import read_state

LAST, BEST = "last.ckpt", "best.ckpt"
STATE = ("global_step", "state_dict", "optimizer_states", "lr_schedulers", "loops", "callbacks", "rng")
PROCESSES = 4 * max(os.cpu_count() or 1, 4)  # each has a copy of the model
# what Lightning's launcher sets for the other processes; LOCAL_RANK tells it that another launcher starts them
OF_LAUNCHERS = ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK", "LOCAL_RANK", "WORLD_SIZE")
DEVICES = re.compile(r"auto|-1|\d+(,\d+)*")
STRATEGIES = ("auto", "ddp")  # those whose checkpoints are one file


@dataclass(frozen=True)
class LightningOptions:
    """Where and in which precision Lightning computes, with the names of its Trainer's arguments.

    Args:
        accelerator: auto, cpu, gpu, ...
        devices: Number of devices (2), their indices (0,1), -1 for all, or auto.
        strategy: Strategy for several devices: auto or ddp.
        precision: 32-true, bf16-mixed, 16-mixed, ...
        num_workers: Processes that load batches; 0 loads them in the main process.
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
    """Writes the log to a CSV file. Checkpoints contain its history, so that a resumed run loses or repeats no row."""

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
        """Add the logged values of a kind (train/ or eval/) as a row, with `prefix` before their names."""
        logged = {name: value.item() for name, value in trainer.callback_metrics.items() if name.startswith(kind)}
        entry = {"step": trainer.global_step, "seconds": round(time.perf_counter() - self.began, 3)}
        self.history.append(entry | {prefix + name.removeprefix(kind): value for name, value in logged.items()})
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


class FreedMemory(Callback):
    """Keeps freed memory between steps, and returns what is left of it at each row of the log."""

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        keep_freed_memory()

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, number: int
    ) -> None:
        if (number + 1) % (trainer.accumulate_grad_batches * trainer.log_every_n_steps) == 0:
            release_freed_memory()


class Evaluate(Callback):
    """Evaluates every --eval_steps, by default after each epoch, and always after the last step."""

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


class KeptCheckpoint(ModelCheckpoint):
    """Keeps one checkpoint, the best or, without a metric, the last, and finds it even if the run folder was moved.

    Each has a callback of its own: with `save_last`, Lightning writes last.ckpt only when the best checkpoint changes.

    Args:
        path: The file.
        metric: The validation metric; default none.
        mode: Whether its minimum (min) or its maximum (max) is the best.
    """

    def __init__(self, path: Path, metric: str | None = None, mode: str = "min"):
        self.path = str(path)
        super().__init__(
            path.parent,
            path.stem,
            monitor=metric,
            mode=mode,
            enable_version_counter=False,
            save_on_train_epoch_end=False,
        )

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load the state with the path in the current run folder."""
        moved = {"dirpath": self.dirpath, "best_model_path": self.path}
        if self.monitor is not None:
            moved |= {"kth_best_model_path": self.path, "best_k_models": {self.path: state["best_model_score"]}}
        super().load_state_dict(state | moved)


def make_trainer(
    options: StepOptions,
    where: LightningOptions,
    folder: Path,
    show_progress: bool = False,
    chosen_by: str = "loss",
    mode: str = "min",
) -> Trainer:
    """Lightning's Trainer, which logs to `folder`/log.csv and to `options.logger`.

    Args:
        chosen_by: The validation metric that selects the best checkpoint.
        mode: Whether the minimum (min) or the maximum (max) is the best.

    Raises:
        InputError: Lightning knows no such device, strategy or precision.
    """
    last = folder / "checkpoints" / LAST
    purge = read_state(last, STATE)["global_step"] + 1 if last.exists() else None
    metric = f"eval/{chosen_by}"
    kept = [KeptCheckpoint(last.with_name(BEST), metric, mode), KeptCheckpoint(last)]  # the last one has the best score
    patient = EarlyStopping(metric, patience=options.patience, mode=mode, check_on_train_epoch_end=False)
    callbacks = [*kept, LogCsv(folder / "log.csv"), FreedMemory(), Evaluate()]
    callbacks += [patient] if options.patience else []
    callbacks += [TQDMProgressBar()] if show_progress else []
    return plain_trainer(
        where,
        max_epochs=1,
        accumulate_grad_batches=options.gradient_accumulation_steps,
        log_every_n_steps=options.logging_steps,
        logger=logger_of(options.logger, folder, purge),
        callbacks=callbacks,
        gradient_clip_val=1.0,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        enable_progress_bar=show_progress,
        enable_model_summary=False,
    )


def plain_trainer(where: LightningOptions, **options: Any) -> Trainer:
    """A Trainer with these options.

    Raises:
        InputError: Lightning knows no such device, strategy or precision, or would wait for processes that another
            launcher never starts.
    """
    try:
        trainer = Trainer(
            accelerator=where.accelerator,
            devices=where.devices,
            strategy=where.strategy,
            precision=where.precision,
            **options,
        )
    except (TypeError, ValueError, ImportError, MisconfigurationException) as error:
        raise InputError(f"--accelerator, --devices, --strategy or --precision: {first_line(error)}") from None
    if trainer.world_size > 1 and os.environ.get("LOCAL_RANK") == "0":  # ours are 1 and above
        raise InputError(
            f"--devices {where.devices}: environment variable LOCAL_RANK is 0; unset it, or take one device"
        )
    return trainer


def check(where: LightningOptions) -> None:
    """Check the options before anything is read or written.

    Raises:
        InputError: See `plain_trainer`.
    """
    plain_trainer(where, logger=False, enable_checkpointing=False, enable_progress_bar=False)


def logger_of(name: str, folder: Path, purge: int | None) -> Logger | bool:
    """The logger in addition to the CSV file; False if there is none.

    Args:
        purge: The step from which TensorBoard discards entries logged before a resume.
    """
    if name == TENSORBOARD:
        return TensorBoardLogger(folder, name="", version="tensorboard", purge_step=purge)
    if name == CSV:
        return False
    loggers = {
        "mlflow": lambda: MLFlowLogger(experiment_name=folder.name, tracking_uri=f"file:{folder.resolve() / 'mlflow'}"),
        "wandb": lambda: WandbLogger(name=folder.name, save_dir=folder),
    }
    return loggers[name]()


def train(trainer: Trainer, module: TrainedModule, data: TrainData, folder: Path, kept: str = BEST) -> dict[str, Any]:
    """Train, from the last checkpoint if there is one, and load the best one, or another, into the module.

    Args:
        kept: File name of the checkpoint to load: BEST or LAST.

    Returns:
        Entries of the metrics: the best step, the number of steps, the seconds of training.
    """
    last, best = folder / "checkpoints" / LAST, folder / "checkpoints" / BEST
    if last.exists() and trainer.is_global_zero:
        print(f"{last}: resuming from this checkpoint")
    module.train()  # transformers loads models without dropout, and Lightning leaves them so
    try:
        with contextlib.redirect_stdout(sys.stderr), launcher_environment():  # as progress bars do
            trainer.fit(module, data, ckpt_path=str(last) if last.exists() else None, weights_only=True)
    except SystemExit:  # Lightning's reaction to Ctrl-C
        if not trainer.is_global_zero:
            raise  # the first process reports it for all
        if last.exists():
            print(f"{last}: saved; the same command resumes from it", file=sys.stderr)
        raise KeyboardInterrupt from None
    except Exception:
        if trainer.strategy.launcher is not None:  # the other processes would wait for this one
            trainer.strategy.launcher.kill(signal.SIGKILL)
        raise
    leave_group(trainer)
    state = read_state(best, STATE)
    best_step = state["global_step"]
    if kept != BEST:
        state = read_state(last.with_name(kept), STATE)
    module.load_state_dict(state["state_dict"])
    module.to(trainer.strategy.root_device, torch.float32)  # Lightning leaves it on the CPU, in --precision
    return {
        "best_step": best_step,
        "steps": trainer.global_step,
        "training_seconds": seconds_of(history_of(trainer)),
    }


@contextlib.contextmanager
def launcher_environment() -> Iterator[None]:
    """Restore the variables that Lightning's launcher leaves in the environment: with them the next training on several
    devices, or a command that this process starts, would wait forever for processes that nobody starts."""
    before = {name: os.environ.get(name) for name in OF_LAUNCHERS}
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def leave_group(trainer: Trainer) -> None:
    """End the process group, which Lightning leaves open, in all processes at once: one that exits alone may abort the
    others, or wait for them."""
    if trainer.world_size > 1 and torch.distributed.is_initialized():
        trainer.strategy.barrier()
        torch.distributed.destroy_process_group()


def history_of(trainer: Trainer) -> list[dict[str, float]]:
    """All log entries of the run, including those before a resume."""
    (log,) = [callback for callback in trainer.callbacks if isinstance(callback, LogCsv)]
    return log.history


def quiet_lightning() -> None:
    """Silence Lightning's messages; errors are reported in our own words."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
    warnings.filterwarnings("ignore", message="Grad strides do not match")  # with several devices
