"""A token classifier in PyTorch Lightning: a LightningModule for the model, a LightningDataModule for its chunks."""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader

from documents.chunks import IGNORED, Encoded
from finetune.block_metrics import block_metrics
from finetune.training import Collator, TrainingOptions, mean_loss
from training.modules import TrainData, TrainedModule


class TokenClassifier(TrainedModule):
    """A token classifier with its loss, its optimizer and its metrics on the validation pages.

    Args:
        model: Takes a collated batch without labels.
        validation: The validation split; each block counts once, regardless of the number of devices.
    """

    def __init__(self, model: nn.Module, options: TrainingOptions, validation: Encoded):
        super().__init__(options)
        self.model, self.validation = model, validation
        self.read: dict[int, tuple[str, float]] = {}  # block -> label word, loss

    def training_step(self, batch: dict[str, Tensor], number: int) -> Tensor:
        """This batch's part of the loss of the whole step, which is the mean over its blocks on all devices.

        Lightning averages over accumulated batches and devices, so the part is multiplied by their number.
        """
        trainer, accumulated = self.trainer, self.options.gradient_accumulation_steps
        batch.pop("chunk")
        labels = batch.pop("labels")
        part = mean_loss(self.model(**batch), labels, trainer.datamodule.blocks_of_step(trainer.global_step))
        self.note({"loss": part.detach()}, number)
        return part * accumulated * trainer.world_size

    def validation_step(self, batch: dict[str, Tensor], _: int) -> None:
        """Store prediction and loss of each block."""
        numbers, labels = batch.pop("chunk").tolist(), batch.pop("labels")
        logits = self.model(**batch).logits.float()
        places = logits.argmax(-1).tolist()
        losses = cross_entropy(logits.transpose(1, 2), labels, ignore_index=IGNORED, reduction="none").tolist()
        for number, predicted, loss in zip(numbers, places, losses, strict=True):
            for position, block in self.validation.chunks[number].reads:
                self.read[block] = (self.validation.label_words[predicted[position]], loss[position])

    def on_validation_epoch_end(self) -> None:
        """Log the metrics over the blocks of all processes."""
        read = {block: value for part in self.of_all_processes(self.read) for block, value in part.items()}
        self.read = {}
        blocks, label_words = self.validation.blocks, self.validation.label_words
        predictions = [read[number][0] if number in read else None for number in range(len(blocks))]
        values = block_metrics(predictions, blocks, label_words)
        values["loss"] = math.fsum(loss for _, loss in read.values()) / max(len(read), 1)
        self.log_dict({f"eval/{name}": value for name, value in values.items()}, rank_zero_only=False)


class ChunkData(TrainData):
    """The chunks of the train and validation pages, in batches."""

    def __init__(
        self, train: Encoded, validation: Encoded, collator: Collator, options: TrainingOptions, num_workers: int
    ):
        super().__init__([number for number, chunk in enumerate(train.chunks) if chunk.reads], options, num_workers)
        self.train, self.validation, self.collator = train, validation, collator

    def collate(self, rows: list[dict[str, Any]]) -> dict[str, Tensor]:
        """Rows as a batch, with the indices of their chunks."""
        return self.collator(rows) | {"chunk": torch.tensor([row["chunk"] for row in rows])}

    def loader_of(self, encoded: Encoded, batches: Any) -> DataLoader:
        """A loader of a split."""
        rows = [row | {"chunk": number} for number, row in enumerate(encoded.rows())]
        return self.loader(rows, batches, self.collate)

    def train_dataloader(self) -> DataLoader:
        return self.loader_of(self.train, self.make_batches())

    def blocks_of_step(self, step: int) -> int:
        """Number of blocks in an optimizer step, over all batches of all processes."""
        batches = map(self.batches.drawn, self.numbers_of_step(step))
        return sum(len(self.train.chunks[chunk].reads) for batch in batches for chunk in batch)

    def val_dataloader(self) -> DataLoader:
        return self.loader_of(self.validation, self.turns(len(self.validation.chunks)))
