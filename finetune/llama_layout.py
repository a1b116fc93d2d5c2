"""LLaMA with LoRA as a classifier of page blocks: everything from pages to predictions, in one run folder."""

import os
import sys
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

import torch
from transformers import set_seed

from evaluate.run import dtype_name
from finetune.chunks import Encoded, chunk_pages, collate
from finetune.documents import source_of
from finetune.llama_model import Base, load_base
from finetune.lora import LoraOptions, with_adapter
from finetune.outputs import Results, circumstances, finish, sha256_of, write_results
from finetune.pages import PageOptions, Source, Splits, flat, read_splits
from finetune.predicting import predict_scores
from finetune.run_folder import begin, quiet_libraries
from finetune.training import TrainingOptions, make_trainer, progress, train
from preprocess.errors import InputError
from preprocess.files import write_json

DATASET = "doclaynet"  # DocBank's pages are read as such too


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
        lora: The adapter.
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
    lora: LoraOptions = field(default_factory=LoraOptions)

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
    if begin(config, ("metrics.json", "merged") if config.merge else ("metrics.json",)):
        return
    quiet_libraries()
    source = source_of(DATASET, config.pages.dataset_path)
    config.training.check_labels(source.label_words)
    splits = read_splits(config.pages, config.training.seed, source)
    set_seed(config.training.seed)
    bf16 = use_bf16(config.dtype)
    texts = [block.text for block in flat(splits.train)]
    dtype = torch.bfloat16 if bf16 else torch.float32
    base = load_base(config.model, source.label_words, dtype, texts, folder / "base")
    encoded = encode(config, splits, base, source)
    write_json(folder / "configuration.json", {"configuration": asdict(config)} | circumstances())
    set_seed(config.training.seed)  # the adapter and the order are the same however the model was loaded
    trainer = make_trainer(
        with_adapter(base.model, config.lora),
        config.training,
        folder,
        encoded["train"],
        encoded["validation"],
        bf16=bf16,
        show_progress=sys.stderr.isatty(),
    )
    train(trainer, folder)
    trainer.model.save_pretrained(folder / "adapter")
    base.tokenizer.save_pretrained(folder / "adapter")
    about = {
        "fingerprint": base.fingerprint,
        "adapter_sha256": sha256_of(folder / "adapter/adapter_model.safetensors"),
        "settings": {"max_length": config.max_length, "stride": config.stride, "dtype": dtype_name(dtype)},
        "configuration": asdict(config),
        "checkpoint": base.name,
        "checkpoint_path": config.model,
    }
    results = Results(folder, "llama_lora", source, config.pages.test_split, splits, encoded, about)
    scored = partial(predict_scores, trainer.model, collator=collate, batch_size=config.training.batch_size, bf16=bf16)
    metrics = write_results(results, scored) | progress(trainer)
    if config.merge:
        trainer.model.merge_and_unload().save_pretrained(folder / "merged")
        base.tokenizer.save_pretrained(folder / "merged")
    finish(folder, metrics)


def use_bf16(dtype: str) -> bool:
    return dtype == "bfloat16" or (dtype == "auto" and torch.cuda.is_available() and torch.cuda.is_bf16_supported())


def encode(config: LlamaLayoutConfig, splits: Splits, base: Base, source: Source) -> dict[str, Encoded]:
    """Each split in chunks no longer than the model takes.

    Raises:
        InputError: It does not take more than the stride.
    """
    length = min(config.max_length, base.model.config.max_position_embeddings)
    if length < config.stride + 2:
        raise InputError(f"--stride {config.stride}: {config.model} takes only {length} tokens")
    return {
        split: Encoded(chunk_pages(pages, base.tokenizer, length, config.stride), flat(pages), source.label_words)
        for split, pages in splits.by_name().items()
    }
