"""The base of modules that Lightning trains: optimizer, logged loss, random state in checkpoints, batches of a run."""

import math
from collections.abc import Iterator
from dataclasses import asdict
from functools import lru_cache
from typing import Any

import torch
from lightning.pytorch import LightningDataModule, LightningModule
from torch import Tensor
from torch.utils.data import DataLoader
from transformers import get_scheduler

from training.options import StepOptions

SEED_OF_LOADERS = 0  # else they draw one from the global generator, and a resumed run would draw once more


class TrainedModule(LightningModule):
    """A LightningModule whose runs resume bit-identically.

    Args:
        options: The training options.
    """

    betas = (0.9, 0.999)  # of AdamW

    def __init__(self, options: StepOptions):
        super().__init__()
        self.save_hyperparameters(asdict(options))
        self.options = options
        self.noted: list[dict[str, float]] = []  # the figures of each step since the last row of the log
        self.resumed_rng: list[dict[str, Any]] = []  # one for each process

    def note(self, parts: dict[str, Tensor], number: int) -> None:
        """Add a batch's parts of the figures of its step; after the step's last batch, log the means over the steps.

        Args:
            parts: Figure -> the batch's part, a scalar, among them the loss. The parts of all batches on all devices
                sum to the figure of the step. A figure that a step does not have is not in its mean.
            number: The number of the batch in the run.
        """
        trainer, accumulated = self.trainer, self.options.gradient_accumulation_steps
        if number % accumulated == 0:
            self.noted = self.noted[len(self.noted) if trainer.global_step % trainer.log_every_n_steps == 0 else 0 :]
            self.noted.append(dict.fromkeys(parts, 0.0))
        step = self.noted[-1]
        for name, part in zip(parts, torch.stack(list(parts.values())).tolist(), strict=True):
            step[name] += part * trainer.world_size
        if (number + 1) % accumulated == 0:
            rate = trainer.lr_scheduler_configs[0].scheduler.get_last_lr()[0]
            for name in dict.fromkeys(name for step in self.noted for name in step):
                values = [step[name] for step in self.noted if name in step]
                mean = math.fsum(values) / len(values)
                shown = name == "loss"
                self.log(f"train/{name}", mean, prog_bar=shown, batch_size=1, sync_dist=trainer.world_size > 1)
            self.log("train/learning_rate", rate)

    def of_all_processes(self, value: Any) -> list[Any]:
        """The values of all processes, gathered in each."""
        parts = [value] * self.trainer.world_size
        if len(parts) > 1:
            torch.distributed.all_gather_object(parts, value)
        return parts

    def configure_optimizers(self) -> dict[str, Any]:
        """AdamW without weight decay on biases and norms, and the schedule."""
        trained = [parameter for parameter in self.parameters() if parameter.requires_grad]
        groups = [
            {"params": [parameter for parameter in trained if parameter.ndim > 1]},
            {"params": [parameter for parameter in trained if parameter.ndim <= 1], "weight_decay": 0.0},
        ]
        rate, decay = self.options.learning_rate, self.options.weight_decay
        optimizer = torch.optim.AdamW(groups, lr=rate, betas=self.betas, weight_decay=decay)
        # estimated_stepping_batches would create the batches before the number of completed steps is known
        steps = self.trainer.datamodule.steps
        scheduler = get_scheduler(self.options.transformers_schedule, optimizer, self.options.warmup_of(steps), steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        states = {"cpu": torch.get_rng_state()}  # for dropout: a resumed run equals an uninterrupted one
        if self.device.type == "cuda":
            states["cuda"] = torch.cuda.get_rng_state(self.device)
        states["noted"] = self.noted
        checkpoint["rng"] = self.of_all_processes(states)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.resumed_rng = checkpoint["rng"]

    def on_train_start(self) -> None:
        if self.resumed_rng:
            states = self.resumed_rng[self.trainer.global_rank]
            torch.set_rng_state(states["cpu"].cpu())
            self.noted = states["noted"]
            if "cuda" in states:
                torch.cuda.set_rng_state(states["cuda"].cpu(), self.device)


class Batches:
    """The batches of a whole run: one pass over the chunks after another, each in its own order.

    Lightning sees one epoch, so it can evaluate, stop and resume at any step.

    Args:
        chunks: The numbers of the chunks to draw from.
        size: Chunks per batch.
        count: Batches of this process.
        rank, world: This process takes every `world`-th batch.
        done: Batches that this process completed before the run was interrupted.
    """

    def __init__(self, chunks: list[int], size: int, count: int, seed: int, rank: int, world: int, done: int):
        self.chunks, self.size, self.count, self.seed = chunks, size, count, seed
        self.rank, self.world, self.done = rank, world, done

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[list[int]]:
        for number in range(self.done, self.count):
            yield self.drawn(number * self.world + self.rank)

    def turn(self, number: int) -> int:
        """The number of the pass over the chunks to which a batch belongs."""
        return number // math.ceil(len(self.chunks) / self.size)

    def drawn(self, number: int) -> list[int]:
        """The chunks of a batch; batches are numbered over all processes."""
        turn, place = self.turn(number), number % math.ceil(len(self.chunks) / self.size)
        order = shuffled(len(self.chunks), self.seed + turn)
        return [self.chunks[n] for n in order[place * self.size : (place + 1) * self.size]]


@lru_cache(maxsize=2)  # a step may span two passes
def shuffled(count: int, seed: int) -> list[int]:
    """The numbers 0 to `count` - 1 in random order."""
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed)).tolist()


class TrainData(LightningDataModule):
    """Chunks in batches, drawn for a whole run.

    Args:
        read: The numbers of the train chunks to draw from.
    """

    def __init__(self, read: list[int], options: StepOptions, num_workers: int):
        super().__init__()
        self.read, self.options, self.num_workers = read, options, num_workers

    def loader(self, rows: Any, batches: Any, collate: Any) -> DataLoader:
        """A loader of batches of rows that draws nothing from the global random generator."""
        generator = torch.Generator().manual_seed(SEED_OF_LOADERS)
        return DataLoader(
            rows, batch_sampler=batches, collate_fn=collate, num_workers=self.num_workers, generator=generator
        )

    @property
    def steps(self) -> int:
        """Optimizer steps of the whole run."""
        return self.options.steps_of(len(self.read), self.trainer.world_size)

    def make_batches(self, kind: type[Batches] = Batches) -> Batches:
        """The remaining batches of this process."""
        trainer, accumulated = self.trainer, self.options.gradient_accumulation_steps
        count, done = self.steps * accumulated, trainer.global_step * accumulated
        where = (trainer.global_rank, trainer.world_size, done)
        self.batches = kind(self.read, self.options.batch_size, count, self.options.seed, *where)
        return self.batches

    def numbers_of_step(self, step: int) -> range:
        """The numbers of the batches of an optimizer step, over all processes."""
        each = self.options.gradient_accumulation_steps * self.trainer.world_size
        return range(step * each, (step + 1) * each)

    def turns(self, count: int) -> list[list[int]]:
        """Batches that cover `count` chunks, the same number in each process, as collective operations require.

        A few chunks may occur twice.
        """
        world, size = self.trainer.world_size, self.options.batch_size
        numbers = [(self.trainer.global_rank + turn * world) % count for turn in range(math.ceil(count / world))]
        return [numbers[n : n + size] for n in range(0, len(numbers), size)]
