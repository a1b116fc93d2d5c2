"""LLaMA with LoRA as a classifier of page blocks: everything from pages to predictions, in one run folder."""

import os
import shutil
import sys
import time
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import Trainer, set_seed

from evaluate.predictions import difference
from evaluate.run import dtype_name
from finetune.block_metrics import Scores, block_metrics, block_scores, class_f1, decisions, word_metrics
from finetune.chunks import Chunk, chunk_pages
from finetune.llama_model import Base, load_base
from finetune.outputs import circumstances, counts, sha256_of, summary, write_majority, write_rows
from finetune.pages import PageOptions, Splits, flat, read_splits
from finetune.training import TrainingOptions, labelled, last_checkpoint, make_trainer, with_adapter
from preprocess.blocks import LABEL_WORDS, Block
from preprocess.errors import InputError
from preprocess.files import check_writable, read_json, write_json

FOLDERS = ("checkpoints", "adapter", "merged", "base", "tensorboard")  # what a run makes
FILES = ("configuration.json", "metrics.json", "log.csv", "outputs_*.json")


@dataclass(frozen=True)
class LlamaLayoutConfig:
    """Fine-tune LLaMA with LoRA to classify the text blocks of pages, and write predictions for the results table.

    Args:
        model: A hub id, a folder in transformers' or in Meta's form, or random (small, with a tokenizer of its own).
        output_dir: The run folder: configuration, logs, checkpoints, adapter, metrics, predictions.
        max_length: Tokens of a chunk, at most those of the model.
        stride: Tokens that a chunk shares with the one before.
        dtype: Of the frozen weights: auto (bfloat16 on CUDA, else float32), float32 or bfloat16.
        merge: Save the model with the adapter merged into its weights too.
        overwrite: Begin anew where the run folder holds a run.
        pages: Where pages come from.
        training: How the adapter is trained.
    """

    model: str = "meta-llama/Llama-2-7b-hf"
    output_dir: str = "runs/llama-layout"
    max_length: int = 512
    stride: int = 128
    dtype: str = "auto"
    merge: bool = False
    overwrite: bool = False
    pages: PageOptions = field(default_factory=PageOptions)
    training: TrainingOptions = field(default_factory=TrainingOptions)

    def __post_init__(self) -> None:
        if self.dtype not in ("auto", "float32", "bfloat16"):
            raise InputError(f"--dtype {self.dtype}: expected auto, float32 or bfloat16")
        if self.stride < 0 or self.max_length < self.stride + 2:
            raise InputError(
                f"--stride {self.stride}: expected 0 to less than --max_length {self.max_length} without BOS"
            )


def finetune_llama(config: LlamaLayoutConfig) -> None:
    """Train, or go on with it, then predict the test blocks with the best checkpoint."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise InputError("more than one process: training takes one, run it as plain python")
    folder = Path(config.output_dir)
    check_writable(folder / "configuration.json", "--output_dir")
    if begin(config, folder):
        print(f"{folder}: finished already, same options; --overwrite repeats it")
        return
    quiet_libraries()
    splits = read_splits(config.pages, config.training.seed)
    set_seed(config.training.seed)
    dtype = torch.bfloat16 if use_bf16(config.dtype) else torch.float32
    texts = [block.text for block in flat(splits.train)]
    base = load_base(config.model, LABEL_WORDS, dtype, texts, folder / "base")
    chunks = chunk_splits(config, splits, base)
    write_json(folder / "configuration.json", {"configuration": asdict(config)} | circumstances())
    set_seed(config.training.seed)  # the adapter and the order are the same however the model was loaded
    trainer = make_trainer(
        with_adapter(base.model, config.training),
        config.training,
        folder,
        (chunks["train"], flat(splits.train)),
        (chunks["validation"], flat(splits.validation)),
        bf16=dtype == torch.bfloat16,
        show_progress=sys.stderr.isatty(),
    )
    seconds = train(trainer, folder)
    trainer.model.save_pretrained(folder / "adapter")
    base.tokenizer.save_pretrained(folder / "adapter")
    metrics = report(config, base, splits, chunks, trainer) | {"training_seconds": seconds}
    if config.merge:
        trainer.model.merge_and_unload().save_pretrained(folder / "merged")
        base.tokenizer.save_pretrained(folder / "merged")
    write_json(folder / "metrics.json", metrics)  # the last file: the run is finished
    print(summary(metrics, folder))


def begin(config: LlamaLayoutConfig, folder: Path) -> bool:
    """Whether the very run is finished; `--overwrite` clears what is there.

    Raises:
        InputError: Another run is there; names what differs.
    """
    if config.overwrite:
        for name in FOLDERS:
            shutil.rmtree(folder / name, ignore_errors=True)
        for path in [path for pattern in FILES for path in folder.glob(pattern)]:
            path.unlink()
    path = folder / "configuration.json"
    if not path.exists():
        return False
    recorded = read_json(path, "--output_dir")
    found, wanted = comparable(recorded["configuration"]), comparable(asdict(config))
    if found != wanted:
        other, ours = difference(found, wanted)
        raise InputError(f"{folder}: holds a run with {other}, now {ours}; --overwrite replaces it (--output_dir)")
    return (folder / "metrics.json").exists() and (not config.merge or (folder / "merged").exists())


def comparable(settings: dict[str, Any]) -> dict[str, Any]:
    """What makes a run another one: not where it lies, nor what is saved besides."""
    return {key: value for key, value in settings.items() if key not in ("output_dir", "merge", "overwrite")}


def quiet_libraries() -> None:
    """Bars only on a terminal, and none of transformers' remarks on itself."""
    transformers.logging.set_verbosity_error()
    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")
    if not sys.stderr.isatty():
        transformers.logging.disable_progress_bar()


