"""Predicts with a fine-tuned LLaMA on pages without labels: texts of blocks -> labels with probabilities."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import PeftConfig, PeftModel
from transformers import LlamaForTokenClassification, PreTrainedTokenizerBase

from documents.boxes import read_corners, read_token
from documents.chunks import Encoded, chunk_pages, collate
from documents.pretrained import labels_of, one_line, read_config
from finetune.llama.model import load_base, load_transformers
from finetune.page_predictions import rows_of, summary
from finetune.predicting import predict_scores
from preprocess.blocks import LABEL_WORDS, Block, Page
from preprocess.errors import InputError
from preprocess.files import PathFlag, check_writable, read_json, write_json
from training.run_folder import quiet_libraries

ADAPTER, MERGED = "adapter", "merged"  # in a run folder
LLAMA = "llama"
REQUIRED = {"model": "a run folder", "blocks": "a page or a folder of pages", "output_path": "the file to write"}


@dataclass(frozen=True)
class LlamaPredictionConfig:
    """Label the text blocks of pages with a LLaMA that run_finetune_llama_layout.py trained.

    Args:
        model: Run folder of run_finetune_llama_layout.py (or its merged/ or adapter/), or a hub id of a merged model.
        base: Base model of an adapter; default the one that the adapter names.
        blocks: A page, a JSON list of {text, box}, box x0, y0, x1, y1 in any unit; or a folder of pages.
        output_path: Output file, a JSON list of {text, label, score, box} in the order of the blocks; for a folder of
            pages, the output folder.
        max_length: Tokens in a chunk, at most the model's maximum.
        stride: Tokens that a chunk shares with the previous one.
        batch_size: Chunks in a batch.
    """

    model: PathFlag = ""
    base: PathFlag = ""
    blocks: PathFlag = ""
    output_path: PathFlag = ""
    max_length: int = 512
    stride: int = 128
    batch_size: int = 2

    def __post_init__(self) -> None:
        if self.stride < 0 or self.max_length < self.stride + 2:
            raise InputError(
                f"--stride {self.stride}: expected 0 or more, and less than --max_length {self.max_length} minus BOS"
            )
        if self.batch_size < 1:
            raise InputError(f"--batch_size {self.batch_size}: expected 1 or more")


def predict_llama(config: LlamaPredictionConfig) -> None:
    """Label the blocks of pages, write them and print a summary."""
    for flag, what in REQUIRED.items():
        if not getattr(config, flag):
            raise InputError(f"--{flag}: expected {what}")
    whole = Path(config.blocks).is_dir()
    files = sorted(Path(config.blocks).glob("*.json")) if whole else [Path(config.blocks)]
    if not files:
        raise InputError(f"{config.blocks}: no page in it: expected JSON lists of {{text, box}} (--blocks)")
    places = [Path(config.output_path) / file.name if whole else Path(config.output_path) for file in files]
    for place, file in zip(places, files, strict=True):
        check_writable(place, "--output_path")
        if place.resolve() == file.resolve():
            raise InputError(f"--output_path {config.output_path}: is the file of --blocks")
    pages = [read_blocks(file) for file in files]
    quiet_libraries()
    model, tokenizer, label_words = load_classifier(config)
    rows = predicted(config, model, tokenizer, label_words, pages)
    for place, of_page in zip(places, rows, strict=True):
        write_json(place, of_page)
    title = f"{config.blocks}: {len(files)} pages"
    print(summary(title, [row for of_page in rows for row in of_page], {}, [config.output_path]))


def read_blocks(file: Path) -> list[tuple[str, list[float]]]:
    """Text and box of each block of a page.

    Raises:
        InputError: The file is not a list of {text, box}, or a row is invalid.
    """
    rows = read_json(file, "--blocks")
    if not isinstance(rows, list) or not rows:
        raise InputError(f"{file}: {rows!r:.40}, expected a list of blocks {{text, box}} (--blocks)")
    blocks = []
    for number, row in enumerate(rows):
        where = f"{file}: row {number}"
        if not isinstance(row, dict):
            raise InputError(f"{where}: {row!r:.40}, expected an object with text and box (--blocks)")
        read_token(row.get("text"), where)
        blocks.append((row["text"], list(read_corners(row.get("box"), where))))
    return blocks


def load_classifier(
    config: LlamaPredictionConfig,
) -> tuple[LlamaForTokenClassification | PeftModel, PreTrainedTokenizerBase, tuple[str, ...]]:
    """The model, its tokenizer and its labels: a merged model's own, or DocLayNet's for an adapter.

    Raises:
        InputError: The model is not a classifier, the base of an adapter is missing, or another model has a base.
    """
    folder = Path(config.model)
    for inside in (MERGED, ADAPTER):
        if (folder / inside).is_dir() and not (folder / "config.json").is_file():
            folder = folder / inside
            break
    if not (folder / "adapter_config.json").is_file():
        name = str(folder) if folder.is_dir() else config.model
        if config.base:
            raise InputError(f"--base {config.base}: {name} is a whole model, not an adapter")
        labels = labels_of(read_config(name, LLAMA), LlamaForTokenClassification.__name__)
        if labels is None:
            raise InputError(
                f"--model {name}: not trained to classify tokens; train it with run_finetune_llama_layout.py"
            )
        return *load_transformers(name, labels, torch.float32), tuple(labels)
    base = config.base or base_of_adapter(folder)
    loaded = load_base(base, LABEL_WORDS, torch.float32, [], folder)
    with one_line(str(folder)):
        return PeftModel.from_pretrained(loaded.model, folder), loaded.tokenizer, LABEL_WORDS


def base_of_adapter(folder: Path) -> str:
    """The base model of an adapter: the one that it names, or the folder base/ beside it after --model random.

    Raises:
        InputError: The adapter names no model.
    """
    beside = folder.parent / "base"
    if (beside / "config.json").is_file():
        return str(beside)
    with one_line(str(folder)):
        named = PeftConfig.from_pretrained(folder).base_model_name_or_path
    if not named:
        raise InputError(f"--model {folder}: adapter_config.json names no base model; set it with --base")
    return named


def predicted(
    config: LlamaPredictionConfig,
    model: torch.nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    label_words: tuple[str, ...],
    pages: Sequence[list[tuple[str, list[float]]]],
) -> list[list[dict[str, Any]]]:
    """A row {text, label, score, box} for each block of each page, in its order; the model reads them by y, then x."""
    length = min(config.max_length, model.config.max_position_embeddings)
    if length < config.stride + 2:
        raise InputError(f"--stride {config.stride}: {config.model} takes only {length} tokens")
    read, orders = [], []
    for number, blocks in enumerate(pages):
        kept = [place for place, (text, _) in enumerate(blocks) if text.strip()]
        orders.append(sorted(kept, key=lambda place, blocks=blocks: (blocks[place][1][1], blocks[place][1][0])))
        texts = [blocks[place][0].strip() for place in orders[-1]]
        read.append(Page([Block("", text, label_words[0], (0, 0, 0, 0), str(number), "", 1) for text in texts]))
    chunks = chunk_pages(read, tokenizer, length, config.stride)
    encoded = Encoded(chunks, [block for page in read for block in page.blocks], label_words)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    scores = iter(predict_scores(model.to(device), encoded, collate, config.batch_size))
    result = []
    for blocks, order in zip(pages, orders, strict=True):
        by_place = {place: next(scores) for place in order}
        result.append(rows_of(blocks, [by_place.get(place) for place in range(len(blocks))], label_words))
    return result
