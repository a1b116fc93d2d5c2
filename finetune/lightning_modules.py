"""A token classifier and its chunks as PyTorch Lightning wants them: a LightningModule and a LightningDataModule."""

import math
from collections.abc import Iterator
from dataclasses import asdict
from functools import lru_cache
from typing import Any

import torch
from lightning.pytorch import LightningDataModule, LightningModule
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader
from transformers import get_scheduler

from documents.chunks import IGNORED, Encoded
from finetune.block_metrics import block_metrics
from finetune.training import Collator, TrainingOptions, mean_loss

SEED_OF_LOADERS = 0  # they draw one from the global generator else, and a resumed run would draw once more


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
        self.read: dict[int, tuple[str, float]] = {}  # block -> label word, loss
        self.lost: list[float] = []  # of each step since the last row of the log
        self.resumed_rng: list[dict[str, Tensor]] = []  # of each process

    def training_step(self, batch: dict[str, Tensor], number: int) -> Tensor:
        """The loss is that of the whole step, a mean over its blocks on all devices: Lightning takes the mean over the
        batches that accumulate and over the devices, whatever blocks they have, so it gets this batch's part as often.
        """
        trainer, accumulated = self.trainer, self.options.gradient_accumulation_steps
        if number % accumulated == 0:
            self.lost = self.lost[len(self.lost) if trainer.global_step % trainer.log_every_n_steps == 0 else 0 :]
            self.lost.append(0.0)
        batch.pop("chunk")
        labels = batch.pop("labels")
        part = mean_loss(self.model(**batch), labels, trainer.datamodule.blocks_of_step(trainer.global_step))
        self.lost[-1] += part.item() * trainer.world_size
        if (number + 1) % accumulated == 0:
            rate = trainer.lr_scheduler_configs[0].scheduler.get_last_lr()[0]
            mean = math.fsum(self.lost) / len(self.lost)
            self.log("train/loss", mean, prog_bar=True, batch_size=1, sync_dist=trainer.world_size > 1)
            self.log("train/learning_rate", rate)
        return part * accumulated * trainer.world_size

    def validation_step(self, batch: dict[str, Tensor], _: int) -> None:
        numbers, labels = batch.pop("chunk").tolist(), batch.pop("labels")
        logits = self.model(**batch).logits.float()
        places = logits.argmax(-1).tolist()
        losses = cross_entropy(logits.transpose(1, 2), labels, ignore_index=IGNORED, reduction="none").tolist()
        for number, said, lost in zip(numbers, places, losses, strict=True):
            for position, block in self.validation.chunks[number].reads:
                self.read[block] = (self.validation.label_words[said[position]], lost[position])

    def on_validation_epoch_end(self) -> None:
        read = {block: found for part in self.of_all_processes(self.read) for block, found in part.items()}
        self.read = {}
        blocks, label_words = self.validation.blocks, self.validation.label_words
        said = [read[number][0] if number in read else None for number in range(len(blocks))]
        found = block_metrics(said, blocks, label_words)
        found["loss"] = math.fsum(loss for _, loss in read.values()) / max(len(read), 1)
        self.log_dict({f"eval/{name}": value for name, value in found.items()}, rank_zero_only=False)

    def of_all_processes(self, found: Any) -> list[Any]:
        """`found` of each process, in each."""
        parts = [found] * self.trainer.world_size
        if len(parts) > 1:
            torch.distributed.all_gather_object(parts, found)
        return parts

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
        states = {"cpu": torch.get_rng_state()}  # of dropout: a resumed run goes on as one that was not stopped
        if self.device.type == "cuda":
            states["cuda"] = torch.cuda.get_rng_state(self.device)
        states["lost"] = torch.tensor(self.lost, dtype=torch.float64)
        checkpoint["rng"] = self.of_all_processes(states)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.resumed_rng = checkpoint["rng"]

    def on_train_start(self) -> None:
        if self.resumed_rng:
            states = self.resumed_rng[self.trainer.global_rank]
            torch.set_rng_state(states["cpu"].cpu())
            self.lost = states["lost"].tolist()
            if "cuda" in states:
                torch.cuda.set_rng_state(states["cuda"].cpu(), self.device)


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
        for number in range(self.done, self.count):
            yield self.drawn(number * self.world + self.rank)

    def drawn(self, number: int) -> list[int]:
        """The chunks of a batch, numbered over all processes."""
        turn, place = divmod(number, math.ceil(len(self.chunks) / self.size))
        order = shuffled(len(self.chunks), self.seed + turn)
        return [self.chunks[n] for n in order[place * self.size : (place + 1) * self.size]]


@lru_cache(maxsize=2)  # a step may end one turn and begin the next
def shuffled(count: int, seed: int) -> list[int]:
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed)).tolist()


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
        count, done = self.steps * accumulated, trainer.global_step * accumulated
        where = (trainer.global_rank, trainer.world_size, done)
        self.batches = Batches(self.read, self.options.batch_size, count, self.options.seed, *where)
        return self.loader(self.train, self.batches)

    def blocks_of_step(self, step: int) -> int:
        """Blocks that a step of the optimizer reads, in all batches of all processes."""
        each = self.options.gradient_accumulation_steps * self.trainer.world_size
        batches = (self.batches.drawn(number) for number in range(step * each, (step + 1) * each))
        return sum(len(self.train.chunks[chunk].reads) for batch in batches for chunk in batch)

    def val_dataloader(self) -> DataLoader:
        """As many batches in each process, since all take part in each; a few chunks come twice for that."""
        count, world, size = len(self.validation.chunks), self.trainer.world_size, self.options.batch_size
        numbers = [(self.trainer.global_rank + turn * world) % count for turn in range(math.ceil(count / world))]
        return self.loader(self.validation, [numbers[n : n + size] for n in range(0, len(numbers), size)])
