"""Pre-training in PyTorch Lightning: a LightningModule for the model, a LightningDataModule for masked chunks."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from transformers import LayoutLMv3Processor

from documents.chunks import IGNORED, Chunk
from documents.images import ImageFile
from preprocess.errors import InputError
from pretrain.examples import Example, Masker, collate
from pretrain.model import PretrainingModel
from training.lightning import BEST, LAST
from training.modules import Batches, TrainData, TrainedModule
from training.options import StepOptions

PAGES_PER_STEP = 2048  # in the paper
KEPT = {"best": BEST, "last": LAST}  # checkpoints whose weights the model may have at the end


@dataclass(frozen=True)
class PretrainingOptions(StepOptions):
    """How the model is trained. The defaults are those of the paper's base model: 2,048 pages per step.

    Args:
        steps: Optimizer steps; default 500000.
        adam_beta1: Beta 1 of AdamW.
        adam_beta2: Beta 2 of AdamW.
        keep: Weights of the model at the end: best (lowest loss on the held-out pages) or last.
    """

    batch_size: int | None = 8
    gradient_accumulation_steps: int = PAGES_PER_STEP // 8
    warmup: float = 0.048
    weight_decay: float = 0.01
    eval_steps: int | None = 1000
    adam_beta1: float = 0.9
    adam_beta2: float = 0.98
    keep: str = "best"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.keep not in KEPT:
            raise InputError(f"--keep {self.keep}: expected best or last")
        for flag in ("adam_beta1", "adam_beta2"):
            if not 0 <= getattr(self, flag) < 1:
                raise InputError(f"--{flag} {getattr(self, flag)}: expected a number from 0 to below 1")


class Pretraining(TrainedModule):
    """The model with its loss, its optimizer, and its metrics on the held-out pages.

    Args:
        model: The model to train.
        shares: Objective -> accuracy of the most frequent answer on the held-out pages.
    """

    def __init__(self, model: PretrainingModel, options: PretrainingOptions, shares: dict[str, float]):
        super().__init__(options)
        self.model, self.shares = model, shares
        self.betas = (options.adam_beta1, options.adam_beta2)
        self.seen: dict[int, dict[str, tuple[float, int, int]]] = {}  # chunk -> objective -> loss, right, targets

    def training_step(self, batch: dict[str, Any], number: int) -> Tensor:
        """This batch's part of the loss of the whole step.

        That loss is the sum over objectives of the mean over all targets, on all devices and in all accumulated
        batches. Lightning averages over batches and devices, so the part is multiplied by their number.
        """
        trainer, accumulated = self.trainer, self.options.gradient_accumulation_steps
        batch.pop("chunk")
        targets = trainer.datamodule.targets_of_step(trainer.global_step)
        results = self.model(batch)
        parts = {name: losses.sum() / max(targets[name], 1) for name, (losses, _, _) in results.items()}
        part = sum(parts.values())
        figures = {"loss": part.detach()}
        for name, (_, right, _) in results.items():
            if targets[name]:
                figures |= {f"{name}_loss": parts[name].detach(), f"{name}_accuracy": right.sum() / targets[name]}
        self.note(figures, number)
        return part * accumulated * trainer.world_size

    def validation_step(self, batch: dict[str, Any], _: int) -> None:
        """Store the summed loss, the correct predictions and the targets of each chunk."""
        chunks = batch.pop("chunk").tolist()
        results = self.model(batch)
        for place, chunk in enumerate(chunks):
            self.seen[chunk] = {}
            for name, (losses, right, rows) in results.items():
                mine = rows == place
                figures = (math.fsum(losses[mine].tolist()), int(right[mine].sum()), int(mine.sum()))
                self.seen[chunk][name] = figures

    def on_validation_epoch_end(self) -> None:
        """Log the metrics over the chunks of all processes."""
        seen = {chunk: figures for part in self.of_all_processes(self.seen) for chunk, figures in part.items()}
        self.seen = {}
        figures = {"loss": 0.0}
        for name in self.model.objectives:
            parts = [seen[chunk][name] for chunk in sorted(seen)]
            targets = max(sum(count for _, _, count in parts), 1)
            figures[f"{name}_loss"] = math.fsum(loss for loss, _, _ in parts) / targets
            figures[f"{name}_accuracy"] = sum(right for _, right, _ in parts) / targets
            figures[f"{name}_most_frequent"] = self.shares[name]
            figures["loss"] += figures[f"{name}_loss"]
        self.log_dict({f"eval/{name}": value for name, value in figures.items()}, rank_zero_only=False)


class Turns(Batches):
    """Batches of (pass, chunk), because the masks of a chunk differ between passes."""

    def drawn(self, number: int) -> list[tuple[int, int]]:
        return [(self.turn(number), chunk) for chunk in super().drawn(number)]


class TrainExamples(Dataset):
    """The examples of (pass, chunk)."""

    def __init__(self, chunks: Sequence[Chunk], masker: Masker):
        self.chunks, self.masker = chunks, masker

    def __getitem__(self, key: tuple[int, int]) -> tuple[int, Example]:
        turn, number = key
        return number, self.masker.of_training(self.chunks[number], number, turn)


class PretrainingData(TrainData):
    """The chunks of the train pages and of the held-out pages, masked, in batches.

    Args:
        images: The images to which the chunks refer by index.
        visual: Whether the model reads images.
    """

    def __init__(
        self,
        train: Sequence[Chunk],
        held_out: Sequence[Chunk],
        masker: Masker,
        processor: LayoutLMv3Processor,
        images: ImageFile,
        options: PretrainingOptions,
        num_workers: int,
        visual: bool = True,
    ):
        super().__init__(list(range(len(train))), options, num_workers)
        self.examples = TrainExamples(train, masker)
        self.held_out = [(number, masker.held_out(chunk, number)) for number, chunk in enumerate(held_out)]
        self.collator = partial(collate, processor=processor, images=images, visual=visual)
        self.targets_of_step = lru_cache(maxsize=1)(self.count_targets)  # all batches of a step need it

    def collate(self, rows: list[tuple[int, Example]]) -> dict[str, Any]:
        """Examples as a batch, with the indices of their chunks."""
        return self.collator([example for _, example in rows]) | {"chunk": torch.tensor([number for number, _ in rows])}

    def train_dataloader(self) -> DataLoader:
        return self.loader(self.examples, self.make_batches(Turns), self.collate)

    def val_dataloader(self) -> DataLoader:
        return self.loader(self.held_out, self.turns(len(self.held_out)), self.collate)

    def count_targets(self, step: int) -> dict[str, int]:
        """Number of targets of each objective in an optimizer step, over all batches of all processes."""
        counts: Counter[str] = Counter()
        for example in self.examples_of_step(step):
            counts.update(example.targets())
        return counts

    def examples_of_step(self, step: int) -> Iterator[Example]:
        """The examples of an optimizer step, over all processes."""
        for number in self.numbers_of_step(step):
            for key in self.batches.drawn(number):
                yield self.examples[key][1]

    def shares(self) -> dict[str, float]:
        """For each objective, the accuracy of the most frequent answer on the held-out pages."""
        shares = {}
        for name in self.held_out[0][1].labels:
            labels = (label for _, example in self.held_out for label in example.labels[name])
            counts = Counter(label for label in labels if label != IGNORED)
            shares[name] = max(counts.values(), default=0) / max(sum(counts.values()), 1)
        return shares
