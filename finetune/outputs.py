"""What a run leaves for the table: predictions, their meta files, the floor."""

import hashlib
import importlib.metadata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from evaluate.predictions import prediction_row, write_predictions
from evaluate.run import git_commit
from finetune.block_metrics import Scores
from finetune.chunks import Chunk
from finetune.pages import Splits, dataset_of, flat
from preprocess.blocks import LABEL_WORDS, Block
from preprocess.prompts import Prompt

PACKAGES = ("torch", "transformers", "peft", "accelerate", "tensorboard", "numpy")


def circumstances() -> dict[str, Any]:
    """Under which a run was made."""
    return {
        "versions": {package: importlib.metadata.version(package) for package in PACKAGES},
        "git_commit": git_commit(),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "threads": torch.get_num_threads(),
    }


def write_rows(
    folder: Path,
    method: str,
    dataset_path: str,
    blocks: Sequence[Block],
    predictions: Sequence[str | None],
    meta: dict[str, Any],
    scores: Scores | None = None,
) -> None:
    """The predictions file of a method, and its meta file, in which k is that of no prompt.

    Args:
        scores: Of each block over LABEL_WORDS; a block that was not read has none.
    """
    rows = []
    for number, (block, prediction) in enumerate(zip(blocks, predictions, strict=True)):
        example = Prompt(block.id, "", "", block.text, LABEL_WORDS, block.label_word, block.page)
        found = None if scores is None else scores[number]
        rows.append(prediction_row(example, prediction, {} if found is None else {"log_probs": found}))
    about = {"method": method, "num_examples": len(rows)}
    dataset = dataset_of(dataset_path)
    data = {"dataset": dataset.table_name(dataset_path), "dataset_path": dataset_path, "split": "test"}
    path = folder / f"outputs_{method}_{dataset.name}.json"
    write_predictions(path, rows, about | meta | circumstances() | {"prompt": data})


def write_majority(folder: Path, dataset_path: str, splits: Splits, configuration: dict[str, Any]) -> None:
    """The floor: every block is of the class that is most frequent in training, the first among equals."""
    occurring = Counter(block.label_word for block in flat(splits.train))
    word = max(LABEL_WORDS, key=lambda label: occurring[label])
    blocks = flat(splits.test)
    meta = {"settings": {}, "configuration": configuration}
    write_rows(folder, "majority", dataset_path, blocks, [word] * len(blocks), meta)


def counts(splits: Splits, chunks: dict[str, list[Chunk]]) -> dict[str, Any]:
    """How much of what there was.

    Args:
        chunks: Of each split, by its name.
    """
    sizes = {
        split: {
            "pages": len(getattr(splits, split)),
            "blocks": len(flat(getattr(splits, split))),
            "chunks": len(chunks[split]),
            "blocks_read": sum(len(chunk.reads) for chunk in chunks[split]),
        }
        for split in chunks
    }
    return sizes | {"test_dropped_without_text": splits.dropped, "train_pages_left_out_as_test_pages": splits.leaked}


def summary(metrics: dict[str, Any], folder: Path) -> str:
    """One screen: which checkpoint, what it reaches."""
    lines = [f"best checkpoint: step {metrics['best_step']} of {metrics['steps']}"]
    for split in ("validation", "test"):
        found = metrics[split]
        lines.append(
            f"{split}: {metrics['data'][split]['blocks']} blocks, accuracy {found['accuracy']:.4f}, "
            f"macro-F1 {found['macro_f1']:.4f}, unanswered {found['unanswered']}; "
            f"words: weighted F1 {found['words']['f1']:.4f}, accuracy {found['words']['accuracy']:.4f}"
        )
    return "\n".join([*lines, f"written to {folder}"])


def sha256_of(path: Path) -> str:
    """Of a file of any size."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