def use_bf16(dtype: str) -> bool:
    return dtype == "bfloat16" or (dtype == "auto" and torch.cuda.is_available() and torch.cuda.is_bf16_supported())


def chunk_splits(config: LlamaLayoutConfig, splits: Splits, base: Base) -> dict[str, list[Chunk]]:
    """The chunks of each split, no longer than the model takes.

    Raises:
        InputError: It does not take more than the stride.
    """
    length = min(config.max_length, base.model.config.max_position_embeddings)
    if length < config.stride + 2:
        raise InputError(f"--stride {config.stride}: {config.model} takes only {length} tokens")
    pages = {"train": splits.train, "validation": splits.validation, "test": splits.test}
    texts = {split: [[block.text for block in page] for page in found] for split, found in pages.items()}
    return {split: chunk_pages(found, base.tokenizer, length, config.stride) for split, found in texts.items()}


def train(trainer: Trainer, folder: Path) -> float:
    """Train from the last complete checkpoint, if there is one; the seconds of this session."""
    last = last_checkpoint(folder / "checkpoints")
    if last is not None:
        print(f"{last}: goes on from there")
    began = time.perf_counter()
    try:
        trainer.train(resume_from_checkpoint=str(last) if last else None)
    except KeyboardInterrupt:
        kept = last_checkpoint(folder / "checkpoints")
        if kept is not None:
            print(f"{kept}: is kept; the same command goes on from there", file=sys.stderr)
        raise
    return round(time.perf_counter() - began, 3)


def report(
    config: LlamaLayoutConfig, base: Base, splits: Splits, chunks: dict[str, list[Chunk]], trainer: Trainer
) -> dict[str, Any]:
    """Predict with the best checkpoint, write the predictions; the metrics."""
    folder, path = Path(config.output_dir), config.pages.dataset_path
    dtype = next(base.model.parameters()).dtype
    validation, _, _ = predict(trainer, chunks["validation"], flat(splits.validation))
    test, scores, seconds = predict(trainer, chunks["test"], flat(splits.test))
    meta = {
        "fingerprint": base.fingerprint,
        "adapter_sha256": sha256_of(folder / "adapter/adapter_model.safetensors"),
        "settings": {"max_length": config.max_length, "stride": config.stride, "dtype": dtype_name(dtype)},
        "configuration": asdict(config),
        "seconds": seconds,
        "tokens_computed": sum(len(chunk.input_ids) for chunk in chunks["test"]),
        "checkpoint": base.name,
        "checkpoint_path": config.model,
    }
    write_rows(folder, "llama_lora", path, flat(splits.test), decisions(scores), meta, scores)
    write_majority(folder, path, splits, asdict(config))
    return {
        "best_step": int(Path(trainer.state.best_model_checkpoint).name.partition("-")[2]),
        "steps": trainer.state.global_step,
        "validation": validation,
        "test": test,
        "data": counts(splits, chunks),
    }


def predict(trainer: Trainer, chunks: Sequence[Chunk], blocks: Sequence[Block]) -> tuple[dict[str, Any], Scores, float]:
    """The metrics, the log-probabilities of each block, and the seconds that scoring took."""
    trainer.compute_metrics = None  # it counts the validation blocks
    began = time.perf_counter()
    logits = trainer.predict(labelled(chunks, blocks)).predictions
    seconds = time.perf_counter() - began
    scores = block_scores(logits, chunks, len(blocks))
    predictions = decisions(scores)
    metrics = block_metrics(predictions, blocks) | {
        "unanswered": predictions.count(None),
        "class_f1": class_f1(predictions, blocks),
        "words": word_metrics(predictions, blocks),
    }
    return metrics, scores, round(seconds, 3)
