"""The run of LLaMA with LoRA as a classifier of page blocks, from pages to predictions."""

import os
import sys
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers import set_seed

from documents.chunks import Encoded, chunk_pages, collate
from documents.pages import PageOptions, Source, Splits, flat, read_splits
from documents.pretrained import RANDOM
from documents.sources import source_of
from evaluate.run import dtype_name
from finetune.hub import END, check_push
from finetune.llama.lora import LoraOptions, with_adapter
from finetune.llama.model import Base, load_base
from finetune.model_card import push, write_llama_card
from finetune.outputs import Results, device_name, finish, settings_of, write_results
from finetune.predicting import predict_scores
from finetune.push_checkpoints import pushed
from finetune.training import TrainingOptions, make_trainer, progress, train
from preprocess.errors import InputError
from preprocess.files import PathFlag, names_full_disk, read_json, write_json
from preprocess.schema import TRAINED, check
from preprocess.seals import check_seal, hash_of, seal
from training.run_folder import base_folder, begin, environment, quiet_libraries, save_whole

STEPS = 9000
DATASET = "doclaynet"  # this reader also reads DocBank


@dataclass(frozen=True)
class LlamaLayoutConfig:
    """Fine-tune LLaMA with LoRA to classify the text blocks of pages, and write predictions for the results table.

    Args:
        model: A hub id, a folder in transformers' or Meta's format, or random (a small model with its own tokenizer).
        output_dir: Run folder: configuration, logs, checkpoints, adapter, metrics, predictions.
        max_length: Tokens in a chunk, at most the model's maximum.
        stride: Tokens that a chunk shares with the previous one.
        dtype: Dtype of the frozen weights: auto (bfloat16 on CUDA, else float32), float32 or bfloat16.
        merge: Also save the model with the adapter merged into its weights.
        overwrite: Start over if the run folder contains a run.
        push_to_hub: Upload the adapter with its model card as USER/NAME, and the merged model (--merge) as
            USER/NAME-merged.
        private: Upload to private repositories.
        hub_strategy: When to upload: end, or also while training: every_save (the adapter of each checkpoint),
            checkpoint (also the last checkpoint, as last-checkpoint/) or all_checkpoints (each as checkpoint-N/).
        pages: Where pages come from.
        training: How the adapter is trained.
        lora: The adapter.
    """

    model: PathFlag = "meta-llama/Llama-2-7b-hf"
    output_dir: PathFlag = "runs/llama-layout"
    max_length: int = 512
    stride: int = 128
    dtype: str = "auto"
    merge: bool = False
    overwrite: bool = False
    push_to_hub: str = ""
    private: bool = False
    hub_strategy: str = END
    pages: PageOptions = field(default_factory=PageOptions)
    training: TrainingOptions = field(default_factory=TrainingOptions)
    lora: LoraOptions = field(default_factory=LoraOptions)

    def __post_init__(self) -> None:
        check_push(self.push_to_hub, self.private, self.hub_strategy)
        if self.dtype not in ("auto", "float32", "bfloat16"):
            raise InputError(f"--dtype {self.dtype}: expected auto, float32 or bfloat16")
        if self.stride < 0 or self.max_length < self.stride + 2:
            raise InputError(
                f"--stride {self.stride}: expected 0 or more, and less than --max_length {self.max_length} minus BOS"
            )


