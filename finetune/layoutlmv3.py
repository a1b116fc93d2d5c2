"""LayoutLMv3 as a classifier of words or blocks: everything from pages to predictions, in one run folder."""

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
from documents.pages import PageOptions, Splits, flat
from documents.sources import source_of
from finetune import lightning_training, training
from finetune.hub import check_push
from finetune.layoutlmv3_model import (
    READING,
    LayoutBase,
    PageReading,
    load_image_processor,
    load_layout,
    load_transformers,
    normalised,
)
from finetune.lightning_modules import ChunkData, TokenClassifier
from finetune.lightning_training import LightningOptions
from finetune.model_card import push, write_card
from finetune.outputs import Results, circumstances, device_name, finish, settings_of, write_results
from finetune.predicting import predict_scores
from finetune.prepared import prepare
from finetune.run_folder import base_folder, begin, quiet_libraries
from finetune.seals import check_seal, hash_of, seal
from finetune.training import Collator, TrainingOptions
from preprocess.errors import InputError
from preprocess.files import PathFlag, read_json, write_json
from preprocess.schema import TRAINED, check

DEFAULTS = {  # those of the systems that used the one and the other
    "lightning": {"epochs": 5.0, "batch_size": 2, "learning_rate": 1e-4, "schedule": "linear"},
    "hf": {"steps": 1000, "batch_size": 6, "learning_rate": 1e-5, "schedule": "cosine", "eval_steps": 100},
}


