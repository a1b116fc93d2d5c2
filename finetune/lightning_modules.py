"""A token classifier and its chunks as PyTorch Lightning wants them: a LightningModule and a LightningDataModule."""

import math
from collections.abc import Iterator
from dataclasses import asdict
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
        self.resumed_rng: list[dict[str, Tensor]] = []  # of each process

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
        checkpoint["rng"] = self.of_all_processes(states)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.resumed_rng = checkpoint["rng"]

    def on_train_start(self) -> None:
        if self.resumed_rng:
            states = self.resumed_rng[self.trainer.global_rank]
            torch.set_rng_state(states["cpu"].cpu())
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
        """As many batches in each process, since all take part in each; a few chunks come twice for that."""
        count, world, size = len(self.validation.chunks), self.trainer.world_size, self.options.batch_size
        numbers = [(self.trainer.global_rank + turn * world) % count for turn in range(math.ceil(count / world))]
        return self.loader(self.validation, [numbers[n : n + size] for n in range(0, len(numbers), size)])
