"""The run of LayoutLMv3 as a classifier of words or blocks, from pages to predictions."""

import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import seed_everything
from torch import Tensor

from documents.boxes import SEGMENT, check_boxes_flag
from documents.chunks import SPECIAL_TOKENS, Encoded, chunk_layout, collate
from documents.images import ImageFile
from documents.layoutlmv3 import checkpoint_gradients, chunk_length, load_image_processor, normalised
from documents.pages import PageOptions, Splits, flat, read_splits
from documents.prepared import prepare
from documents.sources import source_of
from finetune import training
from finetune.hub import END, check_push
from finetune.layoutlmv3.model import READING, LayoutBase, PageReading, load_layout, load_transformers
from finetune.layoutlmv3.modules import ChunkData, TokenClassifier
from finetune.layoutlmv3.preview import show
from finetune.model_card import push, write_card
from finetune.outputs import Results, device_name, finish, settings_of, write_results
from finetune.predicting import predict_scores
from finetune.push_checkpoints import pushed
from finetune.training import Collator, TrainingOptions
from preprocess.errors import InputError
from preprocess.files import PathFlag, names_full_disk, read_json, write_json
from preprocess.schema import TRAINED, check
from preprocess.seals import check_seal, hash_of, seal
from training import lightning as by_pytorch_lightning
from training.lightning import LightningOptions
from training.run_folder import base_folder, begin, environment, is_first_process, quiet_libraries

DEFAULTS = {  # those of the earlier systems with these trainers
    "lightning": {"epochs": 5.0, "batch_size": 2, "learning_rate": 1e-4, "schedule": "linear"},
    "hf": {"steps": 1000, "batch_size": 6, "learning_rate": 1e-5, "schedule": "cosine", "eval_steps": 100},
}


@dataclass(frozen=True)
class LayoutLMv3Config:
    """Fine-tune LayoutLMv3 to classify the words or blocks of pages, and write predictions for the results table.

    Args:
        model: A hub id, a folder in transformers' format, or random (a small model with its own tokenizer).
        dataset: funsd, doclaynet (also for DocBank's folders) or annotations (written by
            run_preprocess_annotations.py).
        output_dir: Run folder: configuration, logs, checkpoints, model, metrics, predictions.
        trainer: lightning or hf. Defaults: lightning 5 epochs, batches of 2, learning rate 1e-4, linear, evaluated each
            epoch; hf 1000 steps, batches of 6, learning rate 1e-5, cosine, evaluated every 100 steps.
        max_length: Tokens in a chunk, at most the model's maximum.
        stride: Tokens that a chunk shares with the previous one.
        boxes: Box of each word: that of its segment (segment: its entity, or its part of a line) or its own (word). The
            model stores this choice for run_predict_layoutlmv3.py.
        preview: Draw the first training pages with boxes and labels into this folder, print a chunk with its tokens,
            boxes and labels, and stop.
        overwrite: Start over if the run folder contains a run.
        push_to_hub: Upload the model with its processor and model card as USER/NAME.
        private: Upload to a private repository.
        hub_strategy: When to upload: end, or with --trainer hf also while training: every_save (the model of each
            checkpoint), checkpoint (also the last checkpoint, as last-checkpoint/) or all_checkpoints (each as
            checkpoint-N/).
        pages: Where pages come from.
        training: How the model is trained.
        lightning: Where it computes.
    """

    model: PathFlag = "microsoft/layoutlmv3-base"
    dataset: str = "funsd"
    output_dir: PathFlag = "runs/layoutlmv3"
    trainer: str = "lightning"
    max_length: int = 512
    stride: int = 128
    boxes: str = SEGMENT
    preview: PathFlag = ""
    overwrite: bool = False
    push_to_hub: str = ""
    private: bool = False
    hub_strategy: str = END
    pages: PageOptions = field(default_factory=PageOptions)
    training: TrainingOptions = field(
        default_factory=lambda: TrainingOptions(
            steps=None, batch_size=None, learning_rate=None, schedule=None, eval_steps=None
        )
    )
    lightning: LightningOptions = field(default_factory=LightningOptions)

    def __post_init__(self) -> None:
        check_push(self.push_to_hub, self.private, self.hub_strategy)
        check_boxes_flag(self.boxes)
        if self.trainer not in DEFAULTS:
            raise InputError(f"--trainer {self.trainer}: expected {' or '.join(DEFAULTS)}")
        if self.stride < 0 or self.max_length < self.stride + SPECIAL_TOKENS + 1:
            raise InputError(
                f"--stride {self.stride}: expected 0 or more, and less than --max_length {self.max_length} "
                f"minus {SPECIAL_TOKENS} special tokens"
            )
        precision = self.lightning.precision
        if self.trainer == "hf" and precision not in ("32-true", "bf16-mixed"):
            raise InputError(f"--precision {precision}: expected 32-true or bf16-mixed with --trainer hf")
        if self.trainer != "hf" and self.hub_strategy != END:
            raise InputError(f"--hub_strategy {self.hub_strategy}: expected only with --trainer hf")
        if self.trainer == "hf" and self.lightning != LightningOptions(precision=precision):
            raise InputError("--trainer hf: takes no --accelerator, --devices, --strategy and --num_workers")