@names_full_disk
def finetune_llama(config: LlamaLayoutConfig) -> None:
    """Train or resume, then predict the test blocks with the best checkpoint."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise InputError("torchrun: training uses one process; run this script with plain python")
    config, folder = replace(config, training=config.training.filled(steps=STEPS)), Path(config.output_dir)
    if begin(config, ("metrics.json", "merged") if config.merge else ("metrics.json",)):
        push_both(config)
        return
    quiet_libraries()
    source = source_of(DATASET, config.pages.path, config.pages.box_unit)
    config.training.check_labels(source.label_words)
    splits = read_splits(config.pages, config.training.seed, source)
    set_seed(config.training.seed)
    bf16 = use_bf16(config.dtype)
    dtype = torch.bfloat16 if bf16 else torch.float32
    texts = [block.text for block in flat(splits.train)]
    base = load_base(config.model, source.label_words, dtype, texts, base_folder(folder, config.model))
    encoded = encode(config, splits, base, source)
    model, trained = adapted(config, base, encoded, bf16)
    about = {
        "fingerprint": base.fingerprint,
        "adapter_sha256": hash_of(folder / "adapter/adapter_model.safetensors"),
        "settings": settings_of(config) | {"dtype": dtype_name(dtype)},
        "configuration": asdict(config),
        "checkpoint": base.name,
        "checkpoint_path": config.model,
        "device": device_name(model),
    }
    results = Results(folder, "llama_lora", source, config.pages.test_split, splits, encoded, about)
    scored = partial(predict_scores, model, collator=collate, batch_size=config.training.batch_size, bf16=bf16)
    metrics = write_results(results, scored) | trained
    about_card = (config.model, base.name, source, metrics)
    write_llama_card(*about_card, folder / "adapter", merged=False)
    if config.merge:

        def save(part: Path) -> None:
            save_merged(model, base, part)
            write_llama_card(*about_card, part, merged=True)

        save_whole(folder / "merged", save)
    finish(folder, metrics)
    push_both(config)


def adapted(
    config: LlamaLayoutConfig, base: Base, encoded: dict[str, Encoded], bf16: bool
) -> tuple[PeftModel, dict[str, Any]]:
    """The model with its best adapter, and entries of the metrics; loaded if an earlier session finished training."""
    folder = Path(config.output_dir)
    trained = folder / "training.json"
    if trained.exists():
        check_seal(folder / "adapter")
        entries = check(read_json(trained, "--output_dir"), TRAINED, str(trained), needed=True)
        model = PeftModel.from_pretrained(base.model, folder / "adapter")
        return model.to("cuda" if torch.cuda.is_available() else "cpu"), entries
    set_seed(config.training.seed)  # the same adapter and order, whether the model was created or loaded
    model = with_adapter(base.model, config.lora)
    write_json(folder / "configuration.json", {"configuration": asdict(config)} | environment())
    trainer = make_trainer(
        model,
        config.training,
        folder,
        encoded["train"],
        encoded["validation"],
        bf16=bf16,
        show_progress=sys.stderr.isatty(),
        callbacks=pushed(config.push_to_hub, config.private, config.hub_strategy, base.tokenizer.save_pretrained),
    )
    train(trainer, folder)
    adapter = model.peft_config[model.active_adapter]
    adapter.base_model_name_or_path = str(folder / "base") if config.model == RANDOM else config.model
    model.save_pretrained(folder / "adapter", save_embedding_layers=False)  # else peft looks for that model's config
    base.tokenizer.save_pretrained(folder / "adapter")
    seal(folder / "adapter")
    write_json(trained, progress(trainer))
    return model, progress(trainer)


def push_both(config: LlamaLayoutConfig) -> None:
    """Upload the adapter and the merged model, if requested."""
    folder, name = Path(config.output_dir), config.push_to_hub
    if name:
        push(folder, name, config.private, "adapter")
        if config.merge:
            push(folder, f"{name}-merged", config.private, "merged")


def save_merged(model: PeftModel, base: Base, folder: Path) -> None:
    """Save the model with the adapter merged into its weights. This modifies the model."""
    model.merge_and_unload().save_pretrained(folder)
    base.tokenizer.save_pretrained(folder)


def use_bf16(dtype: str) -> bool:
    """Whether `--dtype` means bfloat16 on this machine."""
    return dtype == "bfloat16" or (dtype == "auto" and torch.cuda.is_available() and torch.cuda.is_bf16_supported())


def encode(config: LlamaLayoutConfig, splits: Splits, base: Base, source: Source) -> dict[str, Encoded]:
    """Each split in chunks that fit the model.

    Raises:
        InputError: The model's maximum length is not above the stride.
    """
    length = min(config.max_length, base.model.config.max_position_embeddings)
    if length < config.stride + 2:
        raise InputError(f"--stride {config.stride}: {config.model} takes only {length} tokens")
    return {
        split: Encoded(chunk_pages(pages, base.tokenizer, length, config.stride), flat(pages), source.label_words)
        for split, pages in splits.by_name().items()
    }