@dataclass(frozen=True)
class LayoutLMv3Config:
    """Fine-tune LayoutLMv3 to classify words or blocks of pages, and write predictions for the results table.

    Args:
        model: A hub id, a folder in transformers' form, or random (small, with a tokenizer of its own).
        dataset: funsd, doclaynet (DocBank's folders too) or annotations (what run_preprocess_annotations.py makes).
        output_dir: The run folder: configuration, logs, checkpoints, model, metrics, predictions.
        trainer: lightning or hf. Defaults: lightning 5 epochs, batches of 2, learning rate 1e-4, linear, evaluated each
            epoch; hf 1000 steps, batches of 6, learning rate 1e-5, cosine, evaluated every 100 steps.
        max_length: Tokens of a chunk, at most those of the model.
        stride: Tokens that a chunk shares with the one before.
        boxes: Whose box a word has: that of its segment (segment: of its entity, or its part of a line) or its own
            (word). The model remembers it, and run_predict_layoutlmv3.py does the same.
        overwrite: Begin anew where the run folder holds a run.
        push_to_hub: Upload the model, with its processor and its card, as USER/NAME; default nowhere.
        private: To a private repository.
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
    overwrite: bool = False
    push_to_hub: str = ""
    private: bool = False
    pages: PageOptions = field(default_factory=PageOptions)
    training: TrainingOptions = field(
        default_factory=lambda: TrainingOptions(
            steps=None, batch_size=None, learning_rate=None, schedule=None, eval_steps=None
        )
    )
    lightning: LightningOptions = field(default_factory=LightningOptions)

    def __post_init__(self) -> None:
        check_push(self.push_to_hub, self.private)
        check_boxes_flag(self.boxes)
        if self.trainer not in DEFAULTS:
            raise InputError(f"--trainer {self.trainer}: expected {' or '.join(DEFAULTS)}")
        if self.stride < 0 or self.max_length < self.stride + SPECIAL_TOKENS + 1:
            raise InputError(
                f"--stride {self.stride}: expected 0 to less than --max_length {self.max_length} without special tokens"
            )
        precision = self.lightning.precision
        if self.trainer == "hf" and precision not in ("32-true", "bf16-mixed"):
            raise InputError(f"--precision {precision}: expected 32-true or bf16-mixed with --trainer hf")
        if self.trainer == "hf" and self.lightning != LightningOptions(precision=precision):
            raise InputError("--trainer hf: takes no --accelerator, --devices, --strategy and --num_workers")


def finetune_layoutlmv3(config: LayoutLMv3Config) -> None:
    """Train, or go on with it, then predict the test blocks with the best checkpoint."""
    if "TORCHELASTIC_RUN_ID" in os.environ:
        raise InputError("torchrun: run it as plain python; --devices says on how many devices Lightning trains")
    config = replace(config, training=config.training.filled(**DEFAULTS[config.trainer]))
    folder = Path(config.output_dir)
    leads = is_first_process()
    if leads and begin(config):
        if config.push_to_hub:
            push(folder, config.push_to_hub, config.private)
        return
    quiet_libraries()
    lightning_training.quiet_lightning()
    if config.trainer == "lightning":
        lightning_training.check(config.lightning)
    source = source_of(config.dataset, config.pages.path, config.pages.box_unit, config.boxes)
    config.training.check_labels(source.label_words)
    image_processor = load_image_processor(config.model)
    splits, images = prepare(config.pages, config.training.seed, source, image_processor, folder)
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
    """The model with its best weights, and how it was trained: now, or in a session before that came to its end."""
    folder = Path(config.output_dir)
    trained = folder / "training.json"
    if trained.exists():
        check_seal(folder / "model")
        model, _ = load_transformers(str(folder / "model"), encoded["train"].label_words)
        on_gpu = torch.cuda.is_available() and config.lightning.accelerator != "cpu"
        return replace(base, model=model.to("cuda" if on_gpu else "cpu")), check(
            read_json(trained, "--output_dir"), TRAINED, str(trained), needed=True
        )
    seed_everything(config.training.seed, verbose=False)  # dropout is the same whether `base` was made or found
    progress = (by_lightning if config.trainer == "lightning" else by_hf)(config, base, encoded, collator)
    if is_first_process():
        kept = PageReading(config.boxes, chunk_length(config, base), config.stride)
        setattr(base.model.config, READING, asdict(kept))
        base.model.save_pretrained(folder / "model")
        base.processor.save_pretrained(folder / "model")
        seal(folder / "model")
        write_json(trained, progress)
    return base, progress


def is_first_process() -> bool:
    """Lightning starts the command again for each further device."""
    return int(os.environ.get("LOCAL_RANK", "0")) == 0


def record(config: LayoutLMv3Config) -> None:
    """Write whose run the folder holds, once it is known that it can begin."""
    if is_first_process():
        about = {"configuration": asdict(config)} | circumstances()
        write_json(Path(config.output_dir) / "configuration.json", about)


def encode(
    config: LayoutLMv3Config, splits: Splits, base: LayoutBase, label_words: Sequence[str]
) -> dict[str, Encoded]:
    """Each split in chunks no longer than the model takes; of the test split the first `--limit` blocks.

    Raises:
        InputError: It does not take more than the stride.
    """
    length = chunk_length(config, base)
    if length < config.stride + SPECIAL_TOKENS + 1:
        raise InputError(f"--stride {config.stride}: {config.model} takes only {length} tokens")
    encoded = {
        split: Encoded(chunk_layout(pages, base.processor.tokenizer, length, config.stride), flat(pages), label_words)
        for split, pages in splits.by_name().items()
    }
    return encoded | {"test": encoded["test"].first(config.pages.limit)}


def chunk_length(config: LayoutLMv3Config, base: LayoutBase) -> int:
    """Tokens of a chunk: `--max_length`, or what the model takes."""
    places = base.model.config.max_position_embeddings - base.processor.tokenizer.pad_token_id - 1
    return min(config.max_length, places)


def collate_layout(batch: Sequence[dict[str, Any]], base: LayoutBase, images: ImageFile) -> dict[str, Tensor]:
    """Rows as a batch: `collate`'s tensors and pixel_values (B, 3, S, S)."""
    found = images[[row["image"] for row in batch]]
    return collate(batch, base.processor.tokenizer.pad_token_id) | {"pixel_values": normalised(base.processor, found)}


def by_lightning(
    config: LayoutLMv3Config, base: LayoutBase, encoded: dict[str, Encoded], collator: Collator
) -> dict[str, Any]:
    """Train `base.model` with Lightning; steps and seconds, for the metrics."""
    folder, options = Path(config.output_dir), config.training
    module = TokenClassifier(base.model, options, encoded["validation"])
    trainer = lightning_training.make_trainer(options, config.lightning, folder, sys.stderr.isatty())
    record(config)
    workers = config.lightning.num_workers
    data = ChunkData(encoded["train"], encoded["validation"], collator, options, workers)
    return lightning_training.train(trainer, module, data, folder)


def by_hf(
    config: LayoutLMv3Config, base: LayoutBase, encoded: dict[str, Encoded], collator: Collator
) -> dict[str, Any]:
    """Train `base.model` with transformers' Trainer; steps and seconds, for the metrics."""
    folder, bf16 = Path(config.output_dir), config.lightning.precision == "bf16-mixed"
    record(config)
    trainer = training.make_trainer(
        base.model,
        config.training,
        folder,
        encoded["train"],
        encoded["validation"],
        collator,
        bf16=bf16,
        show_progress=sys.stderr.isatty(),
    )
    training.train(trainer, folder)
    return training.progress(trainer)