@names_full_disk
def finetune_layoutlmv3(config: LayoutLMv3Config) -> None:
    """Train or resume, then predict the test blocks with the best checkpoint."""
    if "TORCHELASTIC_RUN_ID" in os.environ:
        raise InputError("torchrun: run this script with plain python; --devices sets the number of devices")
    config = replace(config, training=config.training.filled(**DEFAULTS[config.trainer]))
    folder = Path(config.output_dir)
    if config.preview:
        show(config, source_of(config.dataset, config.pages.path, config.pages.box_unit, config.boxes))
        return
    leads = is_first_process()
    if leads and begin(config):
        if config.push_to_hub:
            push(folder, config.push_to_hub, config.private)
        return
    quiet_libraries()
    by_pytorch_lightning.quiet_lightning()
    if config.trainer == "lightning":
        by_pytorch_lightning.check(config.lightning)
    source = source_of(config.dataset, config.pages.path, config.pages.box_unit, config.boxes)
    config.training.check_labels(source.label_words)
    image_processor = load_image_processor(config.model)
    splits, images = prepare(partial(read_splits, config.pages, config.training.seed, source), image_processor, folder)
    seed_everything(config.training.seed, verbose=False)
    texts = [block.text for block in flat(splits.train)]
    base = load_layout(config.model, source.label_words, texts, base_folder(folder, config.model))
    encoded = encode(config, splits, base, source.label_words)
    collator = partial(collate_layout, base=base, images=images)
    base, trained = fine_tuned(config, base, encoded, collator)
    if not leads:
        return
    about = {
        "model_sha256": hash_of(folder / "model/model.safetensors"),
        "settings": settings_of(config),
        "configuration": asdict(config),
        "checkpoint": base.name,
        "checkpoint_path": config.model,
        "device": device_name(base.model),
    }
    results = Results(folder, "layoutlmv3", source, config.pages.test_split, splits, encoded, about)
    bf16 = config.lightning.precision == "bf16-mixed"
    scored = partial(predict_scores, base.model, collator=collator, batch_size=config.training.batch_size, bf16=bf16)
    metrics = write_results(results, scored)
    write_card(config.model, base.name, source, metrics, folder)
    finish(folder, metrics | trained)
    if config.push_to_hub:
        push(folder, config.push_to_hub, config.private)


def fine_tuned(
    config: LayoutLMv3Config, base: LayoutBase, encoded: dict[str, Encoded], collator: Collator
) -> tuple[LayoutBase, dict[str, Any]]:
    """The model with its best weights, and entries of the metrics; loaded if an earlier session finished training."""
    folder = Path(config.output_dir)
    trained = folder / "training.json"
    if trained.exists():
        check_seal(folder / "model")
        model, _ = load_transformers(str(folder / "model"), encoded["train"].label_words)
        on_gpu = torch.cuda.is_available() and config.lightning.accelerator != "cpu"
        progress = check(read_json(trained, "--output_dir"), TRAINED, str(trained), needed=True)
        return replace(base, model=model.to("cuda" if on_gpu else "cpu")), progress
    if config.training.gradient_checkpointing:
        checkpoint_gradients(base.model)
    seed_everything(config.training.seed, verbose=False)  # the same dropout, whether `base` was created or loaded
    progress = (by_lightning if config.trainer == "lightning" else by_hf)(config, base, encoded, collator)
    if is_first_process():
        reading = PageReading(config.boxes, chunk_length(base.model, base.processor, config.max_length), config.stride)
        setattr(base.model.config, READING, asdict(reading))
        base.model.save_pretrained(folder / "model")
        base.processor.save_pretrained(folder / "model")
        seal(folder / "model")
        write_json(trained, progress)
    return base, progress


def record(config: LayoutLMv3Config) -> None:
    """Write the configuration of the run, once it is known that it can start."""
    if is_first_process():
        about = {"configuration": asdict(config)} | environment()
        write_json(Path(config.output_dir) / "configuration.json", about)


def encode(
    config: LayoutLMv3Config, splits: Splits, base: LayoutBase, label_words: Sequence[str]
) -> dict[str, Encoded]:
    """Each split in chunks that fit the model; of the test split only the first `--limit` blocks.

    Raises:
        InputError: The model's maximum length is not above the stride.
    """
    length = chunk_length(base.model, base.processor, config.max_length)
    if length < config.stride + SPECIAL_TOKENS + 1:
        raise InputError(f"--stride {config.stride}: {config.model} takes only {length} tokens")
    encoded = {
        split: Encoded(chunk_layout(pages, base.processor.tokenizer, length, config.stride), flat(pages), label_words)
        for split, pages in splits.by_name().items()
    }
    return encoded | {"test": encoded["test"].first(config.pages.limit)}


def collate_layout(batch: Sequence[dict[str, Any]], base: LayoutBase, images: ImageFile) -> dict[str, Tensor]:
    """Rows as a batch: `collate`'s tensors and pixel_values (B, 3, S, S)."""
    collated = collate(batch, base.processor.tokenizer.pad_token_id)
    if not base.model.config.visual_embed:  # pre-trained on texts and boxes only
        return collated
    return collated | {"pixel_values": normalised(base.processor, images[[row["image"] for row in batch]])}


def by_lightning(
    config: LayoutLMv3Config, base: LayoutBase, encoded: dict[str, Encoded], collator: Collator
) -> dict[str, Any]:
    """Train `base.model` with Lightning; steps and seconds, for the metrics."""
    folder, options = Path(config.output_dir), config.training
    module = TokenClassifier(base.model, options, encoded["validation"])
    trainer = by_pytorch_lightning.make_trainer(
        options, config.lightning, folder, sys.stderr.isatty(), options.best_by, "max"
    )
    record(config)
    workers = config.lightning.num_workers
    data = ChunkData(encoded["train"], encoded["validation"], collator, options, workers)
    return by_pytorch_lightning.train(trainer, module, data, folder)


def by_hf(
    config: LayoutLMv3Config, base: LayoutBase, encoded: dict[str, Encoded], collator: Collator
) -> dict[str, Any]:
    """Train `base.model` with transformers' Trainer; steps and seconds, for the metrics."""
    folder, bf16 = Path(config.output_dir), config.lightning.precision == "bf16-mixed"
    record(config)
    trainer = training.make_trainer(
        base.model,
        replace(config.training, gradient_checkpointing=False),  # `fine_tuned` has enabled it
        folder,
        encoded["train"],
        encoded["validation"],
        collator,
        bf16=bf16,
        show_progress=sys.stderr.isatty(),
        callbacks=pushed(config.push_to_hub, config.private, config.hub_strategy, base.processor.save_pretrained),
    )
    training.train(trainer, folder)
    return training.progress(trainer)
